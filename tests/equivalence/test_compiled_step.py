"""The compiled step of accounts of one instrument against the same step by tensors: the same books and flows, to the bit."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from sizewise.market.tape import COLUMNS, Bars
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.compiled_step import CompiledStep, fits
from sizewise.trading.broker.dealing import Terms
from sizewise.trading.broker.orders import Orders, Uses

from ..broker_faults import FAULTS
from ..broker_paths import Scenario, batched, decisions, market, orders_at

ROOT = Path(__file__).parents[2]
DTYPES = (torch.float64, torch.float32)
PLAIN = {"n_instruments": 1, "dtype": torch.float32, "borrow": True, "loan": True, "funding": True}
PLAIN |= {"impact": False, "silences": True, "record": False}
# What compiled accounts know nothing of, and what is not seen by them: they are shown the bars and orders they are shown.
ELSEWHERE = {"isolated", "volume"}
OTHERS = {"no impact"}


def by_tensors(broker: type[Broker] = Broker) -> type[Broker]:
    class Tensors(broker):
        def __init__(self, *given: object, **how: object):
            super().__init__(*given, **how)
            self._compiled = None

    return Tensors


def drawn(seed: int) -> Scenario:
    """What compiled accounts know, of everything now and then; on nasty bars."""
    rng = np.random.default_rng(seed)

    def one_of(*choices: object) -> object:
        return choices[rng.integers(len(choices))]

    rules = Rules(
        margin=one_of("cash", "cash", "unlimited"),
        closing=one_of("fifo", "average"),
        max_open_lots=one_of(None, 1, 2, 4),
        max_open_orders=one_of(0, 1, 3),
        limit_fills=one_of("through", "touch"),
        day_trade_limit=one_of(True, False),
        rounding=one_of(True, False),
    )
    working, brackets = rules.max_open_orders > 0, rules.max_open_lots is not None
    uses = Uses(
        working=working,
        stops=working and one_of(True, False),
        reduce_only=working and one_of(True, False),
        brackets=brackets and one_of(True, False),
    )
    columns = market(rng, 12, 1, 40)
    columns["impact"] = np.zeros_like(columns["impact"])
    orders = decisions(rng, columns)
    orders |= {name: float(one_of(0.1, 1.0)) * orders[name] for name in ("market", "place_units")}
    return Scenario(rules, uses, columns, orders, float(one_of(1e3, 2e4, 1e6)))


def walked(scenario: Scenario, broker: type[Broker], dtype: torch.dtype) -> list[tuple[Book, Result]]:
    """A book and a result a bar; every broker is sent what the first one's book asks for."""
    trader = broker(scenario.tape(), scenario.rules, scenario.uses, dtype=dtype)
    book = trader.open((scenario.shape[2],), scenario.cash)
    columns = {name: torch.from_numpy(array) for name, array in scenario.columns.items()}
    found = []
    for t in range(scenario.shape[0] - 1):
        equity = book.equity(columns["close"][t]).double().numpy()
        orders = batched(orders_at(scenario, t, equity), scenario, book.units)
        book, result = trader.step(book, orders, Bars(*(columns[name][t + 1] for name in COLUMNS)))
        found.append((book, result))
    return found


