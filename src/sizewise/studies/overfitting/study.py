"""The overfitting stage: what the best of everything that was tried is worth, from the trial ledger and the ledgers at hand.

Sharpe ratios in tables are annual; what they are judged by is computed from daily ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import DataMissingError
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.store import read_universe
from sizewise.evidence.statistics.many_arms import SuperiorAbility, mcs, spa
from sizewise.evidence.statistics.selection import (
    Moments,
    Selection,
    cross_validated_selection,
    deflated_benchmark,
    deflated_sharpe,
    min_track_record,
    moments,
    probabilistic_sharpe,
    rotated_pbo,
    sharpe_error,
)
from sizewise.ledgers.daily import DAILY, daily_returns, read_daily
from sizewise.ledgers.metrics import BPS, days_per_year, portfolio
from sizewise.ledgers.plan import PRIMARY, looking_ahead
from sizewise.ledgers.trials import TrialLedger, configuration, count_trials, evaluations, first_recorded, read_ledger
from sizewise.params.arms import Arm
from sizewise.params.dataset.splits import Splits
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.studies.ablations import Variant
from sizewise.params.studies.overfitting import Overfitting
from sizewise.studies.ablations.files import FOLDER


@dataclass(frozen=True)
class Pool:
    """Daily log growth, equal weight over live symbols, averaged over seeds.

    Attributes:
        daily: float64, one row a UTC day, one column a configuration, no gaps: arms by name, variants as `ablation NAME`.
        left_out: why a configuration that was declared is not in it, by name.
    """

    daily: pd.DataFrame
    left_out: Mapping[str, str]

    @property
    def matrix(self) -> np.ndarray:
        """float64, shape (days, configurations)."""
        return self.daily.to_numpy(dtype=np.float64)


def read_pool(base: Path, arms: Mapping[str, Arm], variants: Mapping[str, Variant], candidate: str) -> Pool:
    """The arms' ledger of the primary scheme and every ablation's, on the candidate's days.

    Args:
        base: folder that holds `artifacts`.
    Raises:
        DataMissingError: the candidate has no ledger.
    """
    daily, ahead = read_daily(base / "artifacts" / "ledger"), looking_ahead(arms)
    series = {name: _growth(daily, name) for name in arms if name not in ahead}
    for name in variants:
        folder = base / "artifacts" / FOLDER / name
        series[f"ablation {name}"] = _growth(read_daily(folder), name) if (folder / DAILY).is_file() else pd.Series()
    if series[candidate].empty:
        raise DataMissingError(f"arm '{candidate}' has no rows in the ledger: run `dvc repro walk_forward`")
    return pool_of(series, candidate, dict.fromkeys(ahead, "looks ahead: a bound, which nobody could have chosen"))


def _growth(daily: pd.DataFrame, arm: str) -> pd.Series:
    """One configuration's daily log growth; empty if a daily ledger has no rows of it."""
    return portfolio(daily_returns(daily, arm)) if (daily["arm"] == arm).any() else pd.Series()


def pool_of(series: Mapping[str, pd.Series], candidate: str, left_out: Mapping[str, str]) -> Pool:
    """The series that cover exactly the candidate's days with finite values; the others are named with the reason.

    A ledger of other days is of another run: cutting it to the common days would hide that.
    """
    days, kept, out = series[candidate].index, {}, dict(left_out)
    for name, daily in series.items():
        reason = _reason(daily, days)
        if reason:
            out[name] = reason
        else:
            kept[name] = daily
    return Pool(pd.DataFrame(kept), out)


def _reason(daily: pd.Series, days: pd.Index) -> str:
    if daily.empty:
        return "has no ledger: it was not run"
    if not daily.index.equals(days):
        first, last = (f"{pd.Timestamp(day):%Y-%m-%d}" for day in (daily.index[0], daily.index[-1]))
        return f"covers other days than the candidate: {len(daily)} from {first} to {last}"
    if not np.isfinite(daily.to_numpy(dtype=np.float64)).all():
        return "has days that are not finite: an account was ruined"
    return ""


# The rest of the curve of the deflated Sharpe ratio: from one trial to this many.
MOST_TRIALS = 1000
# Of the rotations: their central share that is shown.
BAND = (0.025, 0.975)
EVERY, VARIANTS = "every configuration", "the candidate and its variants"


@dataclass(frozen=True)
class SelectionStudy:
    """What was tried, and what lies at hand of it."""

    plan: Plan
    rules: Overfitting
    splits: Splits
    ahead: tuple[str, ...]
    ledger: TrialLedger
    pool: Pool
    data_hash: str

    @property
    def annual(self) -> float:
        """What makes a Sharpe ratio a day one a year, by the days that the pool has a year."""
        return days_per_year(self.pool.daily.iloc[:, 0]) ** 0.5


