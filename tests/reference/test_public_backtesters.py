"""The broker against vectorbt and backtesting.py: equal equity curves where the rules coincide, pinned numbers where not.

SOURCES.md tabulates both. Scripts are made while our broker trades them, then replayed by the peer; nothing is rounded
and nothing short of buying power unless a test says so. The peers know one fee and, but for vectorbt, no half-spread
on exits, so makers pay what takers do and spreads are 0 unless a test says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
import vectorbt
from backtesting import Backtest, Strategy

from sizewise.market.costs import BPS, Costs, charged
from sizewise.market.instruments import load_instruments
from sizewise.market.tape import Tape, build_tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.orders import Flag, Kind, Orders, Place, Uses

# Both sides add up the same numbers in another order: they come within 1e-14.
TOLERANCE = 1e-12
PLAIN = Rules(rounding=False)
WORKING = Rules(rounding=False, max_open_orders=2)
BRACKETS = Rules(rounding=False, max_open_lots=4)
WORKING_BRACKETS = Rules(rounding=False, max_open_orders=1, max_open_lots=1)
CASH = 1e7
# backtesting.py's statistics, of which only the equity curve is read.
pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated")
# A scripted run may end with a position, and its equity is compared all the same.
OPEN_AT_THE_END = "ignore:Some trades remain open at the end of backtest:UserWarning"
# An entry by limit whose take lies in the same bar: neither side takes it there, and backtesting.py says so.
TAKE_IN_ENTRY_BAR = r"ignore:.*A contingent SL/TP order would execute in the same bar:UserWarning"


class Ticket(NamedTuple):
    """One instrument's orders of one close. `fill` is the price an order with a bracket will get, from the bars to come:
    backtesting.py wants its stop and take as prices."""

    market: float = 0.0
    place: float = 0.0
    limit: float | None = None
    stop: float | None = None
    bars: int = 1
    stop_frac: float = 0.0
    take_frac: float = 0.0
    fill: float = float("nan")
    cancel: bool = False

    def orders(self, *, brackets: bool) -> Orders:
        def one(value, dtype=torch.float64):
            return torch.tensor([[value]], dtype=dtype)

        carried = {"stop_frac": one(self.stop_frac), "take_frac": one(self.take_frac)}
        bracket, place = carried if brackets else {}, None
        if self.place:
            price, is_stop = one(self.limit or self.stop), one(self.stop is not None, torch.bool)
            place = Place(one(self.place), price, one(self.bars, torch.int32), is_stop, **bracket)
        return Orders(one(self.market), **bracket, place=place, cancel=one(self.cancel, torch.bool))

    def bracket(self) -> dict[str, float]:
        """As backtesting.py takes it."""
        side, prices = np.sign(self.market or self.place), {}
        if self.stop_frac:
            prices["sl"] = self.fill * (1 - side * self.stop_frac)
        if self.take_frac:
            prices["tp"] = self.fill * (1 + side * self.take_frac)
        return prices


# What every working order goes through.
WORKED = Flag.PLACED | Flag.FILLED | Flag.CANCELLED


@dataclass
class Run:
    """What our broker made of a script: equity [T, accounts], fees paid in all, fills counted by kind, flags seen."""

    equity: np.ndarray
    fees: float = 0.0
    units: np.ndarray | None = None
    fills: dict[Kind, int] = field(default_factory=dict)
    flags: int = 0
    script: dict[int, Ticket] = field(default_factory=dict)


def trade(
    tape: Tape,
    decide: Callable[[int, object], Orders | Ticket | None],
    rules: Rules = PLAIN,
    *,
    cash: float = CASH,
    accounts: int = 1,
) -> Run:
    """Walk the tape; `decide(t, book)` gives what is ordered at close t."""
    uses = Uses(
        working=rules.max_open_orders > 0,
        stops=rules.max_open_orders > 0,
        brackets=rules.max_open_lots is not None,
    )
    broker = Broker(tape, rules, uses, record=True)
    book = broker.open((accounts,), cash)
    steps = len(tape.times)
    run = Run(np.full((steps, accounts), cash), units=np.zeros((steps, tape.n_instruments, accounts)))
    for t in range(steps - 1):
        ordered = decide(t, book)
        if isinstance(ordered, Ticket):
            run.script[t] = ordered
            ordered = ordered.orders(brackets=uses.brackets)
        bars = tape.rows(torch.tensor([t + 1]))
        book, result = broker.step(book, ordered or Orders(), bars)
        run.equity[t + 1] = book.equity(bars.close)
        run.units[t + 1] = book.units
        run.fees -= float(result.flows.fees.sum())
        run.flags |= int(np.bitwise_or.reduce(result.flags.numpy(), axis=None)) & ~int(WORKED)
        for fill in result.fills:
            run.fills[fill.kind] = run.fills.get(fill.kind, 0) + int((fill.units != 0).sum())
    return run


def vectorbt_portfolio(frames, units, *, cash=CASH, **terms):
    """`units[t]`, decided at close t, at the open of bar t + 1; a column each for every account or instrument."""
    opens, closes = frames
    # vectorbt compiles itself anew for every layout of its arrays.
    size, price = (np.array(table, order="C") for table in (pd.DataFrame(units).shift(1), opens))
    close = pd.DataFrame(np.array(closes, order="C"))
    start = np.full(1 if "group_by" in terms else size.shape[1], cash)
    return vectorbt.Portfolio.from_orders(close, size=size, price=price, init_cash=start, **terms)


def replay(frame, script, *, cash=CASH, late: int = 0, **terms) -> np.ndarray:
    """The equity of backtesting.py; it trades whole units, so scripts for it are whole. `late` bars is a planted fault."""

    class Replay(Strategy):
        def init(self):
            self.dated = {}

        def next(self):
            row = len(self.data) - 1
            for order in self.orders:
                if not order.is_contingent and self.dated.get(order, row + 1) <= row:
                    order.cancel()
            ticket = script.get(row - late)
            if ticket is None:
                return
            for order in self.orders if ticket.cancel else ():
                if not order.is_contingent:
                    order.cancel()
            if ticket.place:
                send = self.buy if ticket.place > 0 else self.sell
                bracket = {} if ticket.market else ticket.bracket()
                order = send(size=abs(ticket.place), limit=ticket.limit, stop=ticket.stop, **bracket)
                self.dated[order] = row + ticket.bars
            if ticket.market:
                (self.buy if ticket.market > 0 else self.sell)(size=abs(ticket.market), **ticket.bracket())

    data = frame.rename(columns=str.capitalize)
    return Backtest(data, Replay, cash=cash, **terms).run()["_equity_curve"]["Equity"].to_numpy()


def assert_same_curve(ours: np.ndarray, peer: np.ndarray) -> None:
    np.testing.assert_allclose(np.squeeze(ours), np.squeeze(peer), rtol=TOLERANCE, atol=0.0)


@pytest.fixture(scope="module")
def instruments(root):
    return load_instruments(root / "data" / "instruments.yaml")


@pytest.fixture(scope="module")
def priced_tape(instruments):
    """`priced_tape(frames by symbol, taker and maker, half-spread in bps, **changes of the instrument)`."""

    def build(frames, fee_bps=0.0, half_spread_bps=0.0, maker_bps=None, **changes):
        costs = Costs(
            taker_bps=fee_bps,
            maker_bps=abs(fee_bps) if maker_bps is None else maker_bps,
            half_spread_bps=half_spread_bps,
        )
        terms = {symbol: charged(instruments[symbol], costs).model_copy(update=changes) for symbol in frames}
        return build_tape(frames, terms)

    return build


@pytest.fixture
def hand_tape(priced_tape):
    """`hand_tape(rows of (open, high, low, close), ...)`: the frame and its tape."""

    def build(*rows, **terms):
        times = pd.date_range("2020-01-01", periods=len(rows), freq="h", tz="UTC", name="timestamp")
        frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=times, dtype=float)
        frame["volume"] = 1.0
        return frame, priced_tape({"BTCUSDT_1h": frame}, **terms)

    return build


def columns(frame, number=1):
    """Opens and closes as vectorbt takes them, `number` times."""
    return tuple(np.tile(frame[[name]].to_numpy(), number) for name in ("open", "close"))


def random_units(rng, frame, *, accounts=1, reach=0.4, whole=False):
    """Orders [T, accounts] that take positions to random values (long, short, flat) within `reach` of CASH."""
    shape = (len(frame), accounts)
    scale = CASH / frame["close"].to_numpy()[:, None]
    target = rng.uniform(-reach, reach, shape) * scale * (rng.random(shape) > 0.2)
    target = np.where(rng.random(shape) < 0.25, target, np.nan)
    # The first close at which backtesting.py asks is the second.
    target[:2] = 0.0
    target = pd.DataFrame(target).ffill().to_numpy()
    return np.diff(np.round(target) if whole else target, axis=0, prepend=0.0)


def market_orders(units):
    """A `decide` that sends row t of `units` [T, accounts] at close t."""
    return lambda t, book: Orders(torch.from_numpy(units[t])[None])


def market_tickets(units):
    """The same for one account, as tickets."""
    return lambda t, book: Ticket(market=float(units[t, 0])) if units[t, 0] else None


REAL = {"BTCUSDT_1h": (18_000, 19_500), "SPY_5m": (20_000, 21_500)}


# vectorbt: equal


@pytest.mark.parametrize(
    ("symbol", "fee_bps", "half_spread_bps"),
    [("BTCUSDT_1h", 10.0, 1.0), ("BTCUSDT_1h", -2.5, 0.0), ("SPY_5m", 0.5, 0.2)],
)
def test_vectorbt_trades_market_orders_alike(real_bars, priced_tape, symbol, fee_bps, half_spread_bps):
    frame = real_bars(symbol, *REAL[symbol])
    units = random_units(np.random.default_rng(1), frame, accounts=3)
    ours = trade(priced_tape({symbol: frame}, fee_bps, half_spread_bps), market_orders(units), accounts=3)
    peer = vectorbt_portfolio(columns(frame, 3), units, fees=fee_bps * BPS, slippage=half_spread_bps * BPS)
    assert_same_curve(ours.equity, peer.value())
    np.testing.assert_allclose(ours.fees, peer.order_records["fees"].sum(), rtol=TOLERANCE)
    held = ours.units[:, 0]
    flips, reductions = held[:-1] * held[1:] < 0, np.abs(held[1:]) < np.abs(held[:-1])
    assert flips.sum() > 300
    assert (reductions & ~flips).sum() > 300
    assert not ours.flags


def test_vectorbt_rebalances_two_assets_on_shared_cash_alike(real_bars, priced_tape):
    """Hourly and half-hourly bars: at every other open one of the two cannot be traded, and where it was to be sold the
    other's purchase meets the end of the cash. Two such purchases in one bar are another matter, see below."""
    frames = {name: real_bars(name).loc["2018-11-05":"2018-12-04"] for name in ("BTCUSDT_1h", "ETHUSD-BITFINEX_30m")}
    tape = priced_tape(frames, 10.0, 1.0)
    rng, sent = np.random.default_rng(2), np.zeros((len(tape.times), 2))
    traded, close = tape.column("traded").numpy() > 0, tape.column("close").numpy()

    def rebalance(t, book):
        if rng.random() < 0.2:
            equity = float(book.equity(tape.rows(torch.tensor([t])).close))
            sent[t] = rng.dirichlet([0.3, 1.0, 1.0])[1:] * 0.97 * equity / close[t] - book.units[:, 0].numpy()
        return Orders(torch.from_numpy(sent[t])[:, None])

    ours = trade(tape, rebalance)
    opens = np.where(traded, tape.column("open").numpy(), np.nan)
    # Sales come first, as here; what has no price is ignored, as what has no bar is here.
    sharing = {"group_by": True, "cash_sharing": True, "call_seq": "auto"}
    peer = vectorbt_portfolio((opens, close), sent, fees=1e-3, slippage=1e-4, **sharing)
    assert_same_curve(ours.equity, peer.value())
    assert (ours.units >= 0).all()
    assert ours.fills[Kind.MARKET] > 300
    assert ours.flags == Flag.NO_BAR | Flag.CLIPPED


