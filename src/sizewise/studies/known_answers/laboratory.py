"""PPO in the laboratory: trained on endless fresh bars of a planted law, judged on bars it has never seen.

Every iteration draws new bars, so nothing can be memorised: what is measured is whether the learner finds the optimum that
the law has, not whether it generalises from few bars.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.dataset.features import Scaler
from sizewise.learning.ppo.acting import encode, forward
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.learner import PpoLearner
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.params.learning.train import Episode, Train
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import InstrumentCosts, Levels, Rules, Trading
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample
from sizewise.studies.planted.rebate_market import RebateMarket, RebateSample
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges, Transition

# The account of the laboratory: nothing is held back, and only the loss of nearly everything ends it.
ACCOUNT = Account(initial_equity=1000.0, safety_buffer_frac=0.0, max_position_frac=1.0, ruin_frac=1e-3)
WINDOW_BARS = 1


def view_of(sample: Sample) -> MarketView:
    """What a policy sees of a sample, single precision: its features, which lie on a scale of 1, and its confidence."""
    market = sample.market.to("cpu", torch.float32)
    n = market.features.shape[1] + 1
    return MarketView(
        market, [market.confidence[SYNTHETIC]], [{SYNTHETIC: Scaler((0.0,) * n, (1.0,) * n)}], WINDOW_BARS
    )


def open_env(
    sample: Sample, law: Law, groups: int, replicas: int, horizon: int, generator: torch.Generator
) -> TradingEnv:
    """One policy's accounts on a sample; an action is the share of equity held along the signal.

    Money is in double precision: the price of a planted market may leave what single precision holds.
    """
    trading = Trading(
        symbols=(SYNTHETIC,),
        scheme=Levels(kind="levels", levels=law.levels),
        costs=InstrumentCosts(kind="instrument"),
        rules=Rules(margin="unlimited", rounding=False),
    )
    return TradingEnv(
        sample.market.tape,
        [Ranges((0,), (WINDOW_BARS - 1,), (len(sample.state),))],
        trading,
        ACCOUNT,
        groups=groups,
        replicas=replicas,
        horizon=horizon,
        generators=[generator],
        direction=sample.market.direction,
        episode=Episode(mean_steps=horizon),
        dtype=torch.float64,
    )


class EndlessArena(ABC):
    """An arena whose every horizon walks new bars, and the view of them; see rollouts.Arena and rollouts.ArenaView.

    What a market is differs: `draw` gives the view of fresh bars and the accounts on them.
    """

    env: TradingEnv

    def __init__(self, train: Train):
        self.shape, self.horizon = (1, train.groups, train.replicas), train.horizon
        self.device = torch.device("cpu")
        self.restart()

    @abstractmethod
    def draw(self) -> tuple[MarketView, TradingEnv]:
        """Fresh bars for one horizon of every group."""

    def restart(self) -> torch.Tensor:
        """New bars, new accounts."""
        self._view, self.env = self.draw()
        return self.env.restart()

    @property
    def rows(self) -> torch.Tensor:
        return self.env.rows

    @property
    def symbols(self) -> torch.Tensor:
        return self.env.symbols

    def horizon_rows(self) -> torch.Tensor | None:
        return self.env.horizon_rows()

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.env.observe()

    def step(self, actions: torch.Tensor) -> Transition:
        return self.env.step(actions)

    def redo(self) -> bool:
        return self.env.redo()

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        return self._view.segments(rows, symbols, length)

    def windows(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        return self._view.windows(rows, symbols)


class EndlessMarket(EndlessArena):
    """Endless bars of a planted law."""

    def __init__(self, law: Law, train: Train, bars: np.random.Generator, starts: torch.Generator):
        self._law, self._train, self._bars, self._starts = law, train, bars, starts
        super().__init__(train)

    def draw(self) -> tuple[MarketView, TradingEnv]:
        """See EndlessArena."""
        train = self._train
        sample = self._law.make(train.groups * train.horizon + 1, self._bars)
        env = open_env(sample, self._law, train.groups, train.replicas, train.horizon, self._starts)
        return view_of(sample), env


@dataclass(frozen=True)
class Student:
    """A trained policy of the laboratory."""

    law: Law
    spec: PolicySpec
    parameters: Parameters

    def sizes(self, exam: Sample, bars: int = 100) -> np.ndarray:
        """The greedy sizes at every row of `exam`, float64 (n_bars,), along the signal.

        The rows are walked in stretches of so many bars side by side, each from a flat account; what does not fill one is
        the end of a whole one. The last row, which no bar follows, holds what the row before holds.
        """
        rows = len(exam.state) - 1
        bars = min(bars, rows)
        begins = torch.arange(0, rows, bars).clamp(max=rows - bars)
        env = open_env(exam, self.law, len(begins), 1, bars, torch_generator("exam"))
        env.restart()
        env.episodes.rows = begins.view(1, -1)
        env.reload()
        segments = view_of(exam).segments(env.rows, env.symbols, bars)
        levels = np.array(self.law.levels)
        chosen = np.zeros(rows + 1)
        with torch.no_grad():
            encoded = encode(self.spec, self.parameters, segments, use_fft=False)
            for t in range(bars):
                scalars, allowed = env.observe()
                output = forward(self.spec, self.parameters, encoded[:, :, t, None], scalars, allowed)
                actions = output.log_prob.argmax(-1)
                # Of a row that two stretches walk the earlier one speaks last.
                chosen[begins.numpy() + t] = levels[actions[0, :, 0].numpy()]
                env.step(actions)
        chosen[rows] = chosen[rows - 1]
        return chosen


def train_ppo(
    law: Law, train: Train, seed: int, *, watch: Callable[[int, Student], object] | None = None
) -> tuple[Student, list[dict[str, float]]]:
    """One policy and the statistics of its iterations.

    Args:
        watch: told after every iteration how many bars have been seen, and what has been learned from them.
    """
    names = (law.name, seed)
    arena = EndlessMarket(law, train, numpy_generator("lab bars", *names), torch_generator("lab starts", *names))
    n_features = len(law.shown[0]) + law.noise_columns + 1
    spec = PolicySpec(
        WINDOW_BARS, (train.hidden[0], train.hidden[1]), n_features, len(law.levels), encoder=train.encoder
    )
    parameters = initialise(spec, [torch_generator("lab init", *names)], initial_hold_prob=None)
    streams = {purpose: [torch_generator("lab", purpose, *names)] for purpose in ("act", "order")}
    scale = torch.full((1, 1), float((law.deviation * law.time_in_state).sum()) * max(abs(x) for x in law.levels))
    learner = PpoLearner(arena, arena, spec, parameters, train, streams, scale)
    history, student = [], Student(law, spec, parameters)
    for iteration in range(train.iterations):
        history.append({name: float(value[0]) for name, value in learner.iterate(iteration).items()})
        if watch is not None:
            watch((iteration + 1) * train.groups * train.horizon, student)
    return student, history


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
        episode=Episode(mean_steps=horizon),
    )


class EndlessOrders(EndlessArena):
    """Endless bars of the market of orders."""

    env: TradingEnv

    def __init__(self, law: RebateMarket, train: Train, bars: np.random.Generator, starts: torch.Generator):
        self._law, self._train, self._bars, self._starts = law, train, bars, starts
        super().__init__(train)

    def draw(self) -> tuple[MarketView, TradingEnv]:
        """See EndlessArena."""
        train = self._train
        sample = self._law.make(train.groups * train.horizon + 1, self._bars)
        env = open_orders(self._law, sample, train.groups, train.replicas, train.horizon, self._starts)
        return view_of(Sample(sample.market, sample.state)), env


def train_orders(law: RebateMarket, train: Train, seed: int) -> tuple[PolicySpec, Parameters]:
    """One policy."""
    names = (law.name, seed)
    arena = EndlessOrders(law, train, numpy_generator("lab bars", *names), torch_generator("lab starts", *names))
    n_actions = arena.env.observe()[1].shape[-1]
    hidden = (train.hidden[0], train.hidden[1])
    n_scalars = len(arena.env.desk.scalar_names())
    spec = PolicySpec(WINDOW_BARS, hidden, 2, n_actions, n_scalars, encoder=train.encoder)
    parameters = initialise(spec, [torch_generator("lab init", *names)], initial_hold_prob=None)
    streams = {purpose: [torch_generator("lab", purpose, *names)] for purpose in ("act", "order")}
    learner = PpoLearner(arena, arena, spec, parameters, train, streams, torch.full((1, 1), REWARD_SCALE))
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
