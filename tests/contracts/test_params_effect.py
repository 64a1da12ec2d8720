"""Every leaf of params.yaml does something: changed by itself it changes a result, is refused, or stands on a short list.

Two kinds of proof. A section of MEASURED is run: a small probe makes from it what it makes in earnest, on a few weeks of
one series, and a leaf that changes no digest at any of the section's settings is unused. A section of READ is costly to
run: its leaves must be read by name off an expression that is known to hold the section's model. That proof cannot see a
value that is read and then dropped, nor one that is read off another model under the same name in the same file.

A leaf that is added to a section is covered the day it is added; a section that is added is refused until it stands here.
"""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import BaseModel

from sizewise.base.errors import ConfigError
from sizewise.base.imports import PACKAGE
from sizewise.base.seeding import torch_generator
from sizewise.dataset import store
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.gym.environments import SizewiseEnv
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.learning.direct.training import DirectSettings, train_direct
from sizewise.learning.ppo import training
from sizewise.learning.tabular.learning import train_tables
from sizewise.market.bars import load_bars
from sizewise.market.costs import priced
from sizewise.market.instruments import load_instruments
from sizewise.params.fields import Section
from sizewise.params.reading import SECTIONS, Params, parse_params, read_params
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import open_any, rules_of
from sizewise.studies.known_answers import laboratory
from sizewise.studies.known_answers.study import ORDERS, Task, run_task
from sizewise.studies.planted.markets import laws
from sizewise.trading.accounts import Observer
from sizewise.trading.broker.orders import Orders
from sizewise.trading.desk import observer_of
from sizewise.trading.schemes.interface import ActionScheme
from sizewise.trading.simulation import simulate
from sizewise.trading.situation import Situation
from sizewise.walkforward.walk import paths_of, walk

ROOT = Path(__file__).parents[2]
SYMBOL, BARS = "BTCUSDT_1h", 60
CRASH = "2020-03-10 12:00"

# A few weeks of one series, and learners that are trained in a blink.
TINY: dict[str, Any] = {
    "data": {"symbols": [SYMBOL], "start": "2018-01-01", "end": "2018-08-18"},
    "regimes": {"quantile_window_days": 40},
    "signals": {"family": {"entry_days": 2, "exit_days": 1}, "max_hold_days": 4, "confidence_blocks": 2},
    "splits": {
        "test_starts": ["2018-08-01"],
        "end": "2018-08-15",
        "sealed_end": "2018-08-17",
        "rolling_days": 60,
        "min_train_bars": 300,
        "min_train_days": 10,
        "min_test_bars": 100,
    },
    "observation": {"window_bars": 4},
    "train": {
        "seeds": [1],
        "hidden": [4, 4],
        "groups": 4,
        "replicas": 2,
        "horizon": 8,
        "episode": {"mean_steps": 6},
        "iterations": 2,
        "minibatches": 2,
        "epochs": 2,
        "validate_every": 1,
        "validation_chunk_steps": 64,
    },
    "arms": {"ppo": {"seeds": None}},
    "direct": {"hidden": 2, "stretch": 8, "passes": 12, "learning_rate": 0.3, "validate_every": 2, "patience": 1},
    "tabular": {"passes": 1},
    "outcome": {
        "window_bars": 4,
        "flow_window_bars": 2,
        "channels": 2,
        "hidden": 4,
        "report_every": 5,
        "kernel_bars": 2,
        # A few weeks of daily decisions have a handful of trades.
        "replay": {"warmup": 4, "batch": 4},
    },
    "laboratory": {
        "exam_bars": 200,
        "table_bars": 400,
        "longer": {"two_regime": 2, "volatility_timing": 2},
        "orders": {"iterations": 2},
        "direct": {"hidden": 2, "groups": 8, "horizon": 4, "passes": 3},
        "train": {
            "seeds": [1],
            "hidden": [4, 4],
            "groups": 4,
            "replicas": 2,
            "horizon": 8,
            "iterations": 2,
            "minibatches": 2,
        },
        "tabular": {"accounts": 5},
    },
}

