"""Gates: what must hold before a verdict counts. Each is computed, shown, and able to fail.

A gate that fails voids the verdict, but for the one on the signal: two ways of sizing a signal that does not pay can still
be compared, and what the answer is worth is said. A gate that was not measured passes nothing; the verdict says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.card import card
from sizewise.evidence.statistics.blocks import ibragimov_mueller
from sizewise.ledgers.metrics import BPS
from sizewise.ledgers.orders import round_trips
from sizewise.params.evidence.gates import Gates
from sizewise.params.evidence.plan import Plan

# A size that misses the cap by less was cut to it, and then to whole lots.
AT_CAP = 0.01
# Failed ones of these are said and leave the verdict.
SAID_ALONE = ("signal",)
DIGITS = 6
YES = {True: "yes", False: "no", None: "not measured"}
HOLDS = {True: "holds", False: "fails", None: "not measured"}


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        holds: None where it was not measured. value, threshold: what is compared; None where there is none.
        sentence: what was found, whole and with a full stop.
    """

    name: str
    holds: bool | None
    value: float | None
    threshold: float | None
    sentence: str

    @property
    def voids(self) -> bool:
        """Whether it leaves no verdict."""
        return self.holds is False and self.name not in SAID_ALONE

    def record(self) -> dict[str, Any]:
        """For metrics/verdict.json: holds, value, threshold, sentence."""
        numbers = {
            name: None if value is None else round(float(value), DIGITS)
            for name, value in (("value", self.value), ("threshold", self.threshold))
        }
        return {"holds": self.holds, **numbers, "sentence": self.sentence}

    def _repr_html_(self) -> str:
        """For notebooks: whether it holds, and what was compared with what."""
        numbers = {"value": self.value, "threshold": self.threshold}
        facts = {name: f"{number:.4g}" for name, number in numbers.items() if number is not None}
        return card(f"gate {self.name}: {HOLDS[self.holds]}", facts, [self.sentence])


def _unmeasured(name: str, threshold: float | None, why: str) -> Gate:
    return Gate(name, None, None, threshold, f"Not measured: {why}.")


def learner_gate(train: Mapping[str, Any] | None, candidate: str, learned: bool, limits: Gates) -> Gate:
    """Can the candidate learn? At the end of training it earns on its own train slices what the best rule does.

    Args:
        train: metrics/train.json; the candidate's entry (its name, or its name and `(rolling)`) has the share of folds and
            seeds under `learned`. None: there is no such file. learned: whether the candidate is trained at all.
    """
    name, least = "learner", limits.learned_frac
    if not learned:
        return Gate(name, True, None, least, f"{candidate} is a rule: nothing is trained.")
    entry = {} if train is None else train.get(f"{candidate} (rolling)", train.get(candidate, {}))
    share = entry.get("learned")
    if share is None:
        return _unmeasured(
            name, least, f"metrics/train.json does not say in how many folds and seeds {candidate} learned"
        )
    return Gate(
        name,
        share >= least,
        share,
        least,
        f"{candidate} earns on its own train slices at least what the best rule does in {share:.0%} of folds and seeds; "
        f"{least:.0%} are asked for.",
    )


def reference_gate(trips: pd.DataFrame, cap_frac: float, reference: str, limits: Gates) -> Gate:
    """Is the reference's size its rule's? The cap binds at few of its entries.

    Args:
        trips: of the reference, see orders.round_trips. cap_frac: largest position, share of equity.
    """
    name, most = "reference", limits.capped_frac
    if trips.empty:
        return _unmeasured(name, most, f"{reference} never traded")
    share = float((trips["size"] >= (1.0 - AT_CAP) * cap_frac).mean())
    return Gate(
        name,
        share <= most,
        share,
        most,
        f"{reference} orders the cap of {cap_frac:.0%} of equity at {share:.1%} of its {len(trips):,} entries; at most "
        f"{most:.0%} are allowed.",
    )


