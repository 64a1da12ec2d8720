"""Risk matched on train: one factor a path, found on train alone, the same for whoever asks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.arms import AtrArm, BuyAndHoldArm, ConstantArm, RandomPlaceboArm
from sizewise.params.evidence.plan import Risk
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.world import World
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.walkforward import field as field_module
from sizewise.walkforward import risk as risk_module
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import equity_frame, frames
from sizewise.walkforward.risk import DIGITS, _abreast, factors_of, marks_frame, match, risk_summary, train_paths
from sizewise.walkforward.walk import PathKey, of_paths, walk

from ...hand_market import make_market, priced, remade

RISK = Risk(annual_vol_frac=0.03, tolerance_frac=0.01, steps=4)
WORLD = World(
    account=Account(initial_equity=100_000.0, max_position_frac=1.0, safety_buffer_frac=0.0),
    decisions=Decisions(every="session"),
)
ARMS = {
    "atr": AtrArm(kind="atr"),
    "constant": ConstantArm(kind="constant", size_frac=0.3),
    "cash": ConstantArm(kind="constant", size_frac=0.0),
    "random": RandomPlaceboArm(kind="random_placebo"),
    "buy_and_hold": BuyAndHoldArm(kind="buy_and_hold"),
}
TRAIN, TEST = Slice(20, 240), Slice(250, 330)
COLUMN = "confidence_rolling_0"


def hand_field(market, risk=RISK, arms=ARMS) -> Field:
    parts = dict.fromkeys(market.symbols, TRAIN), dict.fromkeys(market.symbols, TEST)
    fold = Fold("rolling", 0, pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2021", tz="UTC"), *parts)
    return Field(market, [fold], arms, (1, 2), WORLD, ClosedTrades(), None, risk)


@pytest.fixture(scope="module")
def market():
    made = make_market(340, symbols=2, seed=3)
    return replace(made, confidence={COLUMN: torch.linspace(0.0, 1.0, 680)})


@pytest.fixture(scope="module")
def field(market):
    return hand_field(market)


@pytest.mark.parametrize("name", [name for name in ARMS if name != "cash"])
def test_on_train_every_arm_has_the_declared_volatility(field, market, name):
    table = field.matched(name)
    assert len(table) == len(market.symbols) * (2 if name == "random" else 1)
    assert table["reached"].all()
    assert table["trades"].all()
    np.testing.assert_allclose(table["train_vol_frac"], 0.03, rtol=0.01)
    assert (table["unmatched_vol_frac"] > 0.0).all()
    # Twin: the arm walked bar by bar over its train slice at the factor.
    for row in table.itertuples():
        start = market.first_row[market.symbols.index(row.symbol)] + TRAIN.start
        key = PathKey(name, row.symbol, 0, row.seed, start, len(TRAIN), COLUMN)
        equity = field_walk(field, key)
        days = equity.groupby(equity["timestamp"].dt.floor("D"))["equity"].last().to_numpy()
        growth = np.diff(np.log(np.concatenate([[equity["equity"].iloc[0]], days])))
        span = (equity["timestamp"].iloc[-1] - equity["timestamp"].iloc[0]) / pd.Timedelta(days=1)
        yearly = len(growth) * 365.25 / span
        assert growth.std(ddof=1) * yearly**0.5 == pytest.approx(row.train_vol_frac, rel=1e-9)


def field_walk(field, key):
    """Equity of one path by bars, at the arm's own factor."""
    ledger = walk(
        field.openers.market, [key], field.sizer(key.arm, [key]), WORLD, follows_signal=field.openers.follows(key.arm)
    )
    return equity_frame(key, 0, ledger, field.openers.market)


def test_an_arm_that_never_trades_keeps_its_size_and_says_so(field):
    table = field.matched("cash")
    assert table["factor"].tolist() == [1.0, 1.0]
    assert not table["trades"].any()
    assert not table["reached"].any()


