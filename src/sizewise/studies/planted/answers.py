"""What the best sizing of a planted market earns, and what share of it a learner's sizes earn.

Growth is expected log growth a bar under the law, given the states a sample went through. The realised growth of a sample
would say the same with noise: at a deviation of 4% a bar, 1% of a growth of 4e-4 takes (4e-2 / 4e-6)^2 = 1e8 bars to see.
A size is chosen before the return it earns is drawn, so the expectation given all that went before loses nothing (Rao and
Blackwell). Costs are known once sizes and earlier returns are, and are charged as the broker charges them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from scipy.optimize import brentq

from sizewise.base.errors import ActionError, ConfigError
from sizewise.market.costs import BPS, Costs
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import Situation, Sizer
from sizewise.sizing.walks import backtest
from sizewise.studies.planted.laws import SYNTHETIC, Law, Process, Sample, best_policy, gain_of
from sizewise.trading.broker.orders import Orders

# A cost moves the position's share of the equity it is reckoned on by its own square; the sweeps make that exact.
COST_SWEEPS = 8
NO_GROWTH = 1e-12


@dataclass(frozen=True)
class Answer:
    """The best that can be done with a law.

    Attributes:
        optimal_size: float64 [S], in each state (with costs: from a flat account). optimal_growth: a bar.
        best_constant_size, best_constant_growth: of one size for all states, held at that share of equity.
        following_size: float64 [S], the largest level in the sign of each state's mean, positive where the mean is 0.
        following_growth, following_growth_gross: of that, net and before costs.
    """

    optimal_size: np.ndarray
    optimal_growth: float
    best_constant_size: float
    best_constant_growth: float
    following_size: np.ndarray
    following_growth: float
    following_growth_gross: float


def solve(law: Law, levels: Sequence[float] | None = None) -> Answer:
    """The answer of a law.

    Args:
        levels: the sizes that may be chosen; None is everything from the law's smallest level to its largest or, with
            costs, the law's levels.
    """
    sizes = np.array(law.levels if levels is None else levels, dtype=np.float64)
    mean = (np.array(law.chances) * law.gains).sum(1)
    following = np.where(mean < -NO_GROWTH, sizes.min(), sizes.max())
    gross = float(law.time_in_state @ law.expected_growth(following, np.arange(law.n_states)))
    if law.has_costs:
        return _with_costs(law, sizes, following, gross)
    weights = law.time_in_state
    everyone = np.array(law.chances) * weights[:, None]
    if levels is None:
        low, high = float(sizes.min()), float(sizes.max())
        optimal = np.array([_peak(p, g, low, high) for p, g in zip(np.array(law.chances), law.gains, strict=True)])
        constant = _peak(everyone.ravel(), law.gains.ravel(), low, high)
    else:
        table = law.expected_growth(sizes[:, None], np.arange(law.n_states)[None, :])
        optimal = sizes[table.argmax(0)]
        constant = float(sizes[(table @ weights).argmax()])
    states = np.arange(law.n_states)
    constant_growth = float(weights @ law.expected_growth(np.full(law.n_states, constant), states))
    if law.hidden:
        optimal = np.full(law.n_states, constant)
    optimal_growth = float(weights @ law.expected_growth(optimal, states))
    return Answer(optimal, optimal_growth, constant, constant_growth, following, gross, gross)


def _peak(chances: np.ndarray, gains: np.ndarray, low: float, high: float) -> float:
    """The size in [low, high] of the largest sum of chances * log(1 + size * gains), which is concave."""

    def slope(size: float) -> float:
        return float((chances * gains / (1.0 + size * gains)).sum())

    if slope(low) <= 0.0:
        return low
    if slope(high) >= 0.0:
        return high
    # Adding 0 makes a negative zero a zero.
    return round(float(brentq(slope, low, high, xtol=1e-15, rtol=1e-14)), 12) + 0.0


def _with_costs(law: Law, sizes: np.ndarray, following: np.ndarray, gross: float) -> Answer:
    """Exact dynamic programming over (size held, what the bar did to it, state), on the grid of `sizes`."""
    if law.hidden:
        raise ConfigError(f"law {law.name} is hidden and has costs: nothing here solves both, take one away")
    flat = int(np.abs(sizes).argmin())
    if sizes[flat] != 0.0:
        raise ConfigError(f"law {law.name} has costs: let its levels have 0, from which an account starts")
    process = trading_process(law, sizes)
    best = best_policy(process)
    start = flat * (len(process.rewards) // len(sizes))
    constants = [gain_of(process, np.full(len(process.rewards), k), start) for k in range(len(sizes))]
    held = int(np.argmax(constants))
    now = np.arange(len(process.rewards)) % law.n_states
    follow = np.abs(sizes[:, None] - following[None, :]).argmin(0)[now]
    return Answer(
        optimal_size=sizes[best.actions[start : start + law.n_states]],
        optimal_growth=best.gain if abs(best.gain) > NO_GROWTH else 0.0,
        best_constant_size=float(sizes[held]),
        best_constant_growth=constants[held] if sizes[held] else 0.0,
        following_size=following,
        following_growth=gain_of(process, follow, start),
        following_growth_gross=gross,
    )


def trading_process(law: Law, sizes: np.ndarray) -> Process:
    """Trading a law at its costs as a decision process; action k moves to sizes[k].

    A state is (size chosen before, state then, outcome, state now), the last varying fastest: the first three say what
    share of equity is held now. That share leaves out the cost of the trade before, a thousandth of it at most.
    """
    states, outcomes = law.n_states, len(law.moves[0])
    held = sizes[:, None, None] * np.array(law.side)[None, :, None]
    drifted = _drifted(held, np.array(law.moves)[None], 0.0)
    shape = (len(sizes), states, outcomes, states)
    target = sizes[:, None] * np.array(law.side)
    cost = trade_cost(target - drifted[..., None, None], law.costs)
    rewards = law.expected_growth(sizes[:, None], np.arange(states), cost).swapaxes(-1, -2)
    joint = np.array(law.chances)[:, :, None] * np.array(law.switch)[:, None, :]
    transitions = np.zeros((*shape, len(sizes), *shape))
    for k in range(len(sizes)):
        for s in range(states):
            transitions[:, :, :, s, k, k, s] = joint[s]
    n = int(np.prod(shape))
    return Process(rewards.reshape(n, len(sizes)), transitions.reshape(n, len(sizes), n))


def trade_cost(change: np.ndarray, costs: Costs) -> np.ndarray:
    """Share of equity that a change of the position costs: the half-spread, and the fee on the price after it."""
    half_spread, fee = costs.half_spread_bps * BPS, costs.taker_bps * BPS
    paid = np.abs(change) * half_spread + (np.abs(change) + change * half_spread) * fee
    return np.asarray(paid)


def _drifted(position: np.ndarray, move: np.ndarray, cost: np.ndarray | float) -> np.ndarray:
    """A position's share of equity after a bar."""
    return np.asarray(position * (1.0 + move) / (1.0 - cost + position * move))


