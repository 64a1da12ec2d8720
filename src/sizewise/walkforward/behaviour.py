"""How arms size: mean size by what held at the entry, with intervals, against what reference design A expects.

The unit is an entry of the signal, the same for every arm that follows it. Entries depend on each other over time, and a
learner's seeds repeat its training and not the market; so seeds are averaged entry by entry, entries within consecutive
blocks of time, and a t-test on the blocks gives every interval (see blocks.ibragimov_mueller).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import UNFITTED
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.evidence.inference import with_holm
from sizewise.evidence.statistics.blocks import BlockTest, ibragimov_mueller
from sizewise.params.evidence.plan import Plan
from sizewise.params.trading.account import Account
from sizewise.sizing.fitted import walked_trades
from sizewise.trading.broker.book import ALLOWED
from sizewise.trading.schemes.values import position_limit_frac

Measure = Literal["entry_pct", "held_pct"]
MEASURES: dict[Measure, str] = {"entry_pct": "size at entry", "held_pct": "mean size while held"}
DEEP_DRAWDOWN_FRAC = 0.10
# What is read of a ledger's bars.
PATH_COLUMNS = ("arm", "symbol", "fold", "seed", "equity", "position_frac", "day_trades_left")
# A t-test on fewer blocks than this says next to nothing.
FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class Condition:
    """Entries in `one` cell against those in the `other`; expected: of the first, `` where nothing is expected."""

    one: str
    other: str
    expected: Literal["smaller", "larger", ""]


CONDITIONS = (
    Condition("high volatility", "low volatility", "smaller"),
    Condition("lowest third of confidence", "highest third", "smaller"),
    Condition("drawdown over 10%", "10% or less", "smaller"),
    Condition("deepest third of drawdowns", "shallowest third", "smaller"),
    Condition("trending", "ranging", ""),
    # Trending means ADX over 25 or an efficiency over 0.6: no weaker trend has a label.
    Condition("strong trend, low volatility", "all other entries", "larger"),
    Condition("in a position before", "flat before", ""),
    # Of instruments under the day-trade rule alone.
    Condition("at most one day trade left", "three left", ""),
)


# By symbol and fold, of every entry: rows of the slice at which it was decided, and at which it was left.
Spans = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]


def entry_table(
    equity: pd.DataFrame, market: Market, folds: Sequence[Fold], account: Account, *, spans: Spans | None = None
) -> pd.DataFrame:
    """Every entry of the signal on every path of a ledger: what held at its decision, and how large it became.

    Args:
        equity: PATH_COLUMNS; rows of a path together, oldest first. spans: what is known of the market and its folds from
            ledgers before; what is found is added.
    Returns:
        one row an entry: arm, symbol, fold, seed, time, row (of the market tensor); entry_pct, the position after the
        trade's first fill as marked at that bar's close, and held_pct, its mean over the bars it is held, both % of the
        position limit and 0 if the trade is left out; high_vol, trending (bool), confidence, drawdown_frac (<= 0, from the
        path's highest equity), before_pct (% of the limit held at the decision), day_trades_left, limited (whether the
        instrument is under the day-trade rule then).
    Raises:
        LedgerError: a path is not its fold's test slice.
    """
    by_number = {fold.number: fold for fold in folds}
    limit = position_limit_frac(account)
    spans = {} if spans is None else spans
    signed, worth = equity["position_frac"].to_numpy() / limit, equity["equity"].to_numpy()
    left = equity["day_trades_left"].to_numpy()
    parts = []
    for key, rows in equity.groupby(["arm", "symbol", "fold", "seed"], observed=True, sort=False).indices.items():
        arm, symbol, number, seed = cast(tuple[str, str, int, int], key)
        part = by_number[number].test.get(symbol) if number in by_number else None
        if part is None or len(part) != len(rows):
            raise LedgerError(
                f"ledger {arm} {symbol} fold {number} seed {seed} is not that fold's test slice: it was made from other "
                "splits; run `dvc repro walk_forward`"
            )
        first = market.rows(symbol, part)[0]
        if (symbol, number) not in spans:
            trades = walked_trades(market, {symbol: part})
            spans[symbol, number] = trades.entry_row - first, trades.exit_row - first
        span = spans[symbol, number]
        seen = _market_at(market, confidence_column(by_number[number]), first + span[0])
        sizes = _sizes(signed[rows], worth[rows], *span) | {"day_trades_left": left[rows][span[0]]}
        parts.append(pd.DataFrame({"arm": arm, "symbol": symbol, "fold": number, "seed": seed, **seen, **sizes}))
    return pd.concat(parts, ignore_index=True)


def _sizes(signed: np.ndarray, worth: np.ndarray, decided: np.ndarray, last: np.ndarray) -> dict[str, np.ndarray]:
    share = 100.0 * np.abs(signed)
    held = np.flatnonzero(share > 0)
    start, stop = np.searchsorted(held, decided, side="right"), np.searchsorted(held, last, side="right")
    taken = stop > start
    total = np.concatenate([[0.0], np.cumsum(share[held])])
    entered = np.zeros(len(decided))
    entered[taken] = share[held[start[taken]]]
    peak = np.maximum.accumulate(worth)
    return {
        "entry_pct": entered,
        "held_pct": (total[stop] - total[start]) / np.maximum(stop - start, 1),
        "drawdown_frac": (worth / peak - 1.0)[decided],
        "before_pct": share[decided],
    }


def _market_at(market: Market, confidence: str, rows: np.ndarray) -> dict[str, object]:
    def feature(name: str) -> np.ndarray:
        return market.features[:, UNFITTED.index(name)].numpy()[rows]

    return {
        "time": market.times[rows],
        "row": rows,
        "high_vol": feature("regime_high_vol") > 0.5,
        "trending": feature("regime_trending") > 0.5,
        "confidence": market.confidence[confidence].numpy()[rows],
        "limited": market.tape.column("day_trade")[rows, 0].numpy() > 0,
    }


def _cells(entries: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Masks of both cells of each of CONDITIONS. Thirds are those of a symbol's own entries."""

    def thirds(values: pd.Series) -> tuple[pd.Series, pd.Series]:
        # Equal values share the lowest of their ranks, so that they are never divided.
        rank = values.groupby(entries["symbol"], observed=True).rank(method="min")
        share = (rank - 1.0) / values.groupby(entries["symbol"], observed=True).transform("size")
        return share < 1 / 3, share >= 2 / 3

    shallow, deep = thirds(-entries["drawdown_frac"])
    over = entries["drawdown_frac"] < -DEEP_DRAWDOWN_FRAC
    calm_trend = entries["trending"] & ~entries["high_vol"]
    turning = entries["before_pct"] > 0
    few = entries["limited"] & (entries["day_trades_left"] <= 1)
    return [
        (entries["high_vol"], ~entries["high_vol"]),
        thirds(entries["confidence"]),
        (over, ~over),
        (deep, shallow),
        (entries["trending"], ~entries["trending"]),
        (calm_trend, ~calm_trend),
        (turning, ~turning),
        (few, entries["limited"] & (entries["day_trades_left"] >= ALLOWED)),
    ]


