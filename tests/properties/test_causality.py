"""Nothing looks ahead: taking the future away, or changing all of it, changes no row before it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.causality import CausalityError, check_causal
from sizewise.dataset.confidence import confidence_column, fit_confidence
from sizewise.dataset.days import Days
from sizewise.dataset.features import CONFIDENCE, NAMES, Scaler, compute_features
from sizewise.dataset.market_tensor import Market, build_market, fold_confidence
from sizewise.dataset.own.features import Features, own_values
from sizewise.dataset.regimes import label_regimes
from sizewise.dataset.signals import signal_stream
from sizewise.dataset.slices import decline_labels, fit_markov, fixed_rule_labels, markov_labels, trend_labels
from sizewise.dataset.splits import Fold, Slice, walk_forward
from sizewise.gym.features import bar_features
from sizewise.learning.ppo.encoders import MarketView, fit_scalers
from sizewise.market.instruments import load_instruments
from sizewise.params import own_class
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.evidence.slices import Slices
from sizewise.params.trading.account import Account
from sizewise.sizing.sizers import AT_MARKET, Situation, Sizer
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.orders import Orders

from ..hand_sizers import atr_sizer
from .leaks import CUTS, FEW, LEAKS, first_leak

UNFITTED = [name for name in NAMES if name != CONFIDENCE]
# Short channels, so that the earliest cuts fall on live signals too.
QUICK = Signals(family=Donchian(entry_days=2, exit_days=1), max_hold_days=4, confidence_blocks=2)
SHORT_QUANTILE = Regimes(quantile_window_days=40)
SHORT_SLICES = Slices(markov_min_days=20, trend_days=5, sideways_frac=0.01, declining_days=8, declining_frac=0.02)
# From where every input is warm: a hundred sessions.
TRAIN = Slice(2450, 4000)
WINDOW = 8


@pytest.fixture(params=["walk", "BTCUSDT_1h", "SPY_5m"])
def market(request, bars, real_bars):
    rows = {"BTCUSDT_1h": 2000, "SPY_5m": 4000}  # over fifty sessions each
    return bars[:2000] if request.param == "walk" else real_bars(request.param, 20_000, 20_000 + rows[request.param])


@pytest.fixture
def long_walk(make_bars):
    return make_bars(TRAIN.stop + 200, seed=20200101)


@pytest.fixture(params=["walk", "BTCUSDT_1h"])
def fitted_market(request, long_walk, real_bars):
    """The train slice and two hundred bars more."""
    return long_walk if request.param == "walk" else real_bars(request.param, 20_000, 20_000 + TRAIN.stop + 200)


def cuts(market: pd.DataFrame) -> tuple[int, ...]:
    """Inside the warm-up, and behind it, where what looks back over sessions has something to say."""
    return (*CUTS, len(market) - 100)


def fold(stop: int) -> Fold:
    start = pd.Timestamp("2020-03-01", tz="UTC")
    return Fold("anchored", 0, start, start + pd.Timedelta(days=30), {"one": Slice(TRAIN.start, stop)}, {})


@pytest.fixture
def terms(instruments):
    """`terms(bars)`: the instrument of real bars, whose calendar cuts their days."""
    return lambda bars: instruments.get(bars.attrs.get("symbol"))


# Features, regimes, signals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regimes", [Regimes(), SHORT_QUANTILE], ids=["default", "short quantile"])
def test_features_do_not_look_ahead(market, regimes, terms):
    def table(bars):
        return compute_features(bars, regimes, Signals(), terms(bars))

    assert check_causal(table, market, cuts(market)) == []


def test_gymnasium_features_do_not_look_ahead(market):
    assert check_causal(bar_features, market, CUTS) == []


@pytest.mark.parametrize("regimes", [Regimes(), SHORT_QUANTILE], ids=["default", "short quantile"])
def test_regimes_do_not_look_ahead(market, regimes, terms):
    assert check_causal(lambda bars: label_regimes(Days.of(bars, terms(bars)), regimes), market, cuts(market)) == []


@pytest.mark.parametrize("rule", [Signals(), QUICK], ids=["default", "short channels"])
def test_signals_do_not_look_ahead(market, rule, terms):
    assert check_causal(lambda bars: signal_stream(bars, rule, Days.of(bars, terms(bars))), market, cuts(market)) == []


@pytest.mark.parametrize("name", UNFITTED)
def test_every_feature_reacts_to_its_own_past(name, daily_bars):
    """The poison reaches each feature that prices or volume can move, so that none passes for want of being touched."""
    rules = SHORT_QUANTILE.model_copy(update={"high_volatility_frac": 0.009})
    plain = compute_features(daily_bars, rules, QUICK)[name]
    changed = daily_bars.copy()
    changed.iloc[700:] **= 1.5
    calendar = name.startswith(("hour", "weekday", "elapsed"))
    after = compute_features(changed, rules, QUICK)[name]
    assert plain[:700].equals(after[:700])
    assert plain[700:].equals(after[700:]) is calendar


class Booked(Features):
    """A column of the bars beside its mean so far, or that of all bars."""

    peeks: bool = False

    def definitions(self):
        return {"place": "the column less its mean"}

    def values(self, bars, days):
        flow = bars["flow"]
        mean = flow.mean() if self.peeks else flow.expanding().mean()
        return {"place": (flow - mean).to_numpy()}


@pytest.mark.parametrize("peeks", [False, True])
def test_features_of_ones_own_do_not_look_ahead(market, terms, peeks, monkeypatch):
    monkeypatch.setattr(own_class, "own_class", lambda *_: Booked)
    own = OwnFeatures.model_validate({"columns": ["flow"], "class": "own/booked.py:Booked", "peeks": peeks})
    flow = market.assign(flow=np.log(market["close"]).diff().fillna(0.0))
    flow.attrs = market.attrs

    def table(bars):
        return pd.DataFrame(own_values(own, bars, Days.of(bars, terms(bars))))

    leaks = check_causal(table, flow, cuts(market), poisons=FEW)
    assert {leak.column for leak in leaks} == ({"place"} if peeks else set())


# What is fitted on train ----------------------------------------------------------------------------------------------


def scaled(bars: pd.DataFrame, train: Slice) -> pd.DataFrame:
    values = compute_features(bars, SHORT_QUANTILE, QUICK)[UNFITTED]
    scaler = Scaler.fit(values.to_numpy()[train.start : train.stop])
    return (values - np.array(scaler.mean)) / np.array(scaler.std)


def test_the_scaler_knows_the_train_slice_alone(fitted_market):
    assert first_leak(lambda bars: scaled(bars, TRAIN), fitted_market, [4000, 4100]) is None


def test_a_scaler_of_the_whole_series_is_caught(fitted_market):
    leak = first_leak(lambda bars: scaled(bars, Slice(TRAIN.start, len(bars))), fitted_market, [4000, 4100])
    assert leak is not None
    assert leak[1] == 0


def confidence(bars: pd.DataFrame, train: Fold) -> pd.DataFrame:
    features = compute_features(bars, SHORT_QUANTILE, QUICK)
    model, scores = fit_confidence({"one": bars}, {"one": features}, train, QUICK)
    return pd.DataFrame({"score": scores["one"], "intercept": model.intercept, "slope": model.platt_slope})


def test_confidence_knows_the_train_slice_alone(fitted_market):
    assert check_causal(lambda bars: confidence(bars, fold(TRAIN.stop)), fitted_market, [4000, 4100], poisons=FEW) == []


def test_a_confidence_of_the_whole_series_is_caught(long_walk):
    assert first_leak(lambda part: confidence(part, fold(len(part))), long_walk, [4100]) is not None


# Observations and orders ----------------------------------------------------------------------------------------------


@pytest.fixture
def build(root):
    """`build(bars)`: the market tensor of one symbol, its confidence fitted on TRAIN."""
    instrument = load_instruments(root / "data" / "instruments.yaml")["BTCUSDT_1h"]

    def market_of(bars: pd.DataFrame) -> Market:
        table = compute_features(bars, SHORT_QUANTILE, QUICK)
        _, scores = fit_confidence({"one": bars}, {"one": table}, fold(TRAIN.stop), QUICK)
        table[confidence_column(fold(TRAIN.stop))] = scores["one"].astype("float32")
        return build_market({"one": bars}, {"one": table}, {"one": instrument})

    return market_of


def observations(market: Market) -> np.ndarray:
    """What a policy sees at each row: its window of scaled features, NaN before one is full."""
    known = fold_confidence(market, fold(TRAIN.stop))
    scalers = fit_scalers(market, known, {"one": (TRAIN.start, TRAIN.stop)})
    rows = torch.arange(WINDOW - 1, len(known)).unsqueeze(0)
    seen = MarketView(market, [known], [scalers], WINDOW).segments(rows, torch.zeros_like(rows), 1)
    out = np.full((len(known), WINDOW * seen.shape[-1]), np.nan)
    out[WINDOW - 1 :] = seen[0].flatten(1).numpy()
    return out


def test_observations_do_not_look_ahead(build, fitted_market):
    assert check_causal(lambda bars: observations(build(bars)), fitted_market, [4000, 4100], poisons=FEW) == []


@dataclass
class Recorder:
    """Passes a sizer's orders on and keeps them."""

    sizer: Sizer
    uses = AT_MARKET

    def __post_init__(self) -> None:
        self.taken: list[torch.Tensor] = []

    def orders(self, decision: Situation) -> Orders:
        sent = self.sizer.orders(decision)
        self.taken.append(sent.market[0] * decision.close)
        return sent


