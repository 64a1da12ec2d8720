"""Slices of the market: which day gets which label, from closes small enough to count, and that none knows its own day."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.dataset import slices
from sizewise.dataset.days import Days
from sizewise.dataset.regimes import label_regimes
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.evidence.slices import Slices

RULES = Slices(markov_min_days=40, trend_days=3, sideways_frac=0.05, declining_days=4, declining_frac=0.10)
UNKNOWN = slices.UNLABELLED


def daily_bars(closes, start="2020-01-01", bars_a_day=2, skip=()) -> pd.DataFrame:
    """Bars every 24 / bars_a_day hours whose last one of each day ends at the close given; days of `skip` have none."""
    days = pd.date_range(start, periods=len(closes), freq="D", tz="UTC")
    kept = [i for i, day in enumerate(days) if day.day_of_week not in skip]
    times = [days[i] + pd.Timedelta(hours=24 / bars_a_day * k) for i in kept for k in range(bars_a_day)]
    close = np.repeat(np.asarray(closes, dtype=float)[kept], bars_a_day)
    # Within a day the price is elsewhere, so that only its last close can give the label.
    close[np.arange(len(close)) % bars_a_day != bars_a_day - 1] *= 3.0
    columns = {"open": close, "high": 1.01 * close, "low": 0.99 * close, "close": close, "volume": 1.0}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(times, name="timestamp"))


# By rule.


def test_a_days_trend_is_that_of_the_days_before_it():
    # Over 3 days to the close before: 100 -> 106 is bull, -> 104 and -> 96 sideways, -> 94 bear.
    closes = [100, 100, 100, 106, 104, 96, 99.64, 50]
    found = slices.trend_labels(daily_bars(closes), RULES)
    assert found.tolist() == [UNKNOWN] * 4 + ["bull", "sideways", "sideways", "bear"]
    assert found.index.equals(pd.date_range("2020-01-01", periods=8, freq="D", tz="UTC"))


def test_the_edge_of_sideways_belongs_to_the_trend():
    found = slices.trend_labels(daily_bars([100, 1, 1, 105.0, 1]), RULES)
    assert found.iloc[-1] == "bull"
    found = slices.trend_labels(daily_bars([100, 1, 1, 104.99, 1]), RULES)
    assert found.iloc[-1] == "sideways"


def test_a_decline_is_measured_from_the_trailing_high():
    # Highs over 4 days, today among them: 110 until the fourth close after it.
    closes = [100, 110, 105, 99, 99.5, 98, 97, 97]
    found = slices.decline_labels(daily_bars(closes), RULES)
    assert found.tolist()[:4] == [UNKNOWN] * 4
    assert found.tolist()[4:] == ["declining", "not_declining", "not_declining", "not_declining"]


def test_the_edge_of_a_decline_is_declining():
    assert slices.decline_labels(daily_bars([100, 100, 100, 90, 1]), RULES).iloc[-1] == "declining"
    assert slices.decline_labels(daily_bars([100, 100, 100, 90.01, 1]), RULES).iloc[-1] == "not_declining"


def test_calendar_days_count_where_the_market_is_closed():
    # 2020-01-01 is a Wednesday; no bars on weekends. Monday's label looks from Friday's close back to Thursday's.
    closes = [100, 100, 120, 0, 0, 1, 1]
    found = slices.trend_labels(daily_bars(closes, skip=(5, 6)), RULES)
    assert len(found) == 5
    # To Sunday, where Friday's 120 still stands, from Thursday's 100.
    assert found[pd.Timestamp("2020-01-06", tz="UTC")] == "bull"


def test_the_fixed_rule_is_that_of_the_last_bar_before_the_day(bars):
    # Of this walk's days about half range more than 5%, and a low ADX calls some of them trending.
    rules = Regimes(quantile_window_days=40, high_volatility_frac=0.05, trending_adx=15)
    found = slices.fixed_rule_labels(bars, rules)
    by_bar = label_regimes(Days.of(bars), rules)["regime_fixed"].astype(str).set_axis(bars.index)
    # ADX needs twice its 14 days.
    assert found.iloc[:28].tolist() == [UNKNOWN] * 28
    for day in range(28, 125):
        before = by_bar[bars.index < found.index[day]].iloc[-1]
        assert found.iloc[day] == before
    assert set(found) == {UNKNOWN, *slices.CUTS["fixed_rule"]}


@pytest.mark.parametrize("name", ["trend", "decline", "fixed"])
@pytest.mark.parametrize("day", [10, 33, 60])
def test_no_bar_of_the_day_itself_moves_its_label(bars, name, day):
    rules = RULES.model_copy(update={"declining_frac": 0.02, "sideways_frac": 0.01})
    make = {
        "trend": lambda b: slices.trend_labels(b, rules),
        "decline": lambda b: slices.decline_labels(b, rules),
        "fixed": lambda b: slices.fixed_rule_labels(b, Regimes(high_volatility_frac=0.05)),
    }[name]
    start = 24 * day
    spoilt = bars.copy()
    spoilt.iloc[start:] *= np.where(np.arange(len(bars) - start) // 24 % 2, 3.0, 0.3)[:, None]
    before, after = make(bars), make(spoilt)
    assert before[: day + 1].equals(after[: day + 1])
    assert not before[day + 1 :].equals(after[day + 1 :])


# The Markov model.


@pytest.fixture(scope="module")
def switching() -> tuple[pd.DataFrame, np.ndarray]:
    """400 days of two volatilities, 1% and 5%, in stays of 50; and where it is turbulent."""
    turbulent = (np.arange(400) // 50) % 2 == 1
    moves = np.random.default_rng(7).normal(0.0, np.where(turbulent, 0.05, 0.01))
    return daily_bars(100.0 * np.exp(np.cumsum(moves)), bars_a_day=1), turbulent


def test_the_fit_finds_planted_volatilities_and_orders_them(switching):
    bars, _ = switching
    fit = slices.fit_markov(bars, Slice(0, 300), RULES)
    assert fit.problem == ""
    assert fit.n_days == 298  # 300 closes, and the last day of a slice may be cut short
    stays, ends, _, calm, turbulent = fit.parameters
    assert np.sqrt([calm, turbulent]) == pytest.approx([1.0, 5.0], rel=0.25)
    assert stays > 0.9
    assert ends < 0.1


def test_the_filter_follows_the_planted_states_a_few_days_late(switching):
    bars, turbulent = switching
    labels = slices.markov_labels(bars, slices.fit_markov(bars, Slice(0, 300), RULES), 0)
    right = (labels == "turbulent").to_numpy() == turbulent
    settled = np.arange(400) % 50 > 8
    assert right[settled].mean() > 0.95
    # What is smoothed would know a turn on its first day; what is filtered and known before cannot.
    assert right[50:400:50].mean() < 0.5


def test_equal_bars_give_equal_parameters(switching):
    bars, _ = switching
    fits = [slices.fit_markov(bars.copy(), Slice(0, 300), RULES) for _ in range(2)]
    assert fits[0] == fits[1]


@pytest.mark.parametrize("stop", [200, 300])
def test_only_the_train_slice_is_fitted(switching, stop):
    bars, _ = switching
    spoilt = bars.copy()
    spoilt.iloc[stop:] *= 9.0
    assert slices.fit_markov(spoilt, Slice(0, stop), RULES) == slices.fit_markov(bars, Slice(0, stop), RULES)
    assert slices.fit_markov(spoilt, Slice(0, stop + 50), RULES) != slices.fit_markov(bars, Slice(0, stop + 50), RULES)


def test_a_fit_that_fails_is_named_and_labels_nothing(switching, monkeypatch):
    bars, _ = switching
    short = slices.fit_markov(bars, Slice(0, 30), RULES)
    assert short.problem == "28 train days, 40 are needed"
    still = slices.fit_markov(daily_bars([100.0] * 90), Slice(0, 180), RULES)
    assert still.problem == "the price does not move"
    monkeypatch.setattr(slices, "OPTIMISER_STEPS", 1)
    stuck = slices.fit_markov(bars, Slice(0, 300), RULES)
    assert stuck.problem == "the fit does not converge in 1 steps"
    for fit in (short, still, stuck):
        assert set(slices.markov_labels(bars, fit, 0)) == {UNKNOWN}


def test_the_stub_of_a_sunday_is_part_of_monday():
    # Bars on Sundays but none on Saturdays, as in foreign exchange: 2020-01-05 is the first Sunday.
    closes = 100.0 + np.arange(41)
    bars = daily_bars(closes, bars_a_day=1, skip=(5,))
    returns = slices._returns(bars)
    assert not (pd.DatetimeIndex(returns.index).day_of_week == 6).any()
    total = 100.0 * np.log(bars["close"].iloc[-1] / bars["close"].iloc[0])
    assert returns.sum() == pytest.approx(total)
    # A market that trades on Saturdays keeps its Sundays.
    assert (pd.DatetimeIndex(slices._returns(daily_bars(closes, bars_a_day=1)).index).day_of_week == 6).sum() == 6


def test_a_fold_that_ends_on_such_a_sunday_is_labelled(switching):
    moves = np.random.default_rng(3).normal(0.0, np.where((np.arange(200) // 50) % 2 == 1, 0.05, 0.01))
    bars = daily_bars(100.0 * np.exp(np.cumsum(moves)), bars_a_day=1, skip=(5,))
    bars = bars[: int(np.flatnonzero(bars.index.day_of_week == 6)[-1]) + 1]
    fit = slices.fit_markov(bars, Slice(0, 120), RULES)
    assert fit.problem == ""
    assert slices.markov_labels(bars, fit, 0).iloc[-1] != UNKNOWN


# All of a walk-forward.


@pytest.fixture(scope="module")
def labelled(quick):
    rules, regimes = quick.params.slices, quick.params.regimes
    return slices.label_days(quick.universe.bars, quick.folds["rolling"], rules, regimes, quick.universe.instruments)


def test_every_test_day_of_every_symbol_has_a_label_of_each_cut(quick, labelled):
    labels, fits = labelled
    assert list(labels.columns) == ["symbol", "day", "fold", *slices.CUTS]
    assert not labels.isna().any(axis=None)
    expected = set()
    for fold in quick.folds["rolling"]:
        for symbol, part in fold.test.items():
            days = quick.universe.bars[symbol].index[part.start : part.stop].floor("D").unique()
            expected |= {(symbol, day, fold.number) for day in days}
    rows = labels[["symbol", "day", "fold"]].itertuples(index=False, name=None)
    assert set(rows) == expected
    assert len(labels) == len(expected)
    for cut, names in slices.CUTS.items():
        assert set(labels[cut]) <= {*names, UNKNOWN}
    assert fits[["symbol", "fold"]].to_numpy().tolist() == [
        [symbol, fold.number]
        for symbol in quick.universe.bars
        for fold in quick.folds["rolling"]
        if symbol in fold.test
    ]


def test_a_folds_labels_do_not_depend_on_the_bars_after_it(quick, labelled):
    fold = quick.folds["rolling"][0]
    known = {symbol: frame[frame.index < fold.test_end] for symbol, frame in quick.universe.bars.items()}
    again, fits = slices.label_days(
        known, [fold], quick.params.slices, quick.params.regimes, quick.universe.instruments
    )
    labels = labelled[0]
    pd.testing.assert_frame_equal(again, labels[labels["fold"] == 0].reset_index(drop=True))
    assert fits["fold"].tolist() == [0] * len(fits)


def test_too_little_train_is_told(quick):
    rules = quick.params.slices.model_copy(update={"markov_min_days": 1000})
    labels, fits = slices.label_days(
        quick.universe.bars, quick.folds["rolling"], rules, quick.params.regimes, quick.universe.instruments
    )
    assert set(labels["markov"]) == {UNKNOWN}
    assert fits["problem"].str.contains("train days, 1000 are needed").all()
    said = slices.fit_sentence(fits)
    assert said.startswith(f"Of {len(fits)} Markov models 0 hold. Unlabelled by this cut: BTCUSDT_1h in fold 0 (")
    assert fits[["calm_vol_pct", "turbulent_vol_pct", "calm_days", "turbulent_days"]].isna().all(axis=None)


def test_models_that_hold_are_told_in_days_and_percent(switching, instruments):
    bars, _ = switching
    day = bars.index[0]
    folds = [Fold("rolling", 0, day, day, {"S": Slice(0, 300)}, {"S": Slice(310, 400)})]
    _, fits = slices.label_days({"S": bars}, folds, RULES, Regimes(), {"S": instruments["BTCUSDT_1h"]})
    (row,) = fits.itertuples()
    assert [row.calm_vol_pct, row.turbulent_vol_pct] == pytest.approx([1.0, 5.0], rel=0.25)
    assert row.calm_days > 10
    assert slices.fit_sentence(fits) == "Of 1 Markov models 1 hold."


def test_models_by_symbol_leave_out_those_that_failed():
    rows = [("A", 0, 90, "", 1.0, 4.0, 9.0, 2.0), ("A", 1, 90, "", 3.0, 6.0, 11.0, 4.0)]
    rows += [("A", 2, 9, "too few", *[np.nan] * 4), ("B", 0, 9, "too few", *[np.nan] * 4)]
    names = ["symbol", "fold", "n_days", "problem", "calm_vol_pct", "turbulent_vol_pct", "calm_days", "turbulent_days"]
    table = slices.fit_table(pd.DataFrame(rows, columns=names))
    assert table.loc["A"].tolist() == [3, 2, 2.0, 5.0, 10.0, 3.0]
    assert table.loc["B", ["folds", "models"]].tolist() == [1, 0]
    assert table.loc["B"].isna().sum() == 4


def test_labels_travel_through_a_file(labelled, tmp_path):
    slices.write_labels(tmp_path / "ledger", labelled[0])
    pd.testing.assert_frame_equal(slices.read_labels(tmp_path / "ledger"), labelled[0])
    with pytest.raises(DataMissingError, match=r"slices.parquet is missing .* run `dvc repro walk_forward`"):
        slices.read_labels(tmp_path)


def test_a_slice_of_each_kind_is_what_the_cut_says():
    assert slices.CUTS["decline"] == ("declining", "not_declining")
    assert all(len(names) <= 4 and UNKNOWN not in names for names in slices.CUTS.values())
