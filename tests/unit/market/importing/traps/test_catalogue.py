"""Every trap is met on planted bars, named with its row and remedy, and repaired by what the remedy says."""

import re

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.market.bars import validate_bars
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign, understand
from sizewise.market.importing.traps.catalogue import REPAIRS, TRAPS, check_repairs

PRICES = ["open", "high", "low", "close"]


@pytest.fixture
def hourly(real_bars) -> pd.DataFrame:
    """500 hours of BTCUSDT."""
    return real_bars("BTCUSDT_1h", 20_000, 20_500)


@pytest.fixture
def sessions(real_bars) -> pd.DataFrame:
    """Five-minute bars of SPY over thirteen sessions, without the closing auction's."""
    bars = real_bars("SPY_5m", 600, 1700)
    local = bars.index.tz_convert("America/New_York")
    days = local.normalize().unique()[1:-1]
    return bars[(local.hour < 16) & local.normalize().isin(days)]


@pytest.fixture
def split(real_bars) -> pd.DataFrame:
    """AAPL before and after its split of 2014 at the prices of the day: bundled ones are adjusted."""
    bars = real_bars("AAPL_1d").loc["2014-03-01":"2014-09-01"]
    before = bars.index < pd.Timestamp("2014-06-08", tz="UTC")
    bars.loc[before, PRICES] *= 7.0
    bars.loc[before, "volume"] /= 7.0
    return bars


def put(bars, row, **values):
    for name, value in values.items():
        bars.iloc[row, bars.columns.get_loc(name)] = value
    return bars


def zeros(bars):
    bars.iloc[40:43, :5] = 0.0
    return bars


def copied(bars):
    bars.iloc[100:106] = bars.iloc[76:82].to_numpy()
    return bars


def stuck(bars):
    """A hole filled with the bar before it, range and volume and all."""
    bars.iloc[100:104] = bars.iloc[99].to_numpy()
    return bars


def padded(bars):
    for name in PRICES:
        bars.iloc[100:112, bars.columns.get_loc(name)] = bars["close"].iloc[99]
    return put(bars, slice(100, 112), volume=0.0)


def two_at_once(bars):
    return pd.concat([bars.iloc[:51], put(bars.iloc[50:51].copy(), 0, close=bars["low"].iloc[50]), bars.iloc[51:]])


def minutes_at_the_end(bars):
    fine = bars.iloc[-30:].copy()
    fine.index = pd.date_range(bars.index[-1] + pd.Timedelta(hours=1), periods=30, freq="min", name="timestamp")
    return pd.concat([bars, fine])


def between(bars):
    odd = bars.iloc[60:61].copy()
    odd.index = odd.index + pd.Timedelta(minutes=17)
    return pd.concat([bars.iloc[:61], odd, bars.iloc[61:]])


REFUSED = [
    # trap, how it is planted, row, rows, repairs and how many bars each leaves of 500.
    ("all-zero", zeros, 40, 3, {"drop-zeros": 497}),
    ("incomplete", lambda bars: put(bars, 7, close=np.nan), 7, 1, {"drop-incomplete": 499}),
    ("incomplete", lambda bars: put(bars, 7, volume=-1.0), 7, 1, {"drop-incomplete": 499}),
    ("not-positive", lambda bars: put(bars, 8, low=0.0), 8, 1, {"drop-not-positive": 499}),
    ("conflicting-rows", two_at_once, 51, 1, {"keep-first": 500, "keep-last": 500}),
    ("mixed-lengths", minutes_at_the_end, 500, 30, {"resample-mixed": 500}),
    ("off-grid", between, 61, 1, {"drop-off-grid": 500}),
    (
        "broken-range",
        lambda bars: put(bars, 9, high=bars["low"].iloc[9] * 0.99),
        9,
        1,
        {"widen-range": 500, "drop-broken": 499},
    ),
    (
        "spikes",
        lambda bars: put(bars, 33, high=bars["high"].iloc[33] * 100),
        33,
        1,
        {"drop-spikes": 499, "keep-spikes": 500},
    ),
    (
        "spikes",
        lambda bars: put(bars, 33, **(bars.iloc[33][PRICES] / 100)),
        33,
        1,
        {"drop-spikes": 499, "keep-spikes": 500},
    ),
    ("zero-volume-padding", padded, 100, 12, {"drop-padding": 488, "keep-padding": 500}),
    ("copied-bars", copied, 100, 6, {"drop-copies": 494, "keep-copies": 500}),
    ("copied-bars", stuck, 100, 4, {"drop-copies": 496, "keep-copies": 500}),
    ("gaps", lambda bars: bars.drop(bars.index[100:280]), 100, 1, {"keep-gaps": 320}),
]


