"""What every figure draws from fixed data is what it drew before: numbers and words, not pixels.

After a change that is meant to change a figure: `pytest tests/unit/reports/test_figures_drawn.py --renew-drawn`.
"""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

import sizewise
from sizewise.base.paths import Workspace
from sizewise.dataset.regimes import LABELS
from sizewise.evidence.joint_rule import joint_test
from sizewise.evidence.judging.judgement import Judgement, judge
from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.evidence.statistics.selection import Selection
from sizewise.learning.tabular.cells import Confidence
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.outside import Brownian, BrownianMarket
from sizewise.params.trading.rewards import LogGrowth
from sizewise.reports.page.described import described
from sizewise.studies import configured, mechanics
from sizewise.studies.calibration.rejections import Rate
from sizewise.studies.outside import brownian
from sizewise.studies.outside.regimes import PROBABILITIES
from sizewise.studies.outside.sizers import SIZERS
from sizewise.studies.planted.answers import interval, solve
from sizewise.studies.planted.markets import laws
from sizewise.studies.stress.world import AS_IS, Scenario
from sizewise.walkforward.behaviour import CONDITIONS

from ...hand_joint import hand_joint

KEPT = Path(__file__).with_name("drawn.json")
# Longer series are kept as their ends and moments.
LONGEST = 12

pytestmark = pytest.mark.usefixtures("drawn")

# Data.


