"""One arm in a line: growth, risk, trading and costs, whole and by regime, from the daily ledger. Nothing here is a test."""

import pandas as pd

from sizewise.ledgers.daily import by_day, mean_exposure_pct
from sizewise.ledgers.metrics import BPS, calmar, drawdown, portfolio, recovery_days, sharpe, sortino


def arm_summary(days: pd.DataFrame, trades: pd.DataFrame) -> dict[str, float]:
    """One arm's line of the result table.

    Args:
        days: one arm's rows of the daily ledger, see daily.day_rows; trades: its trades; all symbols, folds and seeds.
    Returns:
        growth_bps_per_day and what it was before costs_bps_per_day (all costs over equity; positive is a cost);
        sharpe, sortino, max_drawdown_pct, calmar, recovery_days (of the equal-weight daily portfolio); exposure_pct
        (mean |position| / equity over bars); trades_per_seed, win_rate_pct, mean_r.
    """
    growth = portfolio(by_day(days))
    earned, paid = float(growth.mean()) * BPS, float(portfolio(by_day(days, "paid")).mean()) * BPS
    seeds = max(1, days["seed"].nunique())
    wins = trades["pnl"] > 0
    return {
        "growth_bps_per_day": earned,
        "before_costs_bps_per_day": earned + paid,
        "costs_bps_per_day": paid,
        "sharpe": sharpe(growth),
        "sortino": sortino(growth),
        "max_drawdown_pct": float(drawdown(growth).min()) * 100.0,
        "calmar": calmar(growth),
        "recovery_days": recovery_days(growth),
        "exposure_pct": mean_exposure_pct(days),
        "trades_per_seed": len(trades) / seeds,
        "win_rate_pct": float(wins.mean()) * 100.0 if len(trades) else float("nan"),
        "mean_r": float(trades["r_multiple"].mean()) if len(trades) else float("nan"),
    }


def regime_summary(days: pd.DataFrame) -> pd.DataFrame:
    """Growth and exposure of one arm by regime.

    Args:
        days: as arm_summary has them.
    Returns:
        one row a regime: bars (per seed), growth_bps_per_day (the regime's share of the portfolio's mean daily
        growth; the rows add up to it), exposure_pct.
    """
    rows = {}
    for regime in days["regime"].cat.categories:
        inside = days["regime"] == regime
        part = by_day(days.assign(log_growth=days["log_growth"].where(inside, 0.0)))
        rows[regime] = {
            "bars": int(days.loc[inside, "bars"].sum()) // max(1, days["seed"].nunique()),
            "growth_bps_per_day": float(portfolio(part).mean()) * BPS,
            "exposure_pct": mean_exposure_pct(days[inside]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("regime")