def behaviour_table(entries: pd.DataFrame, plan: Plan, *, measure: Measure = "entry_pct") -> pd.DataFrame:
    """Mean size by condition for each arm, with Ibragimov-Mueller intervals of level 1 - plan.alpha.

    Every mean and difference is the mean over the blocks of time that have one. A cell with fewer entries than
    `plan.min_trades_per_regime`, or in fewer than 4 blocks, shows its n and no statistic.

    Args:
        entries: see entry_table.
    Returns:
        index arm, condition, other; n, n_other (entries, seeds counted once); mean_pct, low_pct, high_pct, the same of
        the other cell as other_..., and of one minus other as difference_... (% of the position limit); p_value; p_holm
        (over the arm's conditions); expected; found: `as expected`, `against`, `undecided` or `too few`, and where
        nothing is expected `smaller` or `larger`.
    """
    tables = [_of_arm(rows, plan, measure) for _, rows in entries.groupby("arm", observed=True, sort=False)]
    return pd.concat(tables).set_index(["arm", "condition", "other"])


def _of_arm(entries: pd.DataFrame, plan: Plan, measure: Measure) -> pd.DataFrame:
    order = entries["time"].rank(method="dense").to_numpy(dtype=np.int64) - 1
    block = order * plan.blocks // (order.max() + 1)
    rows = []
    for condition, masks in zip(CONDITIONS, _cells(entries), strict=True):
        row: dict[str, object] = {"arm": entries["arm"].iloc[0], "condition": condition.one, "other": condition.other}
        means = []
        for count, prefix, inside in zip(("n", "n_other"), ("", "other_"), masks, strict=True):
            by_entry = entries.loc[inside, measure].groupby([block[inside], entries.loc[inside, "row"]]).mean()
            row[count] = len(by_entry)
            means.append(by_entry.groupby(level=0).mean() if len(by_entry) >= plan.min_trades_per_regime else None)
            row |= _figures(prefix, _test(means[-1], plan))
        one, other = means
        test = None if one is None or other is None else _test((one - other).dropna(), plan)
        row |= _figures("difference_", test)
        row |= {"p_value": np.nan if test is None else test.p_value, "expected": condition.expected}
        rows.append(row)
    table = with_holm(pd.DataFrame(rows))
    found = zip(table["difference_mean_pct"], table["p_holm"], table["expected"], strict=True)
    table["found"] = [_found(*row, plan.alpha) for row in found]
    return table