def test_no_bar_of_a_test_slice_touches_a_factor(market):
    """Poison: everything from the end of train on is another market."""
    columns = priced(market)
    rows = torch.cat([torch.arange(first + TRAIN.stop, first + 340) for first in market.first_row])
    for name in ("bar_return", "gap_return"):
        columns[name][rows] = 0.2
    columns["high"][rows] *= 1.5
    poisoned = remade(market, **columns)
    poisoned = replace(poisoned, atr_frac=market.atr_frac.clone(), annual_vol=market.annual_vol.clone())
    poisoned.atr_frac[rows] *= 7.0
    for name in ARMS:
        clean, other = hand_field(market).matched(name), hand_field(poisoned).matched(name)
        pd.testing.assert_series_equal(clean["factor"], other["factor"], check_exact=True)
    # The poison is one: sown into train it is found.
    columns["bar_return"][market.first_row[0] + 100 : market.first_row[0] + 130] = 0.05
    sown = replace(remade(market, **columns), atr_frac=market.atr_frac, annual_vol=market.annual_vol)
    assert hand_field(sown).matched("atr")["factor"][0] != hand_field(market).matched("atr")["factor"][0]


def test_sizes_on_test_are_the_factor_times_what_they_were(field, market):
    plain = {run.arm: run.ledger for run in hand_field(market, risk=None).walk_all(["atr", "constant"])}
    for run in field.walk_all(["atr", "constant"]):
        factor = of_paths(factors_of(field.matched(run.arm)), run.keys)
        before, after = (ledger.position / ledger.equity for ledger in (plain[run.arm], run.ledger))
        for path in range(len(run.keys)):
            first = int((before[:, path] != 0).nonzero()[0])
            assert float(after[first, path] / before[first, path]) == pytest.approx(float(factor[path]), rel=0.02)


def test_one_arm_is_matched_to_itself_whatever_walks_beside_it(market):
    alone = hand_field(market)
    beside = hand_field(market)
    every = {run.arm: run.ledger.equity for run in beside.walk_all(list(ARMS))}
    (run,) = alone.walk_all(["atr"])
    assert torch.equal(run.ledger.equity, every["atr"])


def test_processes_side_by_side_find_what_one_does(market, monkeypatch):
    names = ["atr", "constant", "buy_and_hold"]
    alone, apart = hand_field(market), hand_field(market)
    every = [alone.unmatched(names), *(alone.matched(name) for name in names)]
    monkeypatch.setattr(field_module, "APART", 0)
    apart.match_all(names)
    for own, other in zip(every, [apart.unmatched(names), *(apart.matched(name) for name in names)], strict=True):
        pd.testing.assert_frame_equal(own, other, check_exact=True)


@pytest.mark.parametrize("name", ["close", "gap_return", "bar_return", "elapsed_days", "held"])
def test_what_a_market_keeps_can_be_trained_on_whoever_asked_first(name):
    market = make_market(60, symbols=2, seed=4)
    with torch.inference_mode():
        kept = getattr(market.tape if name == "held" else market, name)
    weight = torch.ones((), dtype=kept.dtype, requires_grad=True)
    (weight * kept).sum().backward()
    assert float(weight.grad) == pytest.approx(float(kept.sum()))


def test_a_factor_has_few_digits(field):
    for factor in field.matched("atr")["factor"]:
        assert factor == float(f"{factor:.{DIGITS}g}")


def test_without_a_risk_there_is_no_factor(market):
    with pytest.raises(ConfigError, match=r"^plan\.risk is null"):
        hand_field(market, risk=None).matched("atr")


def test_what_walks_without_a_factor_is_the_plain_walk_by_day(field, market):
    found = field.unmatched(["atr"])
    (run,) = hand_field(market, risk=None).walk_all(["atr"])
    parts = pd.concat([equity for equity, _ in frames(run, market, stop_atr=1.5)])
    last = parts.groupby(["symbol", parts["timestamp"].dt.floor("D")])["equity"].last()
    marks = found.groupby(["symbol", found["timestamp"].dt.floor("D")])["equity"].last()
    np.testing.assert_allclose(marks.to_numpy(), last.to_numpy(), rtol=1e-12)


def hand_marks(vols, market):
    """Two-day zigzags of so much volatility each."""
    rows = np.arange(40)
    steps = np.where(rows[1:] % 2, 1.0, -1.0)
    paths = [np.exp(np.concatenate([[0.0], np.cumsum(vol * steps)])) for vol in vols]
    return DayMarks(tuple(rows for _ in vols), tuple(paths))


def two_paths(market):
    """Paths that are told apart by their seed."""
    return [PathKey("a", market.symbols[0], 0, seed, 0, 40, COLUMN) for seed in (0, 1)]


