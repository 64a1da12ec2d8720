"""Walked paths as rows of the ledgers: equity by bar, closed trades, events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import LedgerError
from sizewise.dataset.joint import members_of
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import EQUITY_COLUMNS, EVENT_COLUMNS, FLOWS, TRADE_COLUMNS, check_adds_up
from sizewise.ledgers.weights import mark_assets
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.trading.broker.orders import Kind
from sizewise.trading.trades import Trade, shared_carry, trades_of_path
from sizewise.walkforward.walk import ArmRun, PathKey


@dataclass(frozen=True)
class Stretch:
    """Paths over the same rows of the market, such as the seeds of one arm, symbol and fold.

    Attributes:
        keys: of the paths; they differ in their seeds alone. paths: their columns in the ledger, adjacent.
    """

    keys: tuple[PathKey, ...]
    paths: slice

    @property
    def first(self) -> PathKey:
        return self.keys[0]

    @property
    def rows(self) -> slice:
        """Of the market."""
        return slice(self.first.start_row, self.first.start_row + self.first.length)


def stretches_of(keys: Sequence[PathKey]) -> list[Stretch]:
    """Paths that follow each other and differ in their seeds alone, together."""
    found, start = [], 0
    for stop in range(1, len(keys) + 1):
        if stop == len(keys) or replace(keys[stop], seed=keys[start].seed) != keys[start]:
            found.append(Stretch(tuple(keys[start:stop]), slice(start, stop)))
            start = stop
    return found


def equity_frame(key: PathKey, path: int, ledger: PathLedger, market: Market) -> pd.DataFrame:
    """One path as rows of the equity ledger; see equity_frames."""
    return equity_frames(Stretch((key,), slice(path, path + 1)), ledger, market)


def equity_frames(stretch: Stretch, ledger: PathLedger, market: Market) -> pd.DataFrame:
    """Paths as rows of the equity ledger (EQUITY_COLUMNS), one after the other, oldest first.

    Flows are signed contributions to equity of the step that ends at the row: equity_t - equity_{t-1} is their sum.
    `regime` is the label the step is counted under (market_tensor.entry_regime at the decision), categories LABELS. The
    frame knows the market's assets, see ledgers.weights.
    """
    first, count = stretch.first, len(stretch.keys)

    def column(values: torch.Tensor) -> np.ndarray:
        return values[: first.length, stretch.paths].cpu().numpy().T.ravel()

    equity, position = (column(values).astype(np.float64) for values in (ledger.equity, ledger.position))
    # A flow of nothing has no sign: it would hang on who walks beside whom.
    flows = {
        name: column(getattr(ledger, "price" if name == FLOWS[0] else name)).astype(np.float64) + 0.0 for name in FLOWS
    }
    codes = market.regime[stretch.rows].cpu().numpy()
    # A step that ends at row t was decided at row t - 1.
    codes = np.tile(np.concatenate([codes[:1], codes[:-1]]), count)
    times = market.times[stretch.rows]
    frame = pd.DataFrame(
        {
            "arm": first.arm,
            "symbol": first.symbol,
            "fold": np.int16(first.fold),
            "seed": np.repeat(np.array([key.seed for key in stretch.keys], dtype=np.int64), first.length),
            "timestamp": times[np.tile(np.arange(len(times)), count)] if count > 1 else times,
            "equity": equity,
            "position_frac": position / equity,
            **flows,
            "regime": pd.Categorical.from_codes(codes, categories=list(LABELS)),  # type: ignore[call-overload]
            "day_trades_left": column(ledger.day_trades_left),
        }
    )
    return mark_assets(frame[list(EQUITY_COLUMNS)], market.assets)


def trades_frame(
    key: PathKey,
    path: int,
    ledger: PathLedger,
    market: Market,
    fills: pd.DataFrame,
    *,
    stop_atr: float,
) -> pd.DataFrame:
    """The closed trades of one path; see trades_frames.

    Args:
        fills: of that path.
    """
    return trades_frames(Stretch((key,), slice(path, path + 1)), ledger, market, [fills], stop_atr=stop_atr)


def trades_frames(
    stretch: Stretch, ledger: PathLedger, market: Market, fills: Sequence[pd.DataFrame], *, stop_atr: float
) -> pd.DataFrame:
    """The closed trades of paths (TRADE_COLUMNS), one path after the other, oldest first; see trades.trades_of_fills for
    their figures.

    Where several symbols share the account, those of one symbol after those of another. `decision_id` names the symbol
    and the close that decided the trade, so that arms that followed the same signal can be matched. `stop_distance`:
    `stop_atr` average true ranges at the decision, quote currency. `r_multiple`: pnl / (qty * stop_distance), net; NaN
    while ATR is not warm. `regime`, `confidence`: at the decision.

    Args:
        fills: of each path.
    """
    members = members_of(stretch.first.symbol)
    instruments = [_Instrument(*of, stretch, stop_atr) for of in zip(members, market.instruments, strict=True)]
    found = [
        _by_instrument(path, ledger, market, mine, instruments)
        for path, mine in zip(range(stretch.paths.start, stretch.paths.stop), fills, strict=True)
    ]
    if len(instruments) == 1:
        return instruments[0].rows(
            [(key, trade) for key, (own,) in zip(stretch.keys, found, strict=True) for trade in own]
        )
    parts = [
        instrument.rows([(key, trade) for trade in own])
        for key, each in zip(stretch.keys, found, strict=True)
        for instrument, own in zip(instruments, each, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _by_instrument(
    path: int, ledger: PathLedger, market: Market, fills: pd.DataFrame, instruments: Sequence["_Instrument"]
) -> list[list[Trade]]:
    rows = instruments[0].stretch.rows
    n = rows.stop - rows.start
    borrow, funding, liquidation = (
        values[:n, path].cpu().numpy().astype(np.float64)
        for values in (ledger.borrow, ledger.funding, ledger.liquidation)
    )
    fills = fills[fills["step"] < n].rename(columns={"step": "row"})
    close = market.tape.column("close")[rows].cpu().numpy()
    shared = shared_carry(fills["row"], fills["instrument"], fills["units"], close, borrow + funding + liquidation)
    return [
        instrument.trades(fills[fills["instrument"] == number], shared[:, number])
        for number, instrument in enumerate(instruments)
    ]


@dataclass(frozen=True)
class _Instrument:
    """One symbol of the accounts, and its own market over a stretch."""

    symbol: str
    market: Market
    stretch: Stretch
    stop_atr: float

    @cached_property
    def prices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """High, low, close: quote currency, float64 (T,)."""
        high, low, close = (self._at(self.market.tape.column(name)[:, 0]) for name in ("high", "low", "close"))
        return high, low, close

    def _at(self, values: torch.Tensor) -> np.ndarray:
        return values[self.stretch.rows].cpu().numpy()

    def trades(self, fills: pd.DataFrame, carry: np.ndarray) -> list[Trade]:
        """Of one path, from its fills of this symbol and what holding it cost in each step."""
        at_open = (fills["kind"] == int(Kind.MARKET)).to_numpy()
        high, low, close = self.prices
        found = trades_of_path(fills, at_open, high, low, close, carry)
        if any(trade.exit_row is None for trade in found):
            first = self.stretch.first
            raise LedgerError(
                f"ledger {first.arm} {self.symbol} fold {first.fold}: a trade is still open at the path's end"
            )
        return found

    def rows(self, found: Sequence[tuple[PathKey, Trade]]) -> pd.DataFrame:
        """Trades as rows, in the order given."""
        trades = pd.DataFrame([vars(trade) for _, trade in found], columns=[field.name for field in fields(Trade)])
        entry, leave = trades["entry_row"].to_numpy(dtype=np.int64), trades["exit_row"].to_numpy(dtype=np.int64)
        decided = np.maximum(entry - 1, 0)
        first, market = self.stretch.first, self.market
        times = market.times[self.stretch.rows]
        stop = self.stop_atr * self._at(market.atr_frac).astype(np.float64)[decided] * self.prices[2][decided]
        risk = trades["qty"].to_numpy(dtype=np.float64) * stop
        pnl = trades["pnl"].to_numpy(dtype=np.float64)
        extra = {
            "arm": first.arm,
            "symbol": first.symbol,
            "fold": np.int16(first.fold),
            "seed": np.array([key.seed for key, _ in found], dtype=np.int64),
            "decision_id": [f"{self.symbol}@{time:%Y%m%dT%H%M}" for time in times[decided]],
            "entry_time": times[entry],
            "exit_time": times[leave],
            "stop_distance": stop,
            "r_multiple": np.divide(pnl, risk, out=np.full(len(pnl), np.nan), where=risk > 0),
            "regime": np.array(LABELS, dtype=object)[self._at(market.regime)[decided]],
            "confidence": self._at(market.confidence[first.confidence_column])[decided],
        }
        return trades.assign(**extra)[list(TRADE_COLUMNS)]


def events_frame(run: ArmRun, market: Market) -> pd.DataFrame:
    """What the venue did to the orders and positions of a run (EVENT_COLUMNS), path after path, oldest first."""
    events, keys = run.ledger.events, pd.DataFrame([vars(key) for key in run.keys])
    of = keys.iloc[events["path"].to_numpy()].reset_index(drop=True)
    rows = of["start_row"].to_numpy(dtype=np.int64) + events["step"].to_numpy(dtype=np.int64)
    named = {name: of[name] for name in ("arm", "symbol", "fold", "seed")}
    return pd.DataFrame({**named, "timestamp": market.times[rows], "event": events["event"].to_numpy()})[
        list(EVENT_COLUMNS)
    ]


def frames(run: ArmRun, market: Market, *, stop_atr: float) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """(equity rows, trades) of a run, stretch after stretch, so that paths come in the run's own order; every path is
    checked to add up on the way."""
    fills = dict(iter(run.ledger.fills.groupby("path", sort=False)))
    none = run.ledger.fills.iloc[:0]
    for stretch in stretches_of(run.keys):
        equity = equity_frames(stretch, run.ledger, market)
        check_adds_up(equity)
        mine = [fills.get(path, none) for path in range(stretch.paths.start, stretch.paths.stop)]
        yield equity, trades_frames(stretch, run.ledger, market, mine, stop_atr=stop_atr)