def _test(blocks: pd.Series | None, plan: Plan) -> BlockTest | None:
    """Of values given a block; each stands twice because the test wants two values a block."""
    if blocks is None or len(blocks) < FEWEST_BLOCKS:
        return None
    return ibragimov_mueller(np.repeat(blocks.to_numpy(), 2), blocks=len(blocks), alpha=plan.alpha)


def _figures(prefix: str, test: BlockTest | None) -> dict[str, object]:
    values = (np.nan,) * 3 if test is None else (test.mean, test.low, test.high)
    return {f"{prefix}{name}_pct": value for name, value in zip(("mean", "low", "high"), values, strict=True)}


def _found(difference: float, p_holm: float, expected: str, alpha: float) -> str:
    if np.isnan(difference):
        return "too few"
    if p_holm >= alpha:
        return "undecided"
    side = "smaller" if difference < 0 else "larger"
    if not expected:
        return side
    return "as expected" if side == expected else "against"


def behaviour_sentences(table: pd.DataFrame, *, measure: Measure = "entry_pct", alpha: float = 0.05) -> str:
    """One paragraph an arm: which expectations of its size held, which did not, and which cannot be told."""
    leads = {
        "as expected": "As expected",
        "against": "Against expectation",
        "undecided": "Undecided",
        "too few": "Too few entries",
    }
    unit = f"% of the limit, with {100.0 * (1.0 - alpha):.4g}% intervals, told apart after Holm"
    paragraphs = []
    for arm, rows in table.reset_index().groupby("arm", observed=True, sort=False):
        stated = rows[rows["expected"] != ""].to_dict("records")
        by_finding = {lead: [_clause(row) for row in stated if row["found"] == found] for found, lead in leads.items()}
        said = [f"{lead}: {'; '.join(clauses)}." for lead, clauses in by_finding.items() if clauses]
        paragraphs.append(f"**{arm}**, {MEASURES[measure]} ({unit}). {' '.join(said)}")
    return "\n\n".join(paragraphs)


def _clause(row: Mapping[Hashable, Any]) -> str:
    if row["found"] == "too few":
        return f"{row['condition']} (n = {row['n']} against {row['n_other']})"
    difference, low, high = (row[f"difference_{name}_pct"] for name in ("mean", "low", "high"))
    return f"{row['condition']} {difference:+.1f} ({low:+.1f} to {high:+.1f}), expected {row['expected']}"