@pytest.mark.parametrize(
    ("what", "plant", "row", "count", "repairs"), REFUSED, ids=[f"{case[0]}-{i}" for i, case in enumerate(REFUSED)]
)
def test_a_trap_is_named_and_its_remedy_repairs_it(look, hourly, what, plant, row, count, repairs):
    planted = plant(hourly.copy())
    imported = look(planted)
    found = next(finding for finding in imported.refused if finding.what == what)
    assert (found.row, found.count) == (row, count)
    assert f"mine.csv: row {row} (line {row + 2})" in found.said
    assert set(re.findall(r"--repair (\S+)", found.remedy)) == set(repairs)
    for repair, left in repairs.items():
        mended = look(planted, repairs=[repair])
        assert what not in [finding.what for finding in mended.refused]
        assert len(mended.bars) == left
        kept = repair.startswith("keep-") and repair not in ("keep-first", "keep-last")
        assert any(finding.what == what and finding.repaired != kept for finding in mended.findings)
    assert mended.refused == ()
    validate_bars(mended.bars, source="mine")


def test_untouched_bars_have_nothing_wrong(look, hourly):
    imported = look(hourly)
    assert [finding.what for finding in imported.findings] == ["no-zone"]
    pd.testing.assert_frame_equal(imported.bars, hourly, check_freq=False)


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT_1h", "ETHUSD-BITFINEX_30m", "SPY_5m", "SPY_1d", "AAPL_1d", "CSI300_15m", "EURUSD_1h"]
)
def test_real_series_are_not_refused(tmp_path, real_bars, symbol):
    path = tmp_path / "mine.parquet"
    real_bars(symbol).to_parquet(path)
    imported = understand([path])
    assert imported.refused == ()
    assert len(imported.bars) == len(real_bars(symbol))


# Harmless ones.


def ulp(bars):
    high = bars["high"].iloc[5]
    return put(bars, 5, high=high, close=np.nextafter(high, np.inf))


HARMLESS = [
    ("empty-rows", lambda bars: put(bars, 5, open=np.nan, high=np.nan, low=np.nan, close=np.nan), 499),
    ("duplicate-rows", lambda bars: pd.concat([bars.iloc[:20], bars.iloc[15:]]), 500),
    ("last-digits", ulp, 500),
    (
        "unfinished-bar",
        lambda bars: bars.set_index(bars.index[:-1].append(bars.index[-1:] - pd.Timedelta(minutes=11))),
        499,
    ),
    ("close-times", lambda bars: bars.set_index(bars.index + pd.Timedelta(hours=1) - pd.Timedelta(seconds=1)), 500),
]


@pytest.mark.parametrize(("what", "plant", "left"), HARMLESS, ids=[case[0] for case in HARMLESS])
def test_harmless_ones_are_repaired_and_said(look, hourly, what, plant, left):
    imported = look(plant(hourly.copy()))
    found = next(finding for finding in imported.findings if finding.what == what)
    assert found.repaired
    assert imported.refused == ()
    assert any(found.said == sentence for sentence in imported.said)
    assert len(imported.bars) == left
    validate_bars(imported.bars, source="mine")
    if what in ("duplicate-rows", "close-times"):
        np.testing.assert_array_equal(imported.bars.index, hourly.index)


def test_the_last_digit_is_rounded_and_nothing_else_changes(look, hourly):
    mended = look(ulp(hourly.copy())).bars
    assert mended["close"].iloc[5] == mended["high"].iloc[5] == hourly["high"].iloc[5]
    pd.testing.assert_frame_equal(mended.drop(mended.index[5]), hourly.drop(hourly.index[5]), check_freq=False)


def test_small_gaps_stay_holes_and_are_counted(look, hourly):
    imported = look(hourly.drop(hourly.index[[100, 101, 200]]))
    found = next(finding for finding in imported.findings if finding.what == "gaps")
    assert (found.row, found.count, found.repaired) == (100, 2, False)
    assert "in all 2 holes of 3 bars" in found.said
    assert len(imported.bars) == 497


def test_closed_hours_are_no_gaps_and_a_hole_in_a_session_is_one(look, sessions):
    assert "gaps" not in [finding.what for finding in look(sessions).findings]
    found = look(sessions.drop(sessions.index[200:230])).findings
    assert [(finding.row, finding.count) for finding in found if finding.what == "gaps"] == [(200, 1)]