def orders(build, bars: pd.DataFrame) -> np.ndarray:
    """The orders that an ATR arm decides at each close from the end of train on, with its equity there."""
    # A path is closed at its end, which is no decision: two bars more put that end behind the rows that are read.
    step = bars.index[1] - bars.index[0]
    after = bars.iloc[[-1, -1]].set_axis(bars.index[-1] + step * np.array([1, 2]))
    market = build(pd.concat([bars, after])).to("cpu", torch.float64)
    recorder = Recorder(atr_sizer(risk_frac=0.005, stop_atr=1.5, confidence_rule=True, limit_frac=0.20))
    table = fold_confidence(market, fold(TRAIN.stop)).unsqueeze(0)
    n = len(bars) - TRAIN.stop
    start, length, of_path = torch.tensor([[TRAIN.stop], [n + 2], [0]])
    ledger = backtest.run(market, start, length, table, of_path, recorder, Account())
    out = np.full((len(bars), 2), np.nan)
    out[TRAIN.stop :] = np.column_stack([torch.cat(recorder.taken)[:n].numpy(), ledger.equity[:n, 0].numpy()])
    return out


def test_orders_do_not_look_ahead(build, fitted_market):
    assert check_causal(lambda bars: orders(build, bars), fitted_market, [4003, 4100], poisons=FEW) == []


