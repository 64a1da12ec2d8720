"""Where units and cash move, by hand. Prices are 100, accounts hold 10,000, and nothing costs unless a test says so."""

import pytest
import torch

from sizewise.base.tensors import DUST
from sizewise.market.tape import Bars
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.dealing import LEAST_SHARE, Carried, Dealing, Terms
from sizewise.trading.broker.orders import Flag, Kind, Uses

from ....hand_bars import bars, exactly, tape_of

PLAIN = Rules(rounding=False)
LOTS = Rules(rounding=False, max_open_lots=2)
ISOLATED = Rules(rounding=False, margin="isolated", leverage=5.0)
# Half a percent of spread on either side, 10 bps of fee; the bar ends at 104.
CHARGED = bars(close=104.0, taker=0.001, half_spread=0.005)


def dealing(at: Bars, rules: Rules = PLAIN, *, units: object = 0.0, cash: float = 10_000.0, record=True) -> Dealing:
    """A bar under way in which an account holds `units`."""
    book = Broker(tape_of(at), rules, Uses(leverage=rules.margin == "isolated")).open((1,), cash)
    held = exactly(units).expand(book.units.shape).clone()
    impact, silent = bool(at.impact.any()), bool((at.traded == 0).any())
    terms = Terms(rules, len(held), torch.float64, False, False, False, impact, silent, record)
    return Dealing(terms, book._replace(units=held), at, at)


def trade(deal: Dealing, units: object, price: float | None = None, *, maker: bool = False, **more: object):
    """Divide an order and fill it at the open, or at a price; what `_trade` returns."""
    closing, opening = deal._divide(exactly(units))
    at = deal.bars.open if price is None else torch.full_like(deal.bars.open, price)
    passive = torch.ones_like(opening) if maker else None
    carried = Carried(**{name: exactly(more.pop(name)) for name in Carried._fields if name in more})
    return deal._trade(Kind.MARKET, closing, opening, at, passive, carried, **more)


def flows(deal: Dealing) -> dict[str, float]:
    return {name: value.item() for name, value in deal.after()[1]._asdict().items()}


def lots(deal: Dealing) -> list[float]:
    """Units of each place, the newest first."""
    return deal.lots.units[:, 0, 0].tolist()


# Money.


@pytest.mark.parametrize(
    ("held", "order", "slippage", "fee", "price"),
    [
        # 2 at 100: half a percent is 1; a buyer's fee is on 201, a seller's on 199. Each unit gains 4 by the close.
        (0.0, 2.0, 1.0, 0.201, 8.0),
        (0.0, -2.0, 1.0, 0.199, -8.0),
        # 1 more on 2: .5, and 10 bps of 100.5; 2 held and 1 bought gain 12.
        (2.0, 1.0, 0.5, 0.1005, 12.0),
        (-2.0, -1.0, 0.5, 0.0995, -12.0),
        (2.0, -1.0, 0.5, 0.0995, 4.0),
        (-2.0, 1.0, 0.5, 0.1005, -4.0),
        (2.0, -2.0, 1.0, 0.199, 0.0),
        # 2 are closed and 1 is opened: 1 and .5, 10 bps of 199 and of 99.5.
        (2.0, -3.0, 1.5, 0.2985, -4.0),
        (-2.0, 3.0, 1.5, 0.3015, 4.0),
        (2.0, 0.0, 0.0, 0.0, 8.0),
    ],
    ids=["buy", "sell", "add", "add short", "reduce", "cover", "close", "flip", "flip short", "nothing"],
)
@pytest.mark.parametrize("record", [True, False])
def test_an_order_moves_units_cash_and_columns(held, order, slippage, fee, price, record):
    deal = dealing(CHARGED, units=held, record=record)
    trade(deal, order)
    book, moved = deal.after()
    assert book.units.item() == held + order
    assert book.cash.item() == pytest.approx(10_000 - 100 * order - slippage - fee)
    found = {name: value.item() for name, value in moved._asdict().items()}
    owed = dict.fromkeys(("impact", "funding", "borrow", "liquidation"), 0.0)
    assert found == pytest.approx({"price": price, "fees": -fee, "slippage": -slippage, **owed})
    # From 10,000 and what was held at 100 to what is held at 104.
    assert book.cash.item() + 104 * book.units.item() == pytest.approx(10_000 + 100 * held + sum(found.values()))