def test_vectorbt_rounds_lots_and_refuses_small_orders_alike(real_bars, priced_tape):
    frame, lot, minimum = real_bars("BTCUSDT_1h", *REAL["BTCUSDT_1h"]), 2.0**-3, 3e5
    units = random_units(np.random.default_rng(3), frame, accounts=2)
    tape = priced_tape({"BTCUSDT_1h": frame}, 10.0, 1.0, lot_size=lot, min_order_quote=minimum)
    ours = trade(tape, market_orders(units), Rules(), accounts=2)
    # Its minimum is in units, so it is given ours at each decision's price.
    smallest = (minimum / frame["close"]).shift(1, fill_value=np.inf).to_numpy()[:, None]
    terms = {"fees": 1e-3, "slippage": 1e-4, "size_granularity": lot}
    assert_same_curve(ours.equity, vectorbt_portfolio(columns(frame, 2), units, min_size=smallest, **terms).value())
    assert ours.flags == Flag.BELOW_MIN
    without = vectorbt_portfolio(columns(frame, 2), units, fees=1e-3, slippage=1e-4).value()
    assert np.abs(ours.equity / without.to_numpy() - 1).max() > 1e-4


@pytest.mark.parametrize(
    ("states", "half_spread_bps", "lot"),
    [((0, 1), 1.0, None), ((0, 1), 1.0, 2.0**-3), ((-1, 0, 1), 0.0, None)],
    ids=["long", "long in lots", "long and short without a spread"],
)
def test_vectorbt_spends_all_the_cash_alike(real_bars, priced_tape, states, half_spread_bps, lot):
    frame = real_bars("BTCUSDT_1h", *REAL["BTCUSDT_1h"])
    rng, sent = np.random.default_rng(4), np.zeros((len(frame), 1))

    def all_in(t, book):
        state, held = int(rng.choice(states)), float(book.units)
        if rng.random() < 0.05 and state != np.sign(held):
            sent[t] = state * 10 * CASH / frame["close"].iloc[t] if state else -held
        return Orders(torch.from_numpy(sent[t])[None])

    terms = {} if lot is None else {"lot_size": lot, "min_order_quote": 0.0}
    ours = trade(priced_tape({"BTCUSDT_1h": frame}, 10.0, half_spread_bps, **terms), all_in, Rules(rounding=bool(lot)))
    options = {"lock_cash": -1 in states, "size_granularity": lot or np.nan}
    peer = vectorbt_portfolio(columns(frame), sent, fees=1e-3, slippage=half_spread_bps * BPS, **options)
    assert_same_curve(ours.equity, peer.value())
    assert ours.flags == Flag.CLIPPED
    assert ours.fills[Kind.MARKET] > 30


