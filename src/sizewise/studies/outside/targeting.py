"""Volatility targeting against a constant exposure, class of asset by class: held long, and in the main job's walk-forward.

Source: Harvey, Hoyle, Korgaonkar, Rattray, Sargaison and Van Hemert (2018), The Impact of Volatility Targeting, J. Portfolio
Management 45(1), 14-33: over more than sixty assets held long, exposure at a constant volatility has the higher Sharpe ratio
in equities and credit, and in bonds, currencies and commodities one that hardly differs. Volatility is forecast with
exponential weights on daily returns and known a day ahead; a factor found afterwards brings each asset to one volatility.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError
from sizewise.dataset.store import Universe, read_universe
from sizewise.evidence.statistics.power import detectable, holm
from sizewise.evidence.statistics.sharpe import ledoit_wolf
from sizewise.ledgers.daily import check_same_bars, daily_returns, read_daily
from sizewise.ledgers.metrics import days_per_year, portfolio, sharpe, volatility
from sizewise.ledgers.weights import assets_of, mark_assets
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.studies.outside import Targeting
from sizewise.studies.outside.predictions import Prediction, more_than, p_words, row_of, within

SOURCE = "Harvey et al. (2018)"
EQUITIES, FX, CRYPTO, FUTURES, ALL = "equities", "currencies", "crypto", "futures", "all"
# Classes of data/instruments.yaml as the source would put them together. It has no crypto.
GROUPS = {**dict.fromkeys(("equity", "equity_etf", "equity_index"), EQUITIES), "fx": FX}
GROUPS |= {**dict.fromkeys(("crypto_spot", "perpetual"), CRYPTO), "future": FUTURES}
# Days until a forecast says something.
WARM_HALF_LIVES = 3
# Exposure at a close rests on returns up to the close before: a day passes between a forecast and what it is for.
DAYS_AHEAD = 2

Pair = tuple[pd.DataFrame, pd.DataFrame]


def open_universe(stage: Stage) -> Universe:
    """The main job's bars, without those that are sealed."""
    p = stage.params
    return read_universe(stage.workspace.bars, p.data, before=p.splits.end)


def groups_of(universe: Universe) -> dict[str, str]:
    """The group of each symbol."""
    return {symbol: GROUPS[terms.asset_class] for symbol, terms in universe.instruments.items()}


def walked(stage: Stage, rules: Targeting) -> Pair:
    """Daily simple returns of the managed and of the constant arm, matched in risk on train.

    Returns:
        two frames: index UTC day, one column a symbol, NaN where it is not live.
    Raises:
        DataMissingError: the walk_forward stage has not run, or has no such arm. ConfigError: both arms are one.
        LedgerError: the arms cover different bars.
    """
    if rules.managed == rules.constant:
        raise ConfigError(f"outside.targeting compares '{rules.managed}' with itself: name two arms")
    daily = read_daily(stage.workspace.ledger, [rules.managed, rules.constant])
    check_same_bars(daily, rules.managed, rules.constant)
    managed, constant = (daily_returns(daily, arm, "simple_growth") for arm in (rules.managed, rules.constant))
    return managed, constant


def held_long(universe: Universe, rules: Targeting) -> Pair:
    """Daily simple returns of each symbol held long without costs, at a constant volatility and at a constant exposure.

    Both are brought to the same volatility over all days, afterwards, as the source does; as `walked`.
    """
    half_life = rules.half_life_days
    columns: tuple[dict[str, pd.Series], dict[str, pd.Series]] = ({}, {})
    for symbol, bars in universe.bars.items():
        close = bars["close"].groupby(pd.DatetimeIndex(bars.index).floor("D")).last()
        earned = close.pct_change().dropna()
        forecast = np.sqrt((earned**2).ewm(halflife=half_life, min_periods=WARM_HALF_LIVES * half_life).mean())
        scaled = (earned / forecast.shift(DAYS_AHEAD)).dropna()
        for arm, series in zip(columns, (scaled, earned.reindex(scaled.index)), strict=True):
            arm[symbol] = series * rules.annual_vol_frac / volatility(series)
    managed, constant = (mark_assets(pd.DataFrame(arm).sort_index(), universe.assets) for arm in columns)
    return managed, constant