# Sessions.


def beside_the_session(sessions: pd.DataFrame) -> pd.DataFrame:
    """With an auction's print at the close of each day, and a bar of pre-market before the first."""
    local = sessions.index.tz_convert("America/New_York")
    closing = sessions[(local.hour == 15) & (local.minute == 55)]
    auctions = closing.set_index(closing.index + pd.Timedelta(minutes=5))
    early = sessions.iloc[:1].set_index(sessions.index[:1] - pd.Timedelta(minutes=30))
    return pd.concat([early, sessions, auctions]).sort_index()


def test_bars_out_of_session_are_named_and_left_out_on_demand(look, sessions):
    planted, days = beside_the_session(sessions), 13
    assert len(planted) == len(sessions) + days + 1
    found = look(planted, calendar="XNYS").refused[0]
    assert (found.what, found.row, found.count) == ("out-of-session", 0, days + 1)
    assert "by the calendar XNYS, unless --calendar or --timezone is another one" in found.said
    mended = look(planted, calendar="XNYS", repairs=["drop-out-of-session"])
    assert mended.refused == ()
    assert mended.bars.index.equals(sessions.index)
    # Without a calendar nobody knows, and pre- and post-market are a session where the user says so.
    assert "out-of-session" not in [finding.what for finding in look(planted).findings]
    wider = look(planted, calendar="XNYS", extended_hours=True, repairs=["keep-copies"])
    assert wider.refused == ()
    assert len(wider.bars) == len(planted)


def test_a_holiday_is_out_of_session(look, sessions):
    fourth = sessions.iloc[:78].set_index(pd.date_range("2019-07-04 13:30", periods=78, freq="5min", tz="UTC"))
    planted = pd.concat([sessions, fourth.rename_axis("timestamp")]).sort_index()
    found = [finding for finding in look(planted, calendar="XNYS").findings if finding.what == "out-of-session"]
    assert [finding.count for finding in found] == [78]


# Splits.


def test_a_split_is_named_adjusted_or_kept(look, split, real_bars):
    row = int((split.index < pd.Timestamp("2014-06-08", tz="UTC")).sum())
    found = look(split).refused[0]
    assert (found.what, found.row) == ("unadjusted-splits", row)
    assert "a split of 7 to 1" in found.said
    adjusted = look(split, repairs=["adjust-splits"]).bars
    bundled = real_bars("AAPL_1d").loc["2014-03-01":"2014-09-01"]
    np.testing.assert_allclose(adjusted.to_numpy(), bundled.to_numpy(), rtol=1e-12)
    kept = look(split, repairs=["keep-jumps"])
    assert kept.refused == ()
    np.testing.assert_array_equal(kept.bars["close"], split["close"])


# Labels.


def test_ends_of_bars_are_told_by_the_session(look, sessions):
    late = sessions.set_index(sessions.index + pd.Timedelta(minutes=5))
    found = look(late, zone="America/New_York").refused[0]
    assert (found.what, found.row) == ("end-labels", 0)
    for said in ({"repairs": ["end-labels"]}, {"labels": "end"}):
        imported = look(late, zone="America/New_York", **said)
        assert imported.refused == ()
        np.testing.assert_array_equal(imported.bars.index, sessions.index)
    kept = look(late, zone="America/New_York", labels="start")
    assert kept.refused == ()
    np.testing.assert_array_equal(kept.bars.index, late.index)


# Names.


def test_a_refusal_is_one_line_and_counts_the_others(tmp_path, hourly):
    planted = copied(zeros(hourly.copy()))
    path = tmp_path / "mine.csv"
    planted.reset_index().to_csv(path, index=False)
    with pytest.raises(
        BarError, match=r"mine\.csv: row 40 \(line 42\), .* UTC: is all zeros.*--repair drop-zeros \(and"
    ) as caught:
        read_foreign([path])
    assert "\n" not in str(caught.value)
    read_foreign([path], How(repairs=frozenset({"drop-zeros", "drop-copies"})))


def test_a_repair_that_there_is_not():
    with pytest.raises(BarError, match=r"--repair magic is none: there are .*drop-zeros"):
        check_repairs(frozenset({"magic"}))
    check_repairs(REPAIRS)


def test_every_trap_is_planted_somewhere():
    planted = {case[0] for case in (*REFUSED, *HARMLESS)} | {"end-labels", "unadjusted-splits", "out-of-session"}
    assert {trap.what for trap in TRAPS} == planted