# vectorbt: different


def test_vectorbt_loses_a_lot_where_the_quotient_is_inexact(hand_tape):
    frame, tape = hand_tape(*[(100, 101, 99, 100)] * 3, lot_size=0.1, min_order_quote=0.0)
    units = np.array([[0.3], [0.0], [0.0]])
    ours = trade(tape, market_orders(units), Rules())
    assert ours.units[-1].item() == pytest.approx(0.3, abs=1e-12)
    assert vectorbt_portfolio(columns(frame), units, size_granularity=0.1).assets().iloc[-1, 0] == pytest.approx(0.2)


def test_vectorbt_sells_short_without_end_unless_cash_is_locked(hand_tape):
    frame, tape = hand_tape(*[(100, 101, 99, 100)] * 3, fee_bps=10.0, half_spread_bps=100.0)
    units = np.array([[-500.0], [0.0], [0.0]])
    ours = trade(tape, market_orders(units), cash=10_000.0)
    assert ours.flags == Flag.CLIPPED
    # Cash covers the short's value at the print, and its costs.
    assert ours.units[-1].item() == pytest.approx(-10_000 / (100 * (1 + 0.01 + 0.001 * 1.01)))
    terms = {"cash": 10_000.0, "fees": 1e-3, "slippage": 0.01}
    assert vectorbt_portfolio(columns(frame), units, **terms).assets().iloc[-1, 0] == -500.0
    # It covers the short's value at the bid.
    locked = vectorbt_portfolio(columns(frame), units, lock_cash=True, **terms).assets().iloc[-1, 0]
    assert locked == pytest.approx(-10_000 / (100 * 0.99 * 1.001))


