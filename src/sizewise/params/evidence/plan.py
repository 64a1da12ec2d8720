"""The section `plan`: what is compared and how it is decided."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sizewise.params.dataset.regimes import RegimeName
from sizewise.params.evidence.gates import Gates
from sizewise.params.fields import Count, Positive, Section, as_tuple


class Plan(Section):
    """What is compared and how it is decided, fixed and hashed before anything is evaluated.

    Attributes:
        blocks: of the Ibragimov-Mueller test. cosine_terms_coef: terms of the cosine test over n^(2/3), n the days. Both
            tests must reject.
        sharpe_floor: least asymptotic variance of a Sharpe difference that is tested. gates: what must hold before the
            verdict counts.
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
