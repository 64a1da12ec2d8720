"""Walk many accounts over real bars with one sizer: the loop behind walk-forward and validation."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.tape import Bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.accounts import Position
from sizewise.trading.broker.book import ALLOWED
from sizewise.trading.broker.broker import Result
from sizewise.trading.broker.orders import Fill, Flag, Flows, Orders
from sizewise.trading.desk import Walker

# What is kept of a fill, and in which order.
FILL_COLUMNS = ("path", "step", "instrument", "kind", "units", "price", "fee", "slippage", "impact")


@dataclass(frozen=True)
class PathLedger:
    """What happened on P paths of up to T bars, time first. Rows past a path's end repeat its last mark, flows are 0.

    equity, position: [T, P] marks at each close; row 0 is the start. price ... liquidation: [T, P], as orders.Flows, signed
    contributions of the step that ends at the row (row 0 is 0). day_trades_left: int8 [T, P], what a small account may
    still make, 3 without the rule. lengths: int64 [P], rows of each path.
    fills: FILL_COLUMNS, a row a fill, in the order they happened within a path; `step` is the bar's place in the path.
    events: path, step, event (orders.Flag, lower case): what the venue did to an order or a position. Both are empty where
    nothing was recorded.
    """

    equity: torch.Tensor
    position: torch.Tensor
    price: torch.Tensor
    fees: torch.Tensor
    slippage: torch.Tensor
    impact: torch.Tensor
    funding: torch.Tensor
    borrow: torch.Tensor
    liquidation: torch.Tensor
    day_trades_left: torch.Tensor
    lengths: torch.Tensor
    fills: pd.DataFrame
    events: pd.DataFrame

    def part(self, paths: slice) -> "PathLedger":
        """That of some of its paths."""
        first, stop = paths.start, paths.stop
        cut = {field.name: getattr(self, field.name)[:, paths] for field in fields(self)[:10]}
        for name in ("fills", "events"):
            table = getattr(self, name)
            mine = table[(table["path"] >= first) & (table["path"] < stop)]
            cut[name] = mine.assign(path=mine["path"] - first).reset_index(drop=True)
        return PathLedger(**cut, lengths=self.lengths[paths])


class _Recorder:
    """Fills and events of all paths as they happen."""

    def __init__(self) -> None:
        self._fills: list[np.ndarray] = []
        self._events: list[tuple[int, int, str]] = []

    def add(self, result: Result, step: int, alive: torch.Tensor) -> None:
        """Keep what a bar brought to the paths that are `alive`."""
        for fill in result.fills:
            for number, units in enumerate(fill.units * alive):
                paths = units.nonzero().flatten()
                if len(paths):
                    self._fills.append(_rows(fill, number, paths, step))
        if bool(result.flags.any()):
            for flags in result.flags * alive.to(result.flags.dtype):
                for path in flags.nonzero().flatten().tolist():
                    held = int(flags[path])
                    self._events += [(path, step, str(flag.name).lower()) for flag in Flag if held & flag]

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(fills, events), by path."""
        found = np.concatenate(self._fills) if self._fills else np.zeros((0, len(FILL_COLUMNS)))
        fills = pd.DataFrame(found[np.argsort(found[:, 0], kind="stable")], columns=list(FILL_COLUMNS))
        whole = dict.fromkeys(("path", "step", "instrument", "kind"), np.int64)
        events = pd.DataFrame(self._events, columns=["path", "step", "event"])
        events = events.sort_values("path", kind="stable", ignore_index=True)
        # Where nothing happened pandas knows no type.
        return fills.astype(whole), events.astype({"path": np.int64, "step": np.int64, "event": str})


def _rows(fill: Fill, number: int, paths: torch.Tensor, step: int) -> np.ndarray:
    columns = [part.expand(fill.units.shape)[number, paths].cpu().double().numpy() for part in fill[1:]]
    same = [np.full(len(paths), value) for value in (step, number, int(fill.kind))]
    return np.column_stack([paths.cpu().numpy(), *same, *columns])


