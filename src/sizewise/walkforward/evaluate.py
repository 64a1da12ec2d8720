"""The walk-forward stage: run every arm on both split schemes, write the ledgers, record the trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from sizewise.base.hashing import code_hash, content_hash
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe
from sizewise.ledgers.daily import arm_days
from sizewise.ledgers.files import LedgerWriter, write_risk
from sizewise.ledgers.plan import ANCHORED_FOLDER, PRIMARY, arm_hash, stop_atr, trial_lines
from sizewise.ledgers.trials import record_trials
from sizewise.params.arms import CustomArm, CustomScheme
from sizewise.params.dataset.signals import CustomSignal
from sizewise.params.own_class import class_source
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.sizing.own import own_of
from sizewise.walkforward.field import Field
from sizewise.walkforward.writing import Side, walk_into


def evaluate_all(stage: Stage, market: Market, folds: Mapping[str, Sequence[Fold]]) -> pd.DataFrame:
    """Walk every arm over its schemes and write the ledgers; the primary scheme's lie in the ledger folder itself.

    With `plan.risk` every arm walks at the factors that match its risk on train; they are written as well, and what the arms
    of the primary scheme do without them.

    On other schemes than the primary one only the candidate and the reference walk: they are a sensitivity of the verdict.

    Returns:
        what the rule arms that are fitted on train were given, one row a number; see sizing.fitted.
    """
    p = stage.params
    exact = market.to("cpu", torch.float64)
    world, given = World.of(p), (p.outcome, stage.workspace.policies, p.plan.risk)
    sides = []
    # The primary one first.
    for scheme in sorted(folds, key=lambda scheme: scheme != PRIMARY):
        primary = scheme == PRIMARY
        names = list(p.arms) if primary else [p.plan.candidate, p.plan.reference]
        writer = LedgerWriter(stage.workspace.ledger / ("" if primary else ANCHORED_FOLDER))
        sides.append(Side(Field(exact, folds[scheme], p.arms, p.train.seeds, world, *given), names, writer))
    fits, unmatched = walk_into(sides, stop_atr=stop_atr(p.arms, p.plan.reference))
    for side in sides:
        side.writer.close()
    if p.plan.risk is not None:
        factors = [side.field.matched(name) for side in sides for name in side.names]
        write_risk(stage.workspace.ledger, pd.concat(factors, ignore_index=True), unmatched)
    return pd.concat(fits, ignore_index=True) if fits else pd.DataFrame()


def trial_hash(params: Any, name: str) -> str:
    """See plan.arm_hash; an arm or a signal of one's own is also what its file says: an edit there makes another trial."""
    digest = arm_hash(params, name)
    for own in (own_of(params.arms[name]), params.signals.family):
        if isinstance(own, CustomArm | CustomScheme | CustomSignal):
            digest = content_hash(digest.encode(), class_source(own.class_).read_bytes())
    return digest


def record(stage: Stage, universe: Universe, days: pd.DataFrame) -> int:
    """Append this run's evaluations to the trial ledger; returns how many were new.

    What is recorded is an arm with its own parameters; that it was met again is no new trial, whatever digits came out.

    Args:
        days: the daily ledger.
    """
    lines: list[dict[str, Any]] = []
    code = code_hash("sizewise.walkforward.evaluate")
    for arm in days["arm"].unique():
        digest = trial_hash(stage.params, str(arm))
        lines += trial_lines(str(arm), digest, universe.data_hash, arm_days(days, arm), code=code)
    return record_trials(stage.workspace.trials, lines)
