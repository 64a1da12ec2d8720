"""Where the difference between two arms comes from: exposure, timing of size, direction, costs. The parts add up exactly.

A step's growth is x = (price + its costs) / E_{t-1}, and log(1 + x) its log growth. With a the
candidate's price part, b the reference's, k the ratio of their mean |position| / equity, and a' what the candidate's size
would have made on the side that the reference holds:

    exposure     (k - 1) b          more or less of the same
    timing       a' - k b           the same amount, otherwise spread over bars
    direction    a - a'             the other side, or a position where the reference has none
    fees, slippage, carry           differences of the cost columns, each over its own equity; impact counts as slippage
    compounding  difference of log(1 + x) - x

An arm that carries more also pays more: that stands under costs, not under exposure. The ratio k is one number of the whole
out-of-sample span, so the parts describe what happened; none of them could have been traded.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.dataset.market_tensor import Market
from sizewise.evidence.inference import EFFECT_COLUMNS, effect_row
from sizewise.ledgers.columns import EQUITY_COLUMNS
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.ledgers.weights import mark_assets
from sizewise.params.evidence.plan import Plan

PARTS = ("exposure", "timing", "direction", "fees", "slippage", "carry", "compounding")
COSTS = ("fees", "slippage", "carry")
COLUMNS = tuple(name for name in EQUITY_COLUMNS if name != "regime")
# What a step's parts may miss of its log growth: rounding of a sum of five numbers.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Attribution:
    """The parts of one arm minus another, in log growth.

    Attributes:
        ratio: k, mean |position| / equity of the candidate over the reference's.
        days: float64, index UTC day, columns (part, symbol); summed over the day's steps, averaged over seeds; NaN where
            the symbol is not live.
    """

    ratio: float
    days: pd.DataFrame

    @property
    def daily(self) -> pd.DataFrame:
        """Equal weight over the symbols live each day: one column a part; a row's sum is the day's difference."""
        return pd.DataFrame({part: portfolio(self.days.loc[:, [part]]) for part in PARTS})

    def table(self, plan: Plan) -> pd.DataFrame:
        """One row a part, then their sum: mean with its Ibragimov-Mueller interval, bps a day; the means add up."""
        daily = self.daily
        rows = {part: effect_row(daily[part], plan) for part in PARTS}
        rows["sum: the difference"] = effect_row(daily.sum(axis=1), plan)
        return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS).rename_axis("part")

    def by_symbol(self) -> pd.DataFrame:
        """Mean of each part on the days a symbol is live, bps a day; one row a symbol, with their sum and n_days."""
        rows = {}
        for symbol in self.days.columns.unique("symbol"):
            mine = pd.DataFrame({part: self.days[part, symbol] for part in PARTS}).dropna()
            means = {part: BPS * float(mine[part].mean()) for part in PARTS}
            rows[symbol] = means | {"difference": BPS * float(mine.sum(axis=1).mean()), "n_days": len(mine)}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def attribute(candidate: pd.DataFrame, reference: pd.DataFrame, market: Market) -> Attribution:
    """Divide one arm's daily log growth minus another's into PARTS.

    The reference's side stands for the signal's: where the reference holds nothing, whatever the candidate holds is its
    own direction.

    Args:
        candidate, reference: ledgers of one arm each, COLUMNS; rows of a path together, oldest first. The reference has
            one path a symbol and fold; every seed of the candidate is held against it.
        market: the bars both were walked over; on the CPU.
    Raises:
        LedgerError: other bars, several paths of the reference, a reference that never holds anything, or columns that do
            not explain the equity.
    """
    carried = [float(frame["position_frac"].abs().mean()) for frame in (candidate, reference)]
    if not carried[1] > 0.0:
        raise LedgerError("the reference never holds a position: no exposure to compare with; choose another reference")
    ratio = carried[0] / carried[1]
    others = {}
    for (symbol, fold), rows in reference.groupby(["symbol", "fold"], observed=True, sort=False):
        if (rows["seed"] != rows["seed"].iloc[0]).any():
            raise LedgerError(
                f"the reference has several seeds in {symbol}, fold {fold}: choose a rule as the reference"
            )
        others[symbol, fold] = _Path(rows, market)
    parts = []
    for (symbol, fold, seed), rows in candidate.groupby(["symbol", "fold", "seed"], observed=True, sort=False):
        mine, other = _Path(rows, market), others.get((symbol, fold))
        if other is None or not np.array_equal(mine.times, other.times):
            raise LedgerError(f"{symbol}, fold {fold}: the arms cover different bars: attribute ledgers of one run")
        day = pd.DatetimeIndex(mine.times, tz="UTC").floor("D")
        table = pd.DataFrame(_parts(mine, other, ratio)).groupby(day).sum()
        named = table.assign(symbol=str(symbol), seed=int(str(seed)))
        parts.append(named.rename_axis("day").reset_index())
    by_seed = pd.concat(parts, ignore_index=True).groupby(["day", "symbol", "seed"])[list(PARTS)].sum()
    by_symbol = by_seed.groupby(level=["day", "symbol"]).mean()
    days = by_symbol.reset_index().pivot(index="day", columns="symbol", values=list(PARTS))
    days.columns.names = ["part", "symbol"]
    return Attribution(ratio, mark_assets(days, market.assets))


class _Path:
    """One path's steps, 0 at its first row: shape (T,) each, or (2, T), the part before the fill and the part after it.

    Attributes:
        legs, sides: price part over equity, and the sign held, over the gap and over the bar. fees, slippage, carry: over
            equity. x: their sum. log: log(1 + x).
    """

    def __init__(self, rows: pd.DataFrame, market: Market):
        symbol = str(rows["symbol"].iloc[0])
        self.times = pd.DatetimeIndex(rows["timestamp"]).as_unit("ns").asi8
        equity, share = rows["equity"].to_numpy(), rows["position_frac"].to_numpy()
        before, held = np.append(equity[:1], equity[:-1]), np.append(0.0, share[:-1])
        price = rows["price_pnl"].to_numpy() / before
        carried = held * _gaps(symbol, self.times, market)
        self.legs = np.stack([carried, price - carried])
        self.sides = np.sign(np.stack([held, share]))
        self.fees = rows["fees"].to_numpy() / before
        self.slippage = rows[["slippage", "impact"]].to_numpy().sum(1) / before
        self.carry = rows[["borrow", "funding", "liquidation"]].to_numpy().sum(1) / before
        self.x = price + self.fees + self.slippage + self.carry
        if not (equity > 0).all() or not np.abs(self.x - (equity / before - 1.0)).max() <= ROUNDING:
            raise LedgerError(
                f"{symbol}, fold {rows['fold'].iloc[0]}, seed {rows['seed'].iloc[0]}: its columns do not explain its "
                "equity, or it is not positive: nothing can be attributed; run `dvc repro walk_forward`"
            )
        self.log = np.log1p(self.x)


def _gaps(symbol: str, times: np.ndarray, market: Market) -> np.ndarray:
    """The market's gap return at each of a path's rows."""
    number = market.symbols.index(symbol) if symbol in market.symbols else -1
    first, count = (market.first_row[number], market.n_rows[number]) if number >= 0 else (0, 0)
    known = market.times.as_unit("ns").asi8[first : first + count]
    start = int(np.searchsorted(known, times[0]))
    if not np.array_equal(known[start : start + len(times)], times):
        raise LedgerError(f"{symbol}: the ledger's bars are not the market's: run `dvc repro walk_forward`")
    return market.gap_return[first + start : first + start + len(times)].double().numpy()


def _parts(mine: _Path, other: _Path, ratio: float) -> dict[str, np.ndarray]:
    scaled = ratio * other.legs.sum(0)
    # A leg that is held by nobody is rounding, and stays where it is.
    aligned = np.where(mine.sides == 0, mine.legs, mine.legs * mine.sides * other.sides)
    compounded = (mine.log - mine.x) - (other.log - other.x)
    return {
        "exposure": scaled - other.legs.sum(0),
        "timing": aligned.sum(0) - scaled,
        "direction": (mine.legs - aligned).sum(0),
        **{name: getattr(mine, name) - getattr(other, name) for name in COSTS},
        "compounding": compounded,
    }