def days(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2020-01-01", periods=n, tz="UTC")


def wave(n: int, *columns: str) -> pd.DataFrame:
    """Daily returns that differ by column."""
    steps = np.arange(n)[:, None] * (1.0 + np.arange(len(columns)))
    return pd.DataFrame(0.01 * np.sin(steps), index=days(n), columns=list(columns))


def regimes(n: int) -> pd.DataFrame:
    """Bars by day, one column a label: three days of one label, with an hour of the next."""
    rows = np.eye(len(LABELS))[np.resize(np.repeat(np.arange(len(LABELS)), 3), n)]
    return pd.DataFrame(23.0 * rows + np.roll(rows, 1, axis=1), index=days(n), columns=list(LABELS))


def crossed(**keys: Any) -> pd.DataFrame:
    return pd.MultiIndex.from_product(keys.values(), names=keys).to_frame(index=False)


def spread(values: list[float], index: Any = None, *, name: str = "effect_bps") -> pd.DataFrame:
    table = pd.DataFrame({name: values}, index=index)
    return table.assign(low_bps=table[name] - 1.0, high_bps=table[name] + 1.5)


def sized() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sharpe ratios of three draws by sizer and probability, and what calibration adds to each sizer's."""
    columns = pd.MultiIndex.from_product([SIZERS, PROBABILITIES], names=["sizer", "probability"])
    values = np.arange(3.0)[:, None] / 10.0 + np.arange(len(columns))[None, :] / 100.0
    gains = pd.DataFrame(
        {"mean": 0.2, "low": 0.1, "high": 0.4}, index=pd.MultiIndex.from_product([["isotonic"], SIZERS])
    )
    return pd.DataFrame(values, columns=columns), gains


def history() -> pd.DataFrame:
    rows = crossed(group=["a", "b"], fold=[0, 1], seed=[1, 2], iteration=[1, 2, 3, 4])
    step = rows["iteration"] + 0.5 * rows["seed"] + (rows["group"] == "b")
    return rows.assign(
        samples=1000.0 * rows["iteration"],
        validation_bps_per_day=step.where(rows["iteration"] % 2 == 0),
        mean_scaled_reward=0.01 * step,
        entropy=1.9 - 0.1 * step,
        closes=50.0 * rows["iteration"],
        mean_reward=0.001 * step,
        win_rate=0.4 + 0.01 * step,
        mean_size=0.3,
        updates_per_close=1.0,
        loss_dqn=1.0 / step,
        loss_cnn=(0.7 / step).where(rows["group"] == "b"),
    )


def behaviour() -> pd.DataFrame:
    rows = []
    for i, arm in enumerate(("ppo", "atr")):
        for j, condition in enumerate(CONDITIONS):
            row = {"arm": arm, "condition": condition.one, "other": condition.other, "expected": condition.expected}
            for prefix, centre in (("", 40.0 + i + j), ("other_", 50.0), ("difference_", i + j - 10.0)):
                row |= {f"{prefix}mean_pct": centre, f"{prefix}low_pct": centre - 2, f"{prefix}high_pct": centre + 3}
            rows.append(row)
    return pd.DataFrame(rows).set_index(["arm", "condition", "other"])


def sizes() -> pd.DataFrame:
    keys = {"arm": ["ppo", "atr"], "fold": [0, 1], "seed": [1, 2], "condition": ["confidence", "drawdown"]}
    return crossed(**keys, level=[5.0, 95.0]).assign(mean_size_pct=np.arange(32.0))


def account() -> tuple[pd.DataFrame, pd.DataFrame]:
    times, step = pd.date_range("2021-05-01", periods=8, freq="h", tz="UTC"), np.arange(8)
    frame = pd.DataFrame({"time": times, "symbol": "A", "open": 100.0 + step, "close": 101.0 + step})
    frame = frame.assign(high=frame["close"] + 1, low=frame["open"] - 1, position=10.0 * step, equity=1000.0 + step)
    fills = frame.iloc[[2, 5]][["time", "symbol"]].assign(
        kind=["market", "limit"], units=[0.1, -0.1], price=[103.0, 106.0]
    )
    return frame, fills


def rate(value: float) -> Rate:
    return Rate(value, 1000, 0.05, 0.03, 0.07)


ANSWERS = {name: solve(law) for name, law in laws().items() if name in ("two_regime", "leak")}
LEARNED = pd.DataFrame(
    [
        {"market": name, "arm": arm, "seed": seed, "state": state, "size": 0.1 * seed + size}
        for name, answer in ANSWERS.items()
        for arm in ("ppo", "bandit")
        for seed in (1, 2)
        for state, size in enumerate(answer.optimal_size)
    ]
)
CELLS = crossed(fold=[0, 1], label=["bull", "bear"], seed=[1, 2]).assign(
    effect_bps=[1.0, -2.0, 0.04, -0.04, 0.5, 8.0, -1.0, 3.0], n_days=range(11, 19)
)
MET = crossed(regime=LABELS, confidence=[bins.name.lower() for bins in Confidence])
PATHS = spread([-1.0, 0.5, 2.0], ["path 1", "path 2", "path 3"]).assign(p_value=0.25, n_days=400)
CHOICE = Selection(
    np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.1, -0.1]), np.array([-1.0, 0.5, 0.5])
)
DAILY, EDGES = wave(20, "ppo", "atr"), list(days(20)[[0, 9]])
LIVE = pd.Series([1, 2] * 10, index=days(20))
PLAN = Plan(candidate="ppo", reference="atr", endpoint="daily_log_growth_difference", regimes=("low_vol_trending",))
TEST = hand_joint(2e-4, -1e-4, 5e-4, 0.18, 4.2e-4)
SEED_MEANS = pd.DataFrame({1: [1.0, -2.0, 0.5], 2: [0.5, -1.0, -0.5], 3: [0.0, -1.5, 1.5]})
MULTIPLES = pd.MultiIndex.from_product([[0.0, 1.0, 3.0], ["ppo", "atr"]], names=["multiple", "arm"])
PARTS = ["exposure", "timing", "fees", "sum: the difference"]


def earned() -> configured.Configured:
    bare = wave(60, "reward")["reward"]
    done = SimpleNamespace(reward=bare - 0.001)
    return configured.Configured(SimpleNamespace(reward=LogGrowth()), done, bare)