PAID = {
    "held_after_hours": 2.0,
    "held_per_hour": 0.1,
    "flat_after_hours": 0.0,
    "flat_per_hour": 0.1,
    "suppression": {"rate": 0.5, "cycles": 4},
}


def walked_by(scheme: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """The candidate's scheme, which is walked by chance, at every bar, to measure what the broker permits.

    The ensemble is of another arm.
    """
    arms = {"ppo": {"scheme": scheme}, "ppo_ensemble": {"of": "ppo_entry"}}
    return {"arms": arms, "rules": rules, "decisions": {"every": "bar"}}


SEVEN = {"kind": "sizing7", "mode": "masked"}
MULTIPLES = {"kind": "multiples_of", "base": {"kind": "atr"}}
SIMPLE, MANAGED = {"kind": "simple"}, {"kind": "managed_risk"}
# Positions that cash does not pay for.
LEVERED = {"kind": "levels", "mode": "free", "levels": [-3.0, 0.0, 3.0]}
# Settings at which a leaf has an effect, where it has none beside the others as they are; the longest prefix counts.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "": [{}],
    "data.spans": [{"data": {"symbols": [SYMBOL, "SPY_1d"]}}],
    "rules": [walked_by(SIMPLE, max_open_lots=3), walked_by(MANAGED)],
    "rules.margin": [walked_by(LEVERED)],
    "rules.leverage": [walked_by(LEVERED, margin="isolated", leverage=2.0)],
    # An account that may not trade by the day seldom sells a part of what it has.
    "rules.closing": [walked_by(SIMPLE, max_open_lots=3, day_trade_limit=False)],
    "rules.max_open_lots": [walked_by(SIMPLE)],
    "rules.limit_fills": [walked_by(MANAGED)],
    "trading.reward.penalties": [{"trading": {"scheme": {"close_action": True}, "reward": {"penalties": PAID}}}],
    "trading.reward.penalties.ruin": [{"account": {"ruin_frac": 0.9999}}],
    "train.validate_every": [{"train": {"iterations": 3}}],
    # By any other clock a tail of a few days is one account's.
    "train.validation_chunk_steps": [{"decisions": {"every": "bar"}}],
    "train.initial_reference_prob": [walked_by(MULTIPLES)],
    # Seven actions are no multiples of a rule that could price risk.
    "train.initial_hold_prob": [{**walked_by(SEVEN), "train": {"reward": {"kind": "log_growth"}}}],
    # The sessions that are walked are months, longer than the test slice.
    "decisions.count": [{"decisions": {"every": "hour"}}],
    "tabular.margin": [{"tabular": {"maintenance_frac": 0.19}}],
    "laboratory.tabular.passes": [{"laboratory": {"tabular": {"feedback": "chosen"}}}],
}

