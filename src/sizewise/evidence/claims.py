"""What reference design C promised of its table against ATR sizing, as hypotheses declared beforehand, and their outcome.

The design's figures are its own estimates ("conservative, first three months"); nobody had measured them. Each becomes a
margin that is above 0 where the promise is kept. It is taken in every block of the plan and tested over them: kept if no
part of its mean's interval is below 0, broken if all of it is, else undecided.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from sizewise.evidence.statistics.blocks import ibragimov_mueller
from sizewise.ledgers.metrics import drawdown, recovery_days, sharpe
from sizewise.params.evidence.plan import Plan

KEPT, BROKEN, UNDECIDED, UNTESTED = "kept", "broken", "undecided", "not tested"
FEWEST_BLOCKS = 4


class Span(NamedTuple):
    """One arm in one block. days: log growth a day of its portfolio; trades: closed in it, columns pnl."""

    days: pd.Series
    trades: pd.DataFrame


class Claim(NamedTuple):
    """A promise. measure: of one arm, in `unit`; margin: of the arm's measure and the reference's, >= 0 if it is kept."""

    name: str
    promised: str
    unit: str
    measure: Callable[[Span], float]
    margin: Callable[[float, float], float]


def _win_rate(span: Span) -> float:
    return 100.0 * float((span.trades["pnl"] > 0).mean()) if len(span.trades) else float("nan")


def _mean_pnl(span: Span) -> float:
    return float(span.trades["pnl"].mean()) if len(span.trades) else float("nan")


CLAIMS = (
    Claim("win rate", "4 points higher", "%", _win_rate, lambda arm, atr: arm - atr - 4.0),
    Claim("mean result of a trade", "half as much again", "$", _mean_pnl, lambda arm, atr: arm - atr - 0.5 * abs(atr)),
    Claim(
        "deepest drawdown",
        "a third shallower",
        "%",
        lambda span: -100.0 * float(drawdown(span.days).min()),
        lambda arm, atr: 0.67 * atr - arm,
    ),
    Claim(
        "Sharpe ratio",
        "half as much again",
        "",
        lambda span: sharpe(span.days),
        lambda arm, atr: arm - atr - 0.5 * abs(atr),
    ),
    Claim(
        "recovery", "in half the time", "days", lambda span: recovery_days(span.days), lambda arm, atr: 0.5 * atr - arm
    ),
    Claim(
        "growth",
        "above the reference's",
        "bps a day",
        lambda span: 1e4 * float(span.days.mean()),
        lambda arm, atr: arm - atr,
    ),
)


def claims_table(
    days: tuple[pd.Series, pd.Series], trades: tuple[pd.DataFrame, pd.DataFrame], plan: Plan
) -> pd.DataFrame:
    """Each claim over all days, and its margin by block.

    Args:
        days: log growth a day of the arm's portfolio and of the reference's, on the same days, index UTC day.
        trades: closed trades of both, columns exit_time, pnl (quote currency); of one seed, or of all: means are taken.
    Returns:
        index claim; promised, unit, arm, reference (over all days); margin, low, high (mean over blocks with its interval of
        level 1 - plan.alpha, in `unit`); blocks (that have a margin); outcome: KEPT, BROKEN, UNDECIDED, or UNTESTED where
        fewer than FEWEST_BLOCKS blocks have one.
    """
    index = days[0].index
    edges = [index[part[0]] for part in np.array_split(np.arange(len(index)), plan.blocks) if len(part)]
    every = tuple(Span(*pair) for pair in zip(days, trades, strict=True))
    blocks = [
        tuple(_between(span, start, stop) for span in every)
        for start, stop in zip(edges, [*edges[1:], None], strict=True)
    ]
    rows = {}
    for claim in CLAIMS:
        arm, reference = (claim.measure(span) for span in every)
        margins = np.array([claim.margin(*(claim.measure(span) for span in pair)) for pair in blocks])
        margins = margins[np.isfinite(margins)]
        rows[claim.name] = {
            "promised": claim.promised,
            "unit": claim.unit,
            "arm": arm,
            "reference": reference,
            **_tested(margins, plan),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")


def _between(span: Span, start: pd.Timestamp, stop: pd.Timestamp | None) -> Span:
    closed = span.trades["exit_time"]
    inside = (closed >= start) & ((closed < stop) if stop is not None else True)
    days = span.days[(span.days.index >= start) & ((span.days.index < stop) if stop is not None else True)]
    return Span(days, span.trades[inside])


def _tested(margins: np.ndarray, plan: Plan) -> dict[str, object]:
    if len(margins) < FEWEST_BLOCKS:
        nan = float("nan")
        return {"margin": nan, "low": nan, "high": nan, "blocks": len(margins), "outcome": UNTESTED}
    # The test takes the mean of each block: a value that stands twice is its own.
    test = ibragimov_mueller(np.repeat(margins, 2), blocks=len(margins), alpha=plan.alpha)
    kept = test.low >= 0.0 and test.mean > 0.0
    outcome = KEPT if kept else BROKEN if test.high < 0.0 else UNDECIDED
    return {"margin": test.mean, "low": test.low, "high": test.high, "blocks": len(margins), "outcome": outcome}


def claims_sentence(arm: str, table: pd.DataFrame, *, concludes: bool) -> str:
    """What became of the promises, claim by claim; no outcome of an arm from which nothing can be concluded."""
    if not concludes:
        return f"**{arm}**: its tables met too little to conclude anything (see the training report): no promise is judged."
    counts = table["outcome"].value_counts()
    said = ", ".join(f"{counts[name]} {name}" for name in (KEPT, BROKEN, UNDECIDED, UNTESTED) if name in counts)
    lines = [
        f"{name} {row['promised']}: {row['outcome']} ({_number(row['arm'])} against {_number(row['reference'])} "
        f"{row['unit']}".rstrip()
        + ")"
        for name, row in table.iterrows()
    ]
    return f"**{arm}**, {len(table)} promises: {said}. " + "; ".join(lines) + "."


def _number(value: float) -> str:
    return "nothing" if np.isnan(value) else f"{value:.3g}"
