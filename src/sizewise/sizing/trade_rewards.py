"""What a closed trade earns for the decision that opened it: growth by default; the originals are variants to compare.

Plain numpy, element by element: arrays of any shapes that broadcast, float64 out. A NaN among the arguments stays one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.trading.rewards import LARGEST_LOSS

Values = NDArray[np.float64]
# Trades that the composite reward's deviation is taken over.
RECENT_TRADES = 20
FREE_MINUTES = 5.0


def trade_log_growth(size_frac: ArrayLike, unit_return: ArrayLike) -> Values:
    """log(1 + size x unit return): what a trade of this size adds to the logarithm of equity. The default.

    Args:
        size_frac: notional over equity at the entry's decision, >= 0. unit_return: net gain for one unit of notional, of
            either side; of an isolated account see `liquidated_return`.
    """
    change = _values(size_frac) * _values(unit_return)
    return np.log1p(np.maximum(change, LARGEST_LOSS))


def liquidated_return(
    unit_return: ArrayLike, worst: ArrayLike, side: ArrayLike, leverage: ArrayLike, maintenance_frac: float
) -> Values:
    """Unit return of an isolated position, which loses its whole margin if its worst excursion reaches liquidation.

    The price is book.Margin.liquidation_price's, so that the excursion of a long is (1/leverage - maintenance) over
    (1 - maintenance), of a short over (1 + maintenance). The broker may leave a part of it; here all margin is gone.

    Args:
        worst: largest adverse excursion, share of the entry fill's price, <= 0. side: 1 or -1.
        leverage: notional over posted margin, >= 1. maintenance_frac: of notional, 0 to below 1.
    Raises:
        ConfigError: a leverage at which a position is liquidated as it opens.
    """
    margin = 1.0 / _values(leverage)
    if (margin <= maintenance_frac).any():
        raise ConfigError(
            f"leverage {1.0 / margin.min():g} at a maintenance margin of {maintenance_frac:g} is liquidated as it opens: "
            f"keep leverage below {1.0 / maintenance_frac:g}"
        )
    reach = (margin - maintenance_frac) / (1.0 - _values(side) * maintenance_frac)
    return np.where(-_values(worst) >= reach, -margin, _values(unit_return))


def return_on_notional(pnl: ArrayLike, notional: ArrayLike) -> Values:
    """Net pnl in percent of |notional|, both in one unit of money; 0 without a position.

    The original of reference design C: size and leverage cancel, so no size can be learned from it.
    """
    stake = np.abs(_values(notional))
    return 100.0 * np.divide(_values(pnl), stake, out=np.zeros(np.broadcast(pnl, stake).shape), where=stake != 0.0)


def outcome_reward(pnl_pct: ArrayLike, hours: ArrayLike, drawdown_pct: ArrayLike) -> Values:
    """pnl% - .01 hours/24 - .5 drawdown% + .1 if won: reference design C's, with the true drawdown.

    Args:
        pnl_pct: net, in percent of notional. hours: held.
        drawdown_pct: the trade's worst excursion in percent, >= 0 (the original takes half of |pnl%| for it).
    Raises:
        LedgerError: a drawdown below 0, which would be a bonus.
    """
    pnl, drawdown = _values(pnl_pct), _values(drawdown_pct)
    if (drawdown < 0.0).any():
        raise LedgerError(f"a drawdown of {drawdown.min():g}%: give its size, the worst excursion with its sign turned")
    return pnl - 0.01 * _values(hours) / 24.0 - 0.5 * drawdown + 0.1 * (pnl > 0.0)


class Record(NamedTuple):
    """What came before a close; arrays of any one shape, so that many learners each keep their own.

    Attributes:
        recent: pnl of the last trades, share of equity, newest last, [RECENT_TRADES, ...]; NaN where there was none.
        wins, losses: length of the streak that the last trade belongs to; one of them is 0.
    """

    recent: Values
    wins: Values
    losses: Values

    @classmethod
    def open(cls, shape: tuple[int, ...] = ()) -> "Record":
        """Of accounts that have closed nothing."""
        return cls(np.full((RECENT_TRADES, *shape), np.nan), np.zeros(shape), np.zeros(shape))

    def after(self, pnl_frac: ArrayLike) -> "Record":
        """With one more trade. A trade without gain is no win, as in the original."""
        pnl = np.broadcast_to(_values(pnl_frac), self.wins.shape)
        won = pnl > 0.0
        return Record(
            np.concatenate([self.recent[1:], pnl[None]]),
            np.where(won, self.wins + 1.0, 0.0),
            np.where(won, 0.0, self.losses + 1.0),
        )

    def deviation(self) -> Values:
        """Population standard deviation of the recent pnl; infinite where fewer than 2 trades have closed."""
        known = ~np.isnan(self.recent)
        count = known.sum(axis=0)
        mean = _total(np.where(known, self.recent, 0.0)) / np.maximum(count, 1)
        squares = _total(np.where(known, (self.recent - mean) ** 2, 0.0))
        return np.where(count < 2, np.inf, np.sqrt(squares / np.maximum(count, 1)))


def composite_close(
    pnl_frac: ArrayLike, minutes: ArrayLike, position_frac: ArrayLike, record: Record
) -> tuple[Values, Record]:
    """Reference design E's reward of a close, p being pnl_frac:

        10 p - .001 max(0, minutes - 5) + 2 p / (position + .01) + .5 p / (deviation + .001) + streak

    The deviation is over the 20 trades before this one, and its term is 0 when there were fewer than 2. The streak counts
    this trade: min(.1, .02 wins) after a win, else -min(.2, .05 losses). The text has p in money in one place and as a share
    in another; here it is a share of equity, as the position is, so that the reward does not depend on the currency.

    Args:
        pnl_frac: net pnl over equity at entry. minutes: held. position_frac: notional over equity at entry, >= 0.
        record: of the trades that closed before.
    Returns:
        the reward, and the record with this trade in it.
    """
    p, after = _values(pnl_frac), record.after(pnl_frac)
    late = -0.001 * np.maximum(0.0, _values(minutes) - FREE_MINUTES)
    streak = np.where(p > 0.0, np.minimum(0.1, 0.02 * after.wins), -np.minimum(0.2, 0.05 * after.losses))
    risk_adjusted, consistency = p / (_values(position_frac) + 0.01), p / (record.deviation() + 0.001)
    return 10.0 * p + late + 2.0 * risk_adjusted + 0.5 * consistency + streak, after


def _total(values: Values) -> Values:
    """Sum over the first axis, one after the other: the order of numpy's own depends on how many learners there are."""
    return np.cumsum(values, axis=0)[-1]


def _values(given: ArrayLike) -> Values:
    return np.asarray(given, dtype=np.float64)