def growth_of(law: Law, sizes: np.ndarray, sample: Sample, *, first_row: int = 0) -> np.ndarray:
    """Expected log growth a bar of sizes chosen on a sample, see the module's text: the leading shape of `sizes`.

    Args:
        sizes: float64, shape (..., n), chosen at the closes of rows first_row ... first_row + n - 1; shares of equity along
            the signal, flat before. Any number of learners, seeds or paths side by side.
    Raises:
        ActionError: sizes that are no numbers, that can lose everything, or more of them than there are rows.
    """
    chosen = np.asarray(sizes, dtype=np.float64)
    rows = slice(first_row, first_row + chosen.shape[-1])
    state = sample.state[rows]
    if len(state) != chosen.shape[-1]:
        raise ActionError(
            f"{chosen.shape[-1]} sizes from row {first_row} on, but {len(sample.state)} rows: choose one a row"
        )
    if not np.isfinite(chosen).all():
        raise ActionError(f"law {law.name}: a size is no number: choose a share of equity at every row")
    if not law.has_costs:
        return np.asarray(law.expected_growth(chosen, state).mean(-1))
    position = chosen * np.array(law.side)[state]
    move = sample.market.bar_return.numpy()[rows][1:]
    before, cost = np.zeros_like(position), np.zeros_like(position)
    for _ in range(COST_SWEEPS):
        before[..., 1:] = _drifted(position[..., :-1], move, cost[..., :-1])
        cost = trade_cost(position - before, law.costs)
    return np.asarray(law.expected_growth(chosen, state, cost).mean(-1))


