"""What train slices teach: volatility by GARCH, forecasts by ridge, bets by calibration, each against its formula."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.arms import KellyArm, KellyForecastArm, MetaLabelArm, VolTargetGarchArm
from sizewise.sizing.calibrated import bet_size, break_even, calibrated, fit_platt
from sizewise.sizing.fits import FITS, fold_stretch, kelly_shares
from sizewise.sizing.forecasts import fit_garch
from sizewise.sizing.opportunities import find_opportunities

from ...hand_market import make_market, priced, remade

DAYS, HOURS, LIMIT = 160, 24, 1.0
TRAIN, TEST = Slice(0, 100 * HOURS), Slice(101 * HOURS, DAYS * HOURS)
NOON = pd.Timestamp("2020-01-01", tz="UTC")
FOLD = Fold("rolling", 0, NOON, NOON, {"S0": TRAIN}, {"S0": TEST})
GARCH = VolTargetGarchArm(kind="vol_target_garch", annual_vol_frac=0.10, window_sessions=30, min_sessions=60)
FORECAST = KellyForecastArm(kind="kelly_forecast", min_samples=50, ridge=0.5)
META = MetaLabelArm(kind="meta_label")


@pytest.fixture(scope="module")
def market() -> Market:
    rows = DAYS * HOURS
    rng = np.random.default_rng(8)
    features = rng.normal(size=(rows, 3)).astype(np.float32) * np.array([1.0, 10.0, 0.0], dtype=np.float32)
    found = make_market(rows, seed=8, elapsed_days=np.full(rows, 1.0 / HOURS), features=features)
    claims = torch.from_numpy(rng.uniform(0.2, 0.8, rows).astype(np.float32))
    return replace(found, confidence={"confidence_rolling_0": claims})


def sizes(market: Market, arm, part: Slice = TEST) -> np.ndarray:
    taught = FITS[arm.kind](arm, market, FOLD, LIMIT)["S0"]
    return taught.sizes(fold_stretch(market, FOLD, "S0", part.start, part.stop))


def closes(market: Market) -> pd.Series:
    """By calendar day, the last close."""
    close = pd.Series(market.tape.column("close")[:, 0].numpy(), index=market.times)
    return close.groupby(close.index.floor("D")).last()


# GARCH.


def test_the_garch_size_has_the_targets_volatility_by_what_closed_before(market):
    daily = closes(market)
    known = daily.pct_change().dropna()
    end_of_train = market.times[TRAIN.stop - 1]
    garch = fit_garch(known[known.index <= end_of_train].to_numpy())
    found = sizes(market, GARCH)
    for row in (TEST.start, TEST.start + 22, TEST.start + 23, TEST.start + 500, TEST.stop - 1):
        time = market.times[row]
        over = known[known.index + pd.Timedelta(hours=HOURS - 1) <= time].to_numpy()[-GARCH.window_sessions :]
        variance = garch.start
        for r in over:
            variance = garch.omega + garch.alpha * r * r + garch.beta * variance
        assert found[row - TEST.start] == pytest.approx(0.10 / np.sqrt(365.25 * variance), rel=1e-3)
    assert found[22] != found[23]


def test_too_few_sessions_are_not_fitted(market):
    taught = FITS["vol_target_garch"](GARCH.model_copy(update={"min_sessions": 100}), market, FOLD, LIMIT)["S0"]
    assert taught.rows == [{"n_returns": 99}]
    assert not taught.sizes(fold_stretch(market, FOLD, "S0", TEST.start, TEST.stop)).any()


# Forecasts.


def test_the_forecast_size_is_mu_over_variance_on_the_signals_side(market):
    daily = closes(market).to_numpy()[:100]
    ends = np.arange(100) * HOURS + HOURS - 1
    x = market.features[ends[:-5]].double().numpy()
    y = (daily[5:] / daily[:-5] - 1.0) * 365.25 / 5.0
    mean, scale = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    standard = (x - mean) / scale
    beta = np.linalg.inv(standard.T @ standard + 0.5 * len(y) * np.eye(3)) @ standard.T @ (y - y.mean())
    rows = slice(TEST.start, TEST.stop)
    mu = y.mean() + (market.features[rows].double().numpy() - mean) / scale @ beta
    wanted = 0.5 * market.direction[rows].numpy() * mu / market.annual_vol[rows].numpy() ** 2
    np.testing.assert_allclose(sizes(market, FORECAST), np.maximum(wanted, 0.0), rtol=2e-3, atol=1e-4)
    assert 0.1 < (wanted > 0.0).mean() < 0.9


def test_too_few_samples_are_not_fitted(market):
    taught = FITS["kelly_forecast"](FORECAST.model_copy(update={"min_samples": 96}), market, FOLD, LIMIT)["S0"]
    assert taught.rows == [{"n_samples": 95}]
    assert not taught.sizes(fold_stretch(market, FOLD, "S0", TEST.start, TEST.stop)).any()


# Meta-labels.


@pytest.mark.parametrize("chance", [None, 0.5, 0.3])
def test_the_meta_label_is_the_atr_size_times_its_bet(market, chance):
    arm = META.model_copy(update={"chance": chance})
    trades = find_opportunities(market, FOLD.train)
    gains = trades.unit_return / market.atr_frac.numpy()[trades.entry_row]
    claims = market.confidence["confidence_rolling_0"].double().numpy()
    slope, intercept = fit_platt(claims[trades.entry_row], trades.unit_return > 0.0)
    level = break_even(gains) if chance is None else chance
    rows = slice(TEST.start, TEST.stop)
    bets = bet_size(calibrated(claims[rows], slope, intercept), level)
    np.testing.assert_allclose(sizes(market, arm), bets * 0.005 / (1.5 * market.atr_frac[rows].numpy()), rtol=1e-9)
    assert len(trades) > 100


def test_without_losses_or_trades_nothing_is_calibrated(market):
    few = META.model_copy(update={"min_trades": 10_000})
    assert not sizes(market, few).any()
    won = remade(
        market, **priced(market) | {"gap_return": 0.0 * market.gap_return, "bar_return": 0.02 * market.direction}
    )
    assert FITS["meta_label"](META, won, FOLD, LIMIT)["S0"].rows == [
        {"n_trades": len(find_opportunities(won, FOLD.train))}
    ]


# Kelly.


def test_kelly_is_one_share_a_symbol_unless_regimes_are_asked_for(market):
    shares = [
        kelly_shares(market, FOLD.train, KellyArm(kind="kelly", min_trades=5, by_regime=by_regime), LIMIT)
        for by_regime in (False, True)
    ]
    assert {(pooled, share) for _, pooled, share in shares[0].values()} == {(True, shares[0]["S0", LABELS[0]][2])}
    assert [n for n, _, _ in shares[0].values()] == [n for n, _, _ in shares[1].values()]


# All of them.


@pytest.mark.parametrize("arm", [GARCH, FORECAST, META], ids=lambda arm: arm.kind)
def test_what_is_fitted_knows_train_and_its_sizes_know_their_past(market, arm):
    cut = TEST.start + 700
    poisoned = priced(market) | {name: getattr(market, name).clone() for name in ("atr_frac", "annual_vol")}
    for name in ("gap_return", "bar_return", "high", "low", "atr_frac", "annual_vol"):
        poisoned[name][cut:] = poisoned[name][cut:] * 3.0 + 0.01
    # Both made the same way, so that their closes round alike.
    before, after = (sizes(remade(market, **columns), arm) for columns in (priced(market), poisoned))
    np.testing.assert_allclose(after[:700], before[:700], rtol=1e-12)
    assert not np.allclose(after[700:], before[700:])