def sharpe_table(pair: Pair, groups: Mapping[str, str], plan: Plan) -> pd.DataFrame:
    """One row a group, and `all` symbols together.

    Args:
        pair: as `walked`.
    Returns:
        symbols, days; yearly Sharpe ratio and volatility (%) of either portfolio; difference of the Sharpe ratios, managed
        minus constant, with the HAC interval of Ledoit and Wolf, p_value, and p_holm over the groups; mde: the true
        difference that such a test finds with the plan's power, were days independent and normal (see iid_error).
    """
    rows = {}
    for name in [*dict.fromkeys(groups[str(symbol)] for symbol in pair[0].columns), ALL]:
        chosen = [symbol for symbol in pair[0].columns if name in (ALL, groups[str(symbol)])]
        rows[name] = {"symbols": len(chosen), **_row(pair, chosen, plan)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")
    tested = table["p_value"].where(table.index != ALL).to_numpy(dtype=np.float64)
    return table.assign(p_holm=holm(tested))


def _row(pair: Pair, symbols: list[str], plan: Plan) -> dict[str, float]:
    a, b = (portfolio(mark_assets(frame[symbols], assets_of(frame))).dropna() for frame in pair)
    year = float(np.sqrt(days_per_year(a)))
    test = ledoit_wolf(a.to_numpy(), b.to_numpy(), alpha=plan.alpha, floor=plan.sharpe_floor)
    return {
        "days": len(a),
        "sharpe_managed": sharpe(a),
        "sharpe_constant": sharpe(b),
        "volatility_managed_pct": 100.0 * volatility(a),
        "volatility_constant_pct": 100.0 * volatility(b),
        "difference": year * test.difference,
        "low": year * test.low,
        "high": year * test.high,
        "p_value": test.p_value,
        "mde": year * detectable(plan.alpha, plan.power) * iid_error(a.to_numpy(), b.to_numpy()),
    }


def iid_error(a: np.ndarray, b: np.ndarray) -> float:
    """Standard error of the difference of two daily Sharpe ratios, were days independent and normal.

    It knows the days by their correlation alone, so that it is no part of the test beside it.
    Source: Memmel (2003), Finance Letters 1, 21-23.
    """
    one, other = (float(series.mean() / series.std()) for series in (a, b))
    rho = float(np.corrcoef(a, b)[0, 1])
    variance = 2.0 * (1.0 - rho) + 0.5 * (one**2 + other**2 - 2.0 * one * other * rho**2)
    return float(np.sqrt(max(variance, 0.0) / len(a)))


def predictions(table: pd.DataFrame, rules: Targeting, where: str) -> list[Prediction]:
    """Higher in equities, no different in currencies, of those that the universe has.

    Args:
        where: what the table is of, as it stands in a claim.
    """
    found = []
    if EQUITIES in table.index:
        row = row_of(table, EQUITIES)
        claim = f"{where}: targeting has the higher Sharpe ratio in equities"
        found.append(Prediction(SOURCE, claim, more_than(row["low"], row["high"]), _said(row)))
    if FX in table.index:
        row = row_of(table, FX)
        claim = f"{where}: in currencies the two differ by no more than {rules.negligible_sharpe:g} a year"
        found.append(Prediction(SOURCE, claim, within(row["low"], row["high"], rules.negligible_sharpe), _said(row)))
    return found


def _said(row: Mapping[str, Any]) -> str:
    return (
        f"difference of yearly Sharpe ratios {row['difference']:+.2f} (95% {row['low']:+.2f} to {row['high']:+.2f}, "
        f"{p_words(row['p_value'])}, seen from {row['mde']:.2f} on)"
    )
