"""One worked path a mechanism, on real bars: what notebook 05 shows as a picture and as a ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from sizewise.base.errors import LedgerError
from sizewise.base.hashing import content_hash, text_bytes
from sizewise.base.paths import Workspace
from sizewise.market.bars import load_bars
from sizewise.market.costs import priced
from sizewise.market.instruments import Instrument, load_instruments
from sizewise.market.tape import build_tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import CostModel, InstrumentCosts, Rules, VenueCosts
from sizewise.reports.account import draw_path
from sizewise.trading.broker import reference_broker
from sizewise.trading.broker.orders import Uses
from sizewise.trading.broker.reference_orders import Bar, Market, Place, PlainOrders
from sizewise.trading.broker.reference_orders import Rules as PlainRules
from sizewise.trading.schemes.sizing import CLOSE, Scripted
from sizewise.trading.simulation import FLOWS, Simulation, simulate

SYMBOL = "BTCUSDT_1h"
PERPETUAL = VenueCosts(kind="venue", name="bitmex")
SPOT = InstrumentCosts(kind="instrument")
AGREEMENT = 1e-9
CASH = 1000.0
BPS = 1e4


@dataclass(frozen=True)
class Case:
    """A mechanism: what it shows, the bars it happens on, and the orders, by the UTC hour whose close decides them.

    `warmup_bars` before the first one give impact its volatility; nothing is ordered and nothing shown of them.
    """

    title: str
    shows: str
    first: str
    last: str
    script: Mapping[str, PlainOrders]
    rules: Rules
    uses: Uses = field(default_factory=Uses)
    costs: CostModel = SPOT
    cash: float = CASH
    warmup_bars: int = 0


CASES: dict[str, Case] = {
    "maker_fill": Case(
        "Maker fill: a touch is not enough",
        "The first buy rests at a price that the low of 08:00 touches and does not pass: it expires. The next is traded "
        "through and earns the rebate of a maker; so does the sale.",
        "2023-06-21 05:00",
        "2023-06-21 16:00",
        {
            "2023-06-21 06:00": PlainOrders(place=Place("limit", 0.02, 28787.70, bars=3)),
            "2023-06-21 09:00": PlainOrders(place=Place("limit", 0.02, 28820.00, bars=3)),
            "2023-06-21 10:00": PlainOrders(place=Place("limit", -0.02, 29400.00, bars=6, reduce_only=True)),
        },
        Rules(max_open_orders=1),
        Uses(working=True, reduce_only=True),
        PERPETUAL,
    ),
    "partial_fill": Case(
        "Partial fill: a thousandth of each bar's volume",
        "An order for more than a bar trades fills over several bars. The limit rests until its time in force is over, "
        "and what is left is cancelled.",
        "2023-06-20 19:00",
        "2023-06-21 04:00",
        {"2023-06-20 20:00": PlainOrders(place=Place("limit", 15.0, 28200.00, bars=5))},
        Rules(max_open_orders=1, max_volume_frac=0.001),
        Uses(working=True),
        InstrumentCosts(kind="instrument", impact_coef=1.0),
        500_000.0,
        warmup_bars=60,
    ),
    "bracket": Case(
        "Bracket: the stop comes first",
        "The bar whose open fills the purchase reaches both the stop and the take. Nobody knows which price came "
        "first, so the stop does. The trade begins and ends inside that bar: no close sees a position.",
        "2021-01-11 08:00",
        "2021-01-11 15:00",
        {"2021-01-11 11:00": PlainOrders(market=Market(0.02, stop_frac=0.02, take_frac=0.02))},
        Rules(max_open_lots=2),
        Uses(brackets=True),
    ),
    "flip": Case(
        "Flip: one order, two legs, two fees",
        "A sale of twice the position closes the long and opens a short. Each leg pays its own fee; the short pays "
        "borrow from then on.",
        "2023-06-21 00:00",
        "2023-06-21 10:00",
        {
            "2023-06-21 01:00": PlainOrders(market=Market(0.01)),
            "2023-06-21 04:00": PlainOrders(market=Market(-0.02)),
            "2023-06-21 08:00": PlainOrders(market=Market(CLOSE)),
        },
        Rules(),
    ),
    "funding": Case(
        "Funding: paid at the venue's hours by whoever holds",
        "A long on a perpetual pays at 04:00, 12:00 and 20:00 UTC on the position carried into the hour. The order "
        "that fills at the open of such an hour comes too late to owe it.",
        "2023-06-21 02:00",
        "2023-06-21 22:00",
        {
            "2023-06-21 03:00": PlainOrders(market=Market(0.01)),
            "2023-06-21 20:00": PlainOrders(market=Market(CLOSE)),
        },
        Rules(margin="isolated", leverage=1.0),
        costs=PERPETUAL,
    ),
    "liquidation": Case(
        "Liquidation: the first bar that crosses",
        "A long at five times its margin, two hours before the fall of March 2020. The bar that reaches the "
        "liquidation price ends it there; the penalty takes what was left of the margin.",
        "2020-03-12 04:00",
        "2020-03-12 14:00",
        {"2020-03-12 07:00": PlainOrders(market=Market(0.1, leverage=5.0))},
        Rules(margin="isolated", leverage=5.0),
        Uses(leverage=True),
        PERPETUAL,
    ),
}


@dataclass(frozen=True)
class Worked:
    """A case as it went: its bars and its ledger."""

    case: Case
    bars: pd.DataFrame
    done: Simulation


def work(case: Case, workspace: Workspace) -> Worked:
    """Trade a case, and hold it against the reference broker.

    Raises:
        LedgerError: the columns do not add up, or the two brokers disagree.
    """
    instrument = _instrument(case, workspace)
    bars = load_bars(workspace.bars / f"{SYMBOL}.parquet").loc[: case.last]
    bars = bars.iloc[bars.index.get_indexer(pd.DatetimeIndex([case.first], tz="UTC"))[0] - case.warmup_bars :]
    hours = pd.DatetimeIndex(list(case.script), tz="UTC")
    rows = dict(zip(bars.index.get_indexer(hours).tolist(), case.script.values(), strict=True))
    done = simulate(
        bars,
        range(len(bars)),
        Scripted(rows, len(bars), case.uses),
        Account(initial_equity=case.cash),
        rules=case.rules,
        instruments={SYMBOL: instrument},
    )
    check(done)
    _hold_against_reference(case, bars, instrument, rows, done)
    return Worked(case, bars.loc[case.first :], done)


def _instrument(case: Case, workspace: Workspace) -> Instrument:
    instruments = load_instruments(workspace.bars.parent / "instruments.yaml")
    return priced(instruments[SYMBOL], case.costs)


def data_hash(workspace: Workspace) -> str:
    """A hash of the bars and terms the cases are walked on."""
    bars, terms = workspace.bars / f"{SYMBOL}.parquet", workspace.bars.parent / "instruments.yaml"
    return content_hash(bars.read_bytes() + text_bytes(terms))


def check(done: Simulation) -> None:
    """Hold a ledger to its own sum.

    Raises:
        LedgerError: the columns do not explain the change of equity.
    """
    gap = (done.flows.sum(axis=1).cumsum() - (done.equity - done.equity.iloc[0])).abs().max()
    if not gap <= AGREEMENT * done.equity.iloc[0]:
        raise LedgerError(f"columns miss the change of equity by {gap:g}")


def _hold_against_reference(
    case: Case, bars: pd.DataFrame, instrument: Instrument, rows: Mapping[int, PlainOrders], done: Simulation
) -> None:
    tape = build_tape({SYMBOL: bars}, {SYMBOL: instrument})
    names = [name for name in Bar.__dataclass_fields__ if name not in ("traded", "day_trade")]
    account = reference_broker.ReferenceBroker(PlainRules(**case.rules.model_dump(exclude={"latency_bars"})), case.cash)
    for t in range(len(bars) - 1):
        row = {name: float(tape.column(name)[t + 1, 0]) for name in names}
        orders = rows.get(t, PlainOrders())
        if orders.market is not None and orders.market.units == CLOSE:
            orders = PlainOrders(orders.cancel, orders.place, Market(-account.units[0], orders.market.leverage))
        step = account.step([orders], [Bar(**row)])  # type: ignore[arg-type]
        if abs(step.equity - done.equity.iloc[t + 1]) > AGREEMENT * case.cash:
            raise LedgerError(f"{case.title}: the brokers disagree at {bars.index[t + 1]}")


def fills_table(done: Simulation) -> pd.DataFrame:
    """Fills as printed: one row a leg."""
    table = done.fills.drop(columns="symbol").set_index("timestamp")
    numbers = table.columns.drop("kind")
    table[numbers] = table[numbers].round(6) + 0.0
    table.attrs["places"] = 4
    return table.rename(columns={"fee": "fee (quote)", "slippage": "half-spread (quote)", "impact": "impact (quote)"})


def ledger_table(done: Simulation) -> pd.DataFrame:
    """Bars on which something happened: what moved equity, in quote currency, and what the venue did."""
    table = done.flows.copy()
    table.insert(0, "position", done.position_value)
    table["equity"] = done.equity
    events = done.events.groupby("timestamp")["event"].agg(", ".join)
    table["events"] = events.reindex(table.index).fillna("")
    moved = (done.flows != 0).any(axis=1) | (table["events"] != "")
    used = [name for name in FLOWS if done.flows[name].any()]
    shown = table.loc[moved, ["position", *used, "equity"]].round(4) + 0.0
    shown.attrs["places"] = 4
    return shown.assign(events=table["events"])


def caption(worked: Worked) -> str:
    """What to look at."""
    larger = f" The account begins with {worked.case.cash:,.0f}." if worked.case.cash != CASH else ""
    return f"**{worked.case.title}.** {worked.case.shows}{larger}"


def draw(worked: Worked) -> Figure:
    """Price with fills, position and equity of the bars that are shown; dashed, the prices that orders waited at."""
    figure = draw_bars({SYMBOL: worked.bars}, worked.done)
    figure.axes[0].set_title(f"{worked.case.title} ({SYMBOL})")
    for name, price, first, last in _levels(worked):
        figure.axes[0].plot(
            pd.DatetimeIndex([first, last]).to_numpy(), [price, price], color="#444444", ls="--", lw=1.0
        )
        figure.axes[0].annotate(
            name,
            (first, price),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )
    return figure


def _levels(worked: Worked) -> list[tuple[str, float, pd.Timestamp, pd.Timestamp]]:
    """Name, price, first and last time of what the case's orders wait for."""
    case, end = worked.case, worked.bars.index[-1]
    step = worked.bars.index[1] - worked.bars.index[0]
    found = []
    for hour, orders in case.script.items():
        decided = pd.Timestamp(hour, tz="UTC")
        if orders.place is not None:
            last = min(decided + orders.place.bars * step, end)
            found.append((orders.place.kind, orders.place.price, decided, last))
        if orders.market is None:
            continue
        entry = worked.done.fills["price"][worked.done.fills["timestamp"] == decided + step].iloc[0]
        if orders.market.stop_frac:
            first, last = decided + 0.6 * step, decided + 2.4 * step
            found.append(("stop", entry * (1.0 - orders.market.stop_frac), first, last))
            found.append(("take", entry * (1.0 + orders.market.take_frac), first, last))
        if orders.market.leverage is not None:
            gone = worked.done.fills.iloc[-1]
            found.append(("liquidation", gone["price"], decided, gone["timestamp"] + step))
    return found


def draw_bars(bars: Mapping[str, pd.DataFrame], done: Simulation) -> Figure:
    """Price with fills, position and equity of a walk over the bars of its symbols."""
    parts = []
    for symbol, frame in bars.items():
        part = frame[["open", "high", "low", "close"]].rename_axis("time").reset_index()
        part["symbol"] = symbol
        part["position"] = done.positions[symbol].reindex(frame.index).to_numpy()
        part["equity"] = done.equity.reindex(frame.index).to_numpy()
        parts.append(part)
    return draw_path(pd.concat(parts), done.fills.rename(columns={"timestamp": "time"}))


def summary(worked: Mapping[str, Worked]) -> pd.DataFrame:
    """One row a case: the account it begins with, fills, and what each column and all together came to, in basis points of
    that account, because not all of them begin with the same."""
    rows = {}
    for name, one in worked.items():
        cash, done = one.case.cash, one.done
        moved = {**done.flows.sum(), "change_of_equity": done.equity.iloc[-1] - done.equity.iloc[0]}
        parts = {f"{flow}_bps": BPS * value / cash for flow, value in moved.items()}
        rows[name] = {"account (quote)": cash, "fills": len(done.fills), **parts}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("mechanism") + 0
    table.attrs["places"] = 1
    return table