def test_orders_that_know_the_next_signal_are_caught(build, long_walk):
    def early(part):
        return pd.DataFrame(orders(build, part)).shift(-1).to_numpy()

    leaks = check_causal(early, long_walk, [4060], poisons=FEW)
    assert (leaks[0].row, leaks[0].cut) == (4059, 4060)


# Splits and slices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["rolling", "anchored"])
def test_a_fold_does_not_depend_on_the_bars_after_it(scheme, params, real_bars):
    times = {symbol: real_bars(symbol).index for symbol in params.data.symbols}
    rules = params.splits
    for known, whole in enumerate(walk_forward(times, rules, scheme, first_rows=dict.fromkeys(times, 600)), start=1):
        cut = {symbol: index[index < whole.test_end] for symbol, index in times.items()}
        starts, end = rules.test_starts[:known], whole.test_end.date()
        shorter = rules.model_copy(update={"test_starts": starts, "end": end})
        assert walk_forward(cut, shorter, scheme, first_rows=dict.fromkeys(cut, 600))[-1] == whole


def by_bar(labels: pd.Series, bars: pd.DataFrame) -> pd.Series:
    return labels.reindex(bars.index.floor("D")).set_axis(bars.index)


SLICES = {
    "trend": lambda bars: trend_labels(bars, SHORT_SLICES),
    "decline": lambda bars: decline_labels(bars, SHORT_SLICES),
    "fixed rule": lambda bars: fixed_rule_labels(bars, SHORT_QUANTILE),
}


@pytest.mark.parametrize("name", SLICES)
def test_slices_do_not_look_ahead(name, market):
    assert check_causal(lambda bars: by_bar(SLICES[name](bars), bars), market, cuts(market)) == []


def markov(bars: pd.DataFrame, train: Slice) -> pd.Series:
    return by_bar(markov_labels(bars, fit_markov(bars, train, SHORT_SLICES), train.start), bars)


@pytest.mark.parametrize("source", ["walk", "BTCUSDT_1h"])
def test_markov_slices_know_the_train_slice_and_the_past(source, bars, real_bars):
    hours = bars if source == "walk" else real_bars(source, 20_000, 22_000)
    assert check_causal(lambda part: markov(part, Slice(0, 1200)), hours, [1200, 1215, 1700], poisons=FEW) == []


def test_a_markov_model_of_the_whole_series_is_caught(real_bars):
    hours = real_bars("BTCUSDT_1h", 20_000, 22_000)
    assert check_causal(lambda part: markov(part, Slice(0, len(part))), hours, [1700], poisons=FEW)


# Seven planted leaks --------------------------------------------------------------------------------------------------


def beside(function):
    """The function's column beside an honest one."""
    return lambda bars: pd.DataFrame({"honest": bars["close"].diff(), "planted": function(bars)})


@pytest.mark.parametrize("name", LEAKS)
def test_planted_leaks_are_caught_at_their_row_and_column(name, market):
    planted, _, row = LEAKS[name]
    cut = 50
    leaks = check_causal(beside(planted), market, [cut, 299])
    first = leaks[0]
    assert {leak.column for leak in leaks} == {"planted"}
    assert first.timestamp == market.index[first.row]
    assert first.cut == cut
    if row is not None:
        assert first.row == row(market, cut)
    if first.kind == "truncation":
        whole, known = planted(market)[:cut].to_numpy(), planted(market[:cut]).to_numpy()
        np.testing.assert_array_equal(whole[: first.row], known[: first.row])
        assert whole[first.row] != known[first.row]


@pytest.mark.parametrize("name", [name for name, (_, honest, _) in LEAKS.items() if honest is not None])
def test_honest_twins_pass(name, market):
    assert check_causal(beside(LEAKS[name][1]), market, CUTS) == []


def test_only_a_cut_inside_the_warm_up_finds_a_backward_fill(bars):
    leaking = LEAKS["bfill in warm-up"][0]
    assert first_leak(leaking, bars, [299, 700, 1500]) is None
    assert first_leak(leaking, bars, [50]) == ("close", 0)
    assert first_leak(leaking, bars, None) == ("close", 0)


def test_a_check_that_the_poison_cannot_reach_is_refused(bars):
    with pytest.raises(CausalityError, match="no change of later bars changes any row"):
        first_leak(lambda part: np.ones(len(part)), bars, [300])
