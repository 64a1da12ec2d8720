"""Trades of a signal, growth of sizes, and the portfolio of symbols; tests/equivalence holds them against the walk."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import LedgerError
from sizewise.dataset.splits import Slice
from sizewise.params.trading.account import Account
from sizewise.sizing.fitted import FittedSizer, Paths, mean_exposure, walked_trades
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.held_paths import Quotes, UnitPaths, held_bars, portfolio_growth, trades_of, unit_paths

from ....hand_market import make_market


def stream(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Direction and entries [T, 1]: `+` and `-` are held, `L` and `S` enter, `.` is flat."""
    sides = {"+": 1, "L": 1, "-": -1, "S": -1, ".": 0}
    direction = np.array([[sides[letter]] for letter in text], dtype=np.int8)
    return direction, np.array([[letter in "LS"] for letter in text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".L++..S-..", [(1, 4, 1), (6, 8, -1)]),
        (".L+S-..", [(1, 3, 1), (3, 5, -1)]),  # a turn: one decision ends a trade and enters the next
        (".L+L+..", [(1, 3, 1), (3, 5, 1)]),  # entered again on the same side
        ("++.L+..", [(3, 5, 1)]),  # before the first entry a position is nobody's
        ("..L+++", [(2, 4, 1)]),  # the last decision but one closes all
        ("...L..", [(3, 4, 1)]),
        ("....L.", []),  # would be filled at the bar that must end flat
        ("......", []),
    ],
)
def test_trades_end_with_the_signal_or_the_slice(text, expected):
    trades = trades_of(*stream(text))
    found = list(zip(trades.entry[:, 0], trades.leave[:, 0], trades.side[:, 0], strict=True))
    assert found == expected


def flat_quotes(close: list[float], day: list[int], fee: float = 0.0) -> Quotes:
    """Bars that open where the last one closed; a fee and no other cost."""
    values = np.array(close)[:, None]
    before, nothing = np.concatenate([values[:1], values[:-1]]), np.zeros(values.shape)
    return Quotes(before, values, np.full(values.shape, fee), nothing, nothing, nothing, np.array(day))


def paths_by_hand() -> UnitPaths:
    """Long from 100 to 110, then short from 110 to 99; two bars a day."""
    quotes = flat_quotes([100, 100, 105, 110, 110, 99, 99, 99], [0, 0, 1, 1, 2, 2, 3, 3])
    return unit_paths(quotes, trades_of(*stream(".L+S-...")))


def test_growth_by_hand():
    paths = paths_by_hand()
    np.testing.assert_allclose(paths.unit_return[:, 0], [0.10, 0.10])
    np.testing.assert_array_equal(paths.turns[:, 0], [False, True])
    found = paths.growth(np.array([[0.5, 0.5], [1.0, 0.0]]))
    long = np.log(1.0 + 0.5 * 0.10)
    np.testing.assert_allclose(found[:, 0], [0.0, long, np.log(1.10), 0.0], atol=1e-15)
    np.testing.assert_allclose(found[:, 1], [0.0, long, 0.0, 0.0], atol=1e-15)


def test_a_fee_is_paid_on_both_sides():
    quotes = flat_quotes([100, 100, 120, 120, 120], [0, 0, 0, 1, 1], fee=0.01)
    paths = unit_paths(quotes, trades_of(*stream(".L+..")))
    assert paths.unit_return[0, 0] == pytest.approx(0.20 - 0.01 - 0.012)


def test_no_trades_no_growth():
    paths = unit_paths(flat_quotes([100, 90, 80, 70], [0, 0, 1, 1]), trades_of(*stream("....")))
    np.testing.assert_array_equal(paths.growth(np.zeros((0, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("size", [11.0, 50.0])
def test_ruin_is_refused(size):
    quotes = flat_quotes([100, 100, 90, 90, 90], [0, 0, 1, 1, 1])
    paths = unit_paths(quotes, trades_of(*stream(".L+..")))
    with pytest.raises(LedgerError, match=r"^sizes ruin a path: a trade loses all equity; lower them"):
        paths.growth(np.array([[size]]))
    assert np.isfinite(paths.growth(np.array([[9.0]]))).all()


def test_the_portfolio_weighs_live_symbols_alike():
    def symbol(days: list[int]) -> UnitPaths:
        empty = np.zeros((0, 1))
        return UnitPaths(
            empty, empty, empty, empty, np.array(days), np.zeros((len(days), 1), int), np.zeros((len(days), 1))
        )

    paths = [symbol([0, 1, 2]), symbol([2, 3])]
    growth = [np.array([[1.0], [2.0], [3.0]]), np.array([[5.0], [7.0]])]
    np.testing.assert_array_equal(portfolio_growth(paths, growth), [[1.0], [2.0], [4.0], [7.0]])


ACCOUNT = Account(ruin_frac=0.0)
PARTS = {"S0": Slice(13, 390), "S1": Slice(40, 371)}


def walk(market, sizes_by_row):
    starts = [market.rows(symbol, part)[0] for symbol, part in PARTS.items()]
    lengths = [len(part) for part in PARTS.values()]
    paths = Paths(np.zeros(2, np.int64), np.arange(2), np.zeros(2, np.int64), np.array(starts), np.array(lengths))
    sizes = [sizes_by_row[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    sizer = FittedSizer(paths, sizes, 1.0, None)
    none = torch.zeros(2, dtype=torch.int64)
    confidence = torch.zeros((1, len(market.close)))
    return backtest.run(market, torch.tensor(starts), torch.tensor(lengths), confidence, none, sizer, ACCOUNT)


@pytest.mark.parametrize("turns", [True, False])
def test_exposure_is_what_the_broker_marks(turns):
    rng = np.random.default_rng(5)
    rates = rng.uniform(-2e-4, 1e-3, (800, 4))
    rates[:, 1] = np.abs(rates[:, 1])
    columns = {} if turns else {"direction": np.tile(np.repeat([1, 0, -1, 0], [7, 2, 5, 1]), 54)[:800].astype(np.int8)}
    market = make_market(400, symbols=2, seed=4, rates=rates, **columns)
    trades = walked_trades(market, PARTS)
    bars = held_bars(market, trades, sum(len(part) for part in PARTS.values()))
    assert bars.turns.any() == turns
    sizes = rng.uniform(0.0, 0.9, len(trades))
    by_row = np.zeros(800)
    by_row[bars.entry_row] = sizes
    assert bars.mean_exposure(sizes) == pytest.approx(mean_exposure(walk(market, by_row)), rel=1e-10)


def test_it_grows_with_every_size():
    market = make_market(400, symbols=2, seed=4)
    trades = walked_trades(market, PARTS)
    bars = held_bars(market, trades, 708)
    means = [bars.mean_exposure(np.full(len(trades), size)) for size in (0.0, 0.01, 0.1, 0.5)]
    assert means[0] == 0.0
    assert (np.diff(means) > 0).all()


def test_no_trade_carries_nothing():
    market = make_market(50, direction=np.zeros(50, dtype=np.int8))
    bars = held_bars(market, walked_trades(market, {"S0": Slice(0, 50)}), 50)
    assert bars.mean_exposure(np.zeros(0)) == 0.0