def share_of_optimal(
    law: Law,
    growth: np.ndarray | float,
    sample: Sample | None = None,
    *,
    first_row: int = 0,
    answer: Answer | None = None,
) -> np.ndarray:
    """Share of the attainable growth: 1 is the optimum, 0 is what doing nothing earns.

    Where the best is to do nothing there is no growth to have a share of. There it is 1 - loss / (loss of following the
    signal at the cap, net): 1 is doing nothing, 0 follows the signal, and who trades more than that is below 0.

    Args:
        sample: the growth is held against the best sizes on the same states, so that the luck of the states cancels; None
            holds it against the long run.
        answer: of the grid a learner may choose from, if it is not the law's own.
    """
    best = solve(law) if answer is None else answer
    gains = best.optimal_growth > NO_GROWTH
    yardstick = best.optimal_growth if gains else best.following_growth
    if sample is not None:
        sizes = best.optimal_size if gains else best.following_size
        yardstick = float(growth_of(law, sizes[sample.state[first_row:]], sample, first_row=first_row))
    return np.asarray(growth) / yardstick if gains else 1.0 - np.asarray(growth) / yardstick


def interval(shares: Sequence[float] | np.ndarray, confidence: float = 0.95) -> dict[str, float | int]:
    """Mean over seeds with Student's interval: what metrics/known_answers.json holds for a market and an arm.

    Raises:
        ConfigError: fewer than two seeds, or a share that is no number.
    """
    values = np.asarray(shares, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ConfigError(
            f"shares {values.tolist()} have no interval: train two seeds or more, each to a finite growth"
        )
    half = stats.t.ppf(0.5 + confidence / 2.0, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    centre = float(values.mean())
    return {
        "share_of_optimal_growth": centre,
        "ci_low": centre - float(half),
        "ci_high": centre + float(half),
        "n_seeds": len(values),
    }


class _Watched:
    """A sizer whose targets are written down."""

    def __init__(self, sizer: Sizer, side: torch.Tensor):
        self._sizer, self._side, self.uses = sizer, side, sizer.uses
        self.sizes: list[torch.Tensor] = []

    def orders(self, at: Situation) -> Orders:
        orders = self._sizer.orders(at)
        bought = 0.0 if orders.market is None else orders.market[0] * at.close
        self.sizes.append((at.position + bought) / at.equity * self._side[at.rows])
        return orders


def chosen_sizes(
    sample: Sample, sizer: Sizer, account: Account, *, first_row: int = 0, stretches: int = 1
) -> np.ndarray:
    """What a sizer holds on a sample, along the signal: float64 (n_bars - first_row - 1,), for growth_of.

    Its last value is what the sizer asked for at the bar that closes the account. With `account.ruin_frac` 0 it trades on
    however little is left; the laws' levels may be beyond its cash, which is lent.

    Args:
        stretches: the bars are walked as so many paths side by side, of equal length but for the last, each from a flat
            account; what does not look at what it holds chooses the same for any number of them.
    """
    market, decisions = sample.market, len(sample.state) - first_row - 1
    watched = _Watched(sizer, market.direction.to(market.close.dtype))
    starts = decisions // stretches * torch.arange(stretches)
    counts = torch.diff(starts, append=torch.tensor([decisions]))
    backtest.run(
        market,
        first_row + starts,
        counts + 1,
        market.confidence[SYNTHETIC].unsqueeze(0),
        torch.zeros(stretches, dtype=torch.int64),
        watched,
        account,
        Rules(margin="unlimited", rounding=False),
    )
    sizes = torch.stack(watched.sizes).double()
    return torch.cat([sizes[:count, path] for path, count in enumerate(counts.tolist())]).numpy()
