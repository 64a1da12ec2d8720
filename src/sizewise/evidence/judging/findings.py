"""What was found of curves from elsewhere, in numbers: the terms of the test, and each pair's result."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sizewise.evidence.inference import Comparison
from sizewise.evidence.joint_rule import JointTest
from sizewise.evidence.judging.alignment import Step
from sizewise.ledgers.metrics import BPS, days_per_year, drawdown, sharpe, volatility

START = 100_000.0
YEAR_DAYS = 365.25
DIGITS = 6


@dataclass(frozen=True)
class Terms:
    """What was tested, and how.

    Attributes:
        equity: float64, index common marks (UTC dates), a column a curve, each from START on.
        step: how long a mark lasts. tried: variants looked at. alpha: the level before it is divided by them.
        power: of the detectable effect.
    """

    equity: pd.DataFrame
    step: Step
    tried: int
    alpha: float
    power: float

    def bps_a_day(self, growth: float) -> float:
        """Log growth a mark in basis points a day: of the days marked, or of the calendar where a mark is longer."""
        return BPS * growth / self.step.days

    @property
    def days_a_year(self) -> float:
        """Of the days that effects are told in."""
        return days_per_year(pd.Series(0.0, index=self.equity.index)) if self.step.days == 1.0 else YEAR_DAYS

    def returns(self, name: str) -> pd.Series:
        """Log growth a mark of one curve; the first mark, which earns nothing, left out."""
        return np.log(self.equity[name]).diff().dropna()

    def table(self) -> pd.DataFrame:
        """One row a curve: growth_pct, volatility_pct and sharpe (both a year), max_drawdown_pct, on the common marks."""
        rows = {}
        for name in self.equity:
            returns = self.returns(str(name))
            rows[name] = {
                "growth_pct": 100.0 * (self.equity[name].iloc[-1] / START - 1.0),
                "volatility_pct": 100.0 * volatility(returns),
                "sharpe": sharpe(returns),
                "max_drawdown_pct": 100.0 * float(drawdown(returns).min()),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("curve")


@dataclass(frozen=True)
class Pair:
    """One curve against the reference.

    Attributes:
        comparison: with its secondary tests, at the level alpha, as if this were the only variant.
        tested: the joint rule at alpha over the number of variants: its interval, power and detectable effect are those
            after the search.
        p_tried: the p-value times the variants, at most 1. p_holm: that after Holm over all pairs; it decides.
        deflated_sharpe: probability that the difference's true information ratio exceeds what the best of so many worthless
            variants would show; NaN where the difference does not vary.
        breaches: what voids the verdict. doubts: what leaves it inconclusive. A sentence each, without a full stop.
    """

    candidate: str
    reference: str
    verdict: str
    comparison: Comparison
    tested: JointTest
    p_tried: float
    p_holm: float
    deflated_sharpe: float
    breaches: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def pair_record(terms: Terms, pair: Pair) -> dict[str, Any]:
    """One comparison for JSON; effects in basis points of equity a day, null where there is no number."""
    alone, tested = pair.comparison.primary, pair.tested
    effects = {
        "effect_bps_per_day": alone.mean,
        "ci_low": alone.low,
        "ci_high": alone.high,
        "ci_low_tried": tested.low,
        "ci_high_tried": tested.high,
        "mde_bps_per_day": tested.mde,
    }
    return {
        "candidate": pair.candidate,
        "reference": pair.reference,
        "verdict": pair.verdict,
        **{name: rounded(terms.bps_a_day(value)) for name, value in effects.items()},
        "p_value": rounded(alone.p_value),
        "p_tried": rounded(pair.p_tried),
        "p_holm": rounded(pair.p_holm),
        "deflated_sharpe": rounded(pair.deflated_sharpe),
        "fragile": tested.alone,
        "breaches": list(pair.breaches),
        "doubts": list(pair.doubts),
        "tests": {str(name): rounded(float(p)) for name, p in pair.comparison.table["p_value"].items()},
    }


def rounded(value: Any) -> float | None:
    """A number for JSON."""
    return round(float(value), DIGITS) if math.isfinite(value) else None