# Other values of a leaf that is a text or null; a number, a flag or a list is changed by rule.
OTHERS: dict[str, list[Any]] = {
    "data.start": ["2018-03-08"],
    "data.end": ["2018-08-16"],
    "data.symbols": [["EURUSD_1h"]],
    "data.spans.SPY_1d.start": ["2018-06-08"],
    "data.assets.BTC": [["BTCUSDT_1h"]],
    "data.assets.SPY": [["SPY_1d"]],
    "signals.family.kind": ["reversal"],
    "splits.test_starts": [["2018-08-03"]],
    "splits.end": ["2018-08-13"],
    "splits.sealed_end": ["2018-08-16", None],
    # No symbol has as many.
    "splits.min_train_bars": [100_000],
    "splits.min_train_days": [100_000],
    "splits.min_test_bars": [100_000],
    "trading.symbols": [["EURUSD_1h"]],
    "trading.scheme.kind": ["sizing13"],
    "trading.scheme.mode": ["masked"],
    "trading.costs.kind": ["zero"],
    "trading.reward.kind": ["size_weighted_return"],
    "rules.margin": ["unlimited"],
    "rules.leverage": [3.0],
    "trading.reward.penalties.suppression.scaling": [0.5],
    "rules.closing": ["average"],
    "rules.limit_fills": ["touch"],
    "rules.max_open_lots": [2],
    "rules.max_open_orders": [7],
    "rules.max_volume_frac": [1e-6],
    "decisions.every": ["bar"],
    "direct.objective": ["sharpe"],
    "train.clip_coef": [1e-3],
    "observation.inputs": [["ret_1", "adx_14"]],
    "train.reward.kind": ["size_weighted_return"],
    "train.target_kl": [1e-9],
    "laboratory.train.target_kl": [1e-9],
    "laboratory.train.value_clip_coef": [1e-3],
    "train.encoder.kind": ["linear_recurrent"],
    "tabular.learning_rate_schedule": ["visits"],
    "tabular.final_exploration": [0.9],
    "tabular.reward": ["outcome"],
    "tabular.min_quote": [100.0],
    "tabular.win_window": [1],
    "tabular.confidence_edges": [[0.1, 0.2, 0.3, 0.4]],
    "tabular.performance_edges": [[0.1, 0.2]],
    # What a table of $200 orders holds of $100,000.
    "tabular.exposure_edges": [[0.0001, 0.001, 0.002]],
    "tabular.maintenance_frac": [0.19],
    "tabular.margin": ["cash"],
    "outcome.reward": ["composite_close"],
    "laboratory.tabular.max_risk_frac": [0.001],
    "laboratory.tabular.margin": ["isolated"],
    "laboratory.tabular.learning_rate_schedule": ["constant"],
    "laboratory.tabular.feedback": ["chosen"],
}