def test_a_flip_is_two_fills_and_each_has_its_costs():
    deal = dealing(CHARGED, units=2.0)
    trade(deal, -3.0)
    records = [(fill.units.item(), fill.fee.item(), fill.slippage.item()) for fill in deal.fills]
    assert records == [pytest.approx((-2, -0.199, -1.0)), pytest.approx((-1, -0.0995, -0.5))]


def test_a_maker_crosses_no_spread_and_may_be_paid():
    # 2 at 99: 198, of which 2.5 bps come back.
    deal = dealing(bars(taker=0.001, maker=-0.00025, half_spread=0.005, impact=0.1))
    trade(deal, 2.0, 99.0, maker=True)
    assert flows(deal)["fees"] == pytest.approx(0.0495)
    assert flows(deal)["slippage"] == flows(deal)["impact"] == 0.0
    assert deal.cash.item() == pytest.approx(10_000 - 198 + 0.0495)


@pytest.mark.parametrize(("volume", "impact"), [(100.0, 8.0), (400.0, 4.0), (0.0, 0.0)])
def test_impact_is_the_square_root_of_the_share_of_volume(volume, impact):
    # 4 of 100 units: 400 x .1 x sqrt(.04) = 8; nothing is known of a bar without volume.
    deal = dealing(bars(impact=0.1, volume=volume))
    trade(deal, 4.0)
    assert flows(deal)["impact"] == pytest.approx(-impact)
    assert deal.cash.item() == pytest.approx(10_000 - 400 - impact)


def test_what_is_owed_is_paid_out_of_the_account_into_its_column():
    deal = dealing(bars())
    for column, amount in [("funding", -3.0), ("borrow", -2.0), ("funding", 1.0)]:
        deal._owe(column, torch.tensor([amount], dtype=torch.float64))
    assert deal.cash.item() == 9_996
    assert (flows(deal)["funding"], flows(deal)["borrow"]) == (-2.0, -2.0)


def test_all_but_a_rounding_of_a_position_is_all_of_it():
    deal = dealing(bars(), units=3.0)
    closing, opening = deal._divide(exactly(-3.0 * (1.0 + 0.5 * DUST[torch.float64])))
    assert (closing.item(), opening.item()) == (-3.0, 0.0)
    closing, opening = deal._divide(exactly(-3.0 * (1.0 - 10.0 * DUST[torch.float64])))
    assert closing.item() > -3.0


# Lots.


@pytest.mark.parametrize(
    ("closing", "order", "expected"),
    [
        # 2 were bought before 1. Of 1.5 the oldest lot gives all; on average both give half.
        ("fifo", -1.5, [1.0, 0.5]),
        ("average", -1.5, [0.5, 1.0]),
        ("fifo", -2.5, [0.5, 0.0]),
        ("fifo", -3.0, [0.0, 0.0]),
        ("average", -3.0, [0.0, 0.0]),
    ],
)
def test_a_reduction_takes_the_lots_that_the_rules_say(closing, order, expected):
    deal = dealing(bars(), LOTS.model_copy(update={"closing": closing}))
    for units in (2.0, 1.0, order):
        trade(deal, units)
    assert lots(deal) == pytest.approx(expected)
    assert deal.units.item() == pytest.approx(3.0 + order)


def test_a_full_stack_takes_nothing_more_and_a_flip_makes_room():
    deal = dealing(bars(), LOTS)
    for units in (2.0, 1.0, 1.0):
        trade(deal, units)
    assert (deal.units.item(), deal.flags.item()) == (3.0, Flag.LOT_LIMIT)
    trade(deal, -4.0)
    assert deal.units.item() == -1.0
    assert sorted(lots(deal)) == [-1.0, 0.0]


