"""The study of known answers: every learner on every planted market, every declared seed, judged on bars of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError
from sizewise.base.paths import write_atomically, write_json
from sizewise.base.pool import Pool
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.splits import Fold, Slice
from sizewise.evidence.joint_rule import JointTest, joint_as_planned
from sizewise.learning.tabular.cells import sizes as grid_sizes
from sizewise.learning.tabular.learning import train_tables
from sizewise.learning.tabular.lessons import Kind
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.laboratory import Laboratory
from sizewise.studies.known_answers import direct, laboratory
from sizewise.studies.known_answers.experience import Curve, Points
from sizewise.studies.planted import rebate_market
from sizewise.studies.planted.answers import (
    Answer,
    chosen_sizes,
    growth_of,
    interval,
    share_of_optimal,
    solve,
)
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample
from sizewise.studies.planted.markets import laws
from sizewise.studies.planted.rebate_market import RebateMarket

PPO, DIRECT = "ppo", "direct"
TABLES: tuple[Kind, ...] = ("bandit", "q_table")
# Tables always hold something on the signal's side and pay for every trade; these markets ask for that and no more.
# `direct` holds a long or a short multiple of a reference on the signal's side, as tables do.
TABLE_MARKETS = ("constant_edge", "two_regime", "volatility_timing", "known_confidence")
ORDERS = RebateMarket()
# What is asked of the learners, declared before they are trained: least share of the optimal growth.
TARGETS = (
    ("two_regime", PPO, 0.95),
    ("two_regime", "bandit", 0.90),
    ("two_regime", "q_table", 0.90),
    ("volatility_timing", PPO, 0.95),
    ("constant_edge", DIRECT, 0.98),
    ("two_regime", DIRECT, 0.98),
    ("volatility_timing", DIRECT, 0.98),
    ("leaked_future", PPO, 0.95),
)
# Flat enough: mean |size| as a share of the cap, in noise with costs.
FLAT = 0.02
USED = "mean |size| (% of cap)"
# Learning curves, in the folder of plots; a share of growth means nothing beyond these digits.
CURVES, DIGITS = "laboratory_curves.csv", 6
# Of a table's exam, walked side by side.
STRETCHES = 200
# A limit that no size of a table comes near: what an account already holds then tells the table nothing.
FAR = 100.0
MOST_LOG_PRICE = 400.0


class Task(NamedTuple):
    """One learner, market and seed."""

    market: str
    arm: str
    seed: int


class Result(NamedTuple):
    """What a learner chose and earned. share: of the optimal growth (for tables: of the best of their own grid as well).

    sizes: mean size by state. mean_abs_frac: mean |size| over the largest level. excess: per-bar realised log growth less
    that of the best constant size, over the exam; empty where the market trades orders. curve: see experience.Curve; of
    learners by gradient.
    """

    task: Task
    share: float
    share_of_grid: float
    growth: float
    sizes: tuple[float, ...]
    mean_abs_frac: float
    excess: np.ndarray
    curve: Points = ()


def plan(settings: Laboratory) -> list[Task]:
    """Every task of the study, in a fixed order.

    Raises:
        ConfigError: a longer training is asked for a market that there is not.
    """
    unknown = sorted(set(settings.longer) - set(laws()))
    if unknown:
        known = ", ".join(laws())
        raise ConfigError(f"laboratory.longer names '{unknown[0]}', which is no market: markets are {known}")
    tasks = []
    for seed in settings.train.seeds:
        for market in laws():
            arms = (PPO, DIRECT, *TABLES) if market in TABLE_MARKETS else (PPO,)
            tasks += [Task(market, arm, seed) for arm in arms]
        tasks.append(Task(ORDERS.name, PPO, seed))
    return tasks


def exam_of(law: Law, bars: int, seed: int) -> Sample:
    """The bars a seed is judged on; no learner has seen them."""
    return law.make(bars, numpy_generator("known answers", "exam", law.name, seed))


def run_task(task: Task, settings: Laboratory) -> Result:
    """Train one learner and judge it."""
    if task.market == ORDERS.name:
        return _orders(task, settings)
    law = laws()[task.market]
    exam = exam_of(law, settings.exam_bars, task.seed)
    if task.arm == PPO:
        iterations = settings.longer.get(law.name, settings.train.iterations)
        train = settings.train.model_copy(update={"iterations": iterations})
        curve = Curve(law, exam)
        student, _ = laboratory.train_ppo(law, train, task.seed, watch=curve.watch)
        return _judged(task, law, exam, student.sizes(exam), 1.0, curve.points)
    if task.arm == DIRECT:
        curve = Curve(law, exam)
        learned = direct.train_direct(law, settings.direct, task.seed, watch=curve.watch)
        return _judged(task, law, exam, learned.sizes(exam), 1.0, curve.points)
    return _table(task, law, exam, settings)


def _judged(
    task: Task, law: Law, exam: Sample, sizes: np.ndarray, grid_growth_share: float, curve: Points = ()
) -> Result:
    growth = float(growth_of(law, sizes, exam))
    share = float(share_of_optimal(law, growth, exam))
    state = exam.state[: len(sizes)]
    means = pd.Series(sizes).groupby(state).mean()
    by_state = tuple(float(means.get(number, np.nan)) for number in range(law.n_states))
    used = float(np.abs(sizes).mean()) / max(abs(level) for level in law.levels)
    excess = _excess(law, exam, sizes)
    return Result(task, share, share / grid_growth_share, growth, by_state, used, excess, curve)


def _excess(law: Law, exam: Sample, sizes: np.ndarray) -> np.ndarray:
    """Realised log growth of the sizes less that of the best constant size, a bar; costs are left to growth_of."""
    constant = solve(law).best_constant_size
    side = np.array(law.side)[exam.state[:-1]]
    gain = side * exam.market.bar_return[1:].numpy()
    chosen = sizes[: len(gain)]
    return np.asarray(np.log1p(chosen * gain) - np.log1p(constant * gain))


def _fold(n_bars: int) -> Fold:
    times = pd.Timestamp("2020-01-01", tz="UTC")
    part = {SYNTHETIC: Slice(0, n_bars)}
    return Fold("rolling", 0, times, times + pd.Timedelta(hours=n_bars), part, {})


def longest(law: Law, most: int) -> int:
    """Bars of a law, at most `most`, whose price stays far inside the range of floats."""
    growth = law.expected_growth(np.array(law.side, dtype=np.float64), np.arange(law.n_states))
    drift = abs(float(law.time_in_state @ growth)) + float((law.deviation**2 * law.time_in_state).sum())
    return int(min(most, MOST_LOG_PRICE / drift))


def _table(task: Task, law: Law, exam: Sample, settings: Laboratory) -> Result:
    bars = longest(law, settings.table_bars)
    learn = law.make(bars, numpy_generator("known answers", "table", law.name, task.seed)).market
    fold = _fold(bars)
    learn = replace(learn, confidence={confidence_column(fold): learn.confidence[SYNTHETIC]})
    rules, account = settings.tabular, laboratory.ACCOUNT
    kind: Kind = "bandit" if task.arm == "bandit" else "q_table"
    learned = train_tables(learn, [fold], [task.seed], kind, rules, account, limit_frac=FAR)
    # Every stretch knows the wins of all bars before it.
    paths = [0] * STRETCHES
    sizer = TableSizer(exam.market, learned.tables, paths, paths, [len(exam.state)] * STRETCHES, FAR)
    levels = np.unique(grid_sizes(rules, account.initial_equity, FAR))
    best = solve(law, levels.tolist()).optimal_growth / solve(law).optimal_growth
    return _judged(task, law, exam, chosen_sizes(exam, sizer, account, stretches=STRETCHES), best)


def _orders(task: Task, settings: Laboratory) -> Result:
    train = settings.train.model_copy(update=settings.orders.model_dump())
    spec, parameters = laboratory.train_orders(ORDERS, train, task.seed)
    bars = max(2, settings.exam_bars // STRETCHES)
    growth = laboratory.greedy_growth(ORDERS, spec, parameters, task.seed, paths=STRETCHES, bars=bars)
    best = rebate_market.solve(ORDERS, ORDERS.trading(), laboratory.ACCOUNT).optimal_growth
    return Result(task, growth / best, growth / best, growth, (), float("nan"), np.zeros(0))


def run_study(settings: Laboratory) -> list[Result]:
    """Every task, one process a core, in the order of `plan`."""
    tasks = plan(settings)
    with Pool(settings, most=len(tasks)) as pool:
        return list(pool.map(_work, tasks))


def _work(settings: Laboratory, task: Task) -> Result:
    return run_task(task, settings)


def answers() -> dict[str, Answer]:
    """The answer of every market that is traded by size alone."""
    return {name: solve(law) for name, law in laws().items()}


def share_table(results: Sequence[Result]) -> pd.DataFrame:
    """Share of the optimal growth by market and arm: mean over all seeds with its interval, the lowest seed, and sizes."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        rows.setdefault((result.task.market, result.task.arm), []).append(result)
    table = {}
    for key, group in rows.items():
        found = interval([result.share for result in group])
        table[key] = {
            "share": found["share_of_optimal_growth"],
            "low": found["ci_low"],
            "high": found["ci_high"],
            "lowest seed": min(result.share for result in group),
            "share of own grid": float(np.mean([result.share_of_grid for result in group])),
            USED: 100.0 * float(np.mean([result.mean_abs_frac for result in group])),
            "seeds": len(group),
        }
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["market", "arm"])
    return frame


