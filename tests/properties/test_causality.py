"""Nothing looks ahead: taking the future away, or changing all of it, changes no row before it."""

import numpy as np
import pandas as pd
import pytest

from sizewise import config
from sizewise.confidence import fit_confidence
from sizewise.features import CONFIDENCE, NAMES, Scaler, compute_features
from sizewise.regimes import label_regimes
from sizewise.signals import trend_direction
from sizewise.splits import Fold, Slice

from .leaks import CUTS, BlindCheckError, first_leak

UNFITTED = [name for name in NAMES if name != CONFIDENCE]
# Short channels, so that the earliest cuts fall on live signals too.
QUICK = config.Signals(entry_bars=5, exit_bars=3, max_hold_bars=20, confidence_blocks=2)
SHORT_QUANTILE = config.Regimes(quantile_window_bars=400)
TRAIN = Slice(150, 900)


@pytest.fixture(params=["walk", "BTCUSDT_1h", "SPY_5m"])
def market(request, bars, real_bars):
    return bars[:2000] if request.param == "walk" else real_bars(request.param, 20_000, 22_000)


@pytest.fixture(params=["walk", "BTCUSDT_1h"])
def short_market(request, bars, real_bars):
    return bars[:1100] if request.param == "walk" else real_bars(request.param, 20_000, 21_100)


def fold(stop: int) -> Fold:
    start = pd.Timestamp("2020-03-01", tz="UTC")
    return Fold("anchored", 0, start, start + pd.Timedelta(days=30), {"one": Slice(TRAIN.start, stop)}, {})


# The library ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regimes", [config.Regimes(), SHORT_QUANTILE], ids=["default", "short quantile"])
def test_features_do_not_look_ahead(market, regimes):
    assert first_leak(lambda bars: compute_features(bars, regimes, config.Signals()), market, CUTS) is None


@pytest.mark.parametrize("regimes", [config.Regimes(), SHORT_QUANTILE], ids=["default", "short quantile"])
def test_regimes_do_not_look_ahead(market, regimes):
    assert first_leak(lambda bars: label_regimes(bars, regimes), market, CUTS) is None


def test_signals_do_not_look_ahead(market):
    assert first_leak(lambda bars: trend_direction(bars, QUICK), market, CUTS) is None


def test_default_signals_do_not_look_ahead(market):
    # Before row 48 the default channel is not full, and nothing that happens there need ever show.
    assert first_leak(lambda bars: trend_direction(bars, config.Signals()), market, [50, *CUTS[2:]]) is None


@pytest.mark.parametrize("name", UNFITTED)
def test_every_feature_reacts_to_its_own_past(name, bars):
    """The poison reaches each feature that prices or volume can move, so that none passes for want of being touched."""
    rules = SHORT_QUANTILE.model_copy(update={"high_volatility_frac": 0.009})
    plain = compute_features(bars, rules, QUICK)[name]
    changed = bars.copy()
    changed.iloc[700:] **= 1.5
    calendar = name.startswith(("hour", "weekday", "elapsed"))
    after = compute_features(changed, rules, QUICK)[name]
    assert plain[:700].equals(after[:700])
    assert plain[700:].equals(after[700:]) is calendar


def scaled(bars: pd.DataFrame, train: Slice) -> pd.DataFrame:
    values = compute_features(bars, SHORT_QUANTILE, QUICK)[UNFITTED]
    scaler = Scaler.fit(values.to_numpy()[train.start : train.stop])
    return (values - np.array(scaler.mean)) / np.array(scaler.std)


def test_the_scaler_knows_the_train_slice_alone(market):
    assert first_leak(lambda bars: scaled(bars, TRAIN), market, [900, 1200]) is None


def test_a_scaler_of_the_whole_series_is_caught(market):
    leak = first_leak(lambda bars: scaled(bars, Slice(TRAIN.start, len(bars))), market, [900, 1200])
    assert leak is not None
    assert leak[1] == 0


def confidence(bars: pd.DataFrame, train: Fold) -> pd.DataFrame:
    features = compute_features(bars, SHORT_QUANTILE, QUICK)
    model, scores = fit_confidence({"one": bars}, {"one": features}, train, QUICK)
    return pd.DataFrame({"score": scores["one"], "intercept": model.intercept, "slope": model.platt_slope})


