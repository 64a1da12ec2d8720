"""The circular-shift placebo: would the candidate's sizes have earned as much on other trades of the same signal?

A result is linear in the size, so on trade i the candidate's entry earns exp(l_i) r_i, where r_i is what the reference's
entry earned and l_i is log(candidate's size / reference's size). The statistic is the mean of (exp(l_i) - 1) r_i over
trades: to first order the candidate's log growth a trade, minus the reference's. The placebo rotates the sequence of l
within each window (a symbol's test slice of one fold) in time order, by one random share of its trades, and leaves r where
it is.

Under the null the sizes know nothing of the results, and each window's sequence of sizes is as good begun at any of its
trades. Then every rotation is as likely as the one observed, and a share of at most alpha of them ranks in the top alpha.
Windows are kept apart, since each has a policy and a risk of its own. Windows of one time are rotated by one share: markets
are calm and wild together, so sizes of several symbols move together and so do their results; rotations of their own would
part what chance had together, and call it a discovery. Rotation, unlike a shuffle, keeps how long large and small sizes
last, and what the results' own streaks are. The average ratio stays in each window, so a constant multiple of the
reference's size never earns a small p: timing alone can.

A trade counts with the size that it is entered with, held at that share of equity to the exit. What is resized on the way
is left out: a size that grows with the age of a trade would be laid on trades of other ages, its average would not stay,
and leverage would pass for timing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.ledgers.orders import ordered_sizes, sizes_in_force, unit_results

# Of the bars that an arm holds: a venue's rules may refuse an order of one arm and not of the other; more is another signal.
MOST_STRAY = 0.10
# Sizes of a symbol within this of each other are one size: an order is a share of equity at a close and fills at an open.
SAME_SIZE = 0.01
SIZES = ("symbol", "fold", "window", "unit_result", "reference_size", "size_ratio")


def entered_sizes(reference: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The other arm's size at each entry as a ratio of the reference's, one row a trade of the reference.

    Sizes are as ordered and not as held: a position's share of equity drifts with its price, and a drift that follows the
    price is no decision. An arm whose sizes of a symbol differ by SAME_SIZE at most has one size there, their mean.

    Where a rule of the venue (a day-trade limit, a least order) left the arms on different sides there is no ratio: trades
    that begin so are left out, up to MOST_STRAY of the bars that a seed holds, and `attrs["left_out"]` counts them.

    Args:
        reference, other: equity ledgers of one arm each, columns orders.COLUMNS; the reference has one seed.
    Returns:
        oldest first within a symbol: symbol, fold, window (int64, of the symbol's test slices), unit_result (the price gain
        of a position that is kept at a share of equity of one, from entry to exit), reference_size (share of equity, > 0),
        size_ratio (other over reference, seeds averaged, 0 where it holds nothing).
    Raises:
        LedgerError: the reference has several seeds, the bars differ, or the arms hold different sides more often than
            that.
    """
    if (reference["seed"] != reference["seed"].iloc[0]).any():
        raise LedgerError("the reference has several seeds: a placebo needs one size a bar to compare with")
    order = ["symbol", "fold", "timestamp"]
    base = reference.sort_values(order, kind="stable").reset_index(drop=True)
    ratio = np.zeros(len(base))
    ordered = _ordered(base)
    held = ordered != 0.0
    astray = np.zeros(len(base), dtype=bool)
    seeds = other["seed"].unique()
    for seed in seeds:
        mine = other[other["seed"] == seed].sort_values(order, kind="stable").reset_index(drop=True)
        # As a column: times of a zone come out of one as objects, a million to be compared one by one.
        if not mine["timestamp"].equals(base["timestamp"]):
            raise LedgerError(f"seed {seed}: the arms cover different bars: compare ledgers of one walk-forward run")
        size = _ordered(mine)
        stray = (size * np.sign(ordered) < 0.0) | ((size != 0.0) & ~held)
        if stray.sum() > MOST_STRAY * (size != 0.0).sum():
            row = base.iloc[int(stray.argmax())]
            raise LedgerError(
                f"{row['symbol']}, fold {row['fold']}, {row['timestamp']:%Y-%m-%d %H:%M}, and on {int(stray.sum())} of "
                f"{int((size != 0.0).sum())} held bars in all: the arms hold different sides: a placebo of sizes needs one "
                "signal"
            )
        astray |= stray
        ratio[held] += np.abs(size[held] / ordered[held]) / len(seeds)
    window = base.groupby(["symbol", "fold"], observed=True, sort=False).ngroup().to_numpy()
    begins = _begins(np.sign(ordered_sizes(base)), window)
    rows = base.assign(window=window, reference_size=np.abs(ordered), size_ratio=ratio)[begins]
    # A bar without a position earns nothing, and one that ends with none still belongs to the trade that it ends.
    gains = pd.Series(unit_results(base)).fillna(0.0).groupby(np.cumsum(begins)).sum()
    rows["unit_result"] = gains.loc[gains.index > 0].to_numpy()
    table = rows.loc[~astray[begins], list(SIZES)].reset_index(drop=True)
    table.attrs["left_out"] = int(astray[begins].sum())
    return table