def merged(base: Any, change: Any) -> Any:
    """`change` laid over `base`; a mapping that names another kind takes the place of the old one."""
    if not (isinstance(base, dict) and isinstance(change, dict)) or change.get("kind", base.get("kind")) != base.get(
        "kind"
    ):
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that are no mappings."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def at(values: Any, path: Iterable[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def others(name: str, value: Any) -> list[Any]:
    """Values to put in a leaf's place; those that the section refuses do no harm beside one that it takes."""
    if name in OTHERS:
        return OTHERS[name]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value, max(1, value // 2), 10 * value + 7]
    if isinstance(value, float):
        return [0.5 * value, 2.0 * value, 0.999, value + 1e-3, 1e-9, 1e9, 0.2]
    if isinstance(value, list) and all(isinstance(part, int | float) for part in value):
        return [value[:-1], value[1:], [0.9 * part for part in value], [part + 1 for part in value]]
    pytest.fail(f"{name} is {value!r}: say in OTHERS which other value it may have")


def changed(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    change: Any = value
    for key in reversed(path):
        change = {key: change}
    if path[-1] == "kind":
        # What another kind takes in common with this one stays.
        return merged(values, {path[0]: _of_kind(values[path[0]], path[1:-1], value)})
    return merged(values, change)


def _of_kind(section: dict[str, Any], path: tuple[str, ...], kind: str) -> dict[str, Any]:
    return {path[0]: _of_kind(section[path[0]], path[1:], kind)} if path else {"kind": kind}


# What is measured: each probe yields one digest after another, so that a change is seen as early as it shows.


def digest(*found: Any) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _hashed(frame: pd.DataFrame) -> bytes:
    return bytes(pd.util.hash_pandas_object(frame).to_numpy().tobytes())


@cache
def universe(data: BaseModel) -> store.Universe:
    return store.read_universe(ROOT / "data" / "bars", data)


@cache
def prepared(*sections: BaseModel) -> tuple[Any, Any, Any, Market]:
    data, splits, regimes, signals, observation = sections
    known = universe(data)
    folds = store.cut_folds(known, splits, regimes, window_bars=observation.window_bars)
    every = [fold for scheme in folds.values() for fold in scheme]
    tables, models = store.build_tables(known, every, regimes, signals)
    return folds, tables, models, build_market(known.bars, tables, known.instruments)


def of_world(p: Params) -> tuple[Any, Any, Any, Market]:
    return prepared(p.data, p.splits, p.regimes, p.signals, p.observation)


def measure_data(p: Params) -> Iterator[str]:
    folds, tables, models, _ = of_world(p)
    fitted = {name: [np.asarray(value).tolist() for value in vars(model).values()] for name, model in models.items()}
    yield digest(
        universe(p.data).assets,
        folds,
        {symbol: (list(table), _hashed(table)) for symbol, table in tables.items()},
        fitted,
    )


def measure_trading(p: Params) -> Iterator[str]:
    """Random actions in an environment that is told an iteration of training, and the same ones simulated."""
    known = p.trading.symbols
    bars = {symbol: load_bars(ROOT / "data" / "bars" / f"{symbol}.parquet").loc[CRASH:].iloc[:BARS] for symbol in known}
    instruments = load_instruments(ROOT / "data" / "instruments.yaml")
    direction = np.resize(np.repeat([1, -1, 0], 7), len(next(iter(bars.values()))))
    trading = p.trading.under(p.rules)
    env = SizewiseEnv(bars, trading, p.account, random_start=False, episode_bars=25, direction=direction)
    env.action_space.seed(1)
    env.suppress(1)
    seen = [env.reset(seed=1)[0]]
    actions = [env.action_space.sample() for _ in direction]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append(np.append(observation, reward))
        if terminated or truncated:
            break
    yield digest([row.tobytes() for row in seen])
    terms = {symbol: priced(instruments[symbol], p.trading.costs) for symbol in known}
    done = simulate(
        bars, actions, p.trading.scheme, p.account,
        rules=trading.rules, instruments=terms, direction=direction, reward=p.trading.reward,
    )  # fmt: skip
    walked = [done.equity, done.reward, done.fills, done.events, done.trades]
    yield digest([frame.to_csv() for frame in walked])


class ByChance:
    """Allowed actions of a scheme, drawn anew at every decision; keeps what the accounts show of themselves."""

    def __init__(self, scheme: ActionScheme, observe: Observer):
        self.uses, self._scheme, self._observe = scheme.uses, scheme, observe
        self._generator, self.seen = torch_generator("params effect"), []

    def orders(self, at: Situation) -> Orders:
        self.seen.append(self._observe(at.held, at.bar).numpy().tobytes())
        allowed = self._scheme.allowed(at.view()).double()
        return self._scheme.orders(torch.multinomial(allowed, 1, generator=self._generator)[:, 0], at.view())


def measure_world(p: Params) -> Iterator[str]:
    """The candidate's scheme by chance over the test slice, on a venue that limits day trades in sessions of a month."""
    folds, _, _, market = of_world(p)
    month = (market.tape.column("session") / 30.0).floor()
    tape = market.tape.changed(day_trade=torch.ones_like(month), session=month)
    market, arm, world = replace(market, tape=tape).to("cpu", torch.float64), p.arms["ppo"], World.of(p)
    under = replace(world, rules=rules_of(arm.scheme, world.rules))
    scheme = open_any(arm.scheme, market.symbols, p.account)
    sizer = ByChance(scheme, observer_of(scheme, p.account, under.rules))
    keys = paths_of("ppo", folds["rolling"], [1], market)
    ledger = walk(market, keys, sizer, under, follows_signal=arm.follows_signal, record=True)
    yield digest(ledger.equity.numpy().tobytes(), ledger.fills.to_csv(), ledger.events.to_csv(), sizer.seen)


def measure_train(p: Params) -> Iterator[str]:
    folds, _, models, market = of_world(p)
    settings = training.Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    jobs = training.plan_jobs({"ppo": p.arms["ppo"].model_copy(update={"splits": ("rolling",)})}, folds, p.train.seeds)
    trained = training.train_population(market.to("cpu", torch.float32), jobs, models, settings)
    parameters = [[value.detach().numpy().tobytes() for value in _tensors(one.agent)] for one in trained]
    yield digest([str(one.job) for one in trained], parameters, [repr(one.history) for one in trained])


def _tensors(found: Any) -> Iterator[torch.Tensor]:
    """Tensors of an object, in order."""
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _tensors(value)
    elif isinstance(found, tuple | list):
        for value in found:
            yield from _tensors(value)
    elif hasattr(found, "__dict__") and type(found).__module__.startswith("sizewise"):
        yield from _tensors(vars(found))


def measure_observation(p: Params) -> Iterator[str]:
    """What the window leaves of folds, and what a policy makes of its inputs."""
    yield from measure_data(p)
    yield from measure_train(p)


def measure_direct(p: Params) -> Iterator[str]:
    folds, _, _, market = of_world(p)
    exact, (fold,) = market.to("cpu", torch.float64), folds["rolling"]
    settings = DirectSettings(p.direct, p.observation, World.of(p), p.train.validation_frac, p.splits.purge_bars)
    found = train_direct(exact, fold, [1], "direct", p.arms["direct"], settings)
    yield digest(
        [[value.numpy().tobytes() for value in _tensors(one.policy)] for one in found],
        [repr(one.history) for one in found],
    )


def measure_tabular(p: Params) -> Iterator[str]:
    folds, _, _, market = of_world(p)
    exact = market.to("cpu", torch.float64)
    found = [train_tables(exact, folds["rolling"], [1], kind, p.tabular, p.account) for kind in ("q_table", "bandit")]
    tables = [
        [value.tobytes() for value in vars(table).values() if isinstance(value, np.ndarray)]
        for one in found
        for table in one.tables
    ]
    yield digest(tables, [one.history.to_csv() for one in found])


def measure_outcome(p: Params) -> Iterator[str]:
    folds, _, _, market = of_world(p)
    exact, (fold,) = market.to("cpu", torch.float64), folds["rolling"]
    found = train_closed_trades(exact, fold, [1], "closed", "outcome_ensemble", p.outcome, p.account)
    yield digest(
        [[value.detach().numpy().tobytes() for value in _tensors(one.policy)] for one in found],
        [repr(one.history) for one in found],
    )


def measure_laboratory(p: Params, first: str = "q_table") -> Iterator[str]:
    """Args: `first`: the learner, or the market of orders, that goes first."""
    rules = p.laboratory
    other = next(market for market in laws() if market not in rules.longer)
    tasks = [
        Task("two_regime", "q_table", 1),
        Task("two_regime", "direct", 1),
        *(Task("two_regime", "ppo", seed) for seed in rules.train.seeds),
    ]
    tasks += [Task(ORDERS.name, "ppo", 1), Task("volatility_timing", "ppo", 1), Task(other, "ppo", 1)]
    for task in sorted(tasks, key=lambda task: first not in (task.arm, task.market)):
        # What is learned shows more than the sizes it comes to, which lie on a grid.
        with mock.patch.multiple(
            laboratory, train_ppo=_kept(laboratory.train_ppo), train_orders=_kept(laboratory.train_orders)
        ):
            result = run_task(task, rules)
            learned = [laboratory.train_ppo.found, laboratory.train_orders.found]
        yield digest(result[:-1], [value.detach().numpy().tobytes() for value in _tensors(learned)])


class _kept:
    """A function that remembers what it returned."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self.found = function, ()

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.found = self.function(*given, **named)
        return self.found


MEASURED: dict[str, Callable[[Params], Iterator[str]]] = {
    **dict.fromkeys(("data", "regimes", "signals", "splits"), measure_data),
    "observation": measure_observation,
    **dict.fromkeys(("account", "trading"), measure_trading),
    **dict.fromkeys(("rules", "decisions"), measure_world),
    "train": measure_train,
    "direct": measure_direct,
    "tabular": measure_tabular,
    "outcome": measure_outcome,
    "laboratory": measure_laboratory,
    "laboratory.train": partial(measure_laboratory, first="ppo"),
    "laboratory.direct": partial(measure_laboratory, first="direct"),
    "laboratory.orders": partial(measure_laboratory, first=ORDERS.name),
}


def probe_of(name: str) -> Callable[[Params], Iterator[str]]:
    """Of a leaf; the longest prefix counts, which says where a change shows first."""
    return MEASURED[max((prefix for prefix in MEASURED if f"{name}.".startswith(f"{prefix}.")), key=len)]


def parsed(values: dict[str, Any]) -> Params:
    return parse_params(values)


@cache
def base_values() -> str:
    return json.dumps(merged(read_params(ROOT), TINY), default=str)


def settings_of(name: str) -> list[dict[str, Any]]:
    """What a leaf is probed at: tiny values, and of SETTINGS those that it needs."""
    values = json.loads(base_values())
    longest = max((prefix for prefix in SETTINGS if name.startswith(prefix)), key=len)
    return [merged(values, change) for change in SETTINGS[longest]]


@cache
def unchanged(probe: Callable[[Params], Iterator[str]], values: str) -> tuple[str, ...]:
    return tuple(probe(parsed(json.loads(values))))


def effect(probe: Callable[[Params], Iterator[str]], values: dict[str, Any], path: tuple[str, ...], value: Any) -> str:
    """`changed`, `same` or `refused`: what comes of a leaf's other value."""
    before = unchanged(probe, json.dumps(values))
    try:
        found = zip(probe(parsed(changed(values, path, value))), before, strict=False)
        return "changed" if any(new != old for new, old in found) else "same"
    except ConfigError:
        return "refused"


def verdict(path: tuple[str, ...], probe: Callable[[Params], Iterator[str]], settings: Iterable[dict[str, Any]]) -> str:
    """Whether a leaf counts: `changed` if any other value at any setting shows, `refused` if all are, else `same`."""
    said = set()
    for values in settings:
        try:
            value = at(values, path)
        except KeyError:
            continue
        for other in others(".".join(path), value):
            found = "same" if other == value else effect(probe, values, path, other)
            if found == "changed":
                return found
            said |= {found} if other != value else set()
    return "refused" if said == {"refused"} else "same"


# Leaves that change nothing that is measured here, and why; that they change nothing, and are read, is held below.
REASONS = {
    "splits.sealed_end": "no stage reads bars from splits.end on; `sizewise unseal` does",
    "laboratory.tabular.margin": "no planted bar goes far enough to liquidate an order of that grid; tabular.margin shows",
}

LEAVES = list(leaves(read_params(ROOT)))
OF_MEASURED = [path for path in LEAVES if path[0] in MEASURED]


@pytest.mark.parametrize("path", OF_MEASURED, ids=".".join)
def test_a_leaf_changes_what_is_measured_or_is_refused(path):
    found = verdict(path, probe_of(".".join(path)), settings_of(".".join(path)))
    if ".".join(path) in REASONS:
        assert (found, unread(parsed(settings_of("")[0]), path)) == ("same", [])
    else:
        assert found in ("changed", "refused")


# What is read.

LIBRARY = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.glob("**/*.py"))}
CODE = [tree for path, tree in LIBRARY.items() if path.parts[0] != "params"]


