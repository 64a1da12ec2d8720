"""Geometric Brownian motion: the growth-optimal share is known in closed form, and how near a learner comes can be said.

Source: Lu (2023), Evaluation of Deep Reinforcement Learning Algorithms for Portfolio Optimisation, arXiv:2307.07694: prices
are correlated geometric Brownian motions, the reward is log growth, and without impact Kelly's shares are the optimum that
PPO comes near to. There three assets and cash are held; here one asset and cash, without costs, several drifts and
volatilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.polynomial.hermite_e import hermegauss

from sizewise.base.pool import Pool
from sizewise.base.seeding import numpy_generator
from sizewise.params.studies.laboratory import Laboratory
from sizewise.params.studies.outside import Brownian, BrownianMarket
from sizewise.studies.known_answers.direct import train_direct
from sizewise.studies.known_answers.experience import Curve, Points, bars_to, bars_to_stay
from sizewise.studies.known_answers.laboratory import train_ppo
from sizewise.studies.known_answers.study import DIRECT, PPO
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN, Prediction, more_than, row_of
from sizewise.studies.planted.answers import growth_of, interval, share_of_optimal, solve
from sizewise.studies.planted.laws import Law

SOURCE = "Lu (2023)"
# Outcomes of a bar: Gauss-Hermite nodes, of which so many have the moments of a lognormal return to the last digits.
NODES = 9
# A market of one state asks the same at every bar: more bars would only show other noise.
EXAM_BARS = 1_000


def kelly_share(market: BrownianMarket) -> float:
    """Kelly's share of equity, mu / sigma^2. Source: Merton (1969), Rev. Econ. Statistics 51, eq. 29, log utility."""
    return market.drift / market.volatility**2


def kelly_growth(market: BrownianMarket) -> float:
    """Log growth a year at Kelly's share, mu^2 / (2 sigma^2), above what cash earns."""
    return market.drift**2 / (2.0 * market.volatility**2)


def law_of(name: str, market: BrownianMarket, rules: Brownian) -> Law:
    """Bars of a geometric Brownian motion: log returns of mean (mu - sigma^2 / 2) dt and variance sigma^2 dt.

    The levels are `rules.risk_levels`, yearly deviations of the account, over the market's volatility: they are the same
    for all markets and say nothing of where the optimum lies. One feature is noise.
    """
    nodes, weights = hermegauss(NODES)
    dt = 1.0 / rules.bars_per_year
    log_moves = (market.drift - 0.5 * market.volatility**2) * dt + market.volatility * np.sqrt(dt) * nodes
    return Law(
        name=name,
        moves=(tuple(np.expm1(log_moves).tolist()),),
        chances=(tuple((weights / weights.sum()).tolist()),),
        switch=((1.0,),),
        levels=tuple(level / market.volatility for level in rules.risk_levels),
        shown=((),),
        regimes=(0,),
        side=(1,),
        noise_columns=1,
    )


class Task(NamedTuple):
    """One learner, market and seed."""

    market: str
    arm: str
    seed: int


class Result(NamedTuple):
    """size: mean share of equity held. share: of the optimal growth of any size. curve: by bars seen."""

    task: Task
    size: float
    share: float
    curve: Points


@dataclass(frozen=True)
class _Given:
    rules: Brownian
    laboratory: Laboratory


def run(rules: Brownian, laboratory: Laboratory) -> list[Result]:
    """Every market, learner and seed, one process a core."""
    tasks = [Task(name, arm, seed) for name in rules.markets for arm in (PPO, DIRECT) for seed in rules.seeds]
    with Pool(_Given(rules, laboratory), most=len(tasks)) as pool:
        return list(pool.map(run_task, tasks))


def run_task(given: _Given, task: Task) -> Result:
    """Train one learner on endless fresh bars and judge its sizes."""
    law = law_of(task.market, given.rules.markets[task.market], given.rules)
    exam = law.make(EXAM_BARS, numpy_generator("outside", "exam", law.name, task.seed))
    curve = Curve(law, exam)
    if task.arm == PPO:
        train = given.laboratory.train.model_copy(update={"iterations": given.rules.iterations})
        sizes = train_ppo(law, train, task.seed, watch=curve.watch)[0].sizes(exam)
    else:
        sizes = train_direct(law, given.laboratory.direct, task.seed, watch=curve.watch).sizes(exam)
    share = float(share_of_optimal(law, growth_of(law, sizes, exam)))
    return Result(task, float(sizes.mean()), share, curve.points)


