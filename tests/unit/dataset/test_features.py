"""The 56 features: their names, their declared warm-ups, and markets that divide by nothing."""

import json

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.features import (
    CONFIDENCE,
    FEATURES,
    NAMES,
    Scaler,
    compute_features,
    first_warm_row,
    longest_warmup_days,
    warmup_days,
)
from sizewise.dataset.regimes import LABELS
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals

UNFITTED = [feature for feature in FEATURES if feature.name != CONFIDENCE]
MARKETS = ("walk", "BTCUSDT_1h", "SPY_5m")
PRICES = ["open", "high", "low", "close"]


def leading_nans(values: pd.Series) -> int:
    seen = values.notna().to_numpy()
    return int(seen.argmax()) if seen.any() else len(values)


@pytest.fixture
def bars(daily_bars):
    return daily_bars


@pytest.fixture
def market(request, make_bars, real_bars, instruments):
    """Bars and their instrument, with days enough for every window."""
    if request.param == "walk":
        return make_bars(3000, seed=7), None
    return real_bars(request.param, 1000, 16_000), instruments[request.param]


def test_there_are_56_features_with_names_of_their_own():
    assert len(NAMES) == 56
    assert len(set(NAMES)) == 56
    assert all(feature.definition for feature in FEATURES)


def test_the_table_has_the_features_in_order_then_labels_and_signal(bars, params):
    table = compute_features(bars, params.regimes, params.signals)
    assert list(table.columns) == [f.name for f in UNFITTED] + [
        "regime",
        "regime_fixed",
        "direction",
        "entry",
        "annual_vol",
    ]
    assert table.index.equals(bars.index)
    assert {str(table[feature.name].dtype) for feature in UNFITTED} == {"float64"}
    assert tuple(table["regime"].cat.categories) == LABELS


@pytest.mark.parametrize("market", MARKETS, indirect=True)
def test_declared_warm_up_is_the_observed_one_and_nothing_is_missing_after_it(market, params):
    bars, instrument = market
    table, days = compute_features(bars, params.regimes, params.signals, instrument), Days.of(bars, instrument)
    for feature in UNFITTED:
        name, declared = feature.name, warmup_days(feature, params.regimes)
        if name == "elapsed_bars":
            assert (declared, leading_nans(table[name])) == (0, 1)
            continue
        first = leading_nans(table[name])
        # The day before is enough once it is over, which a bar that ends it knows.
        at_its_end = days.number[first] == days.last[first] == declared - 1
        assert days.number[first] == declared or at_its_end, name
        assert np.isfinite(table[name].to_numpy()[first:]).all(), name
    assert longest_warmup_days(params.regimes) == max(warmup_days(f, params.regimes) for f in UNFITTED)
    first = first_warm_row(bars, instrument, params.regimes)
    assert np.isfinite(table[[f.name for f in UNFITTED]].to_numpy()[first:]).all()


def test_bars_that_never_warm_up_have_no_first_warm_row(bars, params):
    assert first_warm_row(bars[:50], None, params.regimes) == 50