def test_vectorbt_locks_a_short_at_its_entry_and_we_at_its_value(hand_tape):
    frame, tape = hand_tape(*[(100, 101, 99, 100)] * 2, (120, 121, 119, 120), (120, 121, 119, 120))
    units = np.array([[-50.0], [-500.0], [0.0], [0.0]])
    ours = trade(tape, market_orders(units), cash=10_000.0)
    assert ours.units[2].item() == pytest.approx(-50 - (15_000 - 2 * 50 * 120) / 120)
    peer = vectorbt_portfolio(columns(frame), units, cash=10_000.0, lock_cash=True)
    assert peer.assets().iloc[2, 0] == pytest.approx(-50 - (15_000 - 2 * 50 * 100) / 120)


def test_vectorbt_fills_one_after_the_other_and_we_share_what_cash_there_is(hand_tape, priced_tape):
    frame, _ = hand_tape(*[(100, 101, 99, 100)] * 3)
    both = {"BTCUSDT_1h": frame, "ETHUSD-BITFINEX_30m": frame}
    units = np.array([[100.0, 100.0], [0.0, 0.0], [0.0, 0.0]])
    ours = trade(priced_tape(both), lambda t, book: Orders(torch.from_numpy(units[t])[:, None]), cash=10_000.0)
    np.testing.assert_allclose(ours.units[-1, :, 0], [50.0, 50.0])
    sharing = {"group_by": True, "cash_sharing": True, "call_seq": "auto"}
    peer = vectorbt_portfolio(columns(frame, 2), units, cash=10_000.0, **sharing)
    np.testing.assert_allclose(peer.assets().iloc[-1], [100.0, 0.0])


# backtesting.py: equal


