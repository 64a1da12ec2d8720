"""The A/B test of the original plan: every signal goes to one of two groups by a coin, and a t-test on trades compares them.

It is shown because readers expect it, with what is wrong with it: each signal is used once where both arms could have been
asked, so the test is weak; its trades are not independent; and another toss of the coins gives another p-value. The share of
tosses that reject says how much of the answer is the toss.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.evidence.statistics.means import MIN_GROUP, welch
from sizewise.ledgers.metrics import DAYS_PER_YEAR, drawdown, recovery_days, sharpe

SHARE_TO_CANDIDATE = 0.5
GROUP = ["symbol", "fold"]
OUTCOMES = ("n_trades", "win_rate_pct", "mean_r", "max_drawdown_pct", "sharpe", "recovery_days", "pnl")


@dataclass(frozen=True)
class AbPlan:
    """Many tosses of the plan's coins.

    Attributes:
        groups: of the first toss, one row an arm: n_trades and the plan's six metrics, win_rate_pct, mean_r,
            max_drawdown_pct, sharpe, recovery_days, pnl (quote currency); see group_outcome.
        difference, p_value: float64 (tosses,), mean R of the candidate's group minus the reference's, and Welch's p; NaN
            where a group has fewer than means.MIN_GROUP trades.
    """

    groups: pd.DataFrame
    difference: np.ndarray
    p_value: np.ndarray


def signal_of(trades: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """Which of the reference's trades each trade belongs to: the last one entered by then; int64, -1 where there is none.

    Args:
        trades, reference: ledgers of closed trades, columns symbol, fold, entry_time; of one seed each.
    """
    place = np.full(len(trades), -1)
    parts = reference.reset_index(drop=True).groupby(GROUP, observed=True, sort=False)
    for (symbol, fold), rows in parts:
        ordered = rows.sort_values("entry_time", kind="stable")
        mine = np.flatnonzero((trades["symbol"] == symbol) & (trades["fold"] == fold))
        found = ordered["entry_time"].searchsorted(trades["entry_time"].iloc[mine], side="right") - 1
        place[mine] = np.where(found >= 0, ordered.index.to_numpy()[np.maximum(found, 0)], -1)
    return place


def toss(
    candidate: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    names: tuple[str, str],
    tosses: int,
    alpha: float,
    equity: float,
    rng: np.random.Generator,
) -> AbPlan:
    """Assign every signal by a coin, `tosses` times, and test R each time.

    Args:
        candidate, reference: closed trades of one seed each, columns symbol, fold, entry_time, exit_time, pnl, r (against
            a common budget, see means.budget_r). names: of the two arms.
        equity: what each group's account starts with, quote currency.
    """
    belongs = signal_of(candidate, reference)
    r = candidate["r"].to_numpy(), reference["r"].to_numpy()
    difference, p_value = np.full(tosses, np.nan), np.full(tosses, np.nan)
    first = pd.DataFrame()
    for number in range(tosses):
        heads = rng.random(len(reference)) < SHARE_TO_CANDIDATE
        chosen = (belongs >= 0) & heads[np.maximum(belongs, 0)], ~heads
        if number == 0:
            pairs = zip(names, (candidate[chosen[0]], reference[chosen[1]]), strict=True)
            outcomes = {name: group_outcome(trades, equity) for name, trades in pairs}
            first = pd.DataFrame(outcomes).T.rename_axis("group")
        test = welch(r[0][chosen[0]], r[1][chosen[1]], alpha=alpha)
        difference[number], p_value[number] = test.difference, test.p_value
    return AbPlan(first, difference, p_value)


def group_outcome(trades: pd.DataFrame, equity: float) -> dict[str, float]:
    """The plan's six metrics of one group, as one account that all its trades went through, booked at their exits.

    Args:
        trades: columns exit_time, pnl, r. equity: at the start, quote currency.
    Returns:
        n_trades and the metrics of AbPlan.groups; drawdown, Sharpe ratio (365 days a year) and recovery of the account's
        calendar days, NaN where there is no trade or the account is lost.
    """
    nan, count = float("nan"), float(len(trades))
    if not count:
        return dict(zip(OUTCOMES, (0.0, nan, nan, nan, nan, nan, 0.0), strict=True))
    booked = trades.groupby(trades["exit_time"].dt.floor("D"))["pnl"].sum().asfreq("D", fill_value=0.0)
    account = equity + booked.cumsum().to_numpy()
    path = (nan, nan, nan)
    if account.min() > 0.0:
        days = pd.Series(np.diff(np.log(account), prepend=np.log(equity)), index=booked.index)
        path = (100.0 * float(drawdown(days).min()), sharpe(days, DAYS_PER_YEAR), recovery_days(days))
    won, r = 100.0 * float((trades["pnl"] > 0).mean()), float(trades["r"].mean())
    return dict(zip(OUTCOMES, (count, won, r, *path, float(trades["pnl"].sum())), strict=True))


def coin_sentence(plan: AbPlan, names: tuple[str, str], alpha: float) -> str:
    """How much of the answer is the toss."""
    tested = ~np.isnan(plan.p_value)
    if not tested.any():
        return f"A group has fewer than {MIN_GROUP} trades under every toss: the plan shows no statistic."
    p, gap = plan.p_value[tested], plan.difference[tested]
    for_candidate, against = (p < alpha) & (gap > 0), (p < alpha) & (gap < 0)
    return (
        f"Of {len(p)} tosses of the coins, {100 * for_candidate.mean():.0f}% find {names[0]} better than {names[1]} at the "
        f"{100 * alpha:g}% level, {100 * against.mean():.0f}% find it worse, and the rest find nothing; the difference of "
        f"mean R runs from {gap.min():+.3f} to {gap.max():+.3f}. Whoever tosses once sees one of these."
    )
