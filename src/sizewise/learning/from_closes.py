"""The door for anybody's own closed trades: they teach a sizing table, or the models that learn from closes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.features import CONFIDENCE, NAMES, Scaler, compute_features, first_warm_row
from sizewise.learning.closed_trades.own import FILE as JOURNAL
from sizewise.learning.closed_trades.own import OwnTradeLearner, load_own_trades
from sizewise.learning.tabular.cells import nearest_action, sizes
from sizewise.learning.tabular.learning import PROBES, blank
from sizewise.learning.tabular.lessons import Kind as TableKind
from sizewise.learning.tabular.sizer import TableAgent
from sizewise.learning.tabular.store import load_table
from sizewise.learning.trade_log import TradeLog, read_log
from sizewise.market.bars import validate_bars
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.outcome import ClosedTrades, ModelName
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.identifiability import check_identifiable, trade_probe
from sizewise.trading.schemes.values import position_limit_frac

ModelKind = Literal["dqn", "outcome_ensemble"]
MODELS: tuple[ModelName, ...] = ("cnn", "dqn", "order_flow")
Bars = Mapping[str, pd.DataFrame]


@overload
def learn_from(
    closes: pd.DataFrame,
    *,
    opens: pd.DataFrame | None = ...,
    kind: TableKind = ...,
    rules: Tabular | None = ...,
    bars: Bars | None = ...,
    account: Account | None = ...,
    regimes: Regimes | None = ...,
    after: TableAgent | None = ...,
) -> TableAgent: ...


@overload
def learn_from(
    closes: pd.DataFrame,
    *,
    opens: pd.DataFrame | None = ...,
    kind: ModelKind,
    rules: ClosedTrades | None = ...,
    bars: Bars | None = ...,
    account: Account | None = ...,
    regimes: Regimes | None = ...,
    seed: int = ...,
    after: OwnTradeLearner | None = ...,
) -> OwnTradeLearner: ...


def learn_from(
    closes: pd.DataFrame,
    *,
    opens: pd.DataFrame | None = None,
    kind: TableKind | ModelKind = "bandit",
    rules: Tabular | ClosedTrades | None = None,
    bars: Bars | None = None,
    account: Account | None = None,
    regimes: Regimes | None = None,
    seed: int = 1,
    after: TableAgent | OwnTradeLearner | None = None,
) -> TableAgent | OwnTradeLearner:
    """Learn sizes from closed trades of one's own: at each close, in the order of time, and at no other moment.

    A decision's state and inputs are those of its open, kept under its id until its last part is closed; a part teaches by
    the share of the position that it closes. Decisions without a close stay open in the learner. A table is taught the
    action nearest to the position that was taken (under `feedback: every`, all of them). Go on with the learner's own
    `decide` or `open`, and `close`, or with more of the log (`after`).

    Args:
        closes, opens: see sizewise.learning.trade_log for the columns; without `opens`, `closes` repeats what they say.
        kind: `bandit` or `q_table`, a table of 300 states and 25 actions; `dqn` or `outcome_ensemble`, networks.
        rules: the sections `tabular` or `outcome` of params.yaml; default their defaults.
        bars: by symbol, as from load_bars; required by the networks, which see `rules.window_bars` bars up to the last one
            that had ended at the open. A table takes regime and ATR from them where the log has no such columns. Features
            are scaled by the bars before the symbol's first open.
        account: its position limit caps every size; default an account of the first open's equity.
        regimes: how bars are labelled. seed: of a network's weights, exploration and replay.
        after: a learner to go on from, which is changed; it has its own kind, rules, account and scale of features. Tell it
            closes that it has not been told yet; opens that it knows are passed over.
    Returns:
        the learner: `TableAgent` or `OwnTradeLearner`; `save` keeps either, `load_learner` reads it back.
    Raises:
        LedgerError, DecisionError: see trade_log.read_log; DecisionError as well for contributions that are no shares.
        BarError: no bars of a symbol, or too few before an open. ActionError: a regime is unknown.
        ConfigError: rules of another kind, or a reward that cannot teach sizes.
    """
    log = read_log(closes, opens)
    markets = _Markets.of(bars or {}, regimes or Regimes())
    learner = after
    if learner is None:
        learner = _blank(log, markets, kind, rules, account or Account(initial_equity=_first_equity(log)), seed)
    if isinstance(learner, TableAgent):
        _teach_table(learner, log, markets)
    else:
        _teach_models(learner, log, markets)
    return learner


def load_learner(folder: str | Path) -> TableAgent | OwnTradeLearner:
    """Read back what either kind of learner saved; it goes on where it was.

    Raises:
        DataMissingError: nothing was saved there. CheckpointError: the file is damaged, or of another format.
    """
    if (Path(folder) / JOURNAL).is_file():
        return load_own_trades(folder)
    return TableAgent(load_table(folder))


def _rules(rules: Tabular | ClosedTrades | None, section: Any) -> Any:
    if rules is not None and not isinstance(rules, section):
        raise ConfigError(
            f"rules are of {type(rules).__name__}, this kind learns by {section.__name__}: give one of those"
        )
    return section() if rules is None else rules


def _first_equity(log: TradeLog) -> float:
    return float(log.opens.sort_values("opened", kind="stable")["equity"].iloc[0])


def _blank(
    log: TradeLog,
    markets: "_Markets",
    kind: TableKind | ModelKind,
    rules: Tabular | ClosedTrades | None,
    account: Account,
    seed: int,
) -> TableAgent | OwnTradeLearner:
    """A learner that has been told nothing."""
    if kind == "bandit" or kind == "q_table":
        table, limit = _rules(rules, Tabular), position_limit_frac(account)
        if not table.accept_size_blind:
            check_identifiable(trade_probe(PROBES[table.reward]), sizes(table, account.initial_equity, limit).tolist())
        return TableAgent(blank(kind, table, limit, source="closes"))
    models = _rules(rules, ClosedTrades)
    scalers = markets.scalers(log, models.window_bars)
    return OwnTradeLearner(kind, models, account, tuple(scalers), NAMES, scalers=scalers, seed=seed)


def _teach_table(agent: TableAgent, log: TradeLog, markets: "_Markets") -> None:
    rules = agent.table.rules
    for event in log.events():
        now = event.told
        if event.kind == "close":
            agent.close(
                event.decision_id,
                unit_return=now["pnl_pct"] / 100.0,
                worst=-now["drawdown_pct"] / 100.0,
                side=now["side"],
                hours=_hours(now),
                timestamp=f"{now['closed']:%Y-%m-%dT%H:%M:%SZ}",
                share=now["share"],
            )
        elif not agent.knows(event.decision_id):
            regime, atr_frac = markets.situation(now)
            agent.decide(
                event.decision_id,
                now["symbol"],
                agent.state(now["symbol"], regime, now["confidence"]),
                equity=now["equity"],
                atr_frac=atr_frac,
                action=nearest_action(now["size_frac"], now["leverage"], now["equity"], rules),
            )


def _teach_models(learner: OwnTradeLearner, log: TradeLog, markets: "_Markets") -> None:
    for event in log.events():
        now = event.told
        if event.kind == "close":
            learner.close(
                event.decision_id,
                unit_return=now["pnl_pct"] / 100.0,
                worst=-now["drawdown_pct"] / 100.0,
                hours=_hours(now),
                share=now["share"],
            )
        elif not learner.knows(event.decision_id):
            learner.open(
                event.decision_id,
                now["symbol"],
                markets.window(now, learner.window_bars),
                equity=now["equity"],
                position_frac=learner.held_frac(now["symbol"]),
                size_frac=now["size_frac"],
                contributions=_contributions(now),
            )


def _hours(told: Mapping[str, Any]) -> float:
    return float((told["closed"] - told["opened"]).total_seconds() / 3600.0)


def _contributions(opened: Mapping[str, Any]) -> dict[ModelName, float] | None:
    """Those that the log tells; None, the learner's own, where it has no such column."""
    return {model: opened[model] for model in MODELS if model in opened} or None


