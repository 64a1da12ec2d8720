"""What is drawn of one symbol: prices, labels, and each account's sizes, equity and trades, at the close of every day.

All of it is whole numbers, written as letters (see `letters`): sizes and equity in basis points of equity and of its start,
prices in the last of SIGNIFICANT digits of the lowest one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from sizewise.base.errors import LedgerError
from sizewise.base.paths import require
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import HOME, WALK
from sizewise.ledgers.daily import DAY_NS
from sizewise.ledgers.files import EQUITY
from sizewise.ledgers.metrics import BPS
from sizewise.reports.trades.letters import letters, steps

ACCOUNT = ("arm", "symbol", "fold", "seed")
READ = (*ACCOUNT, "timestamp", "equity", "position_frac", "regime")
EVENTS = ("below_min", "clipped")
SIGNIFICANT = 5
MINUTE_NS = 60_000_000_000
HUNDREDTHS = 100.0


def day_ends(folder: Path) -> pd.DataFrame:
    """The equity ledger's last row of each account's UTC days: columns READ, accounts together, oldest first.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    # Group by group: all bars of all accounts are the largest table there is.
    with pq.ParquetFile(require(folder / EQUITY, WALK, home=HOME)) as file:
        parts = [_last_rows(file.read_row_group(i, columns=list(READ)).to_pandas()) for i in range(file.num_row_groups)]
    # Once more, for a day that begins in one group and ends in the next.
    return _last_rows(pd.concat(parts, ignore_index=True)).reset_index(drop=True)


def _last_rows(equity: pd.DataFrame) -> pd.DataFrame:
    day = pd.DatetimeIndex(equity["timestamp"]).as_unit("ns").asi8 // DAY_NS
    codes = np.stack([day, *(pd.factorize(equity[name])[0] for name in ACCOUNT)])
    last = np.append((np.diff(codes, axis=1) != 0).any(axis=0), True)[: len(equity)]
    # Groups have categories of their own.
    return equity[last].astype({"arm": str, "symbol": str})


def drawn(
    symbol: str, ends: pd.DataFrame, trades: pd.DataFrame, events: pd.DataFrame, bars: pd.DataFrame, *, start: float
) -> dict[str, Any]:
    """What the page draws of one symbol, ready for JSON; trades.js reads it.

    Args:
        symbol: its name. ends: see day_ends. trades, events: the ledgers, columns TRADE_COLUMNS and EVENT_COLUMNS.
        bars: of the symbol, as from load_bars. start: equity that every account begins a fold with, quote currency.
    Raises:
        LedgerError: accounts of the symbol that cover different days, or days without a bar.
    """
    mine = ends[ends["symbol"] == symbol]
    accounts = dict(list(mine.groupby(["arm", "seed"], sort=False)))
    days = next(iter(accounts.values())).sort_values("fold", kind="stable")
    _check_same_days(symbol, days, accounts)
    close = bars["close"].reindex(pd.DatetimeIndex(days["timestamp"])).to_numpy()
    if np.isnan(close).any():
        raise LedgerError(f"{symbol}: the ledger has bars that data/bars has not: run `dvc repro walk_forward`")
    decimals = int(max(0, SIGNIFICANT - 1 - np.floor(np.log10(close.min()))))
    day = pd.DatetimeIndex(days["timestamp"]).as_unit("ns").asi8 // DAY_NS
    ticks = _whole(close * 10**decimals)
    closed = trades[trades["symbol"] == symbol].reset_index(drop=True)
    signals, followed = _signals(closed, decimals)
    rows = _trade_rows(closed, followed, day, ticks, decimals)
    counts = days.groupby("fold", sort=True).size()
    paths: dict[str, dict[str, list[str]]] = {}
    for (arm, seed), account in accounts.items():
        at = (closed["arm"] == arm) & (closed["seed"] == seed)
        met = events[(events["symbol"] == symbol) & (events["arm"] == arm) & (events["seed"] == seed)]
        paths.setdefault(arm, {})[str(seed)] = [*_series(account, start), _by_trade(rows[at.to_numpy()]), _events(met)]
    return {
        "decimals": decimals,
        "days": steps(day),
        "closes": steps(ticks),
        "folds": [[int(fold), int(count)] for fold, count in counts.items()],
        "regimes": "".join(map(str, pd.Categorical(days["regime"], categories=list(LABELS)).codes)),
        "signals": signals,
        "paths": paths,
    }


