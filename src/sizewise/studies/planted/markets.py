"""Planted markets: the law of the next bar is known exactly, so a learner can be held against the best anyone could do.

A law is a Markov chain of states. At the close of bar t the state is visible (as a feature, as the regime code, and in the
confidence) and says with which chances bar t+1 returns what. Bars are hours; the open is the close before, so what is
decided at close t earns all of bar t+1. A size is the share of equity held along the signal's side; with the side at 1 a
negative size is a short. Every bar is an entry, so that a trade lasts one bar, and who sizes at entries chooses as often
as who sizes at every close.

How a learner uses one:

    law = two_regime()
    learn = law.make(50_000, numpy_generator("known_answers", law.name, "train"))
    exam = law.make(20_000, numpy_generator("known_answers", law.name, "test", seed))
    # Train on learn.market: at each close t choose one of law.levels, the share of equity held over bar t+1. Features lie
    # on a scale of 1 (no scaler, or one of mean 0 and deviation 1); market.confidence[laws.SYNTHETIC] is the confidence.
    # Then choose greedily at the rows of exam.market: sizes[t], float64 (n_bars,), and
    growth = answers.growth_of(law, sizes, exam)           # exact expected log growth a bar
    share = answers.share_of_optimal(law, growth, exam)    # 1 is the optimum
    answers.interval(shares_of_the_seeds)                  # what metrics/known_answers.json holds

`exam.state[t]` is the state at row t, for judging only: a learner reads the market. Whoever sees rows from `first` on
(a window) passes `first_row=first`. An account that may hold at most its equity trades `law.levered(4.5)`: the same
growth from levels a 4.5th the size.
"""

import numpy as np

from sizewise.market.costs import Costs
from sizewise.studies.planted.laws import Law, Table, shuffled


def _even(mean: float, deviation: float) -> tuple[float, float]:
    """Two equally likely returns of this mean and standard deviation."""
    return mean - deviation, mean + deviation


def _persistent(states: int, leaving: float) -> Table:
    """Leave a state with this chance, for each of the others alike."""
    other = leaving / (states - 1)
    return tuple(tuple(1.0 - leaving if i == j else other for j in range(states)) for i in range(states))


def _independent(states: int) -> Table:
    return ((1.0 / states,) * states,) * states


def _steps(low: float, high: float, step: float) -> tuple[float, ...]:
    return tuple(low + step * i for i in range(round((high - low) / step) + 1))


def constant_edge() -> Law:
    """Plus or minus 5%, up with chance .55, always: hold 2 (Kelly's .10 at stake over a move of 5%)."""
    return Law(
        name="constant_edge",
        moves=((-0.05, 0.05),),
        chances=((0.45, 0.55),),
        switch=((1.0,),),
        levels=_steps(0.0, 4.0, 0.25),
        shown=((),),
        regimes=(0,),
        side=(1,),
        noise_columns=1,
    )