def record(results: Sequence[Result]) -> dict[str, dict[str, dict[str, Any]]]:
    """The content of metrics/known_answers.json."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        found.setdefault(result.task.market, {}).setdefault(result.task.arm, []).append(result)
    return {
        market: {arm: interval([one.share for one in group]) for arm, group in by_arm.items()}
        for market, by_arm in found.items()
    }


def write_record(results: Sequence[Result], folder: Path) -> None:
    """Write metrics/known_answers.json, whole."""
    write_json(folder / "known_answers.json", record(results))


def write_curves(results: Sequence[Result], folder: Path) -> None:
    """Write plots/laboratory_curves.csv: market, arm, seed, bars, share (of the optimal growth)."""
    rows = [(*one.task, bars, round(share, DIGITS)) for one in results for bars, share in one.curve]
    table = pd.DataFrame(rows, columns=[*Task._fields, "bars", "share"])
    write_atomically(folder / CURVES, lambda path: table.to_csv(path, index=False))


def against_constant(results: Sequence[Result], market: str, arm: str, plan_: Plan) -> JointTest:
    """The joint rule on a learner against the best constant size on realised growth, seeds averaged bar by bar.

    Seeds have exams of their own, so their mean is over independent bars.
    """
    series = [result.excess for result in results if result.task.market == market and result.task.arm == arm]
    mean = np.mean(np.stack(series), axis=0)
    return joint_as_planned(plan_, mean)


def learned_sizes(results: Sequence[Result]) -> pd.DataFrame:
    """Mean size by state of every learner: columns market, arm, seed, state, size; markets traded by size alone."""
    rows = [
        {"market": r.task.market, "arm": r.task.arm, "seed": r.task.seed, "state": state, "size": size}
        for r in results
        for state, size in enumerate(r.sizes)
    ]
    return pd.DataFrame(rows)


def _percent(table: pd.DataFrame, market: str, arm: str, column: str) -> float:
    return 100.0 * float(table.loc[(market, arm), column])  # type: ignore[arg-type]


def answers_sentence(table: pd.DataFrame, targets: Sequence[tuple[str, str, float]]) -> str:
    """Each declared target met or missed, by the mean over all seeds: (market, arm, least share)."""
    lines = []
    for market, arm, least in targets:
        share, low, high, lowest = (
            _percent(table, market, arm, name) for name in ("share", "low", "high", "lowest seed")
        )
        verdict = "reached" if share >= 100.0 * least else "missed"
        lines.append(
            f"- `{arm}` in `{market}`: {share:.1f}% of the optimal growth (95% {low:.1f} to {high:.1f}, lowest seed "
            f"{lowest:.1f}%); {100.0 * least:.0f}% {verdict}"
        )
    return "\n".join(lines)


# From this share of the optimum on a seed has found it; and how near another is the same way of trading, points.
FOUND = 0.90
SAME_WAY = 5.0


def orders_sentence(results: Sequence[Result], gamma: float) -> str:
    """What of the market of orders a learner cannot reach, and what its seeds came to.

    Args:
        gamma: the learner's discount.
    """
    answer = rebate_market.solve(ORDERS, ORDERS.trading(), laboratory.ACCOUNT)
    left = {name: 100.0 * share for name, share in rebate_market.decompose(answer, gamma).items()}
    shares = [100.0 * result.share for result in results if result.task.market == ORDERS.name]
    found = sum(share >= 100.0 * FOUND for share in shares)
    sides = [left["long_only"], left["short_only"]]
    one = sum(share < 100.0 * FOUND and min(abs(share - side) for side in sides) <= SAME_WAY for share in shares)
    told = ", ".join(f"{share:.0f}%" for share in shares)
    free = min(left["seen"], left["discounted"]) >= 99.0
    lost = "cost nothing" if free else "are part of what is missing"
    rest = (
        " What is missing is search: a seed keeps a way of trading that pays." if free and found < len(shares) else ""
    )
    return (
        f"`{ORDERS.name}`, exactly: a policy that tells apart no more than its account shows earns {left['seen']:.1f}% of "
        f"the optimum, the best one at a discount of {gamma:g} a bar {left['discounted']:.1f}%, so that observation and "
        f"discount {lost}; fills are the broker's own. Who opens on the long side alone earns {left['long_only']:.1f}% at "
        f"best, on the short side alone {left['short_only']:.1f}%. The seeds of `ppo` earn {told}: {found} of {len(shares)} "
        f"find {100.0 * FOUND:.0f}% of the optimum or more, {one} end within {SAME_WAY:g} points of one side alone.{rest}"
    )


def flat_sentence(table: pd.DataFrame) -> str:
    """Whether the policy stays out of pure noise, and how near the constant edge's best size it comes."""
    law = laws()["constant_edge"]
    used = _percent(table, "pure_noise", PPO, USED) / 100.0
    chosen = _percent(table, law.name, PPO, USED) / 1e4 * max(law.levels)
    best = solve(law).best_constant_size
    said = "below" if used < 100.0 * FLAT else "not below"
    return (
        f"Pure noise with costs: mean absolute position {used:.2f}% of the cap, {said} the {100 * FLAT:.0f}% allowed. "
        f"Constant edge: mean size {chosen:.2f} where {best:.2f} is best, {100 * abs(chosen / best - 1.0):.1f}% off."
    )


def null_sentence(test: JointTest, alpha: float) -> str:
    """Whether a learner of shuffled signals gains over the best constant size."""
    said = "rejects" if test.p_value < alpha else "does not reject"
    return (
        f"Shuffled signals: {1e4 * test.mean:+.2f} bps a bar against the best constant size (95% {1e4 * test.low:+.2f} to "
        f"{1e4 * test.high:+.2f}, p = {test.p_value:.2f}); the joint rule {said}."
    )