def equal(one: object, other: object) -> bool:
    """Whether all tensors of two are the same, shape and dtype as well."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(
        a is b or (a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b))
        for a, b in pairs
        if isinstance(a, torch.Tensor) or a is not b
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", range(8))
def test_books_and_flows_are_the_same(part, dtype, monkeypatch):
    compiled: list[bool] = []
    step = CompiledStep.__call__

    def noted(self: CompiledStep, *given: object) -> object:
        found = step(self, *given)
        compiled.append(found is not None)
        return found

    monkeypatch.setattr(CompiledStep, "__call__", noted)
    for seed in range(12 * part, 12 * part + 12):
        scenario = drawn(seed)
        ours, theirs = (walked(scenario, broker, dtype) for broker in (Broker, by_tensors()))
        assert equal(ours, theirs), (seed, scenario.rules, scenario.uses)
    assert compiled
    assert np.mean(compiled) > 0.8


def digest() -> str:
    """Of what some accounts come to, with and without lots."""
    found = hashlib.sha256()
    for seed in range(12):
        for book, result in walked(drawn(seed), Broker, torch.float32):
            for leaf in tree_leaves((book, result)):
                if isinstance(leaf, torch.Tensor):
                    # Nothing and less than nothing are the same amount.
                    found.update((leaf + 0).contiguous().numpy().tobytes())
    return found.hexdigest()


def test_the_bytes_do_not_depend_on_the_processor(tmp_path):
    """Compiled anew for what every x86-64 processor can."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    old = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": paths}
    command = [sys.executable, "-c", f"from {__name__} import digest; print(digest())"]
    done = subprocess.run(command, env={**os.environ, **old}, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == [digest()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_accounts_that_share_a_bar_fare_as_if_each_had_it_alone(dtype):
    policies, replicas, groups = 3, 4, 5
    rng = np.random.default_rng(3)
    columns = {name: torch.from_numpy(array[4:9]) for name, array in market(rng, 12, 1, policies * groups).items()}
    broker = Broker(replace(drawn(3)).tape(), Rules(day_trade_limit=True), Uses(), dtype=dtype)
    assert broker._compiled is not None
    shared, alone = broker.open((policies, replicas, groups), 2e4), broker.open((policies * replicas * groups,), 2e4)
    for t in range(5):
        bars = {name: columns[name][t].view(1, policies, 1, groups) for name in COLUMNS}
        own = {name: column.expand(1, policies, replicas, groups).reshape(1, -1) for name, column in bars.items()}
        size = torch.from_numpy(rng.normal(0.0, 1e4, (1, policies, replicas, groups)))
        orders = (size / bars["close"]).to(dtype)
        shared, result = broker.step(shared, Orders(market=orders), Bars(*bars.values()))
        alone, other = broker.step(alone, Orders(market=orders.view(1, -1)), Bars(*own.values()))
        flat = [value.reshape(one.shape) for value, one in zip(result.flows, other.flows, strict=True)]
        assert equal(flat, list(other.flows))
        assert torch.equal(shared.units.view(1, -1), alone.units)


KNOWN = [fault for fault, (_, where) in FAULTS.items() if where not in ELSEWHERE and fault not in OTHERS]
FILLS = {"a flip is charged once"}  # reads fills, which nobody keeps here


def faulty(where: str) -> Scenario:
    changes: dict[str, Callable[[Scenario], Scenario]] = {
        "cash": lambda scenario: scenario,
        "ticks": lambda scenario: replace(scenario, rules=scenario.rules.model_copy(update={"rounding": True})),
        "lots": lambda scenario: replace(
            scenario,
            rules=scenario.rules.model_copy(update={"max_open_lots": 2}),
            orders=scenario.orders | {name: 0.1 * scenario.orders[name] for name in ("market", "place_units")},
        ),
        "days": partial(_day_traded, session=np.zeros((25, 1, 1))),
        "sessions": partial(_day_traded, session=np.repeat([0.0, 5.0], [15, 10])[:, None, None]),
    }
    rng = np.random.default_rng(5)
    columns = market(rng, 25, 1, 60)
    columns["impact"] = np.zeros_like(columns["impact"])
    rules = Rules(max_open_lots=3, max_open_orders=2, rounding=False)
    uses = Uses(working=True, stops=True, reduce_only=True, brackets=True)
    return changes[where](Scenario(rules, uses, columns, decisions(rng, columns)))


def _day_traded(scenario: Scenario, session: np.ndarray) -> Scenario:
    shape = scenario.shape
    told = {"day_trade": np.ones(shape), "session": np.broadcast_to(session, shape).copy()}
    rules = scenario.rules.model_copy(update={"day_trade_limit": True})
    return replace(scenario, rules=rules, columns=scenario.columns | told)


@pytest.mark.parametrize("fault", [fault for fault in KNOWN if fault not in FILLS])
def test_a_fault_of_the_tensors_would_be_seen(fault):
    broker, where = FAULTS[fault]
    scenario = faulty(where)
    sound = walked(scenario, Broker, torch.float64)
    assert equal(sound, walked(scenario, by_tensors(), torch.float64))
    assert not equal(sound, walked(scenario, by_tensors(broker), torch.float64))


@pytest.mark.parametrize(
    ("rules", "uses", "terms"),
    [
        ({"margin": "isolated"}, {}, {}),
        ({"max_volume_frac": 0.1}, {}, {}),
        ({}, {"leverage": True}, {}),
        ({}, {}, {"n_instruments": 2}),
        ({}, {}, {"impact": True}),
        ({}, {}, {"record": True}),
        ({}, {}, {"dtype": torch.float16}),
    ],
)
def test_what_compiled_accounts_know_nothing_of_is_left_to_tensors(rules, uses, terms):
    assert fits(Terms(Rules(), **PLAIN), Uses())
    assert not fits(Terms(Rules(**rules), **(PLAIN | terms)), Uses(**uses))


def test_bars_of_another_shape_are_left_to_tensors():
    scenario = drawn(3)
    broker = Broker(scenario.tape(), Rules(), Uses())
    book = broker.open((2, 3), 1e3)
    bars = Bars(*(torch.from_numpy(scenario.columns[name][1, :, :3]) for name in COLUMNS))
    orders = Orders(market=torch.ones(1, 2, 3, dtype=torch.float64))
    assert broker._compiled(book, orders, bars, bars) is None
    odd = bars._replace(lot=bars.lot[:, :1])
    assert broker._compiled(broker.open((3,), 1e3), Orders(market=torch.ones(1, 3).double()), odd, odd) is None
    after, _ = broker.step(book, orders, bars)
    assert torch.equal(after.units[0, 0], after.units[0, 1])