def test_confidence_knows_the_train_slice_alone(short_market):
    assert first_leak(lambda bars: confidence(bars, fold(TRAIN.stop)), short_market, [900, 1000]) is None


def test_a_confidence_of_the_whole_series_is_caught(bars):
    assert first_leak(lambda part: confidence(part, fold(len(part))), bars[:1100], [1000]) is not None


# The detector ---------------------------------------------------------------------------------------------------------


def moves(bars):
    return np.log(bars["close"]).diff()


def daily_close(bars, lag_days):
    days = bars.index.floor("D")
    closes = bars["close"].groupby(days).last().shift(lag_days)
    return pd.DataFrame({"daily_close": closes.reindex(days).to_numpy()}, index=bars.index)


def low_pass(bars):
    spectrum = np.fft.rfft(bars["close"].to_numpy())
    spectrum[len(spectrum) // 10 :] = 0.0
    return np.fft.irfft(spectrum, n=len(bars))


def two_sided_ewm(bars):
    forward = moves(bars).ewm(alpha=0.1).mean()
    return forward[::-1].ewm(alpha=0.1).mean()[::-1]


# Seven ways to look ahead, and for six of them the honest twin.
LEAKS = {
    "shift(-1)": (lambda b: moves(b).shift(-1), lambda b: moves(b).shift(1)),
    "global z-score": (
        lambda b: (moves(b) - moves(b).mean()) / moves(b).std(),
        lambda b: (moves(b) - moves(b).expanding().mean()) / moves(b).expanding().std(),
    ),
    "centred mean": (
        lambda b: b["close"].rolling(21, center=True, min_periods=1).mean(),
        lambda b: b["close"].rolling(21, min_periods=1).mean(),
    ),
    "daily resample": (lambda b: daily_close(b, 0), lambda b: daily_close(b, 1)),
    "bfill in warm-up": (
        lambda b: b["close"].rolling(100).mean().bfill(),
        lambda b: b["close"].rolling(100).mean().ffill(),
    ),
    "FFT low-pass": (low_pass, None),
    "two-sided EWM": (two_sided_ewm, lambda b: moves(b).ewm(alpha=0.1).mean()),
}


@pytest.mark.parametrize("name", LEAKS)
def test_planted_leaks_are_caught(name, market):
    leaking, _ = LEAKS[name]
    assert first_leak(leaking, market, CUTS) is not None


@pytest.mark.parametrize("name", [name for name, (_, honest) in LEAKS.items() if honest is not None])
def test_honest_twins_pass(name, market):
    _, honest = LEAKS[name]
    assert first_leak(honest, market, CUTS) is None


def test_a_leak_is_named_by_its_earliest_cell(bars):
    def one_bad_column(part):
        return pd.DataFrame({"good": part["close"], "bad": part["close"].shift(-2), "worse": part["close"].shift(-40)})

    assert first_leak(one_bad_column, bars, [300]) == ("worse", 260)
    assert first_leak(lambda part: one_bad_column(part)[["good", "bad"]], bars, [300, 700]) == ("bad", 298)
    assert first_leak(lambda part: one_bad_column(part)[["good"]], bars, [300, 700]) is None


def test_only_a_cut_inside_the_warm_up_finds_a_backward_fill(bars):
    leaking = LEAKS["bfill in warm-up"][0]
    assert first_leak(leaking, bars, [299, 700, 1500]) is None
    assert first_leak(leaking, bars, [50]) == ("0", 0)


def test_a_category_that_looks_ahead_is_caught(bars):
    def label(part):
        rising = np.where(part["close"].shift(-1) > part["close"], "up", "down")
        return pd.DataFrame({"label": pd.Categorical(rising)}, index=part.index)

    assert first_leak(label, bars, CUTS) is not None


def test_rows_that_depend_on_how_many_there_are_are_caught(bars):
    assert first_leak(lambda part: part[["close"]].iloc[: len(part) - 1], bars, [300]) == ("close", 299)


def test_a_check_that_the_poison_cannot_reach_is_refused(bars):
    with pytest.raises(BlindCheckError, match="cut 300"):
        first_leak(lambda part: np.ones(len(part)), bars, [300])