@pytest.mark.parametrize(
    ("symbol", "margin"),
    [("BTCUSDT_1h", "cash"), ("SPY_5m", "cash"), ("BTCUSDT_1h", "isolated")],
)
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_trades_market_orders_alike(real_bars, priced_tape, symbol, margin):
    """On margin too, as long as nothing is liquidated."""
    frame, lever = real_bars(symbol, *REAL[symbol]), 3.0 if margin == "isolated" else 1.0
    units = random_units(np.random.default_rng(5), frame, reach=0.4 * lever, whole=True)
    rules = Rules(rounding=False, margin=margin, leverage=lever)
    ours = trade(priced_tape({symbol: frame}, 10.0), market_tickets(units), rules)
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=1e-3, margin=1 / lever))
    assert ours.fills[Kind.MARKET] > 400
    assert not ours.flags


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_charges_entries_a_spread_and_a_commission_alike(real_bars, priced_tape, side):
    """Exits are another matter, see below."""
    frame = real_bars("SPY_5m", *REAL["SPY_5m"])
    bought = np.random.default_rng(6).integers(1, 100, (len(frame), 1)) * (np.arange(len(frame)) % 10 == 1)[:, None]
    ours = trade(priced_tape({"SPY_5m": frame}, 10.0, 3.0), market_tickets(bought * side))
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=1e-3, spread=3e-4))
    assert ours.fills[Kind.MARKET] == len(frame) // 10
    assert not ours.flags


@pytest.mark.parametrize("symbol", list(REAL))
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_works_limits_and_stops_alike(real_bars, priced_tape, symbol):
    """Beside market orders, with gaps, cancellations and times in force; limits lie where no bar touches them exactly."""
    frame, rng = real_bars(symbol, *REAL[symbol]), np.random.default_rng(7)
    close, spread = frame["close"].to_numpy(), (frame["high"] - frame["low"]).median()

    def decide(t, book):
        if t < 1:
            return None
        cancel = rng.random() < 0.03
        # backtesting.py has no limit to its working orders.
        free = cancel or any(float(slot.units) == 0 for slot in book.working)
        units = rng.integers(1, int(0.005 * CASH / close[t]) + 2) * rng.choice([-1, 1]) * (free and rng.random() < 0.4)
        price, kind = close[t] + 1.5 * spread * rng.standard_normal(), rng.choice(["limit", "stop"])
        market = rng.integers(-20, 21) * (rng.random() < 0.1)
        return Ticket(float(market), float(units), **{str(kind): price}, bars=int(rng.integers(1, 13)), cancel=cancel)

    ours = trade(priced_tape({symbol: frame}, 10.0), decide, WORKING)
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=1e-3))
    assert ours.flags == Flag.EXPIRED | Flag.ROLLED
    assert min(ours.fills[kind] for kind in (Kind.MARKET, Kind.LIMIT, Kind.STOP)) > 100


@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_charges_resting_limits_the_fee_of_a_maker(real_bars, priced_tape):
    """It knows one fee, so this script has limits only, and none that an open fills on arrival."""
    frame, rng = real_bars("BTCUSDT_1h", *REAL["BTCUSDT_1h"]), np.random.default_rng(8)
    open_, close = frame["open"].to_numpy(), frame["close"].to_numpy()

    def decide(t, book):
        side = int(rng.choice([-1, 1]))
        price = close[t] * (1 - side * abs(rng.normal(0, 0.004)))
        rests = 0 < t < len(frame) - 1 and side * (open_[t + 1] - price) > 0
        return Ticket(place=float(side * rng.integers(1, 6)), limit=price) if rests else None

    ours = trade(priced_tape({"BTCUSDT_1h": frame}, 10.0, 5.0, maker_bps=2.0), decide, WORKING)
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=2e-4))
    assert ours.flags == Flag.EXPIRED
    assert ours.fills[Kind.LIMIT] > 300


BRACKETS_OF = {"BTCUSDT_1h": (0.008, 0.012), "SPY_5m": (0.0012, 0.0018)}


@pytest.mark.parametrize("symbol", list(REAL))
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_leaves_by_brackets_alike(real_bars, priced_tape, symbol):
    """Up to four lots at once, first in first out, each with its own stop and take, from the bar of its entry on; reduced
    by market orders too, but not at the open of a bar in which a bracket is met, see below."""
    frame, rng = real_bars(symbol, *REAL[symbol]), np.random.default_rng(9)
    open_, high, low, close = (frame[name].to_numpy() for name in ("open", "high", "low", "close"))
    stop_frac, take_frac = BRACKETS_OF[symbol]

    def decide(t, book):
        if not 0 < t < len(frame) - 1 or rng.random() < 0.5:
            return None
        held, lots, fill = float(book.units), book.lots, open_[t + 1]
        if abs(held) > 1 and rng.random() < 0.3:
            levels = torch.stack([lots.stop, lots.take])[:, lots.units != 0].numpy()
            met = (levels >= low[t + 1]) & (levels <= high[t + 1])
            past = np.sign(held) * (open_[t + 1] - levels) * [[1], [-1]] < 0
            if met.any() or past.any():
                return None
            return Ticket(market=float(-np.sign(held) * rng.integers(1, abs(held))))
        if int(lots.number()) == 4:
            return None
        side = np.sign(held) or rng.choice([-1, 1])
        size = side * rng.integers(2, int(0.05 * CASH / close[t]))
        ticket = Ticket(float(size), stop_frac=stop_frac * rng.uniform(0.5, 2), take_frac=take_frac, fill=fill)
        # It refuses a bracket that the last close has already passed.
        prices = ticket.bracket()
        return ticket if min(prices.values()) < close[t] < max(prices.values()) else None

    ours = trade(priced_tape({symbol: frame}, 10.0), decide, BRACKETS)
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=1e-3))
    assert not ours.flags
    assert min(ours.fills[kind] for kind in (Kind.LOT_STOP, Kind.LOT_TAKE)) > 100


