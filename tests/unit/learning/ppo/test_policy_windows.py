"""Rows that do not follow each other: a window each encodes as the stretch does, and a rollout on them is the same one."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.learning.ppo import training
from sizewise.learning.ppo.encoders import MarketView, Parameters, fit_scaler
from sizewise.learning.ppo.policy import PolicySpec, encode, initialise
from sizewise.learning.ppo.rollouts import Actor, Rollout, collect
from sizewise.params.learning.train import CausalConv, Encoder, LinearRecurrent, Mlp
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import InstrumentCosts, Sizing, Trading
from sizewise.params.trading.world import World
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges

ENCODERS = [Mlp(), LinearRecurrent(kind="linear_recurrent"), CausalConv(kind="causal_conv", channels=4, kernel_bars=4)]
EVERY_ENCODER = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.kind)
WINDOW, LENGTH = 16, 9


@pytest.fixture(scope="module")
def market(quick) -> Market:
    return quick.market.to("cpu", torch.float32)


@pytest.fixture(scope="module")
def view(quick, market) -> MarketView:
    """Of two policies."""
    fold = quick.folds["rolling"][0]
    confidence = fold_confidence(market, fold)
    spans = {symbol: [market.rows(symbol, part)] for symbol, part in fold.train.items()}
    scalers = {symbol: fit_scaler(market, confidence, span) for symbol, span in spans.items()}
    return MarketView(market, [confidence] * 2, [scalers] * 2, WINDOW)


def population(encoder: Encoder, **sizes: int) -> tuple[PolicySpec, Parameters]:
    spec = PolicySpec(WINDOW, (8, 8), encoder=encoder, **sizes)
    generators = [torch_generator("windows", k) for k in range(2)]
    return spec, initialise(spec, generators, initial_hold_prob=None)


@pytest.fixture
def paths(market) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, symbols) at which two policies' three paths stand, each [2, 3]."""
    rows = torch.tensor([[200, 300, market.first_row[1] + 150], [250, market.first_row[1] + 400, 900]])
    return rows, torch.tensor([[0, 0, 1], [0, 1, 0]])


@EVERY_ENCODER
@pytest.mark.parametrize("use_fft", [True, False])
def test_windows_encode_as_the_stretch_they_are_cut_from(view, paths, encoder, use_fft):
    spec, parameters = population(encoder)
    rows, symbols = paths
    stretch = encode(spec, parameters, view.segments(rows, symbols, LENGTH), use_fft=use_fft)
    windows = view.windows(rows.unsqueeze(-1) + torch.arange(LENGTH), symbols)
    assert windows.shape == (2, 3, LENGTH, WINDOW, spec.n_features)
    torch.testing.assert_close(encode(spec, parameters, windows, use_fft=use_fft), stretch, rtol=0, atol=1e-4)


def test_windows_of_rows_that_lie_apart_are_those_of_each_row(view, paths):
    rows, symbols = paths
    apart = rows.unsqueeze(-1) + torch.tensor([0, 7, 40])
    found = view.windows(apart, symbols)
    for place in range(3):
        assert torch.equal(found[:, :, place], view.segments(apart[..., place], symbols, 1))


class Listed(TradingEnv):
    """Names its rows though they follow each other."""

    def horizon_rows(self) -> torch.Tensor:
        return self.rows.unsqueeze(-1) + torch.arange(self.horizon + 1)


def rollout(market: Market, view: MarketView, kind: type[TradingEnv], *, memory: int = 0) -> Rollout:
    trading = Trading(symbols=market.symbols[:1], scheme=Sizing(kind="sizing7"), costs=InstrumentCosts())
    first = market.first_row[0] + 200
    arena = kind(
        market.tape,
        [Ranges((0,), (first,), (first + 600,))] * 2,
        trading,
        Account(),
        groups=3,
        replicas=4,
        horizon=LENGTH,
        generators=[torch_generator("env", k) for k in range(2)],
    )
    spec, parameters = population(Mlp(), n_scalars=len(arena.desk.scalar_names()), memory=memory)
    actor = Actor(spec, parameters, [torch_generator("act", k) for k in range(2)])
    return collect(arena, view, actor, torch.ones((2, 2)))


@pytest.mark.parametrize("memory", [0, 3])
def test_a_rollout_on_listed_rows_is_that_on_the_stretch(market, view, memory):
    listed, plain = (rollout(market, view, kind, memory=memory) for kind in (Listed, TradingEnv))
    assert (listed.segments.ndim, plain.segments.ndim) == (5, 4)
    assert torch.equal(listed.actions, plain.actions)
    for name in ("log_prob", "value", "rewards", "last_value"):
        torch.testing.assert_close(getattr(listed, name), getattr(plain, name), rtol=0, atol=1e-4)


# As it is trained.


@pytest.mark.parametrize("memory", [0, 4])
def test_under_a_session_clock_a_policy_learns_from_windows(quick, market, monkeypatch, memory):
    seen, plain = [], MarketView.windows

    def watched(self, rows, symbols):
        seen.append(rows)
        return plain(self, rows, symbols)

    monkeypatch.setattr(MarketView, "windows", watched)
    clock = Decisions(every="session")
    given = replace(quick.settings, world=World(quick.settings.world.account, decisions=clock))
    train = given.train.model_copy(update={"horizon": 8, "memory": memory})
    (found,) = training.train_population(market, [quick.job("free")], quick.models, replace(given, train=train))
    decides = decision_rows(market, clock, follows_signal=False)
    assert len(seen) == train.iterations
    # Decisions of one symbol, one after the other, and bars between them.
    assert all(bool(decides[rows].all()) for rows in seen)
    assert all(bool((rows.diff(dim=-1) > 1).any()) and bool((rows.diff(dim=-1) > 0).all()) for rows in seen)
    assert len(found.history) == train.iterations
    assert all(torch.tensor(list(row.values())).isfinite().all() for row in found.history)


def test_at_every_bar_it_learns_from_stretches(quick, market, monkeypatch):
    monkeypatch.setattr(MarketView, "windows", None)
    world = replace(quick.settings.world, decisions=Decisions())
    every_bar = replace(quick, settings=replace(quick.settings, world=world))
    assert every_bar.train("free", iterations=1).history