def two_regime() -> Law:
    """Mean 4 bps at 1% deviation, or -1 bp at 2%, equal time, 50 bars on average: long only, hold 4 or nothing.

    In continuous time f = mu / sigma^2 = 4 and growth mu^2 / (2 sigma^2) / 2 = 4.0e-4 a bar; the best constant size is
    1.5e-4 / 2.5e-4 = .6, growth 4.5e-5. These bars have f = mu / (sigma^2 - mu^2) = 4.0064.
    """
    return Law(
        name="two_regime",
        moves=(_even(4e-4, 0.01), _even(-1e-4, 0.02)),
        chances=((0.5, 0.5), (0.5, 0.5)),
        switch=_persistent(2, 1.0 / 50.0),
        levels=(0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
        shown=((-1.0,), (1.0,)),
        regimes=(0, 3),
        side=(1, 1),
    )


def volatility_timing() -> Law:
    """Mean 8 bps at deviations of 1, 1.5, 2.5 and 5%, visible as a scaled log volatility: hold mu / (sigma^2 - mu^2)."""
    deviations = (0.01, 0.015, 0.025, 0.05)
    logs = np.log(deviations)
    scaled = (logs - logs.mean()) / logs.std()
    return Law(
        name="volatility_timing",
        moves=tuple(_even(8e-4, deviation) for deviation in deviations),
        chances=((0.5, 0.5),) * 4,
        switch=_persistent(4, 1.0 / 50.0),
        levels=(0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 3.5, 5.0, 8.0, 10.0),
        shown=tuple((float(value),) for value in scaled),
        regimes=(0, 2, 1, 3),
        side=(1,) * 4,
    )


def leaked_future() -> Law:
    """The feature is the next bar's return: hold the cap in its sign. Moves of .2, .5 and 1%, up and down alike."""
    moves = (-0.01, -0.005, -0.002, 0.002, 0.005, 0.01)
    return Law(
        name="leaked_future",
        moves=tuple((move,) for move in moves),
        chances=((1.0,),) * 6,
        switch=_independent(6),
        levels=_steps(-1.0, 1.0, 0.5),
        shown=tuple((move / 0.006,) for move in moves),
        regimes=(0,) * 6,
        side=(1,) * 6,
    )


def pure_noise() -> Law:
    """Plus or minus 1% alike, 11 bps a trade, and features that say nothing: hold nothing."""
    return Law(
        name="pure_noise",
        moves=((-0.01, 0.01),),
        chances=((0.5, 0.5),),
        switch=((1.0,),),
        levels=_steps(-2.0, 2.0, 0.5),
        shown=((),),
        regimes=(0,),
        side=(1,),
        costs=Costs(taker_bps=10.0, half_spread_bps=1.0),
        noise_columns=2,
    )


def known_confidence() -> Law:
    """A signal of either side that gains 5% with a chance of .45, .50, .55 or .60, shown, else loses 5%.

    Hold (2p - 1) / .05 along the signal: 0, 0, 2, 4; below one half the best is a size that the levels do not have.
    """
    chances = tuple((1.0 - p, p) for p in (0.45, 0.50, 0.55, 0.60))
    return Law(
        name="known_confidence",
        moves=((-0.05, 0.05),) * 4 + ((0.05, -0.05),) * 4,
        chances=chances * 2,
        switch=_independent(8),
        levels=_steps(0.0, 5.0, 1.0),
        shown=tuple((20.0 * (p - 0.525),) for _, p in chances) * 2,
        regimes=(0, 1, 2, 3) * 2,
        side=(1,) * 4 + (-1,) * 4,
    )


def pointless_costs() -> Law:
    """Mean 5 bps in a visible direction that turns with chance .3 a bar, 1% deviation, 11 bps a trade: hold nothing.

    A unit earns m = 5 bps a bar until the direction turns, m / .3 = 16.7 bps on average, and a round trip costs
    2c = 22 bps. No way of trading can gain: the value of a unit held with the direction, m + (1 - 2 * .3) v = v, is
    v = m / (2 * .3) = 8.3 bps, less than the c = 11 bps it costs to get or to leave; so an account that has one keeps
    it, one that has none buys none, and a position for good earns nothing before and less than nothing after the
    logarithm (log(1 + x) <= x). Holding the sign of the direction gains m - 2c * .3 = -1.6 bps a unit and bar.
    """
    return Law(
        name="pointless_costs",
        moves=(_even(5e-4, 0.01), _even(-5e-4, 0.01)),
        chances=((0.5, 0.5), (0.5, 0.5)),
        switch=_persistent(2, 0.3),
        levels=_steps(-2.0, 2.0, 0.5),
        shown=((1.0,), (-1.0,)),
        regimes=(0, 2),
        side=(1, 1),
        costs=Costs(taker_bps=10.0, half_spread_bps=1.0),
    )


def laws() -> dict[str, Law]:
    """Every market of the laboratory that is traded by size alone, by name; see rebate_market for the one of orders."""
    every = (
        constant_edge(),
        two_regime(),
        volatility_timing(),
        leaked_future(),
        pure_noise(),
        known_confidence(),
        pointless_costs(),
        shuffled(two_regime()),
    )
    return {law.name: law for law in every}