def open_study(stage: Stage) -> SelectionStudy:
    """Read the trial ledger, whatever happened to it, and every configuration's daily growth.

    Raises:
        DataMissingError: the walk-forward stage has not run.
    """
    p = stage.params
    return SelectionStudy(
        plan=p.plan,
        rules=p.overfitting,
        splits=p.splits,
        ahead=tuple(looking_ahead(p.arms)),
        ledger=read_ledger(stage.workspace.trials),
        pool=read_pool(stage.workspace.base, p.arms, p.ablations.variants, p.plan.candidate),
        data_hash=read_universe(stage.workspace.bars, p.data, before=p.splits.end).data_hash,
    )


def configurations(trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a configuration of the trial ledger, index the `evaluation` of its first line.

    Returns:
        arm, scheme, lines (all of them), and sharpe, the daily Sharpe ratio over all its folds: the folds' means and
        deviations pooled, which is that of their days put end to end. Where a fold was recorded with several results the
        first one stands. NaN where such a line does not say it, and where growth never varied.
    """
    lines = Counter(configuration(trial) for trial in evaluations(trials))
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for trial in first_recorded(trials):
        groups.setdefault(configuration(trial), []).append(trial)
    rows = [
        (of[0]["evaluation"], of[0]["arm"], of[0].get("scheme"), lines[key], _pooled_sharpe(of))
        for key, of in groups.items()
    ]
    return pd.DataFrame(rows, columns=["evaluation", "arm", "scheme", "lines", "sharpe"]).set_index("evaluation")


def _pooled_sharpe(lines: Sequence[Mapping[str, Any]]) -> float:
    if any(line.get("n_days") is None for line in lines):
        return np.nan
    days, means = (np.array([line[name] for line in lines], dtype=float) for name in ("n_days", "growth_bps_per_day"))
    # A fold that never varied has no Sharpe ratio, and no deviation.
    sharpes = np.array([np.inf if line.get("sharpe") is None else line["sharpe"] for line in lines], dtype=float)
    if (np.isfinite(sharpes) & ((sharpes == 0.0) | (means == 0.0))).any():
        return np.nan
    mean = float(days @ means / days.sum())
    # A line's deviation has divisor n - 1.
    within = np.square(means / sharpes) * (days - 1.0) / days
    variance = float(days @ (within + np.square(means - mean)) / days.sum())
    return mean / variance**0.5 if variance > 0.0 else np.nan


def trials_by_arm(study: SelectionStudy) -> pd.DataFrame:
    """What the trial ledger holds, one row an arm: its configurations and lines, and how many say their Sharpe ratio."""
    table = configurations(study.ledger.trials)
    grouped = table.groupby("arm", sort=False)
    columns = {
        "configurations": grouped.size(),
        "lines": grouped["lines"].sum(),
        "with_sharpe": grouped["sharpe"].count(),
    }
    return pd.DataFrame(columns).rename_axis("arm")


@dataclass(frozen=True)
class Deflation:
    """What the best of the trials is measured against.

    Attributes:
        n_trials: N, every configuration of the trial ledger. variance: V, of daily Sharpe ratios; NaN from fewer than two.
        counted: Sharpe ratios V is from. from_ledger: whether those of the ledger, else of the configurations at hand.
        benchmark: the annual Sharpe ratio that the best of N worthless trials shows on average.
    """

    n_trials: int
    variance: float
    counted: int
    from_ledger: bool
    benchmark: float


def deflation(study: SelectionStudy) -> Deflation:
    """N and V from the trial ledger; V from the configurations at hand while fewer than two lines say their Sharpe ratio.

    Arms that look ahead count in N and not in V: nobody could have chosen them, and their Sharpe ratios are no luck. V is
    of the primary scheme, whose days are those of the table.
    """
    table = configurations(study.ledger.trials)
    known = table.loc[(table["scheme"] == PRIMARY) & ~table["arm"].isin(study.ahead), "sharpe"].dropna().to_numpy()
    from_ledger = len(known) > 1
    if not from_ledger:
        ratios = np.array([moments(column).sharpe for column in study.pool.matrix.T])
        known = ratios[np.isfinite(ratios)]
    n_trials = max(1, count_trials(study.ledger.trials))
    variance = float(np.var(known, ddof=1)) if len(known) > 1 else np.nan
    benchmark = study.annual * deflated_benchmark(n_trials, variance)
    return Deflation(n_trials, variance, len(known), from_ledger, benchmark)


def sharpe_table(study: SelectionStudy, by: Deflation) -> pd.DataFrame:
    """Every configuration at hand, best first.

    Returns:
        growth_bps (a day), sharpe (annual) with low and high (its interval at the plan's level), skew, kurtosis (raw), psr
        (against 0), dsr, track_years (until a Sharpe ratio above 0 is told; inf if it is not above 0). NaN where growth
        never varied.
    """
    rows = {name: _row(study, column, by) for name, column in study.pool.daily.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("configuration")
    return table.sort_values("sharpe", ascending=False, kind="stable")


def _row(study: SelectionStudy, daily: pd.Series, by: Deflation) -> dict[str, float]:
    m, annual = moments(daily.to_numpy()), study.annual
    half = sharpe_error(m, study.plan.alpha)
    return {
        "growth_bps": BPS * float(daily.mean()),
        "sharpe": annual * m.sharpe,
        "low": annual * (m.sharpe - half),
        "high": annual * (m.sharpe + half),
        "skew": m.skew,
        "kurtosis": m.kurtosis,
        "psr": probabilistic_sharpe(m),
        "dsr": deflated_sharpe(m, by.n_trials, by.variance),
        "track_years": min_track_record(m, confidence=1.0 - study.plan.alpha) / annual**2,
    }


def best_of(table: pd.DataFrame) -> str:
    """The configuration with the largest Sharpe ratio."""
    return str(table.index[0])


def deflated_curve(study: SelectionStudy, by: Deflation, names: Sequence[str]) -> pd.DataFrame:
    """The deflated Sharpe ratio had there been N trials; index N, one column a configuration named."""
    most = max(MOST_TRIALS, by.n_trials)
    counts = np.unique(np.append(np.geomspace(1, most, 60).round().astype(int), by.n_trials))
    given: dict[str, Moments] = {name: moments(study.pool.daily[name].to_numpy()) for name in names}
    values = {name: [deflated_sharpe(m, int(n), by.variance) for n in counts] for name, m in given.items()}
    return pd.DataFrame(values, index=pd.Index(counts, name="n_trials"))


def selections(study: SelectionStudy) -> dict[str, tuple[Selection, np.ndarray]]:
    """Cross-validated selection among everything, and among the candidate and its variants; each with its rotations' PBO."""
    names = [name for name in study.pool.daily if name == study.plan.candidate or str(name).startswith("ablation ")]
    pools = {EVERY: study.pool.matrix, VARIANTS: study.pool.daily[names].to_numpy()}
    found = {}
    for name, matrix in pools.items():
        if matrix.shape[1] > 1:
            rules = study.rules
            rotated = rotated_pbo(
                matrix,
                blocks=rules.pbo_blocks,
                draws=rules.rotations,
                generator=numpy_generator("rotations", name, rules.seed),
            )
            found[name] = cross_validated_selection(matrix, blocks=rules.pbo_blocks), rotated
    return found


def selection_table(found: Mapping[str, tuple[Selection, np.ndarray]]) -> pd.DataFrame:
    """One row a pool: splits, pbo, rotated_low and rotated_high (95% of the rotations), loss_probability, slope."""
    rows = {}
    for name, (selection, rotated) in found.items():
        low, high = np.quantile(rotated, BAND)
        rows[name] = {
            "splits": len(selection.logits),
            "pbo": selection.pbo,
            "rotated_low": float(low),
            "rotated_high": float(high),
            "loss_probability": selection.loss_probability,
            "slope": selection.degradation[0],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("chosen among")


def superiority(study: SelectionStudy) -> SuperiorAbility:
    """Whether any configuration at hand grows faster than the reference; see many_arms.spa."""
    rules, plan = study.rules, study.plan
    generator = numpy_generator("spa", rules.seed)
    return spa(study.pool.daily, plan.reference, block_days=plan.bootstrap_block_days, draws=rules.draws, rng=generator)


def confidence_set(study: SelectionStudy) -> pd.DataFrame:
    """Which configurations cannot be told from the best; see many_arms.mcs."""
    rules, block_days = study.rules, study.plan.bootstrap_block_days
    generator = numpy_generator("mcs", rules.seed)
    return mcs(study.pool.daily, size=rules.mcs_size, block_days=block_days, draws=rules.draws, rng=generator)


def metrics(
    study: SelectionStudy, by: Deflation, table: pd.DataFrame, chosen: pd.DataFrame, superior: SuperiorAbility
) -> dict[str, Any]:
    """For metrics/overfitting.json: the counts, and the candidate and the best with their deflated Sharpe ratios."""
    rows = {"candidate": study.plan.candidate, "best": best_of(table)}
    result: dict[str, Any] = {
        "n_trials": by.n_trials,
        "variance": _number(by.variance, 8),
        "variance_from": by.counted,
        "chain_intact": not study.ledger.breach,
    }
    for role, name in rows.items():
        values = {key: _number(table.loc[name, key]) for key in ("sharpe", "psr", "dsr")}
        result[role] = {"configuration": name, **values}
    result["spa_p_value"] = _number(superior.p_value)
    result["pbo"] = {str(name): {key: _number(value) for key, value in row.items()} for name, row in chosen.iterrows()}
    return result


def _number(value: Any, digits: int = 6) -> float | None:
    number = float(value)
    return round(number, digits) if np.isfinite(number) else None