def answers_table(rules: Brownian) -> pd.DataFrame:
    """One row a market: drift, volatility, Kelly's share and growth in closed form, and the same of the bars as drawn."""
    rows = {}
    for name, market in rules.markets.items():
        answer = solve(law_of(name, market, rules))
        rows[name] = {
            "drift a year": market.drift,
            "volatility a year": market.volatility,
            "Kelly's share": kelly_share(market),
            "of these bars": float(answer.optimal_size[0]),
            "growth a year (%)": 100.0 * kelly_growth(market),
            "of these bars (%)": 100.0 * rules.bars_per_year * answer.optimal_growth,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("market")


def share_table(results: Sequence[Result], rules: Brownian, replicas: int) -> pd.DataFrame:
    """One row a market and learner.

    Returns:
        share, low, high (95% over seeds, %), lowest seed (%); size and its spread over seeds; kelly; and the median over
        seeds of bars and steps until near_frac of the optimal growth was first earned, and of bars until it stayed so; NaN
        where half of the seeds never came there. A step is one account at one bar.
    """
    rows = {}
    for key, group in _grouped(results).items():
        found = interval([one.share for one in group])
        sizes = np.array([one.size for one in group])
        first = float(np.median([bars_to(one.curve, rules.near_frac) for one in group]))
        rows[key] = {
            "share": 100.0 * found["share_of_optimal_growth"],
            "low": 100.0 * found["ci_low"],
            "high": 100.0 * found["ci_high"],
            "lowest seed": 100.0 * min(one.share for one in group),
            "size": float(sizes.mean()),
            "sd of size": float(sizes.std(ddof=1)),
            "kelly": kelly_share(rules.markets[key[0]]),
            "bars to near": first,
            "steps to near": first * (replicas if key[1] == PPO else 1),
            "bars to stay near": float(np.median([bars_to_stay(one.curve, rules.near_frac) for one in group])),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["market", "arm"])
    return table


def _grouped(results: Sequence[Result]) -> Mapping[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        groups.setdefault((one.task.market, one.task.arm), []).append(one)
    return groups


def predictions(results: Sequence[Result], table: pd.DataFrame, rules: Brownian, replicas: int) -> list[Prediction]:
    """Near the optimum on every market, and not before so many steps."""
    found = []
    least = 100.0 * rules.near_frac
    for name in rules.markets:
        row = row_of(table, (name, PPO))
        said = f"{row['share']:.1f}% of the optimal growth (95% {row['low']:.1f} to {row['high']:.1f})"
        claim = f"PPO comes near Kelly's growth: at least {least:.0f}% in `{name}`"
        found.append(Prediction(SOURCE, claim, more_than(row["low"], row["high"], least), said))
    curves = [one.curve for one in results if one.task.arm == PPO]
    came = np.array([replicas * bars_to(curve, rules.near_frac) for curve in curves])
    trained = np.array([replicas * curve[-1][0] for curve in curves])
    return [*found, _steps(came, trained, rules)]


def _steps(came: np.ndarray, trained: np.ndarray, rules: Brownian) -> Prediction:
    """Args: `came`: steps until each run was near, NaN where it never was. `trained`: steps of each run."""
    early = came <= rules.claimed_steps
    late = (came > rules.claimed_steps) | (np.isnan(came) & (trained > rules.claimed_steps))
    outcome = HELD if late.all() else FAILED if early.all() else OPEN
    known = came[~np.isnan(came)]
    said = f"{len(known)} of {len(came)} runs came there" + (
        f", after {known.min():,.0f} to {known.max():,.0f} steps" if len(known) else ""
    )
    claim = f"PPO needs more than {rules.claimed_steps:,} steps to be there first, in every run"
    return Prediction(SOURCE, claim, outcome, said)