def cells_of(notebook: Path) -> ast.AST:
    cells = json.loads(notebook.read_text())["cells"]
    return ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))


NOTEBOOKS = [cells_of(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
# The methods of the models themselves, without what only validates, and the file that each stands in.
OWN = [
    (node.name, method, tree)
    for path, tree in LIBRARY.items()
    if path.parts[0] == "params"
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef)
    for method in node.body
    if isinstance(method, ast.FunctionDef)
    and "validator" not in ast.unparse(method.decorator_list or [ast.Constant("")])
]


def terminal(node: ast.AST) -> str:
    """The last name of an expression: `model` of `p.model`, `arms` of `p.arms[name]`."""
    if isinstance(node, ast.Subscript):
        return terminal(node.value)
    if isinstance(node, ast.BoolOp):
        return terminal(node.values[0])  # noqa: PD011  (no table)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class Code:
    """A file: what it takes attributes of, what it annotates, and what it sets names to; by their last names."""

    def __init__(self, tree: ast.AST):
        self.taken: set[tuple[str, str]] = set()
        self.annotated: list[tuple[str, frozenset[str]]] = []
        self.sets: list[tuple[str, str]] = []
        self.names: set[str] = set()
        # Fields of classes, by which other files reach a model; names given to getattr by a variable, and all texts.
        self.fields: list[tuple[str, frozenset[str]]] = []
        self.asked: set[str] = set()
        self.texts = {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        for node in ast.walk(tree):
            given = getattr(node, "annotation", None)
            if given is not None:
                holder = node.arg if isinstance(node, ast.arg) else terminal(node.target)
                self.annotated.append((holder, frozenset(re.findall(r"\w+", ast.unparse(given)))))
                if isinstance(node, ast.AnnAssign):
                    self.fields.append(("." + holder, self.annotated[-1][1]))
            if isinstance(node, ast.Attribute):
                self.taken.add((terminal(node.value), node.attr))
                if isinstance(node.value, ast.Attribute):
                    self.taken.add(("." + node.value.attr, node.attr))
            elif isinstance(node, ast.Name):
                self.names.add(node.id)
            elif isinstance(node, ast.Assign):
                self.sets += [(terminal(to), terminal(of)) for to, of in pairs(node.targets[0], node.value)]
            elif isinstance(node, ast.Call) and terminal(node.func) == "getattr":
                if isinstance(node.args[1], ast.Constant):
                    self.taken.add((terminal(node.args[0]), str(node.args[1].value)))
                else:
                    self.asked.add(terminal(node.args[0]))

    def holders(self, name: str, words: frozenset[str]) -> set[str]:
        """Names of a model: its section's, what is annotated with one of its types' names, and what is set to either."""
        found = (
            {name}
            | ({"arm"} if "Arm" in words else set())
            | {holder for holder, given in self.annotated if given & words}
        )
        return (found | {to for to, of in self.sets if of in found}) - {""}

    def reads(self, owner: type[BaseModel], field: str, name: str) -> bool:
        """Whether it reads a field off something that holds the model; a kind is also read where its type is named."""
        takers = {holder for holder, attribute in self.taken if attribute == field}
        takers |= self.asked if field in self.texts else set()
        if field == "kind" and owner.__name__ in self.names:
            return True
        return bool(takers) and bool(takers & (self.holders(name, family(owner)) | reached(owner)))


def pairs(target: ast.AST, value: ast.AST) -> Iterable[tuple[ast.AST, ast.AST]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return zip(target.elts, value.elts, strict=True)
    return [(target, value)]


def family(owner: type[BaseModel]) -> frozenset[str]:
    """Names under which a model is annotated: its own, those it derives from, and the union that it is of."""
    names = {kind.__name__ for kind in owner.__mro__ if issubclass(kind, Section) and kind is not Section}
    unions = {"ArmSection": "Arm", "_Reward": "RewardModel"}
    return frozenset(names | {union for base, union in unions.items() if base in names})


@cache
def reached(owner: type[BaseModel]) -> set[str]:
    """Fields of classes that hold the model."""
    return {holder for holder, given in FIELDS if given & family(owner)}


FILES = [Code(tree) for tree in (*CODE, *NOTEBOOKS)]
FIELDS = [field for code in FILES for field in code.fields]
# What models do with themselves; where a method asks for names of a list, the list is the file's.
METHODS = [(kind, Code(method), Code(tree).texts) for kind, method, tree in OWN]


@cache
def is_read(owner: type[BaseModel], field: str, name: str) -> bool:
    """Whether a field of a model is read anywhere; `name`: the last part of where the model stands in params.yaml."""
    own = any(
        kind in family(owner) and (("self", field) in code.taken or ("self" in code.asked and field in texts))
        for kind, code, texts in METHODS
    )
    return own or any(code.reads(owner, field, name) for code in FILES)


def owner_of(p: Params, path: tuple[str, ...]) -> list[tuple[type[BaseModel], str, str]]:
    """Every model on the way to a leaf, with the field that is taken of it and the name that it stands under."""
    held, name, found = vars(p)[path[0]], path[0], []
    for key in path[1:]:
        if isinstance(held, BaseModel):
            fields = {field.alias or own: own for own, field in type(held).model_fields.items()}
            found.append((type(held), fields[key], name))
            held, name = getattr(held, fields[key]), key
        else:
            held = held[key]
    return found


OF_READ = [path for path in LEAVES if path[0] not in MEASURED]
READ = {
    "arms",
    "plan",
    "slices",
    "ablations",
    "assay",
    "budget",
    "calibration",
    "stress",
    "overfitting",
    "cpcv",
    "schemes",
    "stability",
    "small_account",
    "families",
    "tables",
    "outside",
}


def unread(p: Params, path: tuple[str, ...]) -> list[str]:
    return [f"{owner.__name__}.{field}" for owner, field, name in owner_of(p, path) if not is_read(owner, field, name)]


@pytest.mark.parametrize("path", OF_READ, ids=".".join)
def test_a_leaf_of_a_costly_section_is_read(path, params):
    assert path[0] in READ, f"section {path[0]} is new: give it a probe in MEASURED, or name it in READ"
    assert unread(params, path) == []


# The tests can fail.


def test_a_planted_leaf_that_nobody_uses_is_noticed():
    values = json.loads(base_values())
    values["observation"]["planted"] = 3.0

    def probe(p: Params) -> Iterator[str]:
        yield digest(p.observation.window_bars)

    def blind(values: dict[str, Any]) -> Params:
        kept = {**values, "observation": {key: v for key, v in values["observation"].items() if key != "planted"}}
        return parse_params(kept)

    with mock.patch(f"{__name__}.parsed", blind):
        assert verdict(("observation", "planted"), probe, [values]) == "same"
        assert verdict(("observation", "window_bars"), probe, [values]) == "changed"


def test_a_value_that_is_refused_is_no_effect_if_another_is_taken_and_changes_nothing():
    def probe(p: Params) -> Iterator[str]:
        yield digest(p.observation.window_bars)

    # Halved it is taken; 0.999, 1e9 and others are refused.
    assert verdict(("train", "validation_frac"), probe, settings_of("train")) == "same"
    # There is no such kind of costs.
    with mock.patch.dict(OTHERS, {"trading.costs.kind": ["free"]}):
        assert verdict(("trading", "costs", "kind"), probe, settings_of("trading.costs")) == "refused"


def test_a_probe_that_stops_where_nothing_is_changed_is_an_error():
    def broken(p: Params) -> Iterator[str]:
        yield from ()
        raise ConfigError("params: too few bars")

    with pytest.raises(ConfigError, match="too few bars"):
        verdict(("observation", "window_bars"), broken, settings_of("observation"))


@pytest.mark.parametrize(
    "probe", [measure_data, measure_tabular, measure_trading, measure_world], ids=lambda probe: probe.__name__
)
def test_equal_parameters_give_equal_digests(probe):
    prepared.cache_clear()
    first, again = (list(probe(parsed(settings_of("observation")[0]))) for _ in range(2))
    assert first == again


def test_a_planted_field_that_nobody_reads_is_noticed(params):
    class Planted(type(params.stress)):
        planted: float = 1.0

    grown = params.replace(stress=Planted(**params.stress.model_dump(), planted=2.0))
    assert unread(grown, ("stress", "planted")) == ["Planted.planted"]
    assert unread(grown, ("stress", "seed")) == []


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("def f(rules: Stress): return rules.seed", True),
        ("given = p.stress\ngiven.seed", True),
        ("one, two = p.plan, p.stress\ntwo.seed", True),
        ("one, two = p.plan, p.stress\none.seed", False),
        ("def f(rules: Cpcv): return rules.seed", False),
        ("for name in ('seed',): getattr(p.stress, name)", True),
        ("p.stress.seeds", False),
    ],
)
def test_what_counts_as_read(source, read, params):
    assert Code(ast.parse(source)).reads(type(params.stress), "seed", "stress") is read


def test_every_section_is_measured_or_read():
    assert {name.partition(".")[0] for name in MEASURED} | READ == set(SECTIONS)
    assert not set(MEASURED) & READ


def test_what_stands_on_a_list_is_a_leaf():
    known = {".".join(path[:i]) for path in LEAVES for i in range(len(path) + 1)}
    assert set(SETTINGS) | set(OTHERS) | set(REASONS) <= known
