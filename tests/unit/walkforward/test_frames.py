"""The two ledgers: their columns, that they add up, and what a trade's row says about its decision."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import LedgerError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import CENT, EQUITY_COLUMNS, FLOWS, TRADE_COLUMNS, check_adds_up
from sizewise.params.trading.account import Account
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.walkforward.frames import equity_frame, trades_frame
from sizewise.walkforward.walk import PathKey

from ...hand_market import make_market, remade
from ...hand_sizers import constant_sizer

COLUMN = "confidence_rolling_2"
ROWS = 300


def key(length: int = 200, start_row: int = 60, **changes: object) -> PathKey:
    values = {"arm": "atr", "symbol": "S0", "fold": 2, "seed": 7, "confidence_column": COLUMN} | changes
    return PathKey(start_row=start_row, length=length, **values)


@pytest.fixture(scope="module")
def market() -> Market:
    plain = make_market(ROWS, seed=4)
    rng = np.random.default_rng(1)
    confidence = torch.from_numpy(rng.uniform(0.3, 0.7, ROWS).astype(np.float32))
    regime = torch.from_numpy(rng.integers(0, len(LABELS), ROWS).astype(np.int8))
    return replace(plain, confidence={COLUMN: confidence}, regime=regime)


@pytest.fixture(scope="module")
def ledger(market) -> PathLedger:
    """Two paths: path 1 is rows 60-259, path 0 a shorter one."""
    starts, lengths = torch.tensor([10, 60]), torch.tensor([50, 200])
    confidence = market.confidence[COLUMN].unsqueeze(0)
    return backtest.run(
        market,
        starts,
        lengths,
        confidence,
        torch.zeros(2, dtype=torch.int64),
        constant_sizer(0.1, 0.2),
        Account(),
        record=True,
    )


@pytest.fixture
def equity(market, ledger) -> pd.DataFrame:
    return equity_frame(key(), 1, ledger, market)


@pytest.fixture
def trades(market, ledger) -> pd.DataFrame:
    return trades_frame(key(), 1, ledger, market, ledger.fills[ledger.fills["path"] == 1], stop_atr=1.5)


# The equity ledger.


def test_equity_columns_are_those_of_the_design(equity):
    path, marks = ["arm", "symbol", "fold", "seed"], ["timestamp", "equity", "position_frac"]
    assert list(EQUITY_COLUMNS) == [*path, *marks, *FLOWS, "regime", "day_trades_left"]
    assert list(equity.columns) == list(EQUITY_COLUMNS)


def test_equity_rows_are_the_path(equity, ledger, market):
    assert len(equity) == 200
    assert (equity[["arm", "symbol", "fold", "seed"]] == ["atr", "S0", 2, 7]).all().all()
    assert equity["timestamp"].tolist() == market.times[60:260].tolist()
    assert equity["equity"].tolist() == ledger.equity[:200, 1].tolist()
    np.testing.assert_allclose(equity["position_frac"] * equity["equity"], ledger.position[:200, 1])
    for name in FLOWS:
        flow = ledger.price if name == "price_pnl" else getattr(ledger, name)
        assert equity[name].tolist() == flow[:200, 1].tolist()
        assert equity[name].dtype == np.float64
    assert (equity[["fees", "slippage", "borrow"]] <= 0).all().all()
    assert (equity[["fees", "slippage", "borrow"]] < 0).any().all()


def test_a_shorter_path_stops_at_its_own_end(ledger, market):
    frame = equity_frame(key(50, 10), 0, ledger, market)
    assert len(frame) == 50
    assert frame["timestamp"].iloc[-1] == market.times[59]
    assert frame["position_frac"].iloc[-1] == 0.0


def test_a_step_counts_under_the_label_at_its_decision(equity, market):
    labels = [LABELS[code] for code in market.regime.tolist()]
    assert equity["regime"].tolist() == [labels[60], *labels[60:259]]
    assert list(equity["regime"].cat.categories) == list(LABELS)
    assert equity["regime"].tolist() != labels[60:260]


@pytest.mark.parametrize("seed", [0, 40_000, 20_200_101])
def test_any_seed_of_the_parameters_is_kept(seed, ledger, market):
    named = key(seed=seed)
    assert equity_frame(named, 1, ledger, market)["seed"].unique().tolist() == [seed]
    assert trades_frame(named, 1, ledger, market, ledger.fills[ledger.fills["path"] == 1], stop_atr=1.5)[
        "seed"
    ].unique().tolist() == [seed]


# That it adds up.


def two_paths(equity: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([equity, equity.assign(arm="ppo", seed=3)], ignore_index=True)


def test_a_true_ledger_adds_up(equity):
    check_adds_up(equity)
    check_adds_up(two_paths(equity))
    check_adds_up(equity, tolerance=1e-9)


@pytest.mark.parametrize("column", ["equity", *FLOWS])
def test_a_damaged_value_is_named(equity, column):
    frame = two_paths(equity)
    row = 200 + 120
    frame.loc[row, column] += 0.02
    with pytest.raises(LedgerError, match=r"^ledger \('ppo', 'S0', 2, 3\): columns miss equity by 0\.02") as caught:
        check_adds_up(frame)
    # A flow moves every mark after it, an equity only its own.
    if column == "equity":
        assert f"at {frame.loc[row, 'timestamp']}: the ledger is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["equity", "fees"])
def test_a_missing_value_is_damage(equity, column):
    equity.loc[77, column] = np.nan
    with pytest.raises(LedgerError, match="the ledger is damaged") as caught:
        check_adds_up(equity)
    assert f"at {equity.loc[77, 'timestamp']}" in str(caught.value)


def test_a_lost_row_is_damage(equity):
    moved = equity["equity"].diff().abs().idxmax()
    with pytest.raises(LedgerError, match="the ledger is damaged"):
        check_adds_up(equity.drop(index=moved))


def test_less_than_a_cent_is_rounding(equity):
    equity.loc[100, "equity"] += 0.9 * CENT
    check_adds_up(equity)
    with pytest.raises(LedgerError):
        check_adds_up(equity, tolerance=0.5 * CENT)


# The ledger of trades.


def test_trade_columns_are_those_of_the_contract(trades):
    assert list(trades.columns) == list(TRADE_COLUMNS)
    assert (trades[["arm", "symbol", "fold", "seed"]] == ["atr", "S0", 2, 7]).all().all()
    assert len(trades) > 5


def test_trades_sum_to_the_change_of_equity(trades, equity):
    assert trades["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - 1000.0, abs=1e-9)
    assert (trades["exit_time"] > trades["entry_time"]).all()


def test_every_figure_of_a_decision(trades, market):
    times = market.times
    for _, trade in trades.iterrows():
        fill = times.get_loc(trade["entry_time"])
        decided = fill - 1
        assert trade["decision_id"] == f"S0@{times[decided].strftime('%Y%m%dT%H%M')}"
        assert bool(market.entry[decided])
        assert trade["side"] == int(market.direction[decided])
        assert trade["regime"] == LABELS[int(market.regime[decided])]
        assert trade["confidence"] == market.confidence[COLUMN][decided].item()
        stop = 1.5 * market.atr_frac[decided].item() * market.close.numpy()[decided]
        assert trade["stop_distance"] == pytest.approx(stop)
        assert trade["r_multiple"] == pytest.approx(trade["pnl"] / (trade["qty"] * stop))
        # A tenth of equity at the decision, in units of its close; about 1000 here.
        assert trade["qty"] == pytest.approx(0.1 * 1000.0 / market.close.numpy()[decided], rel=0.2)


def test_one_trade_by_hand():
    # Bought 1 unit at 100 with a stop of 1.5 x 4% of 100; sold at 112: two R before any cost.
    rows = 6
    direction = np.array([1, 1, 1, 0, 0, 0], dtype=np.int8)
    gap = np.array([0.0, 0.0, 0.0, 0.0, 0.12, 0.0])
    flat = make_market(rows, gap_return=gap, bar_return=np.zeros(rows), direction=direction, rates=np.zeros((rows, 4)))
    flat = replace(flat, confidence={COLUMN: torch.zeros(rows)}, atr_frac=torch.full((rows,), 0.04))
    zero = torch.zeros(1, dtype=torch.int64)
    run = backtest.run(
        flat, zero, zero + rows, torch.zeros((1, rows)), zero, constant_sizer(0.1, 0.2), Account(), record=True
    )
    trade = trades_frame(key(rows, 0), 0, run, flat, run.fills[run.fills["path"] == 0], stop_atr=1.5).iloc[0]
    assert (trade["qty"], trade["entry_price"], trade["stop_distance"]) == pytest.approx((1.0, 100.0, 6.0))
    assert trade["exit_price"] == pytest.approx(112.0)
    assert trade["pnl"] == pytest.approx(12.0)
    assert trade["r_multiple"] == pytest.approx(2.0)


def test_r_does_not_move_with_size(market):
    found = []
    for size in (0.02, 0.10):
        zero = torch.zeros(1, dtype=torch.int64)
        confidence = market.confidence[COLUMN].unsqueeze(0)
        free = remade(market, rates=torch.zeros((ROWS, 4)))
        run = backtest.run(
            free, zero + 60, zero + 200, confidence, zero, constant_sizer(size, 0.2), Account(), record=True
        )
        found.append(trades_frame(key(), 0, run, free, run.fills[run.fills["path"] == 0], stop_atr=1.5))
    np.testing.assert_allclose(found[0]["r_multiple"], found[1]["r_multiple"])
    assert not np.allclose(found[0]["pnl"], found[1]["pnl"])


def test_no_atr_no_r(market, ledger):
    cold = replace(market, atr_frac=torch.zeros(ROWS))
    trades = trades_frame(key(), 1, ledger, cold, ledger.fills[ledger.fills["path"] == 1], stop_atr=1.5)
    assert trades["r_multiple"].isna().all()
    assert (trades["stop_distance"] == 0.0).all()


def test_a_trade_left_open_is_refused(market, ledger):
    held = (ledger.position[:200, 1] != 0).nonzero().flatten()
    cut = int(held[len(held) // 2])
    with pytest.raises(LedgerError, match=r"^ledger atr S0 fold 2: a trade is still open at the path's end"):
        trades_frame(key(cut + 1), 1, ledger, market, ledger.fills[ledger.fills["path"] == 1], stop_atr=1.5)


def test_a_path_without_trades_has_no_rows(market, ledger):
    flat = replace(ledger, fills=ledger.fills.iloc[:0])
    empty = trades_frame(key(), 1, flat, market, flat.fills[flat.fills["path"] == 1], stop_atr=1.5)
    assert len(empty) == 0
    assert list(empty.columns) == list(TRADE_COLUMNS)