@pytest.mark.parametrize("symbol", list(REAL))
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
@pytest.mark.filterwarnings(TAKE_IN_ENTRY_BAR)
def test_backtesting_brackets_what_limits_and_stops_opened_alike(real_bars, priced_tape, symbol):
    """One trade at a time, entered by a working order, left by its bracket in a later bar than that of its entry."""
    frame, rng = real_bars(symbol, *REAL[symbol]), np.random.default_rng(10)
    open_, high, low, close = (frame[name].to_numpy() for name in ("open", "high", "low", "close"))
    stop_frac, take_frac = BRACKETS_OF[symbol]

    def decide(t, book):
        if t < 1 or float(book.units) or float(book.working[0].units):
            return None
        side, kind, bars = int(rng.choice([-1, 1])), str(rng.choice(["limit", "stop"])), int(rng.integers(1, 7))
        up = side > 0 if kind == "stop" else side < 0
        price = close[t] * (1 + (1 if up else -1) * abs(rng.normal(0, stop_frac / 2)))
        reached = np.flatnonzero((high >= price if up else low <= price)[t + 1 : t + 1 + bars])
        # A gap fills at the open: better for a limit, worse for a stop.
        row = t + 1 + reached[0] if len(reached) else None
        fill = price if row is None else (max if up else min)(open_[row], price)
        units = float(side * rng.integers(2, 100))
        ticket = Ticket(0.0, units, **{kind: price}, bars=bars, stop_frac=stop_frac, take_frac=take_frac, fill=fill)
        stop, take = ticket.bracket().values()
        stopped = row is not None and (low[row] <= stop if side > 0 else high[row] >= stop)
        taken = row is not None and (high[row] >= take if side > 0 else low[row] <= take)
        # Nor does it accept a bracket that does not enclose the order's own price.
        possible = min(stop, take) < price < max(stop, take) and not stopped and not (taken and kind == "stop")
        return ticket if possible else None

    ours = trade(priced_tape({symbol: frame}, 10.0), decide, WORKING_BRACKETS)
    assert_same_curve(ours.equity, replay(frame, ours.script, commission=1e-3))
    assert ours.flags == Flag.EXPIRED
    assert min(ours.fills[kind] for kind in (Kind.LIMIT, Kind.STOP, Kind.LOT_STOP, Kind.LOT_TAKE)) > 30


# backtesting.py: when stop, take, gap and open meet in one bar. Hand-made: 10,000 of cash, prices near 100


def both(hand_tape, rows, script, rules=WORKING_BRACKETS, *, costs=None, **terms):
    """Equity of the script's account at each close, here (`costs` of priced_tape) and there (`terms` of Backtest)."""
    frame, tape = hand_tape((100, 101, 99, 100), (100, 101, 99, 100), *rows, **(costs or {}))
    ours = trade(tape, lambda t, book: script.get(t), rules, cash=10_000.0)
    return ours.equity[2:, 0].tolist(), replay(frame, script, cash=10_000.0, **terms)[2:].tolist()


def test_backtesting_fills_a_limit_that_is_touched_and_we_one_that_is_passed(hand_tape):
    script = {1: Ticket(place=10.0, limit=98.0, bars=9), 3: Ticket(place=-10.0, limit=102.0, bars=9)}
    rows = [(100, 101, 98, 100), (100, 101, 97.5, 100), (100, 102, 99, 100), (100, 103, 99, 100)]
    ours, peer = both(hand_tape, rows, script, finalize_trades=True)
    assert ours == [10_000, 10_020, 10_020, 10_040]
    assert peer == [10_020, 10_020, 10_040, 10_040]