def test_lots_leave_at_their_own_prices_the_oldest_first_while_there_is_volume():
    # 2.5 of 25 units: both of the older lot at 95, and .5 of the newer at 90.
    at = bars(volume=25.0)
    deal = dealing(at, LOTS.model_copy(update={"max_volume_frac": 0.1}))
    deal.lots = deal.lots.opened(exactly(2.0), exactly(100.0), at.day, None, None)
    deal.lots = deal.lots.opened(exactly(1.0), exactly(100.0), at.day, None, None)
    deal.units = exactly(3.0)
    deal._leave(deal.lots, torch.ones_like(deal.lots.units), torch.tensor([90.0, 95.0]).double().view(2, 1, 1), None)
    assert deal.cash.item() == pytest.approx(10_000 + 190 + 45)
    assert (deal.units.item(), deal.flags.item()) == (0.5, Flag.PARTIAL)
    assert lots(deal) == [0.5, 0.0]


def test_a_take_is_a_makers_and_a_stop_a_takers():
    # 1 at 90 is stopped: .45 and 10 bps of 89.55; 2 at 110 are taken: 2 bps of 220.
    at = bars(taker=0.001, maker=0.0002, half_spread=0.005)
    deal = dealing(at, LOTS)
    for units in (2.0, 1.0):
        deal.lots = deal.lots.opened(exactly(units), exactly(100.0), at.day, None, None)
    deal.units = exactly(3.0)
    stopped_taken = torch.tensor([0.0, 1.0]).double().view(2, 1, 1)
    deal._leave(
        deal.lots, torch.ones_like(stopped_taken), torch.tensor([90.0, 110.0]).double().view(2, 1, 1), stopped_taken
    )
    assert flows(deal)["slippage"] == pytest.approx(-0.45)
    assert flows(deal)["fees"] == pytest.approx(-0.08955 - 0.044)
    assert deal.cash.item() == pytest.approx(10_000 + 90 + 220 - 0.45 - 0.08955 - 0.044)
    assert [fill.kind for fill in deal.fills if fill.units.any()] == [Kind.LOT_TAKE, Kind.LOT_STOP]


# Buying power.


@pytest.mark.parametrize(
    ("at", "order", "maker", "bought"),
    [
        # With 1% each unit needs 101.
        (bars(taker=0.01), 120.0, False, 10_000 / 101),
        (bars(taker=0.01), -120.0, False, -10_000 / 101),
        # Half a percent of spread, and 1% of 100.5: 101.505.
        (bars(taker=0.01, half_spread=0.005), 120.0, False, 10_000 / 101.505),
        # A maker pays no spread: 100.2. What comes back buys nothing.
        (bars(taker=0.01, maker=0.002, half_spread=0.005), 120.0, True, 10_000 / 100.2),
        (bars(taker=-0.01), 120.0, False, 100.0),
        # .1 x sqrt(121 / 12,100) is 1% of the order that is asked for.
        (bars(impact=0.1, volume=12_100.0), 121.0, False, 10_000 / 101),
        (bars(), 100.0, False, 100.0),
    ],
    ids=["fee", "fee of a short", "spread", "maker", "rebate", "impact", "all of it"],
)
@pytest.mark.parametrize("record", [True, False])
def test_an_opening_is_cut_to_what_cash_covers(at, order, maker, bought, record):
    deal = dealing(at, record=record)
    trade(deal, order, maker=maker)
    assert deal.units.item() == pytest.approx(bought)
    assert deal.flags.item() == (Flag.CLIPPED if record and abs(bought) < abs(order) else 0)


def test_a_short_locks_its_proceeds_and_as_much_again():
    # 20 sold: of 12,000 in cash 4,000 are locked, and 8,000 cover 80 more.
    deal = dealing(bars(), units=-20.0, cash=12_000.0)
    trade(deal, -100.0)
    assert deal.units.item() == pytest.approx(-100.0)
    # Of 10,000 equity nothing is left.
    trade(deal, -1.0)
    assert deal.units.item() == pytest.approx(-100.0)