def test_where_the_cap_binds_the_volatility_is_not_reached_and_that_is_said(market):
    keys = two_paths(market)

    def run(given, factor):
        # The second path is at its cap from a factor of 2 on.
        most = {0: np.inf, 1: 2.0}
        return hand_marks([1e-3 * min(size, most[key.seed]) for key, size in zip(given, factor, strict=True)], market)

    unit = run(keys, np.ones(2)).annual_vol(market)[0]
    table = match(run, keys, market, Risk(annual_vol_frac=5.0 * unit, tolerance_frac=0.01, steps=3))
    assert table["factor"][0] == pytest.approx(5.0, rel=1e-3)
    assert table["reached"].tolist() == [True, False]
    assert table["train_vol_frac"][1] == pytest.approx(2.0 * unit, rel=1e-6)


def test_a_path_within_the_tolerance_keeps_its_factor_and_is_not_run_again(market):
    keys, asked = two_paths(market), []

    def run(given, factor):
        asked.append([key.seed for key in given])
        unit = {0: 1e-3, 1: 3e-3}
        return hand_marks([unit[key.seed] * size for key, size in zip(given, factor, strict=True)], market)

    unit = run(keys, np.ones(2)).annual_vol(market)[0]
    table = match(run, keys, market, Risk(annual_vol_frac=1.005 * unit, tolerance_frac=0.01, steps=3))
    assert table["factor"].tolist() == [1.0, pytest.approx(0.335, rel=1e-3)]
    # At first all, to know the unit; what is off once more.
    assert asked == [[0, 1], [0, 1], [1]]


def test_train_paths_are_the_train_slices(field, market):
    keys = train_paths("atr", field.openers.folds, [7], market)
    assert [(key.symbol, key.seed, key.start_row, key.length) for key in keys] == [
        (symbol, 7, market.first_row[i] + TRAIN.start, len(TRAIN)) for i, symbol in enumerate(market.symbols)
    ]


def test_paths_walk_abreast_while_there_is_room(monkeypatch):
    keys = [PathKey("a", "X", 0, seed, 0, length, COLUMN) for seed, length in enumerate((10, 40, 30, 90, 20))]

    def parts(least: int) -> list[list[int]]:
        return [[key.length for key in part] for part in _abreast(keys, sum(key.length for key in keys), least)]

    assert parts(1) == [[90, 40, 30, 20, 10]]
    # Long ones in each.
    assert parts(2) == [[90, 30, 10], [40, 20]]
    assert len(parts(9)) == 5
    monkeypatch.setattr(risk_module, "ROOM", 80)
    assert parts(1) == [[90, 20], [40, 10], [30]]


def test_a_symbol_without_train_has_a_factor_of_one():
    keys = [PathKey("a", "X", 0, 1, 0, 40, COLUMN), PathKey("a", "Y", 0, 1, 0, 40, COLUMN)]
    assert of_paths({(0, "X", 1): 0.25}, keys).tolist() == [0.25, 1.0]


def test_the_summary_counts_who_never_trades_and_shows_both(field, market):
    names = ["atr", "cash"]
    table = pd.concat([field.matched(name) for name in names], ignore_index=True)
    plain = field.unmatched(names)
    matched = {name: pd.Series(np.linspace(-1e-3, 1e-3, 50)) for name in names}
    found = risk_summary(table, plain, matched)
    assert found.loc["cash", ["never_trades", "not_reached"]].tolist() == [2, 0]
    assert found.loc["cash", "unmatched_growth_bps_per_day"] == 0.0
    assert found.loc["atr", "factor_least"] <= found.loc["atr", "factor_median"] <= found.loc["atr", "factor_most"]
    assert found.loc["atr", "train_vol_pct"] == pytest.approx(3.0, rel=0.01)
    assert found.loc["atr", "vol_pct"] != found.loc["atr", "unmatched_vol_pct"]


def test_marks_become_rows_of_a_ledger(market):
    key = PathKey("a", market.symbols[1], 3, 5, 0, 40, COLUMN)
    rows = marks_frame([key], hand_marks([1e-3], market), market)
    assert list(rows.columns) == ["arm", "symbol", "fold", "seed", "timestamp", "equity"]
    assert rows["timestamp"].tolist() == list(market.times[:40])
