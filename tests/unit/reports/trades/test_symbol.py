"""What is drawn of a symbol equals its ledgers: sizes at the closes of days, fills at their bars."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import EQUITY_COLUMNS
from sizewise.reports.trades.letters import numbers
from sizewise.reports.trades.symbol import EVENTS, MINUTE_NS, day_ends, drawn, text_of

START = 1000.0
SYMBOL = "BTC_8h"
# Three bars a day, six days; the second fold begins on the fourth.
TIMES = pd.date_range("2020-01-01", periods=18, freq="8h", tz="UTC")
CLOSE = 100.0 + np.arange(18) * 0.5


def account(arm: str, seed: int, held: float) -> pd.DataFrame:
    equity = START * (1.0 + held * np.tile(np.arange(9), 2) / 100.0)
    regimes = [LABELS[i // 4 % 3] for i in range(18)]
    rows = {"arm": arm, "symbol": SYMBOL, "fold": np.repeat([0, 1], 9), "seed": seed, "timestamp": TIMES}
    rows |= {"equity": equity, "position_frac": held * np.arange(18) / 100.0, "regime": regimes}
    frame = pd.DataFrame(rows).reindex(columns=list(EQUITY_COLUMNS))
    return frame.assign(regime=pd.Categorical(frame["regime"], categories=list(LABELS)))


def trade(arm: str, seed: int, entry: int, leave: int, **others) -> dict[str, object]:
    known = {"side": 1, "entry_price": CLOSE[entry] + 0.1, "exit_price": CLOSE[leave] - 0.2, "pnl": 12.4}
    known |= {"stop_distance": 3.25, "r_multiple": -1.256, "regime": LABELS[1], "symbol": SYMBOL}
    times = {"entry_time": TIMES[entry], "exit_time": TIMES[leave]}
    return {"arm": arm, "fold": int(entry >= 9), "seed": seed, **times, **known, **others}


@pytest.fixture
def ledgers():
    equity = pd.concat([account("atr", 0, 1.0), account("ppo", 1, 2.0), account("ppo", 2, -1.0)], ignore_index=True)
    trades = pd.DataFrame(
        [
            trade("atr", 0, 1, 7),
            trade("ppo", 1, 10, 13, side=-1, pnl=-3.6, stop_distance=np.nan, r_multiple=np.nan),
            trade("ppo", 1, 1, 7, pnl=99.0),
            trade("ppo", 2, 1, 4),
        ]
    )
    known = {"arm": "ppo", "symbol": SYMBOL, "fold": 0, "seed": 1}
    events = pd.DataFrame([{**known, "timestamp": TIMES[i], "event": EVENTS[i % 2]} for i in (5, 2)])
    return equity, trades, events


@pytest.fixture
def bars():
    return pd.DataFrame({"close": CLOSE}, index=TIMES)


@pytest.fixture
def stored(tmp_path):
    """Stores an equity ledger, its rows in groups of so many."""

    def write(equity: pd.DataFrame, group: int = 1000):
        equity.to_parquet(tmp_path / "equity.parquet", row_group_size=group)
        return tmp_path

    return write


@pytest.fixture
def values(ledgers, bars, stored):
    equity, trades, events = ledgers
    return drawn(SYMBOL, day_ends(stored(equity)), trades, events, bars, start=START)


def series(text: str) -> list[int]:
    return np.cumsum(numbers(text)).tolist()


def test_a_day_ends_with_its_last_bar(ledgers, stored):
    equity = ledgers[0]
    ends = day_ends(stored(equity))
    assert len(ends) == 3 * 6
    assert set(ends["timestamp"].dt.hour) == {16}
    assert ends["equity"].tolist() == equity["equity"].iloc[2::3].tolist()


def test_a_day_that_two_groups_of_the_file_share_ends_once(ledgers, stored):
    whole = day_ends(stored(ledgers[0]))
    pd.testing.assert_frame_equal(day_ends(stored(ledgers[0], group=7)), whole)


def test_a_ledger_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(
        DataMissingError, match=r"equity\.parquet is missing from artifacts/ledger: run `dvc repro walk"
    ):
        day_ends(tmp_path)


def test_days_closes_and_labels_are_those_of_the_last_bars(values):
    days = pd.to_datetime(series(values["days"]), unit="D", utc=True)
    assert list(days) == list(TIMES.normalize()[2::3])
    assert np.array(series(values["closes"])) / 10 ** values["decimals"] == pytest.approx(CLOSE[2::3])
    assert [LABELS[int(code)] for code in values["regimes"]] == [LABELS[i // 4 % 3] for i in range(2, 18, 3)]
    assert values["folds"] == [[0, 3], [1, 3]]


@pytest.mark.parametrize(("arm", "seed"), [("atr", "0"), ("ppo", "1"), ("ppo", "2")])
def test_sizes_and_equity_are_the_ledgers(values, ledgers, arm, seed):
    equity = ledgers[0]
    mine = equity[(equity["arm"] == arm) & (equity["seed"] == int(seed))].iloc[2::3]
    sizes, worth = (series(text) for text in values["paths"][arm][seed][:2])
    assert np.array(sizes) / 1e4 == pytest.approx(mine["position_frac"].to_numpy(), abs=0.5e-4)
    assert np.array(worth) / 1e4 * START == pytest.approx(mine["equity"].to_numpy(), abs=0.5e-4 * START)


def test_fills_are_at_their_bars_and_prices(values, ledgers):
    trades, minute, tick = ledgers[1], pd.Timedelta(minutes=1), 10 ** values["decimals"]
    signals, entry = [], 0
    for step, held, side, stop, regime in np.reshape(numbers(values["signals"]), (-1, 5)):
        entry += step
        signals.append((entry * minute, (entry + held) * minute, side, stop / tick, LABELS[regime]))
    # That of two accounts stands once.
    assert len(signals) == 3
    closes, days = np.array(series(values["closes"])), series(values["days"])
    for arm, seeds in values["paths"].items():
        for seed, path in seeds.items():
            mine = trades[(trades["arm"] == arm) & (trades["seed"] == int(seed))]
            rows = np.reshape(numbers(path[2]), (-1, 5))
            followed = np.cumsum(rows[:, 0])
            assert len(rows) == len(mine)
            for (_, row), number, (_, entered, left, pnl, multiple) in zip(
                mine.sort_values("entry_time", kind="stable").iterrows(), followed, rows, strict=True
            ):
                epoch = pd.Timestamp(0, tz="UTC")
                begins, ends, side, stop, regime = signals[number]
                assert (epoch + begins, epoch + ends, side) == (row["entry_time"], row["exit_time"], row["side"])
                assert (stop, regime) == (np.nan_to_num(row["stop_distance"]), row["regime"])
                at = [days.index((row[name] - epoch).days) for name in ("entry_time", "exit_time")]
                prices = (closes[at] + [entered, left]) / tick
                assert prices == pytest.approx([row["entry_price"], row["exit_price"]], abs=0.5 / tick)
                assert (pnl, multiple) == (round(row["pnl"]), round(np.nan_to_num(row["r_multiple"]) * 100))


def test_what_the_venue_did_stands_in_order(values):
    met = np.reshape(numbers(values["paths"]["ppo"]["1"][3]), (-1, 2))
    minutes = np.cumsum(met[:, 0])
    assert minutes.tolist() == (TIMES[[2, 5]].as_unit("ns").asi8 // MINUTE_NS).tolist()
    assert [EVENTS[kind] for kind in met[:, 1]] == [EVENTS[0], EVENTS[1]]
    assert values["paths"]["atr"]["0"][3] == ""


def test_an_account_of_other_days_is_refused(ledgers, bars, stored):
    equity, trades, events = ledgers
    short = equity[~((equity["arm"] == "ppo") & (equity["timestamp"] >= TIMES[15]))]
    with pytest.raises(LedgerError, match=r"ppo with seed 1 covers other days of BTC_8h"):
        drawn(SYMBOL, day_ends(stored(short)), trades, events, bars, start=START)


def test_a_day_without_a_bar_is_refused(ledgers, bars, stored):
    equity, trades, events = ledgers
    with pytest.raises(LedgerError, match="BTC_8h: the ledger has bars that data/bars has not"):
        drawn(SYMBOL, day_ends(stored(equity)), trades, events, bars.drop(TIMES[5]), start=START)


def test_the_text_is_a_call_that_holds_the_values(values):
    text = text_of(SYMBOL, values)
    called = re.fullmatch(r"sizewiseTrades\((.*)\);\n", text)
    assert json.loads(f"[{called[1]}]") == [SYMBOL, values]


def test_the_order_of_the_rows_of_trades_makes_no_other_text(ledgers, bars, stored):
    equity, trades, events = ledgers
    ends = day_ends(stored(equity))
    texts = {
        text_of(SYMBOL, drawn(SYMBOL, ends, trades.iloc[order], events, bars, start=START))
        for order in ([0, 1, 2, 3], [3, 1, 2, 0])
    }
    assert len(texts) == 1