@pytest.mark.parametrize("window", [4, 7, 400, 1000])
def test_the_quantile_warm_up_follows_its_parameter(bars, params, window):
    rules = params.regimes.model_copy(update={"quantile_window_days": window})
    table = compute_features(bars, rules, params.signals)
    feature = FEATURES[NAMES.index("regime_high_vol")]
    assert leading_nans(table["regime_high_vol"]) + 1 == warmup_days(feature, rules) == 14 + max(2, window // 4)
    assert longest_warmup_days(rules) == max(101, warmup_days(feature, rules))


def constant_price(bars):
    return bars.assign(**dict.fromkeys(PRICES, 100.1))


def no_volume(bars):
    return bars.assign(volume=0.0)


def dead(bars):
    return no_volume(constant_price(bars))


def halted(bars):
    """Trades for 1,000 bars, then stands still at its last price without volume."""
    still = bars.copy()
    still.iloc[1000:, :4] = bars["close"].iloc[999]
    still.iloc[1000:, 4] = 0.0
    return still


def one_tick(bars):
    """One smallest step in 3,000 bars: variances of about 1e-15."""
    steady = constant_price(bars) * 640.0
    steady.iloc[1500:, :4] += 0.01
    return steady


def tiny_prices(bars):
    return bars.assign(**{name: bars[name] * 1e-8 for name in PRICES})


@pytest.mark.parametrize("change", [constant_price, no_volume, dead, halted, one_tick, tiny_prices])
def test_degenerate_markets_have_finite_features_after_the_same_warm_up(change, bars, params):
    table = compute_features(change(bars), params.regimes, params.signals)
    for feature in UNFITTED:
        first = warmup_days(feature, params.regimes) or 1
        assert leading_nans(table[feature.name]) in (first - 1, first), feature.name
        assert np.isfinite(table[feature.name].to_numpy()[first:]).all(), feature.name


def test_a_dead_market_reads_as_nothing_happening(bars, params):
    table = compute_features(dead(bars), params.regimes, params.signals).iloc[600:]
    silent = [
        "ret_24", "body_frac", "realised_vol_24", "vol_ratio", "adx_14", "efficiency_24", "ema_distance_24",
        "macd_line", "skew_96", "kurtosis_96", "autocorrelation_48", "volume_z_24", "balance_flow_24",
        "vwap_distance_24", "roll_spread_48", "corwin_schultz_24", "signal_direction", "regime_high_vol",
    ]  # fmt: skip
    assert (table[silent].abs() < 1e-9).all().all()
    assert set(table["regime"]) == {"low_vol_ranging"}


def test_without_volume_the_volume_features_say_nothing(bars, params):
    table = compute_features(no_volume(bars), params.regimes, params.signals).iloc[600:]
    silent = ["volume_z_24", "volume_z_96", "balance_flow_24", "vwap_distance_24"]
    assert (table[silent] == 0.0).all().all()
    np.testing.assert_allclose(table["amihud_48"], np.log(1e-12))


def test_features_do_not_know_the_price_level(bars, params):
    # A factor of 2 is exact in binary, so equality is too.
    scaled = compute_features(
        bars.assign(**{name: bars[name] * 2.0 for name in PRICES}), params.regimes, params.signals
    )
    plain = compute_features(bars, params.regimes, params.signals)
    level_free = [name for name in plain if name != "amihud_48"]
    pd.testing.assert_frame_equal(scaled[level_free], plain[level_free], rtol=1e-9, atol=1e-9)
    # Impact is per unit of quote currency: twice the price, half the impact.
    gap = (plain["amihud_48"] - scaled["amihud_48"]).iloc[49:]
    np.testing.assert_allclose(gap, np.log(2.0), rtol=1e-6)


def test_the_signal_features_are_the_signal(bars, params):
    table = compute_features(bars, params.regimes, params.signals)
    assert (table["signal_direction"] == table["direction"]).all()
    assert table["direction"].abs().sum() > 500
    age = table["signal_age"] * params.signals.max_hold_days
    assert ((age == 0) | (table["direction"] != 0)).all()
    assert (age[table["entry"]] == 0).all()
    assert table["signal_age"].between(0.0, 1.0).all()


@pytest.mark.parametrize("n_bars", [1, 2, 14, 30])
def test_a_start_too_short_for_any_window_gives_its_missing_values(n_bars, bars, params):
    table = compute_features(bars[:n_bars], params.regimes, params.signals)
    assert len(table) == n_bars
    assert table["ret_96"].isna().all()
    assert table["hour_sin"].notna().all()


def test_the_scaler_is_fitted_on_the_rows_it_is_given(bars, params):
    values = compute_features(bars, params.regimes, params.signals)[[f.name for f in UNFITTED]].to_numpy()
    train = values[600:2000]
    scaler = Scaler.fit(train)
    varies = train.std(axis=0) > 1e-9
    scaled = (train - scaler.mean) / scaler.std
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-5)  # six digits, see arithmetic.fitted
    np.testing.assert_allclose(scaled.std(axis=0)[varies], 1.0, rtol=1e-5)
    assert Scaler.fit(values[600:2500]) != scaler


def test_the_scaler_ignores_warm_up_and_keeps_constants_at_their_offset():
    values = np.array([[np.nan, 3.0], [1.0, 3.0], [5.0, 3.0]])
    assert Scaler.fit(values) == Scaler(mean=(3.0, 3.0), std=(2.0, 1.0))


def test_the_scaler_travels_as_json(bars, params):
    values = compute_features(bars, params.regimes, params.signals)[[f.name for f in UNFITTED]].to_numpy()
    scaler = Scaler.fit(values)
    assert Scaler.from_json(json.loads(json.dumps(scaler.to_json()))) == scaler


def test_parameters_reach_the_features(bars, params):
    plain = compute_features(bars, params.regimes, params.signals)
    other = compute_features(
        bars, Regimes(trending_adx=60.0, trending_strength=1.0), Signals(family=Donchian(entry_days=5))
    )
    assert other["regime_trending"].sum() < plain["regime_trending"].sum()
    assert other["entry"].sum() > plain["entry"].sum()


def test_within_a_day_only_the_close_moves(real_bars, instruments, params):
    """What a window says is of days that are over; where the close stands among their levels follows the bar."""
    bars = real_bars("BTCUSDT_1h", 0, 6000)
    table = compute_features(bars, params.regimes, params.signals, instruments["BTCUSDT_1h"]).iloc[4800:]
    # A day is over at 23:00, whose bar begins what is known during the next.
    by_day = table.groupby((table.index + pd.Timedelta(hours=1)).floor("D"))
    moving = [f for f in UNFITTED if (by_day[f.name].max() > by_day[f.name].min()).any()]
    assert {f.name for f in moving if f.group not in ("calendar", "signal")} == {
        *(f.name for f in FEATURES if f.group == "return"),
        "atr_frac", "ema_distance_24", "ema_distance_96", "donchian_position_48", "drawdown_96", "runup_96",
        "bollinger_position_20", "vwap_distance_24",
    }  # fmt: skip


def test_yearly_volatility_is_that_of_the_days_really_traded(real_bars, instruments, params):
    for symbol, per_year in (("BTCUSDT_1h", 365.25), ("SPY_5m", 252.0)):
        table = compute_features(real_bars(symbol)[:50_000], params.regimes, params.signals, instruments[symbol])
        factor = (table["annual_vol"] / table["ewma_vol"]).iloc[-1] ** 2
        assert factor == pytest.approx(per_year, rel=0.01)