def test_a_closing_is_never_cut_and_pays_for_the_opening_after_it():
    # 50 held and no cash: sold for 5,000, which cover 50 of the 80 that are left.
    deal = dealing(bars(), units=50.0, cash=0.0)
    trade(deal, -130.0)
    assert (deal.units.item(), deal.cash.item()) == pytest.approx((-50.0, 10_000.0))


def test_instruments_are_cut_by_one_share():
    # 100 and 50 at 100 want 15,000 of 10,000.
    deal = dealing(bars([100.0, 100.0]))
    trade(deal, [100.0, -50.0])
    assert deal.units[:, 0].tolist() == pytest.approx([200 / 3, -100 / 3])
    assert deal.flags[:, 0].tolist() == [Flag.CLIPPED] * 2


@pytest.mark.parametrize(("share", "bought"), [(2.0 * LEAST_SHARE, 100.0), (0.5 * LEAST_SHARE, 0.0)])
def test_what_is_cut_to_next_to_nothing_is_dropped(share, bought):
    deal = dealing(bars())
    trade(deal, 100.0 / share)
    assert deal.units.item() == pytest.approx(bought)


@pytest.mark.parametrize(
    ("leverage", "opened"), [(None, 500.0), (2.0, 200.0), (0.5, 100.0)], ids=["the rules'", "its own", "at least 1"]
)
def test_a_margin_buys_its_leverage(leverage, opened):
    # 600 at 100 post a fifth at 5:1, 12,000.
    deal = dealing(bars(), ISOLATED)
    trade(deal, 600.0, **({} if leverage is None else {"leverage": leverage}))
    assert deal.units.item() == pytest.approx(opened)
    assert deal.margin.posted.item() == pytest.approx(10_000.0)
    # All is posted: nothing more can be opened, and a part that is closed frees its share.
    trade(deal, 10.0)
    assert deal.units.item() == pytest.approx(opened)
    trade(deal, -0.5 * opened)
    assert deal.margin.posted.item() == pytest.approx(5_000.0)


# Rounding and volume.


@pytest.mark.parametrize(
    ("cash", "bought", "flag"),
    [
        # 1% of fee: 99.0099 in halves.
        (10_000.0, 99.0, Flag.CLIPPED),
        # 2.97 in halves are 250, the least that is taken; 2.48 are 200.
        (300.0, 2.5, Flag.CLIPPED),
        (250.0, 0.0, Flag.CLIPPED | Flag.BELOW_MIN),
    ],
)
def test_what_is_cut_comes_in_lots_and_is_worth_the_minimum(cash, bought, flag):
    deal = dealing(bars(taker=0.01, lot=0.5, min_order=250.0), Rules(), cash=cash)
    trade(deal, 120.0)
    assert (deal.units.item(), deal.flags.item()) == (bought, flag)


def test_closing_and_opening_share_a_volume_and_the_rest_is_held_back():
    # A tenth of 30 units: 2 close, and 1 of 3 opens.
    deal = dealing(bars(volume=30.0), PLAIN.model_copy(update={"max_volume_frac": 0.1}), units=2.0)
    done, held_back = trade(deal, -5.0)
    assert (done.item(), held_back.item(), deal.units.item()) == (-3.0, 1.0, -1.0)
    assert (deal.budget.item(), deal.flags.item()) == (0.0, Flag.PARTIAL)
    # Nothing opens where the closing was held back.
    deal = dealing(bars(volume=10.0), PLAIN.model_copy(update={"max_volume_frac": 0.1}), units=2.0)
    done, held_back = trade(deal, -5.0)
    assert (done.item(), held_back.item(), deal.units.item()) == (-1.0, 1.0, 1.0)


def test_an_order_that_buying_power_cuts_is_done_with():
    deal = dealing(bars(volume=3_000.0), PLAIN.model_copy(update={"max_volume_frac": 0.1}))
    done, held_back = trade(deal, 400.0)
    assert (done.item(), held_back.item()) == (pytest.approx(100.0), 0.0)


def test_without_a_limit_on_volume_nothing_is_held_back():
    assert trade(dealing(bars(volume=1.0)), 5.0)[1] is None