# Confidence is a share and has no bars to be scaled by.
CONFIDENCE_MIDDLE, CONFIDENCE_SPREAD = 0.5, 0.25


@dataclass(frozen=True)
class _Markets:
    """Of the bars that somebody traded, by symbol: features, when each bar had ended (int64 ns UTC), the first warm row."""

    tables: Mapping[str, pd.DataFrame]
    ended: Mapping[str, np.ndarray]
    warm: Mapping[str, int]

    @classmethod
    def of(cls, bars: Bars, regimes: Regimes) -> "_Markets":
        checked = {symbol: validate_bars(frame, source=symbol) for symbol, frame in bars.items()}
        starts = {symbol: pd.DatetimeIndex(frame.index).asi8 for symbol, frame in checked.items()}
        return cls(
            {symbol: compute_features(frame, regimes, Signals()) for symbol, frame in checked.items()},
            {
                symbol: start + np.diff(start).min(initial=np.iinfo(np.int64).max // 4)
                for symbol, start in starts.items()
            },
            {symbol: first_warm_row(frame, None, regimes) for symbol, frame in checked.items()},
        )

    def situation(self, opened: Mapping[str, Any]) -> tuple[str, float]:
        """(regime, ATR over price) at an open: the log's, or those of the last bar that had ended; ATR 0 while unknown."""
        if "regime" in opened and "atr_frac" in opened:
            return opened["regime"], opened["atr_frac"]
        row = self._rows_ended(opened, 1) - 1
        table = self.tables[opened["symbol"]]
        atr = float(np.nan_to_num(table["atr_frac"].iloc[row]))
        return opened.get("regime", str(table["regime"].iloc[row])), opened.get("atr_frac", atr)

    def window(self, opened: Mapping[str, Any], window_bars: int) -> np.ndarray:
        """Features of the last bars that had ended at an open, float32 [window_bars, 56], not scaled.

        The signal is the log's: its side begins with the last bar, its confidence is that of the decision.
        """
        stop = self._rows_ended(opened, self.warm.get(opened["symbol"], 0) + window_bars)
        rows = (
            self.tables[opened["symbol"]].iloc[stop - window_bars : stop].assign(**{CONFIDENCE: opened["confidence"]})
        )
        side = np.zeros(window_bars)
        side[-1] = opened["side"]
        rows = rows.assign(signal_direction=side, signal_age=0.0)
        return rows[list(NAMES)].to_numpy(dtype=np.float32)

    def scalers(self, log: TradeLog, window_bars: int) -> dict[str, Scaler]:
        """By symbol, fitted to the bars that had ended at its first open."""
        found = {}
        for symbol, opened in log.opens.groupby("symbol", sort=True)["opened"].min().items():
            stop = self._rows_ended({"symbol": symbol, "opened": opened}, self.warm.get(str(symbol), 0) + window_bars)
            known = self.tables[str(symbol)].iloc[:stop].assign(**{CONFIDENCE: CONFIDENCE_MIDDLE})
            fit = Scaler.fit(known[list(NAMES)].to_numpy(dtype=np.float64))
            std = tuple(CONFIDENCE_SPREAD if name == CONFIDENCE else s for name, s in zip(NAMES, fit.std, strict=True))
            found[str(symbol)] = Scaler(fit.mean, std)
        return found

    def _rows_ended(self, opened: Mapping[str, Any], needed: int) -> int:
        symbol, at = opened["symbol"], opened["opened"]
        if symbol not in self.tables:
            raise BarError(f"no bars of '{symbol}', opened at {at}: give bars={{'{symbol}': sw.load_bars(...)}}")
        stop = int(np.searchsorted(self.ended[symbol], at.value, side="right"))
        if stop < needed:
            raise BarError(
                f"{symbol}: {stop} bars had ended at the open of {at}, {needed} are needed: give earlier bars"
            )
        return stop
