"""The compiled scalars of plain accounts against the same by tensors: the same digits, to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.market.tape import COLUMNS, Bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.trading.accounts import Observer, Position
from sizewise.trading.broker.book import Book, DayTrades, Working
from sizewise.trading.broker.orders import Uses

PLAIN, LIMITED = Rules(day_trade_limit=False), Rules(day_trade_limit=True)
# Accounts of an environment, [policies, accounts a path, paths], which share the bars of a path; and accounts of a walk.
SHAPES = {"environment": ((3, 8, 40), (3, 1, 40)), "walk": ((700,), (700,))}


def seen(accounts: tuple[int, ...], bars: tuple[int, ...], dtype: torch.dtype) -> tuple[Position, Bars]:
    rng = np.random.default_rng(4)
    equity = torch.from_numpy(rng.choice([1e-3, 10.0, 2e4, 1e9], accounts) * rng.uniform(0.5, 1.5, accounts)).to(dtype)
    close = torch.from_numpy(rng.uniform(0.01, 5e4, (1, *bars)))
    share = torch.from_numpy(rng.choice([-1.3, -0.4, 0.0, 1e-7, 0.95], accounts))
    units = (share * equity / close).to(dtype)
    session = torch.from_numpy(rng.integers(0, 30, (1, *bars)).astype(float))
    sessions = session - torch.from_numpy(rng.integers(0, 9, (4, *units.shape)).astype(float))
    days = DayTrades(sessions, session.expand(units.shape), units > 0)
    shown = Bars(*[close] * len(COLUMNS))._replace(session=session + (close > 3e4))
    return Position(Book(equity, units, day_trades=days), equity, 0.0 * units), shown


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rules", [PLAIN, LIMITED], ids=["plain", "limited"])
@pytest.mark.parametrize(("limit", "buffer"), [(0.7, 0.0), (1.0, 0.1), (2.5, 0.05)])
def test_scalars_are_the_same(limit, buffer, rules, dtype, shape):
    observer = Observer(Account(safety_buffer_frac=buffer), rules, Uses(), 1, limit)
    position, bars = seen(*SHAPES[shape], dtype)
    expected = observer._by_tensors(position, bars)
    shown = observer._compiled(position.book, position.equity, bars)
    assert shown.dtype == expected.dtype
    assert shown.shape[-1] == len(observer.names())
    assert torch.equal(shown, expected)
    assert torch.equal(observer(position, bars), expected)
    assert not torch.equal(replace(observer, limit_frac=1.001 * limit)(position, bars), expected)
    if rules is LIMITED:
        assert set(shown[..., 3].flatten().tolist()) == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    ("observer", "count"),
    [
        (Observer(Account(), PLAIN, Uses(), 1, 1.0, raw_dollars=True), 3),
        (Observer(Account(), Rules(max_open_orders=1, day_trade_limit=False), Uses(working=True), 1, 1.0), 4),
    ],
)
def test_whoever_shows_more_is_left_to_tensors(observer, count, monkeypatch):
    position, bars = seen(*SHAPES["walk"], torch.float64)
    if observer.uses.working:
        units = position.book.units
        position = position._replace(book=position.book._replace(working=(Working(units, *[units] * 3),)))
    monkeypatch.setattr(Observer, "_compiled", None)
    assert observer(position, bars).shape[-1] == len(observer.names()) == count
