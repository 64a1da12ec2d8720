"""The compare stage: the primary test, its sensitivities, and the verdict's record, from the ledgers of one run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.dataset.slices import read_labels
from sizewise.dataset.store import read_universe
from sizewise.evidence import verdict
from sizewise.evidence.claims import claims_table
from sizewise.evidence.inference import (
    EFFECT_COLUMNS,
    Comparison,
    compare_as_planned,
    daily_difference,
    effect_row,
    regime_effects,
    with_holm,
)
from sizewise.evidence.pairing import TRADE_KEYS
from sizewise.evidence.slice_conduct import change_table, conduct_table
from sizewise.evidence.slice_effects import slice_effects
from sizewise.evidence.statistics.power import benjamini_hochberg
from sizewise.ledgers.daily import arm_days, check_same_bars, daily_returns, exposure_pct, marks, path_table, read_daily
from sizewise.ledgers.files import read_trades
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.ledgers.plan import ANCHORED_FOLDER, looking_ahead, plan_hash
from sizewise.ledgers.trials import TrialLedger, chain_sentence, count_trials, read_ledger, seal_sentence
from sizewise.params.arms import Arm, TableArm
from sizewise.params.dataset.splits import Splits
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World

TRADES = tuple(dict.fromkeys(("arm", "seed", "regime", "exit_time", "pnl", *TRADE_KEYS)))


@dataclass(frozen=True)
class ComparedRun:
    """One run's daily ledger, its trades and its plan."""

    plan: Plan
    arms: dict[str, Arm]
    daily: pd.DataFrame
    trades: pd.DataFrame
    plan_hash: str
    data_hash: str
    trial_ledger: TrialLedger
    splits: Splits
    ruin_frac: float
    ledger_folder: Path

    def _pair(self, daily: pd.DataFrame, name: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Marks of an arm (the candidate, if none is named) and of the reference, over the same bars."""
        name, reference = name or self.plan.candidate, self.plan.reference
        check_same_bars(daily, name, reference)
        return marks(daily, name), marks(daily, reference)

    def _compare(self, daily: pd.DataFrame, trades: pd.DataFrame) -> Comparison:
        plan = self.plan
        names = (plan.candidate, plan.reference)
        sizing = all(follows_signal(self.arms[name]) for name in names)
        own = [trades[trades["arm"] == name] if sizing else None for name in names]
        result = compare_as_planned(
            plan,
            *self._pair(daily),
            trades_a=own[0],
            trades_b=own[1],
            # A day's last mark may have recovered from what ruined the account within it: paths tell.
            ruin_frac=0.0,
        )
        breaches = (*self._ruins(daily, names), *result.breaches)
        return replace(result, breaches=breaches, verdict="invalid" if breaches else result.verdict)

    def _ruins(self, daily: pd.DataFrame, names: tuple[str, str]) -> list[str]:
        """A sentence each of two arms that was ruined on some path."""
        found = []
        for name in names:
            paths = path_table(arm_days(daily, name), self.ruin_frac)
            ruined = paths[paths["ruined"]]
            if len(ruined):
                first = ruined.iloc[0]
                found.append(
                    f"{name} falls to {self.ruin_frac:.0%} of its start or below in {len(ruined)} of {len(paths)} paths "
                    f"(first {first['symbol']}, fold {first['fold']}, seed {first['seed']})"
                )
        return found

    def describe(self) -> pd.DataFrame:
        """Paths, bars and days of the candidate and the reference."""
        rows = {}
        for name in (self.plan.candidate, self.plan.reference):
            part = arm_days(self.daily, name)
            rows[name] = {
                "symbols": part["symbol"].nunique(),
                "folds": part["fold"].nunique(),
                "seeds": part["seed"].nunique(),
                "first bar": f"{part['day'].min():%Y-%m-%d}",
                "last bar": f"{part['day'].max():%Y-%m-%d}",
                "bars a seed": int(part["bars"].sum()) // part["seed"].nunique(),
                "trades a seed": round((self.trades["arm"] == name).sum() / part["seed"].nunique()),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def primary(self) -> Comparison:
        """The candidate against the reference."""
        return self._compare(self.daily, self.trades)

    def record(self, result: Comparison) -> dict[str, Any]:
        """The content of metrics/verdict.json."""
        candidate = arm_days(self.daily, self.plan.candidate)
        return verdict.verdict_record(
            result,
            endpoint=self.plan.endpoint,
            n_symbols=candidate["symbol"].nunique(),
            n_seeds=candidate["seed"].nunique(),
            n_folds=candidate["fold"].nunique(),
            n_trials=count_trials(self.trial_ledger.trials),
            plan_hash=self.plan_hash,
            data_hash=self.data_hash,
        )

    def exposure_sentence(self) -> str:
        """See verdict.exposure_sentence."""
        candidate, reference = self.plan.candidate, self.plan.reference
        mine, other = (exposure_pct(self.daily, name) for name in (candidate, reference))
        return verdict.exposure_sentence(mine, other, candidate, reference)

    def regimes(self) -> pd.DataFrame:
        """See inference.regime_effects."""
        trades = self.trades[self.trades["arm"] == self.plan.candidate]
        return regime_effects(*self._pair(self.daily), trades, self.plan)

    def regime_sentences(self, table: pd.DataFrame) -> str:
        """One line a regime."""
        rows = {str(name): dict(zip(table.columns, row, strict=True)) for name, *row in table.itertuples()}
        return "\n\n".join(verdict.regime_sentence(name, row, self.plan.alpha) for name, row in rows.items())

    def field(self) -> pd.DataFrame:
        """Every arm minus the reference, with its mean exposure.

        p_holm and p_bh (the false discovery rate) are adjusted over all arms but look-ahead bounds.
        """
        names = [name for name in self.arms if name != self.plan.reference]
        rows = {}
        for name in names:
            effect = effect_row(daily_difference(*self._pair(self.daily, name)), self.plan)
            rows[name] = effect | {"exposure_pct": exposure_pct(self.daily, name)}
        columns = [*EFFECT_COLUMNS, "exposure_pct"]
        table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("arm")
        counted = ~table.index.isin(looking_ahead(self.arms))
        p_values = table["p_value"].where(counted).to_numpy(dtype=np.float64)
        return with_holm(table, counted).assign(p_bh=benjamini_hochberg(p_values))

    def field_sentence(self, field: pd.DataFrame) -> str:
        """Which arms differ from the reference after Holm, and what the rest can say."""
        return verdict.field_sentence(field, self.plan.reference, self.plan.alpha)

    def by_symbol(self) -> pd.DataFrame:
        """The candidate minus the reference, one row a symbol, unadjusted."""
        candidate, reference = self._pair(self.daily)
        rows = {}
        for symbol in candidate["symbol"].unique():
            parts = (frame[frame["symbol"] == symbol] for frame in (candidate, reference))
            rows[symbol] = effect_row(daily_difference(*parts), self.plan)
        return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS).rename_axis("symbol")

    def by_fold_and_seed(self) -> pd.DataFrame:
        """Mean daily difference (bps), one row a fold and one column a seed."""
        return fold_and_seed_means(*self._pair(self.daily)).add_prefix("seed ").rename_axis(None, axis=1)

    def anchored(self) -> Comparison:
        """The candidate trained on anchored slices against the reference."""
        folder = self.ledger_folder / ANCHORED_FOLDER
        daily = read_daily(folder, [self.plan.candidate, self.plan.reference])
        return self._compare(daily, read_trades(folder))

    def hashes(self) -> dict[str, str]:
        """For the provenance line."""
        trials = str(count_trials(self.trial_ledger.trials))
        return {"data": self.data_hash, "plan": self.plan_hash, "trials": trials}

    def selection_sentences(self) -> str:
        """Whether the trial ledger is whole, and what became of the sealed slice."""
        return f"{chain_sentence(self.trial_ledger)} {seal_sentence(self.trial_ledger.trials, self.splits)}"

    def tables(self) -> list[str]:
        """The arms that are sizing tables."""
        return [name for name, arm in self.arms.items() if isinstance(arm, TableArm)]

    def claims(self, name: str) -> pd.DataFrame:
        """See claims.claims_table: an arm against the reference, all seeds together."""
        pair = (name, self.plan.reference)
        check_same_bars(self.daily, *pair)
        days = [portfolio(daily_returns(self.daily, one)) for one in pair]
        trades = [self.trades[self.trades["arm"] == one] for one in pair]
        return claims_table((days[0], days[1]), (trades[0], trades[1]), self.plan)

    def conduct(self) -> pd.DataFrame:
        """See slice_conduct.conduct_table: the candidate and the reference."""
        arms = (self.plan.candidate, self.plan.reference)
        return conduct_table(self.daily, self.trades, read_labels(self.ledger_folder), arms)

    def changes(self) -> pd.DataFrame:
        """See slice_conduct.change_table: the candidate and the reference."""
        arms = (self.plan.candidate, self.plan.reference)
        return change_table(self.daily, read_labels(self.ledger_folder), arms, self.plan)

    def slices(self) -> pd.DataFrame:
        """See slice_effects.slice_effects."""
        trades = self.trades[self.trades["arm"] == self.plan.candidate]
        return slice_effects(self.daily, trades, read_labels(self.ledger_folder), self.plan)


def fold_and_seed_means(candidate: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Mean daily difference (bps), one row a fold and one column a seed of the candidate.

    Args:
        candidate, reference: see daily.marks; over the same bars.
    """
    rows: dict[int, dict[int, float]] = {}
    for fold in sorted(candidate["fold"].unique()):
        other = reference[reference["fold"] == fold]
        for seed in sorted(candidate["seed"].unique()):
            mine = candidate[(candidate["fold"] == fold) & (candidate["seed"] == seed)]
            rows.setdefault(int(fold), {})[int(seed)] = BPS * float(daily_difference(mine, other).mean())
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("fold").rename_axis("seed", axis=1)


def follows_signal(arm: Arm) -> bool:
    """Whether an arm sizes the signal's trades, and does not choose its direction."""
    return arm.follows_signal


def open_study(stage: Stage) -> ComparedRun:
    """Read what the walk-forward stage left.

    Raises:
        DataMissingError: it has not run.
    """
    p = stage.params
    workspace = stage.workspace
    trades = read_trades(workspace.ledger)
    return ComparedRun(
        plan=p.plan,
        arms=p.arms,
        daily=read_daily(workspace.ledger),
        trades=trades[list(TRADES)],
        plan_hash=plan_hash(p.plan, p.splits, p.arms, World.of(p), p.train.seeds),
        data_hash=read_universe(workspace.bars, p.data).data_hash,
        trial_ledger=read_ledger(workspace.trials),
        splits=p.splits,
        ruin_frac=p.account.ruin_frac,
        ledger_folder=workspace.ledger,
    )
