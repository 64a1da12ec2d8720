"""The answer as a person reads it: in plain words, in dollars a year, and what it does not say."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sizewise.ledgers.metrics import BPS, DAYS_PER_YEAR
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Plan

DOLLARS = 100_000.0
YEARS = 5.0
ATR_KINDS = ("atr", "atr_managed")
PLACEBO, HOLD = "random_placebo", "buy_and_hold"
ROWS = ("arm", "$100,000 became", "five years at that pace", "deepest fall")


def called(name: str, arm: Arm) -> str:
    """An arm in words that say what it is."""
    if arm.learned:
        return f"learned sizes ({name})"
    words = {PLACEBO: "random sizes", **dict.fromkeys(ATR_KINDS, f"ATR sizes ({name})")}
    return words.get(arm.kind, name)


def plain(record: Mapping[str, Any], candidate: str, reference: str) -> str:
    """The verdict in plain words. Args: `record`: metrics/verdict.json. The names as `called` has them."""
    if record["verdict"] == "invalid":
        return "There is no answer: something that must hold in this experiment does not."
    if record["verdict"] == "inconclusive":
        return (
            f"It cannot be told: {candidate} and {reference} differ by no more than chance makes such accounts differ."
        )
    found = {"better": ("Yes, on these bars", "more"), "worse": ("No", "less")}[record["verdict"]]
    return f"{found[0]}: {candidate} earned {found[1]} than {reference}, by more than chance."


def take_home(record: Mapping[str, Any], plan: Plan, days_per_year: float) -> list[str]:
    """What a trader may take from it and what not, in three sentences.

    Args:
        record: metrics/verdict.json. days_per_year: of the days that were compared.
    """
    if record["verdict"] == "invalid":
        return ["Nothing may be taken from this run but what failed in it, which is said below."]

    def a_year(bps: float) -> str:
        dollars = DOLLARS * bps / BPS * days_per_year
        return f"{'-' if dollars < 0 else '+'}${abs(dollars):,.0f}"

    effect, low, high = (a_year(record[name]) for name in ("effect_bps_per_day", "ci_low", "ci_high"))
    seen = a_year(record["mde_bps_per_day"]).lstrip("+")
    risk = "" if plan.risk is None else f", sizes at {100.0 * plan.risk.annual_vol_frac:g}% of volatility a year"
    found = f"{100.0 * plan.power:.0f}% of such experiments"
    return [
        f"On $100,000 the difference is worth {effect} a year, and may be anything from {low} to {high}.",
        f"A true difference of {seen} a year would have been found in {found}; a smaller one "
        "may be there and stay unseen, and what cannot be told from nothing is not shown to be nothing.",
        f"It is about {record['n_symbols']} series, one signal, these costs{risk}: not about another signal, market or "
        "broker, and no forecast of what either way of sizing will earn.",
    ]


def dollars(
    growth: pd.DataFrame, summary: Mapping[str, Mapping[str, float | None]], plan: Plan, arms: Mapping[str, Arm]
) -> list[tuple[str, str, str, str]]:
    """What $100,000 became: cash, random sizes, the reference, the candidate, and holding; rows as ROWS says.

    Args:
        growth: compounded growth (%) by day, index UTC day, one column an arm. summary: metrics/walk_forward.json.
    """
    years = years_of(growth)
    rows = [("cash", _money(1.0), _money(1.0), "0.0%")]
    for name in (PLACEBO, plan.reference, plan.candidate, HOLD):
        if name not in growth:
            continue
        multiple = 1.0 + growth[name].iloc[-1] / 100.0
        fall = summary[name]["max_drawdown_pct"]
        paced = multiple ** (YEARS / years) if multiple > 0.0 and years > 0.0 else multiple
        said = "-" if fall is None else f"{abs(fall):.1f}%"
        rows.append((called(name, arms[name]).replace("_", " "), _money(multiple), _money(paced), said))
    return rows


def years_of(days: pd.DataFrame) -> float:
    """From the first to the last day of an index, in years."""
    return float((days.index[-1] - days.index[0]) / pd.Timedelta(days=1)) / DAYS_PER_YEAR


def _money(multiple: float) -> str:
    return f"${DOLLARS * multiple:,.0f}"