# By a figure's name: from its function to what it draws.
FIGURES: dict[str, Callable[[Callable[..., Figure]], Figure]] = {
    "coverage": lambda draw: draw({"A": (days(400)[0], days(400)[-1])}, list(days(400)[[150, 250, 399]]), {"A": 9600}),
    "prices_with_regimes": lambda draw: draw(
        {name: regimes(30).assign(close=100 + wave(30, "x")["x"]) for name in "AB"}
    ),
    "correlation": lambda draw: draw(wave(50, *"abcd").corr(), ["g", "g", "h", "h"]),
    "calibration": lambda draw: draw(
        pd.DataFrame(
            {"claimed": [0.3, 0.5], "realised": [0.35, 0.48], "low": [0.3, 0.4], "high": [0.4, 0.55], "n": [80, 81]}
        )
    ),
    "learning_curves": lambda draw: draw(history()),
    "closed_trade_curves": lambda draw: draw(history()),
    "table_heat_map": lambda draw: draw(
        {
            "bandit": MET.assign(visits=range(25), size_pct=4.0 * MET.index),
            "q_table": MET.assign(visits=np.arange(25) % 4, size_pct=(2.0 * MET.index).where(MET.index % 4 > 0)),
        }
    ),
    "learning_by_trade_count": lambda draw: draw(
        crossed(arm=["bandit", "q_table"], seed=[1, 2], trade=[50, 200, 500]).assign(gain_bps=range(12), size_pct=50.0)
    ),
    "sizes_by_condition": lambda draw: draw(behaviour(), measure="entry_pct"),
    "dependence": lambda draw: draw(sizes()),
    "power_curve": lambda draw: draw(TEST, alpha=0.05, power=0.8),
    "p_by_number_figure": lambda draw: draw(
        pd.DataFrame({"blocks": [0.2, 0.01, np.nan], "cosines": [0.3, 0.2, 0.1]}, index=[4, 8, 64]), PLAN, 400
    ),
    "evidence_by_look": lambda draw: draw(pd.DataFrame({"e_value": [1.0, 0.5, 25.0]}, index=days(3)), alpha=0.05),
    "equity_by_arm": lambda draw: equity(draw),
    "effects": lambda draw: draw(
        spread([1.5, -0.5], ["a", "b"]).assign(note=["41", "50"], mde_bps=[1.0, np.nan]),
        xlabel="bps",
        title="By regime",
    ),
    "difference_by_block": lambda draw: draw(DAILY["ppo"], 4, "ppo", "atr", LIVE),
    "heat_map": lambda draw: draw(CELLS, ["bull", "bear"], title="ppo minus atr"),
    "draw_path": lambda draw: draw(*account(), quote="USDT"),
    "growth_by_multiple": lambda draw: draw(
        spread([3.0, 1.0, 1.0, 0.5, np.nan, 0.0], MULTIPLES, name="growth_bps"), level_pct=95.0
    ),
    "scenarios_figure": lambda draw: draw(
        spread([0.1, 0.0, -0.2, np.nan], ["costs x0", "costs x1", "missed fills 5%", "delay 1 bar"]),
        [Scenario("costs", 0.0), AS_IS, Scenario("missed", 0.05), Scenario("delay", 1.0)],
        title="ppo minus atr",
        level_pct=95.0,
    ),
    "waterfall": lambda draw: draw(spread([1.0, -3.0, 0.5, -1.5], PARTS), title="ppo minus atr", level_pct=95.0),
    "rejection_rates": lambda draw: draw({"aa": {"placebo": rate(0.01), "newey_west": rate(0.22)}}, synthetic=True),
    "power_curves": lambda draw: draw(
        {"0.0": rate(0.05), "3.0": rate(0.74)}, {"0.0": rate(0.05), "3.0": rate(0.66)}, plan=PLAN, days=400
    ),
    "level_by_length": lambda draw: draw(
        {
            f"regimes_of_{length}_days": {
                "joint_rule": rate(0.04 * factor),
                "ibragimov_mueller": rate(0.05 * factor),
                "cosines": rate(0.1 * factor),
            }
            for length, factor in ((30, 1.0), (365, 2.0))
        },
        (30, 365),
        0.05,
    ),
    "sizes_by_state": lambda draw: draw(LEARNED, ANSWERS),
    "shares_of_optimal": lambda draw: draw(
        {"two_regime": {"ppo": interval([0.9, 1.0])}, "leak": {"bandit": interval([0.8, 0.9])}},
        [("two_regime", "ppo", 0.95), ("two_regime", "q_table", 0.9)],
    ),
    "sharpe_ratios": lambda draw: draw(
        pd.DataFrame({"sharpe": [1.0, -0.5], "low": [0.5, -1], "high": [1.4, 0.1], "dsr": [0.9, np.nan]}, ["a", "b"]),
        0.7,
        5,
    ),
    "deflated_by_trials": lambda draw: draw(pd.DataFrame({"ppo": [0.9, 0.5, 0.2]}, index=[1, 10, 100]), 10),
    "selection": lambda draw: draw({"everything": (CHOICE, np.array([0.2, 0.5, 0.5, 0.9]))}),
    "cpcv_paths": lambda draw: draw(PATHS),
    "cpcv_cumulated": lambda draw: draw(wave(20, "path 1", "path 2")),
    "set_effects": lambda draw: draw(
        spread([-1.0, -0.5, -0.75], ["seeds 1-3", "fresh seeds 11-13", "all 3 seeds"]).assign(
            p_value=[0.01, 0.2, 0.05], **{"class": ["worse", "inconclusive", "inconclusive"]}
        ),
        title="Three seeds at a time",
        level_pct=95.0,
    ),
    "seed_gaps": lambda draw: draw(SEED_MEANS, SEED_MEANS[[1]] + 0.1, arithmetic="baseline"),
    "redraws": lambda draw: draw(
        SeedDraws(3, 1e-5, 1e-4 * np.linspace(-2.0, 0.5, 50), np.linspace(0.0, 0.1, 50), 0.5), -0.8, 0.04, alpha=0.05
    ),
    "seeds_enough": lambda draw: draw(
        pd.DataFrame(
            {
                "effect_low_bps": [-2.0, -1.2],
                "effect_high_bps": [0.5, -0.4],
                "p_low": [0.001, 0.01],
                "p_high": [0.6, 0.1],
            }
            | {"better_pct": [0.0, 0.0], "worse_pct": [40.0, 80.0], "inconclusive_pct": [60.0, 20.0]},
            index=[1, 10],
        ),
        alpha=0.05,
    ),
    "draw_reward": lambda draw: draw(earned()),
    "account_size_figure": lambda draw: draw(
        crossed(arm=["atr", "smallest"], symbol=["A", "B"], initial_equity=[100.0, 1_000.0, 25_000.0]).assign(
            growth_bps_per_day=np.arange(12) / 10.0
        )
    ),
    "curves_figure": lambda draw: draw(
        crossed(group=["ppo (rolling)", "ppo_entry (rolling)"], fold=[0, 1], samples=[0.0, 500.0, 1000.0]).assign(
            seed=1, tail_bps=np.arange(12.0), head_bps=[*np.arange(6.0) / 2.0, *[np.nan] * 6]
        )
    ),
    "budget_figure": lambda draw: draw(
        crossed(multiple=[1, 4], fold=[1, 4], samples=[0.0, 500.0, 1000.0]).assign(
            head_bps=np.arange(12.0), tail_bps=np.arange(12.0) / 2.0, test_bps=-np.arange(12.0)
        )
    ),
    "sharpe_figure": lambda draw: draw(
        pd.DataFrame(
            {"sharpe_constant": [0.4, 0.2, -0.1, 0.0], "sharpe_atr": [0.6, 0.3, -0.2, 0.1]},
            index=["turtles_first", "reversal", "random 1", "random 2"],
        )
    ),
    "found_figure": lambda draw: draw(
        pd.DataFrame(
            {"better": [0.0, 0.2, 0.9], "better_low": [0.0, 0.1, 0.7], "better_high": [0.1, 0.4, 1.0]},
            index=[0.0, 2.0, 4.0],
        ),
        PLAN.gates,
        joint_test(np.random.default_rng(1).normal(0.0, 1e-3, 800), blocks=8, alpha=0.05, power=0.8),
    ),
    "effects_figure": lambda draw: draw(
        crossed(edge=[0.0, 4.0], replication=[0, 1, 2]).assign(effect_bps=np.arange(6.0)), 0.8
    ),
    "growth_figure": lambda draw: draw(
        [
            brownian.Result(brownian.Task("index", arm, seed), size, 0.9, ())
            for arm, sizes in (("ppo", (1.8, 2.1)), ("direct", (1.9, 2.4)))
            for seed, size in enumerate(sizes, start=1)
        ],
        Brownian(risk_levels=(0.0, 0.8), markets={"index": BrownianMarket(drift=0.08, volatility=0.20)}),
    ),
    "sizers_figure": lambda draw: draw(*sized()),
    "stages_figure": lambda draw: draw(
        {
            "pipelines": {
                "make reproduce": {
                    "features": {"wall_s": 30.0, "cpu_s": 45.0, "peak_mb": 900.0},
                    "train": {"wall_s": 360.0, "cpu_s": 630.0, "peak_mb": 2000.0},
                },
                "make studies": {"cartpole": {"wall_s": 60.0, "cpu_s": 60.0, "peak_mb": 500.0}},
            }
        }
    ),
    "parts_figure": lambda draw: draw(
        {
            "training": {
                network: {
                    "parts": {
                        "rollout": {"share": 0.5, "environment": 0.3, "trunk": 0.15, "rest": 0.05},
                        "update": {"share": 0.5, "encode": 0.1, "trunk": 0.3, "optimiser": 0.1},
                    }
                }
                for network in ("default_budget", "floor")
            }
        }
    ),
    "scaling_figure": lambda draw: draw(
        {
            "growth": {
                axis: {"points": [{"times": t, "cpu_s": 0.1 * t**power, "grown_mb": 50.0 + t} for t in (1, 4, 16)]}
                for axis, power in (("bars", 1.0), ("window", 0.2))
            }
        }
    ),
    "targeting_figure": lambda draw: draw(
        {
            name: pd.DataFrame({"difference": [0.2, -0.1], "low": [-0.1, -0.3], "high": [0.5, 0.1]}, index=groups)
            for name, groups in (("the signal", ["equities", "all"]), ("held long", ["currencies", "all"]))
        },
        0.1,
    ),
    "experience_figure": lambda draw: draw(
        crossed(market=["two_regime", "constant_edge"], arm=["ppo", "direct"], seed=[1, 2], bars=[100, 1000]).assign(
            share=np.arange(16.0) / 16.0
        )
    ),
    "equity_figure": lambda draw: draw(judged().terms),
    "drawdown_figure": lambda draw: draw(judged().terms),
    "difference_figure": lambda draw: draw(judged().terms, judged().pairs[0]),
    "draw": lambda draw: draw(mechanics.work(mechanics.CASES["bracket"], Workspace.open())),
}


