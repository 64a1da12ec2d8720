"""Random accounts on random markets, walked by the batched broker and by the reference broker, to be compared."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from sizewise.market.tape import COLUMNS, Bars, Tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker import reference_broker
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.orders import Flag, Kind, Orders, Place, Uses
from sizewise.trading.decisions import decide
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View

EVERYTHING = Uses(working=True, stops=True, reduce_only=True, brackets=True, leverage=True)
FLOWS = ("price", "fees", "slippage", "impact", "funding", "borrow", "liquidation")
KINDS = {kind: kind.name.lower() for kind in Kind}
FLAGS = {flag: flag.name.lower() for flag in Flag}


@dataclass(frozen=True, eq=False)
class Scenario:
    """P accounts of I instruments over T bars: columns [T, I, P] as in tape.Bars, and what is ordered at each close.

    orders: arrays [T, I, P] by name: market, leverage, stop_frac, take_frac, cancel, place_units, place_price, place_bars,
    place_is_stop, place_reduce_only, place_leverage, place_stop_frac, place_take_frac; units are multiples of equity by
    close; `close` orders all of the position instead.
    decides: bool [T, P], closes at which the clock lets an account decide. allowed: bool [T, P], closes at which the mask
    lets it. What is ordered at any other never reaches the venue; None: at every one.
    """

    rules: Rules
    uses: Uses
    columns: dict[str, np.ndarray]
    orders: dict[str, np.ndarray]
    cash: float = 1000.0
    decides: np.ndarray | None = None
    allowed: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.columns["close"].shape

    def part(self, start: int, stop: int) -> "Scenario":
        """The bars [start, stop) of it."""
        return self._mapped(lambda array: array[start:stop])

    def permuted(self, order: np.ndarray) -> "Scenario":
        """The accounts in another order."""
        return self._mapped(lambda array: array[..., order])

    def _mapped(self, change) -> "Scenario":
        columns = {name: change(array) for name, array in self.columns.items()}
        orders = {name: change(array) for name, array in self.orders.items()}
        closes = (None if array is None else change(array) for array in (self.decides, self.allowed))
        return Scenario(self.rules, self.uses, columns, orders, self.cash, *closes)

    def sends(self, t: int, path: int) -> bool:
        """Whether what an account orders at close t reaches the venue."""
        return all(array is None or bool(array[t, path]) for array in (self.decides, self.allowed))

    def scaled(self, factor: float) -> "Scenario":
        """All prices, and everything that is measured in them, times `factor`; the account too."""
        money = ("last_close", "open", "high", "low", "close", "tick", "min_order")
        columns = {name: array * factor if name in money else array for name, array in self.columns.items()}
        orders = self.orders | {"place_price": self.orders["place_price"] * factor}
        return Scenario(self.rules, self.uses, columns, orders, self.cash * factor, self.decides, self.allowed)

    def tape(self) -> Tape:
        """A tape with the same content, for what the broker reads off it when it is built."""
        table = np.stack([self.columns[name] for name in COLUMNS], axis=-1)
        steps, instruments, paths = self.shape
        flat = torch.from_numpy(table.transpose(0, 2, 1, 3).reshape(steps * paths, instruments, len(COLUMNS)))
        names = tuple(f"S{i}" for i in range(instruments))
        return Tape((names,), (0,), (steps * paths,), None, flat)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Walk:
    """equity [T, P]; flows [7, T, P]; fills and flags: one list a path."""

    equity: np.ndarray
    flows: np.ndarray
    fills: list[list[tuple]]
    flags: list[list[tuple]]
    closest: np.ndarray | None = None


def market(rng: np.random.Generator, steps: int, instruments: int, paths: int) -> dict[str, np.ndarray]:
    """Nasty bars: gaps, 90% drops, tenfold rises, bars without range, exact touches, halts, bars without volume."""
    shape = (steps, instruments, paths)
    kind = rng.random(shape)
    gap = np.where(kind < 0.05, rng.uniform(-0.3, 0.4, shape), rng.normal(0.0, 0.003, shape))
    bar = rng.normal(0.0, 0.015, shape)
    bar = np.where((kind >= 0.05) & (kind < 0.06), -0.9, bar)
    gap = np.where((kind >= 0.06) & (kind < 0.07), -0.9, gap)
    bar = np.where((kind >= 0.07) & (kind < 0.075), 9.0, bar)
    still = (kind >= 0.1) & (kind < 0.2)
    gap, bar = np.where(still, 0.0, gap), np.where(still, 0.0, bar)
    traded = rng.random(shape) >= 0.07
    traded[0] = True
    gap, bar = np.where(traded, gap, 0.0), np.where(traded, bar, 0.0)
    start = rng.choice([0.5, 100.0, 30_000.0], (1, instruments, paths))
    tick = start * rng.choice([1e-4, 1e-3], start.shape)
    opens, closes = np.empty(shape), np.empty(shape)
    last = start[0]
    for t in range(steps):
        # Prices on ticks, so that lows and highs touch orders exactly; never below one tick.
        opens[t] = np.maximum(np.round(last * (1.0 + gap[t]) / tick[0]), 1) * tick[0]
        opens[t] = np.where(traded[t], opens[t], last)
        closes[t] = np.maximum(np.round(opens[t] * (1.0 + bar[t]) / tick[0]), 1) * tick[0]
        closes[t] = np.where(traded[t], closes[t], last)
        last = closes[t]
    wick = np.abs(rng.normal(0.0, 0.008, (2, *shape))) * (rng.random((2, *shape)) < 0.7) * traded * ~still
    high = np.round(np.maximum(opens, closes) * (1.0 + wick[0]) / tick) * tick
    low = np.maximum(np.round(np.minimum(opens, closes) * (1.0 - wick[1]) / tick), 1) * tick
    last_close = np.concatenate([opens[:1], closes[:-1]])
    columns = {"open": opens, "close": closes, "last_close": last_close, "traded": traded.astype(float)}
    columns["high"] = np.where(traded, np.maximum(high, np.maximum(opens, closes)), closes)
    columns["low"] = np.where(traded, np.minimum(low, np.minimum(opens, closes)), closes)
    lively = traded & (rng.random(shape) >= 0.05)
    columns["volume"] = np.where(lively, rng.lognormal(0.0, 1.5, shape) * 3000.0 / start, 0.0)

    def per_path(values: object) -> np.ndarray:
        return np.broadcast_to(values, shape).copy()

    fixed = (1, instruments, paths)
    hours = np.cumsum(rng.choice([1.0, 1.0, 8.0, 60.0], (steps, 1, paths)), axis=0)
    columns |= {
        "day": per_path(hours / 24.0),
        "session": per_path(np.floor(hours / 24.0)),
        "day_trade": per_path(rng.integers(0, 2, fixed)),
        "taker": per_path(rng.choice([0.0, 5e-4, 2e-3, -1e-4], fixed)),
        "maker": per_path(rng.choice([0.0, -2.5e-4, 1e-3], fixed)),
        "half_spread": per_path(rng.choice([0.0, 1e-4, 1e-3], fixed)),
        "borrow": per_path(rng.choice([0.0, 1e-4], fixed)),
        "loan": per_path(rng.choice([0.0, 2e-4], fixed)),
        "funding": np.where(traded & (rng.random(shape) < 0.3), rng.choice([1e-4, -3e-4], shape), 0.0),
        "impact": per_path(rng.choice([0.0, 0.02], fixed)),
        "tick": per_path(tick),
        "lot": per_path(rng.choice([1e-8, 1e-3, 0.05], fixed) * 100.0 / start),
        "min_order": per_path(rng.choice([0.0, 10.0], fixed)),
        "max_leverage": per_path(100.0),
        "maintenance": per_path(rng.choice([0.0, 0.005, 0.1], fixed)),
        "penalty": per_path(rng.choice([0.0, 0.005], fixed)),
    }
    return columns


def real_market(rng: np.random.Generator, tape: Tape, steps: int, paths: int) -> dict[str, np.ndarray]:
    """Random windows of a tape of real bars, under its venues' own terms."""
    starts = rng.integers(0, len(tape.times) - steps, paths)
    rows = torch.from_numpy(starts + np.arange(steps)[:, None])
    return {name: tape.column(name)[rows].movedim(-1, 1).numpy().copy() for name in COLUMNS}


