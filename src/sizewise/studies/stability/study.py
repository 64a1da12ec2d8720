"""What stability measures: sets of seeds beside each other, one seed under two arithmetics, and verdicts redrawn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.arithmetic import fingerprint
from sizewise.base.errors import DataMissingError
from sizewise.base.seeding import numpy_generator
from sizewise.evidence.comparison import fold_and_seed_means
from sizewise.evidence.inference import Comparison, compare_as_planned, daily_difference, effect_row
from sizewise.evidence.seed_draws import classify, redraw_sizes
from sizewise.evidence.statistics.seeds import DRAWS, SeedDraws
from sizewise.ledgers.daily import DAILY, check_same_bars, marks, read_daily
from sizewise.ledgers.metrics import BPS
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.studies.stability import Stability
from sizewise.studies.stability.files import FRESH, LEFT_OUT, SECOND, folder_of, seeds_of

SIZES = (1, 2, 3, 5, 10)
# Of draws: the middle 90%.
MIDDLE = (0.05, 0.95)
SHOWN = ["effect_bps", "low_bps", "high_bps", "p_value", "mde_bps"]


@dataclass(frozen=True)
class StabilityStudy:
    """The main job's candidate and reference, and the candidate's repeats, as marks a day (see daily.marks).

    Attributes:
        repeats: by name, those that were made. left_out: why the second arithmetic was not tried; empty if it was.
    """

    plan: Plan
    stability: Stability
    candidate: pd.DataFrame
    reference: pd.DataFrame
    repeats: Mapping[str, pd.DataFrame]
    left_out: str = ""

    @property
    def seeds(self) -> list[int]:
        """The candidate's."""
        return sorted(int(seed) for seed in self.candidate["seed"].unique())

    @property
    def size(self) -> int:
        """Seeds of a set."""
        return len(self.stability.seeds)

    def triples(self) -> list[list[int]]:
        """The candidate's seeds in consecutive disjoint sets of as many as a repeat has; those that are left are in none."""
        seeds, size = self.seeds, self.size
        return [seeds[start : start + size] for start in range(0, len(seeds) - size + 1, size)]

    def sets(self) -> pd.DataFrame:
        """The primary test on the mean of each set of seeds, without training's error.

        Returns:
            one row a set: arithmetic, seeds, effect_bps, low_bps, high_bps, p_value, mde_bps, class; the candidate's own
            sets first, then the repeats, then all seeds of the candidate.
        """
        own, given = fingerprint(), self.stability
        rows = {labelled(seeds): self.set_row(seeds) for seeds in self.triples()}
        if SECOND in self.repeats:
            rows[f"{labelled(given.seeds)}, {given.arithmetic}"] = self._row(
                given.arithmetic, given.seeds, self.repeats[SECOND]
            )
        rows[f"fresh {labelled(given.fresh_seeds)}"] = self._row(own, given.fresh_seeds, self.repeats[FRESH])
        rows[f"all {len(self.seeds)} seeds"] = self.set_row(self.seeds)
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("set")

    def set_row(self, seeds: Sequence[int]) -> dict[str, Any]:
        """A row as in `sets`, of any seeds of the candidate."""
        return self._row(fingerprint(), seeds, self.candidate)

    def _row(self, arithmetic: str, seeds: Sequence[int], equity: pd.DataFrame) -> dict[str, Any]:
        found = effect_row(daily_difference(equity[equity["seed"].isin(list(seeds))], self.reference), self.plan)
        found = dict.fromkeys(SHOWN, float("nan")) | found
        kind = classify(found["effect_bps"], found["p_value"], self.plan.alpha)
        shown = {name: found[name] for name in SHOWN}
        return {"arithmetic": arithmetic, "seeds": said(seeds), **shown, "class": kind}

    def fold_effects(self) -> dict[str, pd.DataFrame]:
        """Mean daily difference (bps), a row a fold and a column a seed: of the candidate (`main`) and of each repeat."""
        ledgers = {"main": self.candidate, **self.repeats}
        return {name: fold_and_seed_means(equity, self.reference) for name, equity in ledgers.items()}

    def verdict(self) -> Comparison:
        """The candidate against the reference, all seeds, with training's error and its redraws, as the verdict has them."""
        # As in evidence.comparison: ruin is told by paths and not by marks.
        return compare_as_planned(self.plan, self.candidate, self.reference, ruin_frac=0.0)

    def sizes(self) -> pd.DataFrame:
        """What so many seeds a fold, drawn with replacement from all of the candidate's, would have decided.

        Returns:
            one row a number of seeds: the middle 90% of effect_low_bps to effect_high_bps and of p_low to p_high, and
            better_pct, worse_pct, inconclusive_pct of the draws, all without training's error; told_with_error_pct: the
            draws that are better or worse with the training error of so many seeds in the test.
        """
        given = (self.plan, self.candidate, self.reference, SIZES)
        alone, widened = (redraw_sizes(*given, market_alone=kind) for kind in (True, False))
        rows = {}
        for size, draws in alone.items():
            kinds = classes(draws, self.plan.alpha)
            rows[size] = {
                **{f"effect_{end}_bps": BPS * value for end, value in middle(draws.effects).items()},
                **{f"p_{end}": value for end, value in middle(draws.p_values).items()},
                **{f"{kind}_pct": 100.0 * share for kind, share in kinds.items()},
                "told_with_error_pct": 100.0 * (1.0 - classes(widened[size], self.plan.alpha)["inconclusive"]),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seeds a fold")


def said(seeds: Sequence[int]) -> str:
    """Seeds in few signs: 1-3 for a run of them, else 1, 4, 5."""
    listed = list(seeds)
    run = len(listed) > 1 and listed == list(range(listed[0], listed[0] + len(listed)))
    return f"{listed[0]}-{listed[-1]}" if run else ", ".join(map(str, listed))


def labelled(seeds: Sequence[int]) -> str:
    """`seeds 1-3`, `seed 4`."""
    return f"seed{'' if len(seeds) == 1 else 's'} {said(seeds)}"


def middle(values: np.ndarray) -> dict[str, float]:
    """The ends of the middle 90%."""
    low, high = np.quantile(values, MIDDLE)
    return {"low": float(low), "high": float(high)}


def classes(draws: SeedDraws, alpha: float) -> dict[str, float]:
    """Shares of redraws by the class of their test; they add up to 1."""
    found = [classify(float(e), float(p), alpha) for e, p in zip(draws.effects, draws.p_values, strict=True)]
    return {kind: found.count(kind) / len(found) for kind in ("better", "worse", "inconclusive")}


@dataclass(frozen=True)
class GapRatio:
    """How far one seed is from itself under another arithmetic, against how far two seeds are from each other.

    Attributes:
        same_bps, other_bps: mean absolute gaps of the mean daily difference, over folds and seeds, and over folds and pairs
            of seeds. ratio: of the two, NaN where seeds do not differ. low, high: 95% by bootstrap over folds.
    """

    same_bps: float
    other_bps: float
    ratio: float
    low: float
    high: float
    n_folds: int


def gap_ratio(main: pd.DataFrame, second: pd.DataFrame, *, seed: int, draws: int = DRAWS) -> GapRatio:
    """Compare the gap that another arithmetic makes with the gap between seeds.

    Args:
        main, second: a row a fold, a column a seed, the same folds; the seeds of `second` are among those of `main`.
        seed: of the bootstrap.
    """
    same = (second - main[second.columns]).abs().mean(axis=1).to_numpy()
    pairs = [(main[a] - main[b]).abs() for a, b in combinations(main.columns, 2)]
    other = pd.concat(pairs, axis=1).mean(axis=1).to_numpy()
    if not other.mean() > 0.0:
        return GapRatio(float(same.mean()), 0.0, np.nan, np.nan, np.nan, len(same))
    drawn = numpy_generator(seed, "gap ratio").integers(len(same), size=(draws, len(same)))
    below = other[drawn].mean(axis=1)
    # A draw of folds whose seeds do not differ has no ratio.
    ratios = same[drawn].mean(axis=1)[below > 0.0] / below[below > 0.0]
    low, high = (float(value) for value in np.quantile(ratios, [0.025, 0.975]))
    ratio = float(same.mean() / other.mean())
    return GapRatio(float(same.mean()), float(other.mean()), ratio, low, high, len(same))


def open_study(stage: Stage) -> StabilityStudy:
    """Read the main job's ledger and the repeats'.

    Raises:
        DataMissingError: a repeat, or the walk-forward, has not run.
        LedgerError: a repeat was walked over other bars than the main job.
    """
    plan, given = stage.params.plan, stage.params.stability
    daily = read_daily(stage.workspace.ledger, [plan.candidate, plan.reference])
    reference = daily[daily["arm"] == plan.reference]
    repeats, left_out = {}, ""
    for name in seeds_of(given):
        folder = folder_of(stage, name)
        if (folder / LEFT_OUT).is_file():
            left_out = json.loads((folder / LEFT_OUT).read_text(encoding="utf-8"))["why"]
            continue
        if not (folder / DAILY).is_file():
            raise DataMissingError(f"stability has no ledger of '{name}': run `make studies`")
        repeat = read_daily(folder)
        check_same_bars(pd.concat([repeat, reference], ignore_index=True), name, plan.reference)
        repeats[name] = marks(repeat, name)
    return StabilityStudy(plan, given, marks(daily, plan.candidate), marks(daily, plan.reference), repeats, left_out)