def judged() -> Judgement:
    """Two curves of a year, one of which earns more."""
    worth = 100.0 * np.exp(wave(300, "mine", "theirs").cumsum() + 1e-3 * np.arange(300)[:, None])
    return judge({name: worth[name] for name in worth}, tried=2)


def figure_functions() -> dict[str, Callable[..., Figure]]:
    """Public functions that draw and return a figure, by name; those that hand tidy data to another are not among them."""
    found = {}
    for module in pkgutil.walk_packages(sizewise.__path__, "sizewise."):
        source = importlib.util.find_spec(module.name)
        if "-> Figure:" not in Path(str(source.origin)).read_text():
            continue
        for name, function in vars(importlib.import_module(module.name)).items():
            own = inspect.isfunction(function) and function.__module__ == module.name and not name.startswith("_")
            if own and inspect.signature(function).return_annotation is Figure:
                given = {parameter.annotation for parameter in inspect.signature(function).parameters.values()}
                if Figure not in given and re.search(r"axes|subplots", inspect.getsource(function)):
                    assert name not in found, f"{name} is drawn by {module.name} and {found[name].__module__}"
                    found[name] = function
    return found


FUNCTIONS = figure_functions()


# What is drawn.


def numbers(values: Any) -> Any:
    """Six digits of a series: all of a short one, else how many, the ends, the mean and the root mean square."""
    array = np.ma.filled(np.ma.asarray(values).astype(float), np.nan).ravel()
    if len(array) > LONGEST:
        ends = [len(array), array[0], array[-1]]
        array = np.array([*ends, np.nanmean(array), np.sqrt(np.nanmean(array**2))])
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in array]


