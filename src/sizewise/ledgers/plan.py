"""What was declared beforehand: the schemes, the plan's hash, and what makes an evaluation a trial of its own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sizewise.base.hashing import content_hash
from sizewise.ledgers.daily import by_day
from sizewise.ledgers.metrics import BPS, portfolio, sharpe
from sizewise.ledgers.trials import canonical
from sizewise.params.arms import STOP_ATR, Arm
from sizewise.params.dataset.signals import Signals
from sizewise.params.dataset.splits import Splits, SplitScheme
from sizewise.params.evidence.plan import Plan
from sizewise.params.trading.world import World

PRIMARY: SplitScheme = "rolling"
ANCHORED_FOLDER = "anchored"
# A rerun is told from the result that is recorded by this many digits of its daily growth in bps.
TRIAL_DIGITS = 4
SHARPE_DIGITS = 8


def plan_hash(
    plan: Plan,
    splits: Splits,
    arms: Mapping[str, Arm],
    world: World,
    seeds: Sequence[int],
) -> str:
    """Hash of everything that fixes what is compared and how it is decided."""
    sections: dict[str, Any] = {name: section.model_dump() for name, section in (("plan", plan), ("splits", splits))}
    sections |= {"arms": {name: _dumped(arm) for name, arm in arms.items()}, **_world(world)}
    return content_hash(canonical({**sections, "seeds": list(seeds)}))


def is_sizer(arm: Arm) -> bool:
    """Whether an arm has learned to size the signal (and does not choose its own direction)."""
    return arm.learned and arm.follows_signal


def looking_ahead(arms: Mapping[str, Arm]) -> list[str]:
    """Arms that read the future: bounds, which no figure should be scaled by."""
    return [name for name, arm in arms.items() if arm.looks_ahead]


def stop_atr(arms: Mapping[str, Arm], reference: str) -> float:
    """The stop distance every trade's R is measured with: that of the ATR arm that is the reference, else 1.5."""
    return getattr(arms[reference], "stop_atr", STOP_ATR)


def arm_hash(params: Any, name: str) -> str:
    """Hash of the parameters that make an arm what it is: a rule does not change when the learners' settings do."""
    arm = params.arms[name]
    own = _dumped(arm)
    other = getattr(arm, "matches", None) or getattr(arm, "of", None)
    if other is not None:  # What it matches, or is made of, makes it what it is.
        return content_hash(arm_hash(params, other).encode(), canonical(own))
    world = [params.account, params.rules, params.decisions]
    sections = [*world, params.splits, *(getattr(params, name) for name in arm.sections)]
    dumped = [own, *(section.model_dump() for section in sections)]
    return with_risk(with_signals(content_hash(canonical(dumped)), params.signals), params.plan)


def _world(world: World) -> dict[str, Any]:
    return {name: getattr(world, name).model_dump() for name in ("account", "rules", "decisions")}


def with_signals(digest: str, signals: Signals) -> str:
    """A configuration's hash with the signals it trades; lines recorded before signals were of days have none in theirs."""
    return content_hash(digest.encode(), canonical(signals.model_dump()))


def with_risk(digest: str, plan: Plan) -> str:
    """A configuration's hash with the risk it is matched to; one that keeps its own is what it was before that was asked."""
    return digest if plan.risk is None else content_hash(digest.encode(), canonical(plan.risk.model_dump()))


def _dumped(arm: Arm) -> dict[str, Any]:
    """An arm's parameters; seeds that it does not name are those of `train`, and no parameter of its own."""
    return {name: value for name, value in arm.model_dump().items() if name != "seeds" or value is not None}


def trial_lines(
    arm: str, params_hash: str, data_hash: str, days: pd.DataFrame, *, code: str, scheme: str = PRIMARY
) -> list[dict[str, Any]]:
    """One line a fold: what an arm was, and what it earned out of sample; `evaluation` is the hash of what it was.

    Args:
        days: the arm's rows of the daily ledger. code: see code_hash; it says what the result was made with, and makes no
            other trial.
    """
    results, extra = {}, {}
    for fold in sorted(days["fold"].unique().tolist()):
        daily = portfolio(by_day(days[days["fold"] == fold]))
        results[fold] = round(float(daily.mean()) * BPS, TRIAL_DIGITS)
        ratio = sharpe(daily, periods_per_year=1.0)
        extra[fold] = {"sharpe": None if math.isnan(ratio) else round(ratio, SHARPE_DIGITS), "n_days": len(daily)}
    shared = {"arm": arm, "scheme": scheme, "params_hash": params_hash, "data_hash": data_hash}
    evaluation = content_hash(canonical(shared))
    return [
        {
            **shared,
            "evaluation": evaluation,
            "fold": fold,
            "growth_bps_per_day": growth,
            "code_hash": code,
            **extra[fold],
        }
        for fold, growth in results.items()
    ]