def signal_gate(trips: pd.DataFrame, reference: str, plan: Plan, own_signal: str | None = None) -> Gate:
    """Does the signal pay for its trades? The gross result of one, at the size of its entry, beside what it costs.

    Trades of one time move together: the interval is that of blocks of trades in order of entry.

    Args:
        trips: of the reference, see orders.round_trips. own_signal: what a signal of one's own is called.
    """
    name, called = "signal", "the signal" if own_signal is None else f"the signal {own_signal}"
    if len(trips) < 2 * plan.blocks:
        return _unmeasured(name, None, f"{reference} made {len(trips)} trades, fewer than two a block")
    gross = ibragimov_mueller(trips["gross"].to_numpy(), blocks=plan.blocks, alpha=plan.alpha)
    mean, cost = BPS * float(trips["gross"].mean()), BPS * float(trips["cost"].mean())
    said = "covers" if mean >= cost else "does not cover"
    return Gate(
        name,
        mean >= cost,
        mean,
        cost,
        f"A trade of {called} earns {mean:+.1f} bps before costs ({100.0 * (1.0 - plan.alpha):.4g}% interval "
        f"{BPS * gross.low:+.1f} to {BPS * gross.high:+.1f}, {len(trips):,} trades of {reference}, out of sample) and costs "
        f"{cost:.1f} bps: it {said} its costs.",
    )


def budget_gate(study: Mapping[str, Any] | None, limits: Gates) -> Gate:
    """Was training long enough? Four times the samples gain on test less than the noise of seeds.

    It asks for a gain, on test alone: who trains longer for nothing moves, either way, by more than a standard error in one
    draw of three; the tail's objective rises with training that fits the tail, since it is the tail that picks.

    Args:
        study: metrics/budget.json: `gained_errors`, what the growth of the selected policies gains on test, in standard
            errors over seeds; negative where it loses. None: the study has not run.
    """
    name, most = "budget", limits.budget_errors
    gained = None if study is None else study.get("gained_errors")
    if gained is None:
        return _unmeasured(name, most, "the budget study has not run on these bars")
    return Gate(
        name,
        gained < most,
        gained,
        most,
        f"With four times the samples the growth of the selected policies on test moves by {gained:+.2f} standard errors "
        f"over seeds; a gain below {most:g} is asked for.",
    )


def assay_gate(study: Mapping[str, Any] | None, limits: Gates) -> Gate:
    """Would an edge of sizing be found? Planted edges, with the production learner, budget and test.

    Args:
        study: metrics/assay.json: `found_frac` at four standard errors, `false_frac` with none, `replications`. None: the
            study has not run.
    """
    name, least, most = "assay", limits.assay_found_frac, limits.assay_false_frac
    found, false = (None if study is None else study.get(key) for key in ("found_frac", "false_frac"))
    if study is None or found is None or false is None:
        return _unmeasured(name, least, "the assay study has not run on these bars")
    return Gate(
        name,
        found >= least and false <= most,
        found,
        least,
        f"Of an edge planted at four standard errors {found:.0%} of {study['replications']} replications say better, at "
        f"least {least:.0%} are asked for; with none planted {false:.0%} do, at most {most:.0%} are allowed.",
    )


def all_gates(
    bars: pd.DataFrame,
    plan: Plan,
    *,
    cap_frac: float,
    learned: bool,
    measured: Mapping[str, Mapping[str, Any] | None],
    own_signal: str | None = None,
) -> tuple[Gate, ...]:
    """Every gate, in the order in which they are shown.

    Args:
        bars: the reference's equity ledger, one seed; see orders.round_trips.
        measured: contents of metrics files by name: train, budget, assay; None where there is no such file.
        own_signal: see signal_gate.
    """
    trips, limits = round_trips(bars), plan.gates
    return (
        learner_gate(measured["train"], plan.candidate, learned, limits),
        budget_gate(measured["budget"], limits),
        reference_gate(trips, cap_frac, plan.reference, limits),
        signal_gate(trips, plan.reference, plan, own_signal),
        assay_gate(measured["assay"], limits),
    )


def gate_table(gates: Sequence[Gate]) -> pd.DataFrame:
    """One row a gate: holds (yes, no, not measured), value, threshold; see gate_sentences."""
    rows = {
        gate.name: {
            "holds": YES[gate.holds],
            "value": np.nan if gate.value is None else gate.value,
            "threshold": np.nan if gate.threshold is None else gate.threshold,
        }
        for gate in gates
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("gate")


def gate_sentences(gates: Sequence[Gate]) -> str:
    """What each found, a line of Markdown each."""
    return "\n".join(f"- {gate.name}: {gate.sentence}" for gate in gates)
