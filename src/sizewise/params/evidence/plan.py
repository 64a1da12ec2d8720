"""The section `plan`: what is compared and how it is decided."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sizewise.params.dataset.regimes import RegimeName
from sizewise.params.evidence.gates import Gates
from sizewise.params.fields import Count, Positive, Section, as_tuple

# Kinds of arms that take no skill.
WITHOUT_SKILL = ("cash", "random_placebo", "constant", "buy_and_hold")


class Risk(Section):
    """Every arm's sizes times one factor a symbol and fold (and seed), so that on the train slice it has one volatility.

    Attributes:
        annual_vol_frac: standard deviation of daily log returns, annualised by the days that were traded.
        tolerance_frac: how far off the train slice may be, as a share of it. steps: corrections of a factor, at most.
    """

    annual_vol_frac: Positive = 0.03
    tolerance_frac: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    steps: Count = 3


class Question(Section):
    """Two arms that are compared."""

    candidate: str
    reference: str


class Plan(Section):
    """What is compared and how it is decided, fixed and hashed before anything is evaluated.

    Attributes:
        blocks: of the Ibragimov-Mueller test. cosine_terms_coef: terms of the cosine test over n^(2/3), n the days. Both
            tests must reject.
        sharpe_floor: least asymptotic variance of a Sharpe difference that is tested. gates: what must hold before the
            verdict counts.
        candidate, reference: of the first question, which decides: sizes may change at every decision.
        entry: the second, declared with it: one size a trade. Holm is over the two. None: one question alone.
        risk: at which every arm is compared; None: at whatever risk it takes.
    """

    candidate: str
    reference: str
    endpoint: Literal["daily_log_growth_difference"]
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    blocks: Annotated[int, Field(ge=4)] = 8
    cosine_terms_coef: Annotated[float, Field(gt=0.0, le=2.0)] = 0.4
    power: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.80
    bootstrap_draws: Count = 10_000
    bootstrap_block_days: Count = 60
    bootstrap_seed: int = 20261120
    sharpe_floor: Positive = 1e-4
    gates: Gates = Gates()
    min_trades_per_regime: Count = 30
    regimes: Annotated[tuple[RegimeName, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=4)]
    entry: Question | None = None
    risk: Risk | None = None

    def leading(self, arms: Mapping[str, Any]) -> list[str]:
        """Arms that a crowded figure names: those of the declared questions, and what takes no skill."""
        entry = self.entry
        asked = {self.candidate, self.reference} | ({entry.candidate, entry.reference} if entry is not None else set())
        return [name for name, arm in arms.items() if name in asked or arm.kind in WITHOUT_SKILL]
