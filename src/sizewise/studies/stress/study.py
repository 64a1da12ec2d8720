"""The tables of a stress study: what was walked under each scenario, as differences with their intervals."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import LedgerError
from sizewise.base.paths import write_atomically
from sizewise.base.pool import cores
from sizewise.base.words import counted
from sizewise.dataset.store import open_prepared
from sizewise.evidence.inference import EFFECT_COLUMNS, effect_row, with_holm
from sizewise.ledgers.files import read_equity, read_risk
from sizewise.ledgers.metrics import BPS, daily_returns, portfolio
from sizewise.ledgers.plan import PRIMARY
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.studies.stress import attribution
from sizewise.studies.stress.attribution import Attribution, attribute
from sizewise.studies.stress.days import BreakEven, WalkedDays, break_even
from sizewise.studies.stress.walks import Fit, walk_all
from sizewise.studies.stress.world import AS_IS, Scenario, StressWorld, declared
from sizewise.walkforward.risk import factors_of, train_paths
from sizewise.walkforward.walk import Factors, paths_of

DIGITS = 6


@dataclass(frozen=True)
class StressStudy:
    """Everything walked, and the parts of the ledgers' differences.

    Attributes:
        fits: by fold number. walked: by scenario, then by arm. attributions: each walked arm of the ledgers minus the
            reference, by arm. reproduction_bps: largest difference of a symbol's day between the walk at the costs as they
            are and the ledgers, over the candidate and the reference.
    """

    plan: Plan
    fits: Mapping[int, Fit]
    walked: Mapping[Scenario, Mapping[str, WalkedDays]]
    attributions: Mapping[str, Attribution]
    reproduction_bps: float
    data_hash: str

    @property
    def arms(self) -> list[str]:
        """Who walked."""
        return list(self.walked[AS_IS])

    @property
    def multiples(self) -> dict[float, Mapping[str, WalkedDays]]:
        """The walks at each multiple of all costs."""
        return {scenario.amount: by_arm for scenario, by_arm in self.walked.items() if scenario.kind == "costs"}

    def difference(self, scenario: Scenario, arm: str | None = None) -> pd.Series:
        """Daily log growth of the candidate minus an arm (the reference, if none is named) under a scenario."""
        by_arm = self.walked[scenario]
        return portfolio(by_arm[self.plan.candidate].growth - by_arm[arm or self.plan.reference].growth)

    def fit_table(self) -> pd.DataFrame:
        """What the candidate carries and trades on each fold's train slices, and the reference's multiples there."""
        return pd.DataFrame.from_dict({n: asdict(fit) for n, fit in self.fits.items()}, orient="index").rename_axis(
            "fold"
        )

    def table(self) -> pd.DataFrame:
        """The candidate minus the reference under every scenario; p_holm over all but the costs as they are.

        Where an account of either was ruined there is no statistic: `ruined` counts the paths.
        """
        rows = {}
        for scenario, by_arm in self.walked.items():
            pair = {name: by_arm[name] for name in (self.plan.candidate, self.plan.reference)}
            ruined = sum(len(days.ruined) for days in pair.values())
            row = {f"{name}_bps": _own(days, self.plan)["growth_bps"] for name, days in pair.items()}
            effect = effect_row(self.difference(scenario), self.plan) if not ruined else {}
            rows[scenario.name] = row | effect | {"ruined": ruined}
        columns = [*row, *EFFECT_COLUMNS, "ruined"]
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("scenario")
        return with_holm(table, table.index != AS_IS.name)

    def growth(self) -> pd.DataFrame:
        """Every arm at every multiple of all costs: growth with its interval, costs, turnover, exposure; index both."""
        rows = {
            (multiple, arm): _own(days, self.plan)
            for multiple, by_arm in self.multiples.items()
            for arm, days in by_arm.items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(table.index, names=["multiple", "arm"])
        return table

    def ruins(self) -> pd.DataFrame:
        """Every path that was ruined, one row a scenario and arm that has any."""
        rows = [
            {"scenario": scenario.name, "arm": arm, "n_paths": len(days.ruined), "paths": ", ".join(days.ruined)}
            for scenario, by_arm in self.walked.items()
            for arm, days in by_arm.items()
            if days.ruined
        ]
        return pd.DataFrame(rows, columns=["scenario", "arm", "n_paths", "paths"]).set_index("scenario")

    def break_evens(self) -> dict[str, BreakEven | None]:
        """Of the difference, then of each arm's own growth; None where an account was ruined at some multiple."""
        candidate, reference = self.plan.candidate, self.plan.reference
        found = {f"{candidate} minus {reference}": self._break_even(None)}
        return found | {arm: self._break_even(arm) for arm in self.arms}

    def _break_even(self, arm: str | None) -> BreakEven | None:
        involved = [arm] if arm else [self.plan.candidate, self.plan.reference]
        if any(by_arm[name].ruined for by_arm in self.multiples.values() for name in involved):
            return None
        daily = {
            multiple: by_arm[arm].daily if arm else self.difference(Scenario("costs", multiple))
            for multiple, by_arm in self.multiples.items()
        }
        return break_even(daily, self.plan)

    def side_bps(self, name: str) -> float:
        """Mean fee and half-spread of a side, bps of traded value, at the costs as they are; of the candidate for its
        difference to the reference."""
        by_arm = self.walked[AS_IS]
        return by_arm[name if name in by_arm else self.plan.candidate].side_bps

    def break_even_table(self) -> pd.DataFrame:
        """See BreakEven; `side_bps` is what a side costs as it is, `break_even_side_bps` the same times the multiple.

        Only a break-even that was found has an interval; an end of it that lies beyond the multiples walked is NaN.
        """
        rows = {}
        for name, found in self.break_evens().items():
            side = self.side_bps(name)
            rows[name] = {"side_bps": side} | ({} if found is None else asdict(found))
            rows[name]["break_even_side_bps"] = side * rows[name].get("multiple", math.nan)
        columns = [
            "multiple",
            "low",
            "high",
            "side_bps",
            "break_even_side_bps",
            "crossings",
            "curvature_bps",
            "first",
            "last",
        ]
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("growth of")
        ends = table[["low", "high"]]
        table[["low", "high"]] = ends.where(np.isfinite(ends) & table[["multiple"]].notna().to_numpy())
        return table

    def matched(self) -> pd.DataFrame:
        """The candidate minus every other arm at the costs as they are, beside what each carries, trades and pays."""
        rows = {}
        for arm, days in self.walked[AS_IS].items():
            own = _own(days, self.plan)
            kept = {name: own[name] for name in ("growth_bps", "costs_bps", "exposure_pct", "turnover_pct")}
            told = arm != self.plan.candidate and not days.ruined and not self.walked[AS_IS][self.plan.candidate].ruined
            rows[arm] = kept | (effect_row(self.difference(AS_IS, arm), self.plan) if told else {})
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=[*kept, *EFFECT_COLUMNS])
        return with_holm(table.rename_axis("arm"))

    def by_symbol(self) -> pd.DataFrame:
        """The candidate minus the reference, one row a symbol, on the days it is live."""
        by_arm = self.walked[AS_IS]
        days = by_arm[self.plan.candidate].growth - by_arm[self.plan.reference].growth
        return self._effects({str(symbol): days[symbol].dropna() for symbol in days}, "symbol")

    def by_year(self) -> pd.DataFrame:
        """The candidate minus the reference, one row a calendar year."""
        daily = self.difference(AS_IS)
        years = pd.DatetimeIndex(daily.index).year
        return self._effects({str(year): daily[years == year] for year in sorted(set(years))}, "year")

    def _effects(self, parts: Mapping[str, pd.Series], name: str) -> pd.DataFrame:
        rows = {key: effect_row(part, self.plan) for key, part in parts.items()}
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS).rename_axis(name)
        return with_holm(table)

    def attribution(self) -> pd.DataFrame:
        """The parts of the candidate minus the reference; see Attribution.table."""
        return self.attributions[self.plan.candidate].table(self.plan)

    def attribution_of_arms(self) -> pd.DataFrame:
        """Mean parts of each arm minus the reference, bps a day, and the ratio of their exposures; one row an arm."""
        rows = {}
        for arm, found in self.attributions.items():
            table = found.table(self.plan)["effect_bps"]
            rows[arm] = {"exposure_ratio": found.ratio} | table.to_dict()
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def metrics(self) -> dict[str, Any]:
        """For metrics/stress.json: finite numbers, rounded."""
        tables = {
            "scenarios": self.table(),
            "break_even": self.break_even_table(),
            "matched": self.matched(),
            "attribution": self.attribution(),
            "by_symbol": self.by_symbol(),
            "by_year": self.by_year(),
        }
        ratio = {"exposure_ratio": round(self.attributions[self.plan.candidate].ratio, DIGITS)}
        return (
            {"reproduction_bps": round(self.reproduction_bps, DIGITS)}
            | ratio
            | {k: _plain(t) for k, t in tables.items()}
        )