def _check_same_days(symbol: str, days: pd.DataFrame, accounts: dict[Any, pd.DataFrame]) -> None:
    # As columns: times with a zone become objects one by one otherwise.
    wanted = days["timestamp"].reset_index(drop=True)
    for (arm, seed), account in accounts.items():
        if not account.sort_values("fold", kind="stable")["timestamp"].reset_index(drop=True).equals(wanted):
            raise LedgerError(
                f"{arm} with seed {seed} covers other days of {symbol} than the first arm: run `dvc repro walk_forward`"
            )


def _series(account: pd.DataFrame, start: float) -> Iterator[str]:
    """Sizes and equity of one account, fold after fold."""
    ordered = account.sort_values("fold", kind="stable")
    yield steps(_whole(ordered["position_frac"].to_numpy() * BPS))
    yield steps(_whole(ordered["equity"].to_numpy() / start * BPS))


def _signals(trades: pd.DataFrame, decimals: int) -> tuple[str, np.ndarray]:
    """What trades of several accounts share, by time of entry, and which of them each trade followed, int64 (trades,)."""
    table = pd.DataFrame(
        {
            "entry": _minutes(trades["entry_time"]),
            "exit": _minutes(trades["exit_time"]),
            "side": trades["side"].to_numpy(),
            # Without a warm ATR there is no stop.
            "stop": _whole(trades["stop_distance"].fillna(0.0).to_numpy() * 10**decimals),
            "regime": pd.Categorical(trades["regime"], categories=list(LABELS)).codes.astype(np.int64),
        }
    )
    found = table.drop_duplicates().sort_values(list(table), kind="stable", ignore_index=True)
    followed = table.merge(found.reset_index(), on=list(table), how="left")["index"].to_numpy(dtype=np.int64)
    entry = found["entry"].to_numpy()
    held = found.assign(entry=np.diff(entry, prepend=0), exit=found["exit"] - found["entry"])
    return letters(held.to_numpy().ravel().tolist()), followed


def _trade_rows(
    trades: pd.DataFrame, followed: np.ndarray, day: np.ndarray, ticks: np.ndarray, decimals: int
) -> np.ndarray:
    """One row a trade: its signal, prices of entry and exit over those days' closes, gain, R multiple; int64 (n, 5)."""
    prices = []
    for name in ("entry", "exit"):
        close = ticks[np.searchsorted(day, _minutes(trades[f"{name}_time"]) * MINUTE_NS // DAY_NS)]
        prices.append(_whole(trades[f"{name}_price"].to_numpy() * 10**decimals) - close)
    multiple = trades["r_multiple"].fillna(0.0).to_numpy()
    return np.stack([followed, *prices, _whole(trades["pnl"].to_numpy()), _whole(multiple * HUNDREDTHS)], axis=1)


def _by_trade(rows: np.ndarray) -> str:
    """One account's trades by time of entry; of the signals only how many lie between two."""
    ordered = rows[np.argsort(rows[:, 0], kind="stable")].copy()
    ordered[:, 0] = np.diff(ordered[:, 0], prepend=0)
    return letters(ordered.ravel().tolist())


def _events(met: pd.DataFrame) -> str:
    """What the venue did to one account's orders: minutes since the event before, and which of EVENTS it was."""
    ordered = met[met["event"].isin(EVENTS)].sort_values("timestamp", kind="stable")
    kinds = pd.Categorical(ordered["event"], categories=list(EVENTS)).codes.astype(np.int64)
    return letters(np.stack([np.diff(_minutes(ordered["timestamp"]), prepend=0), kinds], axis=1).ravel().tolist())


def _minutes(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).as_unit("ns").asi8 // MINUTE_NS


def _whole(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int64)


def text_of(symbol: str, values: dict[str, Any]) -> str:
    """The file of a symbol: a call, because a page that was opened from a disk may load scripts and nothing else."""
    return f"sizewiseTrades({json.dumps(symbol)},{json.dumps(values, separators=(',', ':'))});\n"