def situation(
    market: Market,
    rows: torch.Tensor,
    position: Position,
    bars: Bars,
    money: Bars,
    joined: torch.Tensor,
    confidence: torch.Tensor,
    asked: torch.Tensor | None,
) -> Situation:
    """What the accounts of P paths see at their rows; everything [P].

    Args:
        bars: at the rows, as they are; money: in the accounts' dtype. joined: an entry has been seen since the path began.
        asked: see Situation.decides.
    """
    return Situation(
        rows=rows,
        equity=position.equity,
        position=position.coming().book.value(bars.close).sum(0),
        direction=market.direction[rows].to(market.dtype) * joined,
        entry=market.entry[rows],
        confidence=confidence.to(market.dtype),
        atr_frac=market.atr_frac[rows],
        annual_vol=market.annual_vol[rows],
        close=money.close[0],
        account=position,
        bars=bars,
        decides=asked,
    )


def run(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    account: Account,
    rules: Rules | None = None,
    *,
    decides: torch.Tensor | None = None,
    record: bool = False,
    initial_equity: torch.Tensor | None = None,
) -> PathLedger:
    """Walk path p over rows start_rows[p] ... start_rows[p] + lengths[p] - 1, from a flat account, and close it out.

    The last decision of a path closes the position, so that every fold ends flat. An account whose equity falls to the
    ruin level is closed at the next open and never trades again. The signal counts from the first entry inside the path
    on: a trade that was entered before is nobody's, so that rules and policies meet the same trades.

    Args:
        market: on one device; its float dtype is the accounts'.
        start_rows, lengths: int64 [P], lengths >= 2.
        confidence: float32 [C, R], one row of the market's length a fold; path p reads row `confidence_of_path[p]`.
        rules: default those of a cash account without lots, ticks and minimum orders.
        decides: bool (R,), rows at whose close the sizer is asked; None: at every one.
        record: keep fills and events. initial_equity: of each path, quote currency, [P]; default the account's.
    """
    dtype, device = market.dtype, market.atr_frac.device
    paths, steps = len(start_rows), int(lengths.max())
    rules = rules or Rules(rounding=False)
    # What sizes is the library's, or has been checked: see own.checked.
    desk = Walker(market.tape, account, rules, sizer.uses, dtype=dtype, device=device, record=record, trusted=True)
    position = desk.open((paths,), initial_equity)
    records = torch.zeros((2 + len(Flows._fields), steps, paths), dtype=dtype, device=device)
    records[0, 0] = position.equity
    ruined = torch.zeros(paths, dtype=torch.bool, device=device)
    joined = torch.zeros_like(ruined)
    last = start_rows + lengths - 1
    left = torch.full((steps, paths), ALLOWED, dtype=torch.int8, device=device)
    kept = _Recorder()
    bars, money = market.tape.rows_as(start_rows, dtype)
    for t in range(steps - 1):
        rows = torch.minimum(start_rows + t, last)
        joined = joined | market.entry[rows]
        asked = None if decides is None else decides[rows]
        closing = ruined | (rows + 1 >= last)
        orders = Orders()
        if asked is None or bool(asked.any()):
            seen = confidence[confidence_of_path, rows]
            at = situation(market, rows, position, bars, money, joined, seen, asked)
            orders = sizer.orders(at)
            if asked is not None:
                orders = orders.only(asked)
        following = torch.minimum(rows + 1, last)
        alive = rows < last
        bars, money = market.tape.rows_as(following, dtype)
        if bool(closing.any()):
            position, orders = desk.closing_out(position, orders, closing)
        moved = desk.move(position, orders, bars, money)
        if record:
            kept.add(moved.result, t + 1, alive)
        position = moved.position
        # A path that is over repeats its last mark.
        records[0, t + 1] = torch.where(alive, position.equity, records[0, t])
        records[1, t + 1] = torch.where(alive, position.book.value(bars.close).sum(0), 0.0)
        records[2:, t + 1] = torch.stack(list(moved.result.flows)) * alive
        if record and position.book.day_trades is not None:
            left[t + 1] = position.book.day_trades.left().amin(0).to(torch.int8)
        ruined = ruined | moved.terminated & alive
    flows = dict(zip(Flows._fields, records[2:], strict=True))
    fills, events = kept.tables()
    return PathLedger(
        records[0], records[1], **flows, day_trades_left=left, lengths=lengths, fills=fills, events=events
    )