def drawn_on(axes: Axes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": axes.get_title() or axes.get_title("left"),
        "x": axes.get_xlabel(),
        "y": axes.get_ylabel(),
    }
    found["scale"] = [axes.get_xscale(), axes.get_yscale()]
    found["ticks"] = [
        [label.get_text() for label in axis.get_ticklabels()]
        for axis in (axes.xaxis, axes.yaxis)
        if isinstance(axis.get_major_locator(), FixedLocator)
    ]
    found["lines"] = [
        [line.get_label(), numbers(line.get_xdata(orig=False)), numbers(line.get_ydata(orig=False))]
        for line in axes.lines
    ]
    found["patches"] = [
        [
            to_hex(patch.get_facecolor()),
            numbers([*patch.get_xy(), patch.get_width(), patch.get_height()])
            if isinstance(patch, Rectangle)
            else numbers(patch.get_path().vertices),
        ]
        for patch in axes.patches
    ]
    # Across and up by themselves: dates are large, and would hide what changes beside them.
    found["collections"] = [
        [
            numbers(along)
            for along in np.ma.filled(
                part.get_offsets()
                if isinstance(part, PathCollection)
                else np.concatenate([path.vertices for path in part.get_paths()] or [np.zeros((0, 2))]),
                np.nan,
            ).T
        ]
        for part in axes.collections
    ]
    found["images"] = [[numbers(image.get_array()), numbers(image.get_clim())] for image in axes.images]
    found["texts"] = [text.get_text() for text in axes.texts]
    if axes.get_legend():
        found["legend"] = [text.get_text() for text in axes.get_legend().get_texts()]
    return {name: value for name, value in found.items() if value}


