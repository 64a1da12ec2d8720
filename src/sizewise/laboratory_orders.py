"""PPO in the laboratory's market of orders: the same learner in the general environment, with resting orders and rebates."""

import numpy as np
import torch

from sizewise import config
from sizewise.encoders import Parameters
from sizewise.episodes import Ranges
from sizewise.laboratory import ACCOUNT, WINDOW_BARS, EndlessArena, view_of
from sizewise.observation import MarketView
from sizewise.planted import Sample
from sizewise.policy import PolicySpec, encode, forward, initialise
from sizewise.ppo import Learner
from sizewise.rebate_market import RebateMarket, RebateSample
from sizewise.seeding import numpy_generator, torch_generator
from sizewise.trading_env import TradingEnv

# What a reward is divided by: the price moves 10 bps on a stake of a tenth.
REWARD_SCALE = 1e-4


def open_orders(
    law: RebateMarket, sample: RebateSample, groups: int, replicas: int, horizon: int, generator: torch.Generator
) -> TradingEnv:
    """One policy's accounts on a sample, with the law's scheme, costs and rules."""
    return TradingEnv(
        sample.tape,
        [Ranges((0,), (WINDOW_BARS - 1,), (len(sample.state),))],
        law.trading(),
        ACCOUNT,
        groups=groups,
        replicas=replicas,
        horizon=horizon,
        generators=[generator],
        episode=config.Episode(mean_steps=horizon),
    )


class EndlessOrders(EndlessArena):
    """Endless bars of the market of orders."""

    env: TradingEnv

    def __init__(self, law: RebateMarket, train: config.Train, bars: np.random.Generator, starts: torch.Generator):
        self._law, self._train, self._bars, self._starts = law, train, bars, starts
        super().__init__(train)

    def draw(self) -> tuple[MarketView, TradingEnv]:
        """See EndlessArena."""
        train = self._train
        sample = self._law.make(train.groups * train.horizon + 1, self._bars)
        env = open_orders(self._law, sample, train.groups, train.replicas, train.horizon, self._starts)
        return view_of(Sample(sample.market, sample.state)), env


def train_orders(law: RebateMarket, train: config.Train, seed: int) -> tuple[PolicySpec, Parameters]:
    """One policy."""
    names = (law.name, seed)
    arena = EndlessOrders(law, train, numpy_generator("lab bars", *names), torch_generator("lab starts", *names))
    n_actions = arena.env.observe()[1].shape[-1]
    hidden = (train.hidden[0], train.hidden[1])
    n_scalars = len(arena.env.desk.scalar_names())
    spec = PolicySpec(WINDOW_BARS, hidden, 2, n_actions, n_scalars, encoder=train.encoder)
    parameters = initialise(spec, [torch_generator("lab init", *names)], initial_hold_prob=None)
    streams = {purpose: [torch_generator("lab", purpose, *names)] for purpose in ("act", "order")}
    learner = Learner(arena, arena, spec, parameters, train, streams, torch.full((1, 1), REWARD_SCALE))
    for iteration in range(train.iterations):
        learner.iterate(iteration)
    return spec, parameters


def greedy_growth(
    law: RebateMarket, spec: PolicySpec, parameters: Parameters, seed: int, *, paths: int, bars: int
) -> float:
    """Realised log growth a bar of the greedy policy over `paths` stretches of `bars` fresh bars, each from a flat
    account."""
    sample = law.make(paths * bars + 1, numpy_generator("lab exam", law.name, seed))
    env = open_orders(law, sample, paths, 1, bars, torch_generator("exam"))
    env.restart()
    env.episodes.rows = (torch.arange(paths) * bars).view(1, -1)
    env.reload()
    segments = view_of(Sample(sample.market, sample.state)).segments(env.episodes.rows, env.episodes.symbols, bars)
    total = 0.0
    with torch.no_grad():
        encoded = encode(spec, parameters, segments, use_fft=False)
        for t in range(bars):
            scalars, allowed = env.observe()
            output = forward(spec, parameters, encoded[:, :, t, None], scalars, allowed)
            total += float(env.step(output.log_prob.argmax(-1)).reward.double().sum())
    return total / (paths * bars)
