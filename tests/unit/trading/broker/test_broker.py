"""What a broker opens, what it refuses, and how it says so. What a step does is tested in test_trading_step."""

import dataclasses

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.market.bars import load_bars
from sizewise.market.costs import Costs, at_venue, charged
from sizewise.market.instruments import load_instruments
from sizewise.market.tape import Tape, build_tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.broker import Broker, check_leverage, check_uses
from sizewise.trading.broker.orders import Orders, Place, Uses

from ....hand_bars import Desk, bars, tape_of
from ....hand_tape import hand_tape, stack_tapes

ALL = Uses(working=True, stops=True, reduce_only=True, brackets=True, leverage=True)
RULES = Rules(margin="isolated", max_open_lots=3, max_open_orders=2, day_trade_limit=True)
TWO = tape_of(bars([100.0, 50.0]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_flat_accounts_of_any_shape(dtype):
    book = Broker(TWO, RULES, ALL, dtype=dtype).open((4, 5), 1000.0)
    assert (book.cash.shape, book.units.shape) == ((4, 5), (2, 4, 5))
    assert {book.cash.dtype, book.units.dtype, book.margin.posted.dtype, book.lots.units.dtype} == {dtype}
    assert (book.cash == 1000.0).all()
    assert book.lots.units.shape == (3, 2, 4, 5)
    assert len(book.working) == 2
    assert all(slot.units.dtype == dtype for slot in book.working)
    # Prices are exact, whatever money is kept in.
    assert {book.lots.price.dtype, book.lots.stop.dtype, book.working[0].price.dtype} == {torch.float64}
    nothing = (book.units, book.margin.posted, book.lots.units, *(slot.units for slot in book.working))
    assert not any(tensor.any() for tensor in nothing)


def test_what_nobody_uses_is_not_kept():
    book = Broker(TWO, Rules(max_open_orders=2), Uses()).open((1,), 1000.0)
    assert (book.margin, book.lots, book.working, book.day_trades) == (None, None, (), None)
    slot = Broker(TWO, Rules(max_open_orders=1), Uses(working=True)).open((1,), 1000.0).working[0]
    assert (slot.is_stop, slot.reduce_only, slot.leverage, slot.stop_frac, slot.take_frac) == (None,) * 5
    assert Broker(TWO, Rules(max_open_lots=1), Uses()).open((1,), 1000.0).lots.stop is None


def test_accounts_of_any_shape_trade_as_one_does():
    at = bars(taker=0.001, half_spread=0.002)
    broker = Broker(tape_of(at), Rules(rounding=False), Uses())
    units = torch.tensor([[1.0, -2.0, 0.0], [50.0, 0.5, 200.0]], dtype=torch.float64)
    wide = type(at)(*(column.unsqueeze(-1) for column in at))
    book, result = broker.step(broker.open((2, 3), 1000.0), Orders(units.unsqueeze(0)), wide)
    assert result.flows.fees.shape == (2, 3)
    assert result.flags.shape == (1, 2, 3)
    for place in np.ndindex(2, 3):
        desk = Desk(Rules(rounding=False), Uses(), at, cash=1000.0)
        alone = desk.go(at, units[place].item())
        assert book.cash[place].item() == desk.book.cash.item()
        assert result.flows.fees[place].item() == alone.flows.fees.item()


def test_fills_and_flags_are_kept_where_they_are_asked_for():
    at = bars()
    broker = Broker(tape_of(at), Rules(rounding=False), Uses())
    book, result = broker.step(broker.open((1,), 1000.0), Orders(torch.full((1, 1), 20.0).double()), at)
    assert book.units.item() == 10.0
    assert result.fills == ()
    assert not result.flags.any()
    assert result.flags.dtype == torch.int16
    desk = Desk(Rules(rounding=False), Uses(), at, cash=1000.0)
    again = desk.go(at, 20.0)
    assert again.fills
    assert again.flags.any()


def test_a_record_changes_nothing():
    at = bars(high=120.0, low=80.0, taker=0.001, maintenance=0.1)
    rules, uses = Rules(margin="isolated", leverage=5.0, rounding=False), Uses()
    units = torch.full((1, 1), 45.0).double()
    after = []
    for record in (False, True):
        broker = Broker(tape_of(at), rules, uses, record=record)
        book, _ = broker.step(broker.open((1,), 1000.0), Orders(units), at)
        after.append(broker.step(book, Orders(), at)[0])
    assert torch.equal(after[0].cash, after[1].cash)
    assert torch.equal(after[0].units, after[1].units)


def test_day_trades_left():
    at = bars(day_trade=1.0, session=3.0)
    desk = Desk(Rules(rounding=False, day_trade_limit=True), Uses(), at)
    assert desk.broker.day_trades_left(desk.book).tolist() == [[3]]
    desk.go(at, 1.0)
    desk.go(at, -1.0)
    assert desk.broker.day_trades_left(desk.book).tolist() == [[2]]
    free = Desk(Rules(), Uses(), at)
    assert free.broker.day_trades_left(free.book).tolist() == [[3]]


@pytest.mark.parametrize(
    ("uses", "rules", "message"),
    [
        ("working", Rules(), "places working orders: set trading.rules.max_open_orders to 1 or more"),
        ("brackets", Rules(), "carry brackets, which belong to lots: set trading.rules.max_open_lots"),
        ("leverage", Rules(), "chooses leverage: set trading.rules.margin to isolated"),
    ],
)
def test_a_scheme_that_the_rules_do_not_serve_is_refused(uses, rules, message):
    with pytest.raises(ConfigError, match=message):
        check_uses(rules, Uses(**{uses: True}))
    with pytest.raises(ConfigError, match=message):
        Broker(TWO, rules, Uses(**{uses: True}))


def test_rules_that_give_more_than_is_used_are_fine():
    check_uses(RULES, Uses())
    check_uses(RULES, ALL)
    assert all(field.default is False for field in dataclasses.fields(Uses))


@pytest.fixture
def real(root, real_bars):
    """A tape of a symbol under its own terms, or a venue's."""
    instruments = load_instruments(root / "data" / "instruments.yaml")

    def make(symbol: str, venue: str | None = None) -> Tape:
        instrument = instruments[symbol] if venue is None else at_venue(instruments[symbol], venue)
        return build_tape({symbol: real_bars(symbol, 0, 50)}, {symbol: charged(instrument, Costs.zero())})

    return make


def test_more_leverage_than_a_venue_gives_names_symbol_numbers_and_remedy(real):
    message = (
        r"^trading\.rules\.leverage is 3, but SPY_5m's venue gives 2 at a maintenance margin of 0\.25: "
        r"lower it, or trade under another venue's terms \(trading\.costs\)$"
    )
    with pytest.raises(ConfigError, match=message):
        check_leverage(real("SPY_5m"), 3.0, "trading.rules.leverage")
    with pytest.raises(ConfigError, match=message):
        Broker(real("SPY_5m"), Rules(margin="isolated", leverage=3.0), Uses())
    check_leverage(real("SPY_5m"), 2.0, "trading.rules.leverage")
    check_leverage(real("SPY_5m", "bitmex"), 5.0, "trading.rules.leverage")


def test_the_symbol_is_found_among_several_markets(real):
    both = stack_tapes([real("CSI300_15m"), real("SPY_5m")])
    with pytest.raises(ConfigError, match=r"leverages\[2\] is 2\.5, but SPY_5m's venue"):
        check_leverage(both, 2.5, "leverages[2]")


def test_a_margin_that_is_maintenance_at_once_is_refused():
    # At 5:1 a position posts 20% and is liquidated at 20%.
    tape = tape_of(bars(maintenance=0.2))
    with pytest.raises(ConfigError, match=r"S0's venue gives 100 at a maintenance margin of 0\.2"):
        check_leverage(tape, 5.0, "leverage")
    check_leverage(tape, 4.9, "leverage")
    check_leverage(tape_of(bars(maintenance=1.0)), 1.0, "leverage")


def test_orders_that_no_venue_takes_are_refused():
    tape = hand_tape([100.0] * 4)
    broker = Broker(tape, Rules(margin="isolated", max_open_orders=1), Uses(working=True, leverage=True))
    book, bars = broker.open((3,), 1000.0), tape.rows(torch.tensor([1, 1, 1]))
    units, plain = torch.ones((1, 3), dtype=torch.float64), torch.full((1, 3), 2.0, dtype=torch.float64)
    spoilt, steep = units.clone(), plain.clone()
    spoilt[0, 1], steep[0, 2] = torch.nan, 101.0

    def place(units: torch.Tensor, leverage: torch.Tensor) -> Place:
        return Place(units, plain * 50.0, plain, leverage=leverage)

    wrong = "environment 1, instrument 0: an order of nan units: order a finite number"
    trusting = Broker(
        tape, Rules(margin="isolated", max_open_orders=1), Uses(working=True, leverage=True), trusted=True
    )
    for orders in (Orders(market=spoilt), Orders(place=place(spoilt, plain))):
        with pytest.raises(ActionError, match=wrong):
            trusting.step(book, orders, bars)
    for orders in (Orders(market=units, leverage=steep), Orders(place=place(units, steep))):
        with pytest.raises(
            ActionError, match="environment 2, instrument 0: leverage 101 is above the 100 its venue gives"
        ):
            broker.step(book, orders, bars)
    # At the venue's own leverage nothing is wrong.
    broker.step(book, Orders(market=units, leverage=plain * 50.0, place=place(units, plain)), bars)


def test_a_share_of_the_volume_needs_a_volume_of_units(root):
    instruments = load_instruments(root / "data" / "instruments.yaml")
    bars = load_bars(root / "data" / "bars" / "CSI300_15m.parquet").iloc[:20]
    tape = build_tape({"CSI300_15m": bars}, instruments)
    Broker(tape, Rules(), Uses())
    with pytest.raises(ConfigError, match=r"CSI300_15m counts no units .* set trading\.rules\.max_volume_frac to null"):
        Broker(tape, Rules(max_volume_frac=0.1), Uses())


@pytest.mark.parametrize("record", [True, False])
def test_a_rich_account_is_left_whole_beside_a_poor_one(record):
    # 1e12 over an order of nothing is more than float32 holds, and infinity times nothing is no number. The poor
    # account's order is cut, so that shares are reckoned for both.
    tape = hand_tape([100.0] * 4)
    broker = Broker(tape, Rules(), Uses(), dtype=torch.float32, record=record)
    book = broker.open((2,), 0.0)._replace(cash=torch.tensor([1e12, 1000.0]))
    after, result = broker.step(book, Orders(market=torch.tensor([[0.0, 50.0]])), tape.rows(torch.tensor([1, 1])))
    assert after.units.tolist() == [[0.0, 10.0]]
    assert after.cash.tolist() == [pytest.approx(1e12), pytest.approx(0.0, abs=1e-3)]
    assert result.flows.total().isfinite().all()