@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_takes_at_a_touch_and_we_beyond_it(hand_tape):
    script = {1: Ticket(market=10.0, stop_frac=0.1, take_frac=0.05, fill=100.0)}
    ours, peer = both(hand_tape, [(100, 101, 99, 100), (100, 105, 99, 100), (100, 101, 99, 100)], script)
    assert ours == [10_000, 10_000, 10_000]
    assert peer == [10_000, 10_050, 10_050]


@pytest.mark.parametrize("side", [1, -1])
def test_both_stop_first_where_stop_and_take_lie_in_one_bar(hand_tape, side):
    script = {1: Ticket(market=10.0 * side, stop_frac=0.02, take_frac=0.02, fill=100.0)}
    # In the bar of the entry, or in a later one.
    for rows in ([(100, 103, 97, 100)], [(100, 101, 99, 100), (100, 103, 97, 100)]):
        ours, peer = both(hand_tape, rows, script)
        assert ours[-1] == peer[-1] == 9_980


@pytest.mark.parametrize("side", [1, -1])
def test_both_pay_the_gap_through_a_stop_and_earn_the_gap_through_a_take(hand_tape, side):
    script = {1: Ticket(market=10.0 * side, stop_frac=0.02, take_frac=0.02, fill=100.0)}
    for gap, value in ((-5 * side, 9_950), (5 * side, 10_050)):
        later = 100 + gap
        ours, peer = both(hand_tape, [(100, 101, 99, 100), (later, later + 1, later - 1, later)], script)
        assert ours[-1] == peer[-1] == value


@pytest.mark.parametrize(
    ("ticket", "rows", "here", "there"),
    [
        # The stop is at 97.02.
        (
            Ticket(place=10.0, limit=99.0, stop_frac=0.02, take_frac=0.05, fill=99.0),
            [(100, 101, 96, 98), (98, 99, 97.5, 98), (98, 98.5, 96, 98)],
            [9_980.2, 9_980.2, 9_980.2],
            [9_990, 9_990, 9_980.2],
        ),
        # At 98.98.
        (
            Ticket(place=10.0, stop=101.0, stop_frac=0.02, take_frac=0.05, fill=101.0),
            [(100, 102, 98.5, 99), (99, 100, 99, 99), (99, 99.5, 98, 98.5)],
            [9_979.8, 9_979.8, 9_979.8],
            [9_980, 9_980, 9_979.8],
        ),
    ],
    ids=["limit", "stop"],
)
def test_we_stop_what_a_working_order_opened_in_its_own_bar_and_backtesting_later(hand_tape, ticket, rows, here, there):
    with pytest.warns(UserWarning, match="A contingent SL/TP order would execute in the same bar"):
        ours, peer = both(hand_tape, rows, {1: ticket})
    np.testing.assert_allclose(ours, here)
    np.testing.assert_allclose(peer, there)


def test_backtesting_takes_in_the_bar_in_which_a_stop_order_opened_and_we_later(hand_tape):
    script = {1: Ticket(place=10.0, stop=101.5, stop_frac=0.05, take_frac=0.02, fill=101.5)}
    rows = [(100, 104, 99.5, 101), (101, 102, 100, 101), (102, 104, 101, 102)]
    ours, peer = both(hand_tape, rows, script)
    # The take is at 103.53.
    np.testing.assert_allclose(ours, [9_995, 9_995, 10_020.3])
    np.testing.assert_allclose(peer, [10_020.3] * 3)


@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_stops_before_it_fills_the_open_and_then_opens_the_other_side(hand_tape):
    """A market order here closes what there was at the decision, at the open, before anything inside the bar."""
    script = {1: Ticket(market=10.0, stop_frac=0.02, take_frac=0.1, fill=100.0), 2: Ticket(market=-10.0)}
    ours, peer = both(hand_tape, [(100, 101, 99, 100), (99, 100, 97, 97.5), (97.5, 98, 90, 90)], script)
    # Stopped at 98, and short at 99 from the same bar on.
    assert ours == [10_000, 9_990, 9_990]
    assert peer == [10_000, 9_980 + 15, 9_980 + 90]


# backtesting.py: costs, buying power and margin, different


def test_backtesting_charges_its_spread_on_entries_only_and_a_commission_on_everything(hand_tape):
    """Buy 10, flip to -10, close, at one price: a flip is charged for both of its parts, but there only one is an entry."""
    script = {1: Ticket(market=10.0), 2: Ticket(market=-20.0), 3: Ticket(market=10.0)}
    rows = [(100, 101, 99, 100)] * 3
    ours, peer = both(hand_tape, rows, script, PLAIN, costs={"half_spread_bps": 100.0}, spread=0.01)
    np.testing.assert_allclose(ours, [9_990, 9_970, 9_960])
    np.testing.assert_allclose(peer, [9_990, 9_980, 9_980])
    ours, peer = both(hand_tape, rows, script, PLAIN, costs={"fee_bps": 100.0}, commission=0.01)
    np.testing.assert_allclose(ours, [9_990, 9_970, 9_960])
    np.testing.assert_allclose(peer, ours)