def decisions(rng: np.random.Generator, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random orders of every sort at every close."""
    shape = columns["close"].shape
    size = rng.choice([0.1, 0.5, 1.0, 3.0], shape) * rng.choice([-1.0, 1.0], shape)

    def some(chance: float) -> np.ndarray:
        return rng.random(shape) < chance

    bracket = rng.choice([0.0, 0.01, 0.03], (4, *shape))
    # Offsets of whole ticks: exact touches are the rule, not the exception.
    away = rng.choice([-0.02, -0.005, -0.001, 0.0, 0.001, 0.005, 0.02], shape)
    return {
        "market": np.where(some(0.35), size, 0.0),
        # One in five market orders asks for exactly nothing to be left.
        "close": some(0.15),
        "leverage": rng.choice([1.0, 2.0, 5.0], shape),
        "stop_frac": bracket[0],
        "take_frac": bracket[1],
        "cancel": some(0.08),
        "place_units": np.where(some(0.4), rng.permuted(size, axis=-1), 0.0),
        "place_price": columns["close"] * (1.0 + away),
        "place_bars": rng.integers(1, 6, shape),
        "place_is_stop": some(0.35),
        "place_reduce_only": some(0.25),
        "place_leverage": rng.choice([1.0, 3.0], shape),
        "place_stop_frac": bracket[2],
        "place_take_frac": bracket[3],
    }


def orders_at(scenario: Scenario, t: int, equity: np.ndarray) -> dict[str, np.ndarray]:
    """What is ordered at close t, in units, given equity [P]."""
    now = {name: array[t] for name, array in scenario.orders.items()}
    # A ruined account orders nothing: what is left of it is rounding.
    scale = np.where(equity > 1e-3 * scenario.cash, equity, 0.0) / scenario.columns["close"][t]
    now["market"] = now["market"] * scale
    now["place_units"] = now["place_units"] * scale
    return now


def walk_fast(
    scenario: Scenario,
    *,
    dtype: torch.dtype = torch.float64,
    broker: type[Broker] = Broker,
    plan: list[dict[str, np.ndarray]] | None = None,
    start: Book | None = None,
    record: bool = True,
) -> tuple[Walk, list[dict[str, np.ndarray]], Book]:
    """The batched side: the walk, what was ordered (to be replayed by the other side), and the last book."""
    steps, _, paths = scenario.shape
    trader = broker(scenario.tape(), scenario.rules, scenario.uses, dtype=dtype, record=record)
    book = trader.open((paths,), scenario.cash) if start is None else start
    columns = {name: torch.from_numpy(array) for name, array in scenario.columns.items()}
    equity, flows, asked = [book.equity(columns["close"][0]).double().numpy()], [], []
    fills: list[list[tuple]] = [[] for _ in range(paths)]
    flags: list[list[tuple]] = [[] for _ in range(paths)]
    for t in range(steps - 1):
        given = orders_at(scenario, t, equity[-1]) if plan is None else plan[t]
        asked.append(given)
        bars = Bars(*(columns[name][t + 1] for name in COLUMNS))
        orders = as_decided(batched(given, scenario, book.units), scenario, t)
        book, result = trader.step(book, orders, bars)
        equity.append(book.equity(columns["close"][t + 1]).double().numpy())
        flows.append(torch.stack(list(result.flows)).double().numpy())
        _collect(result, t + 1, fills, flags)
    return Walk(np.stack(equity), np.stack(flows, axis=1), fills, flags), asked, book


def batched(given: dict[str, np.ndarray], scenario: Scenario, held: torch.Tensor) -> Orders:
    """Orders of one close as the broker takes them, given what is held; what the scenario does not use is left out."""
    uses, dtype = scenario.uses, held.dtype

    def money(name: str) -> torch.Tensor:
        return torch.from_numpy(given[name]).to(dtype)

    def exact(name: str) -> torch.Tensor:
        return torch.from_numpy(given[name])

    place = None
    if uses.working:
        place = Place(
            money("place_units"),
            exact("place_price"),
            exact("place_bars"),
            exact("place_is_stop") if uses.stops else None,
            exact("place_reduce_only") if uses.reduce_only else None,
            money("place_leverage") if uses.leverage else None,
            exact("place_stop_frac") if uses.brackets else None,
            exact("place_take_frac") if uses.brackets else None,
        )
    return Orders(
        # "All of it" is what this side holds, to the last bit.
        torch.where(exact("close"), -held, money("market")),
        money("leverage") if uses.leverage else None,
        exact("stop_frac") if uses.brackets else None,
        exact("take_frac") if uses.brackets else None,
        place,
        exact("cancel") if uses.working else None,
    )


class Masked(ActionScheme):
    """Two actions: nothing, which is always allowed, and to send what is given, which the mask may forbid."""

    space = Discrete(2)

    def __init__(self, given: Orders, allowed: torch.Tensor):
        self._given, self._allowed = given, allowed

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return self._given.only(actions.bool())

    def allowed(self, view: View) -> torch.Tensor:
        return torch.stack([torch.ones_like(self._allowed), self._allowed], dim=-1)


def as_decided(given: Orders, scenario: Scenario, t: int) -> Orders:
    """What is left of the orders of close t by the library's own mask and clock."""
    if scenario.allowed is not None:
        allowed = torch.from_numpy(scenario.allowed[t])
        everyone = torch.ones(allowed.shape, dtype=torch.int64)
        view = SimpleNamespace(equity=everyone)
        given = decide(Masked(given, allowed), everyone, view).orders  # type: ignore[arg-type]
    if scenario.decides is None:
        return given
    asked = torch.from_numpy(scenario.decides[t])
    # As the walk does it: where nobody is asked, nothing is sent.
    return given.only(asked) if bool(asked.any()) else Orders()


def _collect(result: Result, row: int, fills: list[list[tuple]], flags: list[list[tuple]]) -> None:
    for fill in result.fills:
        parts = [part.expand(fill.units.shape).double().numpy() for part in fill[1:]]
        for i, path in np.argwhere(parts[0] != 0):
            fills[path].append((row, int(i), KINDS[fill.kind], *(float(part[i, path]) for part in parts)))
    marked = result.flags.numpy()
    for i, path in np.argwhere(marked != 0):
        names = tuple(name for flag, name in FLAGS.items() if marked[i, path] & flag)
        flags[path].append((row, int(i), names))


def walk_plain(scenario: Scenario, plan: list[dict[str, np.ndarray]]) -> Walk:
    """The reference broker, account by account, given what was ordered."""
    steps, _, paths = scenario.shape
    # Orders arrive late before they reach a broker.
    rules = reference_broker.Rules(**scenario.rules.model_dump(exclude={"latency_bars"}))
    walks = [_plain_path(scenario, rules, plan, path) for path in range(paths)]
    return Walk(
        np.array([walk[0] for walk in walks]).T,
        np.array([walk[1] for walk in walks]).transpose(2, 1, 0) if steps > 1 else np.zeros((7, 0, paths)),
        [walk[2] for walk in walks],
        [walk[3] for walk in walks],
        np.array([walk[4] for walk in walks]),
    )


def _plain_path(scenario: Scenario, rules: reference_broker.Rules, plan: list[dict[str, np.ndarray]], path: int):
    steps, instruments, _ = scenario.shape
    account = reference_broker.ReferenceBroker(rules, scenario.cash, instruments)
    table = {name: array[:, :, path].tolist() for name, array in scenario.columns.items()}
    left_out = ("day", "max_leverage")
    equity, flows, fills, flags, closest = [scenario.cash], [], [], [], np.inf
    for t in range(steps - 1):
        bars = []
        for i in range(instruments):
            row = {name: column[t + 1][i] for name, column in table.items() if name not in left_out}
            row |= {"traded": row["traded"] > 0, "day_trade": row["day_trade"] > 0}
            bars.append(reference_broker.Bar(**row))
        orders = [reference_broker.PlainOrders()] * instruments
        if scenario.sends(t, path):
            orders = [_plain_orders(plan[t], scenario.uses, i, path, account.units[i]) for i in range(instruments)]
        step = account.step(orders, bars)
        equity.append(step.equity)
        flows.append([getattr(step, name) for name in FLOWS])
        fills += [(t + 1, f.instrument, f.kind, f.units, f.price, f.fee, f.slippage, f.impact) for f in step.fills]
        names = [tuple(name for name in FLAGS.values() if name in found) for found in step.flags]
        flags += [(t + 1, i, found) for i, found in enumerate(names) if found]
        closest = min(closest, step.closest)
    return equity, flows, fills, flags, closest


def _plain_orders(
    given: dict[str, np.ndarray], uses: Uses, i: int, path: int, held: float
) -> reference_broker.PlainOrders:
    def at(name: str) -> float:
        return given[name][i, path].item()

    # "All of it" is what this side holds, to the last bit.
    market = reference_broker.Market(
        -held if at("close") else at("market"),
        at("leverage") if uses.leverage else None,
        at("stop_frac") if uses.brackets else 0.0,
        at("take_frac") if uses.brackets else 0.0,
    )
    if not uses.working:
        return reference_broker.PlainOrders(market=market if market.units else None)
    place = reference_broker.Place(
        "stop" if uses.stops and at("place_is_stop") else "limit",
        at("place_units"),
        at("place_price"),
        at("place_bars"),
        uses.reduce_only and bool(at("place_reduce_only")),
        at("place_leverage") if uses.leverage else None,
        at("place_stop_frac") if uses.brackets else 0.0,
        at("place_take_frac") if uses.brackets else 0.0,
    )
    return reference_broker.PlainOrders(
        bool(at("cancel")), place if place.units else None, market if market.units else None
    )
