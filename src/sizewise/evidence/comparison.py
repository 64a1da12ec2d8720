"""The compare stage: the primary test, its sensitivities, and the verdict's record, from the ledgers of one run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import DataMissingError
from sizewise.dataset.slices import read_labels
from sizewise.dataset.store import read_universe
from sizewise.evidence import verdict
from sizewise.evidence.claims import claims_table
from sizewise.evidence.gates import Gate, all_gates
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
from sizewise.evidence.questions import ENTRY, MANAGED, adjusted, judged
from sizewise.evidence.slice_conduct import change_table, conduct_table
from sizewise.evidence.slice_effects import slice_effects
from sizewise.evidence.statistics.power import benjamini_hochberg
from sizewise.ledgers import orders
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import arm_days, check_same_bars, daily_returns, exposure_pct, marks, path_table, read_daily
from sizewise.ledgers.files import read_equity, read_trades, read_unmatched
from sizewise.ledgers.joint import on_common_markets
from sizewise.ledgers.metrics import BPS, days_per_year, portfolio, sharpe, volatility
from sizewise.ledgers.plan import ANCHORED_FOLDER, looking_ahead, plan_hash
from sizewise.ledgers.trials import TrialLedger, chain_sentence, count_trials, read_ledger, seal_sentence
from sizewise.ledgers.weights import UNKNOWN, live_by_block, live_symbols
from sizewise.params.arms import Arm, TableArm
from sizewise.params.dataset.splits import Splits
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World

TRADES = tuple(dict.fromkeys(("arm", "seed", "regime", "exit_time", "pnl", *TRADE_KEYS)))


@dataclass(frozen=True)
class ComparedRun:
    """One run's daily ledger, its trades and its plan. `classes`: the asset class of each symbol."""

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
    classes: Mapping[str, str] | None = None

    def _pair(
        self, daily: pd.DataFrame, name: str | None = None, reference: str | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Marks of an arm (the candidate, if none is named) and of the reference, over the same bars."""
        name, reference = name or self.plan.candidate, reference or self.plan.reference
        daily = on_common_markets(daily, name, reference)
        check_same_bars(daily, name, reference)
        return marks(daily, name), marks(daily, reference)

    def _compare(self, daily: pd.DataFrame, trades: pd.DataFrame, names: tuple[str, str] | None = None) -> Comparison:
        plan = self.plan
        names = names or (plan.candidate, plan.reference)
        sizing = all(follows_signal(self.arms[name]) for name in names)
        own = [trades[trades["arm"] == name] if sizing else None for name in names]
        result = compare_as_planned(
            plan,
            *self._pair(daily, *names),
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
        """The candidate against the reference, as if nothing else had been asked."""
        return self._compare(self.daily, self.trades)

    def blocks(self, result: Comparison) -> pd.DataFrame:
        """Who is live in each block of the primary test, and its mean difference; see weights.live_by_block."""
        returns = daily_returns(self.daily, self.plan.candidate)
        table = live_by_block(returns, self.classes or {}, result.daily.index, self.plan.blocks)
        parts = np.array_split(result.daily.to_numpy(), self.plan.blocks)
        table.insert(2, "difference_bps", [BPS * float(part.mean()) for part in parts])
        return table

    def live(self) -> pd.Series:
        """How many symbols are live on each day."""
        return live_symbols(daily_returns(self.daily, self.plan.candidate))

    def gates(self, cap_frac: float, metrics: Path, own_signal: str | None = None) -> tuple[Gate, ...]:
        """What must hold before the verdict counts; see gates.all_gates.

        Args:
            cap_frac: largest position that an order may lead to, share of equity. metrics: where the files of other stages
                and of studies lie. own_signal: what a signal of one's own is called.
        """
        columns = tuple(dict.fromkeys((*orders.COLUMNS, *COSTS)))
        bars = read_equity(self.ledger_folder, columns=columns, arms=[self.plan.reference])
        return all_gates(
            bars[bars["seed"] == bars["seed"].min()],
            self.plan,
            cap_frac=cap_frac,
            learned=self.arms[self.plan.candidate].learned,
            measured={name: _metrics(metrics / f"{name}.json") for name in ("train", "budget", "assay")},
            own_signal=own_signal,
        )

    def questions(self) -> dict[str, Comparison]:
        """The declared questions by name, the one that decides first, each with the class that it has after Holm."""
        asked, entry = {MANAGED: self.primary()}, self.plan.entry
        if entry is not None:
            asked[ENTRY] = self._compare(self.daily, self.trades, (entry.candidate, entry.reference))
        return judged(asked, self.plan.alpha)

    def record(self, results: Mapping[str, Comparison], gates: Sequence[Gate]) -> dict[str, Any]:
        """The content of metrics/verdict.json: the question that decides, and under `entry` the other one.

        Args:
            results: see `questions`. gates: of the question that decides.
        """
        record, entry = self._record(results[MANAGED], self.plan.candidate, gates), self.plan.entry
        record["entry"] = None
        if entry is not None:
            p_holm = {name: round(p, verdict.DIGITS) for name, p in adjusted(results).items()}
            other = self._record(results[ENTRY], entry.candidate, ())
            named = {"candidate": entry.candidate, "reference": entry.reference}
            record["entry"] = {**named, **other, "p_holm": p_holm}
        return record

    def unmatched(self) -> dict[str, float] | None:
        """The primary test where every arm keeps the risk it takes by itself, EFFECT_COLUMNS; None where none is matched."""
        if self.plan.risk is None:
            return None
        names = [self.plan.candidate, self.plan.reference]
        rows = read_unmatched(self.ledger_folder, names)
        a, b = (rows[rows["arm"] == name] for name in names)
        return effect_row(daily_difference(a, b), self.plan)

    def _record(self, result: Comparison, name: str, gates: Sequence[Gate]) -> dict[str, Any]:
        candidate = arm_days(self.daily, name)
        return verdict.verdict_record(
            result,
            endpoint=self.plan.endpoint,
            n_symbols=candidate["symbol"].nunique(),
            n_seeds=candidate["seed"].nunique(),
            n_folds=candidate["fold"].nunique(),
            n_trials=count_trials(self.trial_ledger.trials),
            plan_hash=self.plan_hash,
            data_hash=self.data_hash,
            gates=gates,
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

    def by_class(self) -> pd.DataFrame:
        """The candidate minus the reference of every symbol, and without each class of assets, unadjusted.

        Returns:
            EFFECT_COLUMNS; rows `all` and `without <class>`, those alone that leave a symbol.
        """
        pair, classes = self._pair(self.daily), self.classes or {}
        kinds = {symbol: classes.get(str(symbol), UNKNOWN) for symbol in pair[0]["symbol"].unique()}
        rows = {"all": effect_row(daily_difference(*pair), self.plan)}
        for kind in dict.fromkeys(kinds.values()) if len(set(kinds.values())) > 1 else ():
            others = [symbol for symbol, own in kinds.items() if own != kind]
            parts = (frame[frame["symbol"].isin(others)] for frame in pair)
            rows[f"without {kind}"] = effect_row(daily_difference(*parts), self.plan)
        return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS).rename_axis("symbols")

    def risk_by_symbol(self) -> pd.DataFrame:
        """Volatility (% a year) and Sharpe ratio of candidate and reference, each year by the days a symbol trades."""
        names = (self.plan.candidate, self.plan.reference)
        returns = {name: daily_returns(self.daily, name) for name in names}
        rows = {}
        for symbol in returns[names[0]].columns:
            own = {name: returns[name][symbol].dropna() for name in names}
            rows[str(symbol)] = {
                "n_days": len(own[names[0]]),
                "days_a_year": days_per_year(own[names[0]]),
                **{f"{name} volatility_pct": 100.0 * volatility(series) for name, series in own.items()},
                **{f"{name} sharpe": sharpe(series) for name, series in own.items()},
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")

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


def _metrics(path: Path) -> dict[str, Any] | None:
    """A metrics file; None where no stage or study has written it.

    Raises:
        DataMissingError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise DataMissingError(f"metrics/{path.name} is damaged: restore it with git, or run what makes it") from None


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
    universe = read_universe(workspace.bars, p.data, before=p.splits.end)
    return ComparedRun(
        plan=p.plan,
        arms=p.arms,
        daily=read_daily(workspace.ledger),
        trades=trades[list(TRADES)],
        plan_hash=plan_hash(p.plan, p.splits, p.arms, World.of(p), p.train.seeds),
        data_hash=universe.data_hash,
        trial_ledger=read_ledger(workspace.trials),
        splits=p.splits,
        ruin_frac=p.account.ruin_frac,
        ledger_folder=workspace.ledger,
        classes={symbol: terms.asset_class for symbol, terms in universe.instruments.items()},
    )
