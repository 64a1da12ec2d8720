"""The compare stage: the primary test, its sensitivities, and the verdict's record, from the ledgers of one run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise import config, verdict
from sizewise.evaluation import ANCHORED_FOLDER, arm_rows, looking_ahead, plan_hash
from sizewise.feature_store import read_universe
from sizewise.inference import Comparison, compare, daily_difference, holm, ibragimov_mueller, regime_effects
from sizewise.metrics import BPS
from sizewise.paths import write_atomically
from sizewise.stage import Stage
from sizewise.trials import count_trials, read_trials
from sizewise.walkforward import read_equity, read_trades

COLUMNS = ("arm", "symbol", "fold", "seed", "timestamp", "equity", "position_frac", "regime")
EFFECT_COLUMNS = ["effect_bps", "low_bps", "high_bps", "p_value", "n_days"]


@dataclass(frozen=True)
class Study:
    """One run's ledgers and its plan."""

    plan: config.Plan
    arms: dict[str, config.Arm]
    equity: pd.DataFrame
    trades: pd.DataFrame
    plan_hash: str
    data_hash: str
    n_trials: int
    ledger_folder: Path
    metrics_folder: Path

    def _arm(self, name: str) -> pd.DataFrame:
        return arm_rows(self.equity, name)

    def _compare(self, a: pd.DataFrame, b: pd.DataFrame) -> Comparison:
        plan = self.plan
        return compare(
            a,
            b,
            alpha=plan.alpha,
            blocks=plan.blocks,
            power=plan.power,
            bootstrap_draws=plan.bootstrap_draws,
            bootstrap_block_days=plan.bootstrap_block_days,
            bootstrap_seed=plan.bootstrap_seed,
        )

    def describe(self) -> pd.DataFrame:
        """Paths, bars and days of the candidate and the reference."""
        rows = {}
        for name in (self.plan.candidate, self.plan.reference):
            part = self._arm(name)
            rows[name] = {
                "symbols": part["symbol"].nunique(),
                "folds": part["fold"].nunique(),
                "seeds": part["seed"].nunique(),
                "first bar": f"{part['timestamp'].min():%Y-%m-%d}",
                "last bar": f"{part['timestamp'].max():%Y-%m-%d}",
                "bars a seed": len(part) // part["seed"].nunique(),
                "trades a seed": round((self.trades["arm"] == name).sum() / part["seed"].nunique()),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def primary(self) -> Comparison:
        """The candidate against the reference."""
        return self._compare(self._arm(self.plan.candidate), self._arm(self.plan.reference))

    def record(self, result: Comparison) -> dict[str, Any]:
        """The content of metrics/verdict.json."""
        candidate = self._arm(self.plan.candidate)
        return verdict.verdict_record(
            result,
            endpoint=self.plan.endpoint,
            n_symbols=candidate["symbol"].nunique(),
            n_seeds=candidate["seed"].nunique(),
            n_folds=candidate["fold"].nunique(),
            n_trials=self.n_trials,
            plan_hash=self.plan_hash,
            data_hash=self.data_hash,
        )

    def write(self, record: dict[str, Any]) -> None:
        """Write metrics/verdict.json, whole."""
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(self.metrics_folder / "verdict.json", lambda path: path.write_text(text, encoding="utf-8"))

    def exposure_sentence(self) -> str:
        """See verdict.exposure_sentence."""
        candidate, reference = self.plan.candidate, self.plan.reference
        mine, other = (100.0 * float(self._arm(name)["position_frac"].abs().mean()) for name in (candidate, reference))
        return verdict.exposure_sentence(mine, other, candidate, reference)

    def regimes(self) -> pd.DataFrame:
        """See inference.regime_effects."""
        plan = self.plan
        return regime_effects(
            self._arm(plan.candidate),
            self._arm(plan.reference),
            self.trades[self.trades["arm"] == plan.candidate],
            plan.regimes,
            blocks=plan.blocks,
            alpha=plan.alpha,
            power=plan.power,
            min_trades=plan.min_trades_per_regime,
        )

    def regime_sentences(self, table: pd.DataFrame) -> str:
        """One line a regime."""
        rows = {str(name): dict(zip(table.columns, row, strict=True)) for name, *row in table.itertuples()}
        return "\n\n".join(verdict.regime_sentence(name, row, self.plan.alpha) for name, row in rows.items())

    def _effect(self, daily: pd.Series) -> dict[str, float]:
        daily = daily.dropna()
        if len(daily) < 2 * self.plan.blocks:
            return {"n_days": len(daily)}
        plan = self.plan
        test = ibragimov_mueller(daily.to_numpy(), blocks=plan.blocks, alpha=plan.alpha, power=plan.power)
        return {
            "effect_bps": BPS * test.mean,
            "low_bps": BPS * test.low,
            "high_bps": BPS * test.high,
            "p_value": test.p_value,
            "n_days": len(daily),
        }

    def field(self) -> pd.DataFrame:
        """Every arm minus the reference, with its mean exposure; p_holm is adjusted over all arms but look-ahead bounds."""
        reference = self._arm(self.plan.reference)
        names = [name for name in self.arms if name != self.plan.reference]
        rows = {}
        for name in names:
            mine = self._arm(name)
            exposure = 100.0 * float(mine["position_frac"].abs().mean())
            rows[name] = self._effect(daily_difference(mine, reference)) | {"exposure_pct": exposure}
        columns = [*EFFECT_COLUMNS, "exposure_pct"]
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("arm")
        tested = table["p_value"].notna() & ~table.index.isin(looking_ahead(self.arms))
        table["p_holm"] = np.nan
        table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy())
        return table

    def field_sentence(self, field: pd.DataFrame) -> str:
        """Which arms differ from the reference after Holm, and what the rest can say."""
        return verdict.field_sentence(field, self.plan.reference, self.plan.alpha)

    def by_symbol(self) -> pd.DataFrame:
        """The candidate minus the reference, one row a symbol, unadjusted."""
        candidate, reference = self._arm(self.plan.candidate), self._arm(self.plan.reference)
        rows = {}
        for symbol in candidate["symbol"].unique():
            parts = (frame[frame["symbol"] == symbol] for frame in (candidate, reference))
            rows[symbol] = self._effect(daily_difference(*parts))
        return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS).rename_axis("symbol")

    def by_fold_and_seed(self) -> pd.DataFrame:
        """Mean daily difference (bps), one row a fold and one column a seed."""
        candidate, reference = self._arm(self.plan.candidate), self._arm(self.plan.reference)
        rows: dict[int, dict[str, float]] = {}
        for fold in sorted(candidate["fold"].unique()):
            other = reference[reference["fold"] == fold]
            for seed in sorted(candidate["seed"].unique()):
                mine = candidate[(candidate["fold"] == fold) & (candidate["seed"] == seed)]
                rows.setdefault(int(fold), {})[f"seed {seed}"] = BPS * float(daily_difference(mine, other).mean())
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("fold")

    def anchored(self) -> Comparison:
        """The candidate trained on anchored slices against the reference."""
        folder = self.ledger_folder / ANCHORED_FOLDER
        names = [self.plan.candidate, self.plan.reference]
        equity = read_equity(folder, columns=COLUMNS, arms=names)
        return self._compare(arm_rows(equity, names[0]), arm_rows(equity, names[1]))

    def hashes(self) -> dict[str, str]:
        """For the provenance line."""
        return {"data": self.data_hash, "plan": self.plan_hash, "trials": str(self.n_trials)}


def open_study(stage: Stage) -> Study:
    """Read what the walk-forward stage left.

    Raises:
        DataMissingError: it has not run.
    """
    p = stage.params
    workspace = stage.workspace
    trades = read_trades(workspace.ledger)
    return Study(
        plan=p.plan,
        arms=p.arms,
        equity=read_equity(workspace.ledger, columns=COLUMNS),
        trades=trades[["arm", "seed", "regime"]],
        plan_hash=plan_hash(p.plan, p.splits, p.arms, p.account, p.train.seeds),
        data_hash=read_universe(workspace.bars, p.data).data_hash,
        n_trials=count_trials(read_trials(workspace.trials)),
        ledger_folder=workspace.ledger,
        metrics_folder=workspace.metrics,
    )


def noted(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a `note` for evaluation_figures.effects: its n, and what is missing where there is no statistic."""
    notes = []
    for _, row in table.iterrows():
        trades = f"{row['n_trades']:.0f} trades, " if "n_trades" in row else ""
        missing = "" if np.isfinite(row["effect_bps"]) else ": too few to test"
        notes.append(f"{trades}{row['n_days']:.0f} days{missing}")
    return table.assign(note=notes)