def _own(days: WalkedDays, plan: Plan) -> dict[str, float]:
    effect = effect_row(days.daily, plan) if not days.ruined else {}
    return {
        "growth_bps": effect.get("effect_bps", math.nan),
        "low_bps": effect.get("low_bps", math.nan),
        "high_bps": effect.get("high_bps", math.nan),
        "costs_bps": days.costs_bps,
        "turnover_pct": days.turnover_pct,
        "exposure_pct": days.exposure_pct,
        "ruined": len(days.ruined),
    }


def _plain(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {
        str(name): {str(key): round(float(value), DIGITS) for key, value in row.items() if np.isfinite(value)}
        for name, row in table.iterrows()
    }


def noted(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a `note` for compare.effects: its n, the adjusted p-value, or why there is no statistic."""
    notes = []
    for _, row in table.iterrows():
        if row.get("ruined", 0):
            notes.append(f"{counted(row['ruined'], 'path')} ruined")
        elif not np.isfinite(row["effect_bps"]):
            notes.append(f"{counted(row['n_days'], 'day')}: too few to test")
        else:
            adjusted = "" if np.isnan(row["p_holm"]) else f", Holm p = {row['p_holm']:.2f}"
            notes.append(f"{counted(row['n_days'], 'day')}{adjusted}")
    return table.assign(note=notes)


def open_world(stage: Stage) -> StressWorld:
    """What the features and train stages left, and who is walked.

    Raises:
        DataMissingError: they have not run, or the walk-forward has not. ConfigError: see StressWorld.
        LedgerError: an arm's risk was matched on other folds or seeds.
    """
    p, workspace = stage.params, stage.workspace
    given = open_prepared(stage)
    world = StressWorld(
        universe=given.universe,
        market=given.market.to("cpu", torch.float64),
        folds=given.folds[PRIMARY],
        models=given.models,
        arms=p.arms,
        plan=p.plan,
        rules=p.stress,
        seeds=p.train.seeds,
        world=World.of(p),
        regimes=p.regimes,
        signals=p.signals,
        splits=p.splits,
        window_bars=p.observation.window_bars,
        policies=workspace.policies,
    )
    return world if p.plan.risk is None else replace(world, factors=_factors(stage, world))


def _factors(stage: Stage, world: StressWorld) -> Mapping[str, Factors]:
    """What the main job multiplied each arm's sizes by."""
    table = read_risk(stage.workspace.ledger)
    table = table[table["scheme"] == PRIMARY]
    found = {name: factors_of(table[table["arm"] == name]) for name in world.rules.arms}
    for name, factors in found.items():
        keys = train_paths(name, world.folds, world.seeds_of(name), world.market)
        wrong = sorted({(key.fold, key.symbol, key.seed) for key in keys} ^ set(factors))
        if wrong:
            fold, symbol, seed = wrong[0]
            raise LedgerError(
                f"the risk of {name} was matched on other folds or seeds: {symbol}, fold {fold}, seed {seed} is "
                f"{'one too many' if wrong[0] in factors else 'missing'}: run `dvc repro walk_forward`"
            )
    return found


def run(stage: Stage, *, processes: int | None = None) -> StressStudy:
    """Walk every scenario, and attribute the ledgers' differences.

    Args:
        processes: None is one a core; results do not depend on it.
    Raises:
        DataMissingError: an earlier stage has not run. ConfigError: see StressWorld.
        LedgerError: the ledgers are of other bars, folds or seeds.
    """
    world = open_world(stage)
    # The ledgers come first: what is missing is said before minutes of walking.
    attributions, daily = _of_ledgers(stage, world)
    fits, walked = walk_all(world, declared(world.rules), processes or cores())
    gaps = [_gap(walked[AS_IS][name].growth, growth) for name, growth in daily.items()]
    return StressStudy(world.plan, fits, walked, attributions, BPS * max(gaps), world.universe.data_hash)


def _of_ledgers(stage: Stage, world: StressWorld) -> tuple[dict[str, Attribution], dict[str, pd.DataFrame]]:
    """Each walked arm against the reference, and the daily growth of candidate and reference. One arm's bars at a time stand
    beside the reference's, and none when this is over."""
    plan = world.plan
    reference = _rows(stage, plan.reference, world)
    attributions, daily = {}, {plan.reference: daily_returns(reference)}
    for name in world.rules.arms:
        if name == plan.reference:
            continue
        rows = _rows(stage, name, world)
        attributions[name] = attribute(rows, reference, world.market)
        if name == plan.candidate:
            daily[name] = daily_returns(rows)
    return attributions, daily


def _rows(stage: Stage, arm: str, world: StressWorld) -> pd.DataFrame:
    """An arm's rows: every test slice of every fold, once a seed."""
    rows = read_equity(stage.workspace.ledger, columns=attribution.COLUMNS, arms=[arm])
    seeds = world.seeds_of(arm)
    expected = {(key.symbol, key.fold, key.seed): key.length for key in paths_of(arm, world.folds, seeds, world.market)}
    found: dict[Any, int] = rows.groupby(["symbol", "fold", "seed"], observed=True).size().to_dict()
    wrong = sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))
    if wrong:
        symbol, fold, seed = wrong[0]
        raise LedgerError(
            f"the ledger of {arm} has {found.get(wrong[0], 0)} bars of {symbol}, fold {fold}, seed {seed}, where these "
            f"splits and seeds have {expected.get(wrong[0], 0)}: run `dvc repro walk_forward`"
        )
    return rows


def _gap(walked: pd.DataFrame, ledger: pd.DataFrame) -> float:
    """Largest difference of a symbol's day."""
    both = ledger.reindex_like(walked)
    if len(ledger) != len(walked) or not (both.isna() == walked.isna()).all(axis=None):
        raise LedgerError("the ledger covers other days or symbols than the walk: run `dvc repro walk_forward`")
    return float(np.nanmax((walked - both).abs().to_numpy()))


def write_curve(stage: Stage, growth: pd.DataFrame) -> None:
    """Write plots/cost_stress.csv: multiple, arm, growth_bps_per_day."""
    named = growth["growth_bps"].round(DIGITS).rename("growth_bps_per_day").reset_index()
    write_atomically(stage.workspace.plots / "cost_stress.csv", lambda path: named.to_csv(path, index=False))