NO_MARGIN = "ignore:.*Broker canceled the order due to insufficient margin:UserWarning"


@pytest.mark.filterwarnings(OPEN_AT_THE_END, NO_MARGIN)
def test_backtesting_cancels_what_it_cannot_afford_and_we_cut_it(hand_tape):
    """Buy 200 where 100 can be paid; sell 500 of 50."""
    ours, peer = both(hand_tape, [(100, 111, 99, 110)], {1: Ticket(market=200.0)}, PLAIN)
    assert (ours, peer) == ([11_000], [10_000])
    script = {1: Ticket(market=50.0), 2: Ticket(market=-500.0)}
    ours, peer = both(hand_tape, [(100, 101, 99, 100), (100, 101, 89, 90)], script, PLAIN)
    # It closes the 50 and drops the rest.
    assert (ours[-1], peer[-1]) == (11_000, 10_000)


@pytest.mark.filterwarnings(OPEN_AT_THE_END, NO_MARGIN)
def test_backtesting_reckons_buying_power_at_the_close_to_come_and_we_at_the_fill(hand_tape):
    script = {1: Ticket(market=-50.0), 2: Ticket(market=-45.0)}
    ours, peer = both(hand_tape, [(100, 101, 99, 100), (100, 111, 99, 110)], script, PLAIN)
    # At the open 5,000 is free, at the close 4,000: too little for 45 at 100.
    assert ours[-1] == 10_000 - 95 * 10
    assert peer[-1] == 10_000 - 50 * 10


@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_liquidates_at_no_equity_at_a_close_and_we_at_maintenance_in_the_bar(hand_tape):
    rules = Rules(rounding=False, margin="isolated", leverage=2.5)
    script = {1: Ticket(market=250.0)}
    rows = [(100, 101, 99, 100), (100, 101, 65, 90), (90, 91, 50, 50), (50, 120, 50, 120)]
    ours, peer = both(hand_tape, rows, script, rules, margin=0.4)
    # (250 x 100 - 10,000) / (250 x (1 - 0.1)) = 66 2/3
    np.testing.assert_allclose(ours, [10_000] + [10_000 - 250 * (100 - 200 / 3)] * 3)
    assert peer == [10_000, 7_500, 0, 0]


# Planted faults


@pytest.mark.parametrize("fault", [None, "fee", "slippage", "bar", "price"])
def test_vectorbt_shows_a_fault(real_bars, priced_tape, fault):
    frame = real_bars("BTCUSDT_1h", 18_000, 18_500)
    units = random_units(np.random.default_rng(11), frame)
    ours = trade(priced_tape({"BTCUSDT_1h": frame}, 10.0, 1.0), market_orders(units))
    opens, closes = columns(frame)
    peer = vectorbt_portfolio(
        (opens * (1 + 1e-5) if fault == "price" else opens, closes),
        np.roll(units, 1, axis=0) if fault == "bar" else units,
        fees=1.1e-3 if fault == "fee" else 1e-3,
        slippage=2e-4 if fault == "slippage" else 1e-4,
    )
    if fault is None:
        assert_same_curve(ours.equity, peer.value())
    else:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_same_curve(ours.equity, peer.value())


@pytest.mark.parametrize("fault", [None, "fee", "bar", "stop", "take", "unit"])
@pytest.mark.filterwarnings(OPEN_AT_THE_END)
def test_backtesting_shows_a_fault(real_bars, priced_tape, fault):
    frame = real_bars("SPY_5m", 20_000, 20_300)
    opens = frame["open"].to_numpy()

    def decide(t, book):
        side = 1.0 if t % 20 == 5 else -1.0
        bracket = {"stop_frac": 0.004, "take_frac": 0.004, "fill": opens[t + 1]}
        return Ticket(market=1000 * side, **bracket) if t % 20 in (5, 15) and not float(book.units) else None

    ours = trade(priced_tape({"SPY_5m": frame}, 10.0), decide, BRACKETS)
    script = dict(ours.script)
    for t, ticket in ours.script.items():
        if fault in ("stop", "take"):
            name = f"{fault}_frac"
            script[t] = ticket._replace(**{name: getattr(ticket, name) + 1e-4})
        elif fault == "unit" and t == min(ours.script):
            script[t] = ticket._replace(market=ticket.market + 1)
    peer = replay(frame, script, commission=1.1e-3 if fault == "fee" else 1e-3, late=int(fault == "bar"))
    if fault is None:
        assert_same_curve(ours.equity, peer)
    else:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_same_curve(ours.equity, peer)