def _begins(side: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Whether a trade begins: a side that the row before does not end with, or whose window it is not: bool (n,)."""
    same = (side[1:] == side[:-1]) & (window[1:] == window[:-1])
    return (side != 0.0) & np.append(True, ~same)


def _ordered(rows: pd.DataFrame) -> np.ndarray:
    return _one_size(sizes_in_force(rows), rows["symbol"].to_numpy())


def _one_size(sizes: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """Sizes of a symbol that differ by less than SAME_SIZE become their mean, each with its own sign."""
    found = sizes.copy()
    for name in pd.unique(symbol):
        mine = (symbol == name) & (sizes != 0.0)
        worth = np.abs(sizes[mine])
        if len(worth) and worth.max() <= (1.0 + SAME_SIZE) * worth.min():
            found[mine] = np.sign(sizes[mine]) * worth.mean()
    return found


@dataclass(frozen=True)
class Placebo:
    """The test's result, one-sided (the candidate's timing helps).

    observed: sum of (exp(l) - 1) r a trade, in the unit of r. rotated: float64 (draws,), the same under rotations.
    p_value: (1 + number of rotated >= observed) / (draws + 1).
    """

    observed: float
    rotated: np.ndarray
    p_value: float


def rotation_placebo(
    results: np.ndarray,
    log_ratio: np.ndarray,
    group: np.ndarray,
    *,
    draws: int,
    rng: np.random.Generator,
    together: np.ndarray | None = None,
) -> Placebo:
    """Rotate the log size ratios within each group and compare.

    Args:
        results: float64, shape (n,), the reference's result of each trade at its own size, as a fraction of equity; in time
            order within a group.
        log_ratio: float64, shape (n,), log(candidate's size / reference's size); -inf where the candidate took nothing.
        group: shape (n,), among whose trades a trade is moved, such as a symbol's test slice.
        together: shape (n,), such as the fold: groups of one value rotate by one share of their trades. Default: each by
            its own.
    Raises:
        LedgerError: shapes differ, no trades, a result that is not finite, a ratio that is NaN or infinite, or a group
            that is rotated with several.
    """
    clusters = group if together is None else together
    if not len(results) == len(log_ratio) == len(group) == len(clusters) or not len(results):
        raise LedgerError(
            f"{len(results)} results, {len(log_ratio)} ratios and {len(group)} groups: give one of each a trade, for at "
            "least one"
        )
    ratio = np.exp(log_ratio)
    sound = np.isfinite(results) & np.isfinite(ratio)
    if not sound.all():
        raise LedgerError(
            f"trade {int((~sound).argmax())}: its result or size ratio is not finite: leave it out by name"
        )
    observed, total = 0.0, np.zeros(draws)
    share = {name: rng.random(draws) for name in np.unique(clusters)}
    for name in np.unique(group):
        mine = group == name
        own = clusters[mine]
        if (own != own[0]).any():
            raise LedgerError(f"group {name}: it stands in several of what is rotated together: give each group one")
        n = len(own)
        # What the trades earn with the ratio of the trade k later, for k = 0 ... n - 1.
        gains = np.fft.irfft(np.fft.rfft(ratio[mine]) * np.conj(np.fft.rfft(results[mine])), n)
        observed += gains[0]
        total += gains[(share[own[0]] * n).astype(np.int64)]
    # Rounding must not break a tie between rotations that are worth the same.
    slack = 1e-12 * float(np.abs(ratio * results).sum())
    p_value = (1 + int((total >= observed - slack).sum())) / (draws + 1)
    base = float(results.sum())
    return Placebo((observed - base) / len(results), (total - base) / len(results), p_value)
