"""Walk many accounts over real bars with one sizer: the loop behind walk-forward and validation."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.tape import Bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import Sizer
from sizewise.sizing.walks import decided
from sizewise.sizing.walks.asked import situation
from sizewise.sizing.walks.path_ledger import PathLedger as PathLedger
from sizewise.sizing.walks.path_ledger import Recorder
from sizewise.trading.accounts import Position
from sizewise.trading.broker.book import ALLOWED
from sizewise.trading.broker.orders import Flows, Orders
from sizewise.trading.desk import Move, Walker


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

    Where nothing can happen between two decisions but what holding costs, the bars there are reckoned at once, see
    decided.walk; else accounts go from bar to bar.

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
    given = (market, start_rows, lengths, confidence, confidence_of_path, sizer)
    rules = rules or Rules(rounding=False)
    dtype, device = market.dtype, market.atr_frac.device
    # What sizes is the library's, or has been checked: see own.checked.
    made = {"dtype": dtype, "device": device, "record": record, "trusted": True}
    if decides is not None:
        desk = Walker(market.tape, account, rules, sizer.uses, pauses=True, **made)  # type: ignore[arg-type]
        if desk.only_holds():
            return decided.walk(*given, desk, decides=decides, record=record, initial_equity=initial_equity)
    desk = Walker(market.tape, account, rules, sizer.uses, **made)  # type: ignore[arg-type]
    return bar_by_bar(*given, desk, decides=decides, record=record, initial_equity=initial_equity)


def bar_by_bar(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    desk: Walker,
    *,
    decides: torch.Tensor | None,
    record: bool,
    initial_equity: torch.Tensor | None,
) -> PathLedger:
    """`run`, through every bar; what decided.walk is held against."""
    dtype, device = market.dtype, market.atr_frac.device
    paths, steps = len(start_rows), int(lengths.max())
    position = desk.open((paths,), initial_equity)
    records = torch.zeros((2 + len(Flows._fields), steps, paths), dtype=dtype, device=device)
    records[0, 0] = position.equity
    left = torch.full((steps, paths), ALLOWED, dtype=torch.int8, device=device)
    kept = Recorder()
    given = (market, start_rows, lengths, confidence, confidence_of_path, sizer, desk, position)
    for t, (alive, _, bars, moved) in enumerate(bars_of(*given, decides=decides), start=1):
        if record:
            kept.add(moved.result, torch.full_like(start_rows, t), alive)
        position = moved.position
        # A path that is over repeats its last mark.
        records[0, t] = torch.where(alive, position.equity, records[0, t - 1])
        records[1, t] = torch.where(alive, position.book.value(bars.close).sum(0), 0.0)
        records[2:, t] = torch.stack(list(moved.result.flows)) * alive
        if record and position.book.day_trades is not None:
            left[t] = position.book.day_trades.left().amin(0).to(torch.int8)
    flows = dict(zip(Flows._fields, records[2:], strict=True))
    fills, events = kept.tables()
    return PathLedger(
        records[0], records[1], **flows, day_trades_left=left, lengths=lengths, fills=fills, events=events
    )


class Walked(NamedTuple):
    """A bar of every path: whether it is one of the path's, bool [P]; its row, int64 [P]; its columns, and what it did."""

    alive: torch.Tensor
    rows: torch.Tensor
    bars: Bars
    moved: Move


def bars_of(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    desk: Walker,
    position: Position,
    *,
    decides: torch.Tensor | None,
) -> Iterator[Walked]:
    """The bars of `run` after each path's first, one after the other, until the longest path is over.

    Args:
        position: flat accounts.
    """
    ruined = joined = torch.zeros(len(start_rows), dtype=torch.bool, device=start_rows.device)
    last = start_rows + lengths - 1
    bars, money = market.tape.rows_as(start_rows, market.dtype)
    for t in range(int(lengths.max()) - 1):
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
        bars, money = market.tape.rows_as(following, market.dtype)
        if bool(closing.any()):
            position, orders = desk.closing_out(position, orders, closing)
        moved = desk.move(position, orders, bars, money)
        yield Walked(alive, following, bars, moved)
        position, ruined = moved.position, ruined | moved.terminated & alive