def drawn_in(figure: Figure) -> dict[str, Any]:
    words = [
        figure.get_suptitle(),
        figure.get_supxlabel(),
        figure.get_supylabel(),
        *(text.get_text() for text in figure.texts),
    ]
    words += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return {"words": sorted({word for word in words if word}), "axes": [drawn_on(axes) for axes in figure.axes]}


def differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two descriptions differ by more than a rounding."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted({*ours, *theirs})
        return [line for key in keys for line in differences(ours.get(key), theirs.get(key), f"{place}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{place}/{i}")]
    if isinstance(ours, float) and isinstance(theirs, float):
        return [] if ours == pytest.approx(theirs, rel=1e-5, abs=1e-9) else [f"{place}: {ours} was {theirs}"]
    return [] if ours == theirs else [f"{place}: {ours} was {theirs}"]


@pytest.fixture(scope="module")
def kept(request):
    """What was drawn before, by figure; renewed where that is asked for."""
    found = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    yield found
    if request.config.getoption("--renew-drawn"):
        lines = [f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found) if name in FUNCTIONS]
        KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_figure_draws_what_it_drew(name, kept, request):
    figure = FIGURES[name](FUNCTIONS[name])
    # Warnings are errors.
    figure.canvas.draw()
    found = drawn_in(figure)
    # Whatever is drawn can be put into words.
    assert described(figure).endswith(".")
    if request.config.getoption("--renew-drawn"):
        kept[name] = found
    assert differences(found, kept[name]) == []


def test_every_figure_has_data_here_and_nothing_is_left_over(kept):
    assert set(FIGURES) == set(FUNCTIONS) == set(kept)


def other(table: pd.DataFrame, row: int, column: str, step: float) -> pd.DataFrame:
    """A copy in which one value is another."""
    changed = table.copy()
    changed.iloc[row, changed.columns.get_loc(column)] += step
    return changed


def equity(draw: Callable[..., Figure], *, daily: Any = DAILY, edges: Any = EDGES, **strips: Any) -> Figure:
    strips = {"live": LIVE, "regimes": regimes(20), **strips}
    return draw(daily, {"rules": ["atr"], "learners": ["ppo"]}, edges, reference="atr", **strips)


CHANGED: list[tuple[str, Callable[[Callable[..., Figure]], Figure]]] = [
    ("power_curve", lambda draw: draw(replace(TEST, mde=4.3e-4), alpha=0.05, power=0.8)),
    ("power_curve", lambda draw: draw(TEST, alpha=0.05, power=0.9)),
    # One day of a long series, a fold, a symbol, a bar.
    ("equity_by_arm", lambda draw: equity(draw, daily=other(DAILY, 9, "atr", 1e-4))),
    ("equity_by_arm", lambda draw: equity(draw, edges=[EDGES[0], days(20)[8]])),
    ("equity_by_arm", lambda draw: equity(draw, live=LIVE + 1)),
    ("equity_by_arm", lambda draw: equity(draw, regimes=other(regimes(20), 9, "neutral", 9.0))),
    # Bars, cells, points and words.
    ("waterfall", lambda draw: draw(spread([1.0, -3.0, 0.5, -1.4], PARTS), title="ppo minus atr", level_pct=95.0)),
    ("heat_map", lambda draw: draw(other(CELLS, 2, "effect_bps", 0.2), ["bull", "bear"], title="ppo minus atr")),
    ("draw_path", lambda draw: draw(account()[0], other(account()[1], 0, "price", 0.5), quote="USDT")),
    ("draw_path", lambda draw: draw(*account(), quote="USD")),
    ("dependence", lambda draw: draw(other(sizes(), 3, "mean_size_pct", 0.1))),
]


@pytest.mark.parametrize(("name", "changed"), CHANGED)
def test_a_changed_datum_is_noticed(name, changed, kept):
    assert differences(drawn_in(changed(FUNCTIONS[name])), kept[name])
