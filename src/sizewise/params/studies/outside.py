"""The section `outside`: what others found, asked of the parts of this project."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Counts, Fraction, NotNegative, Numbers, Positive, Section, as_tuple

Seeds = Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=2)]


class BrownianMarket(Section):
    """A geometric Brownian motion. drift: a year, of the price, above what cash earns. volatility: a year."""

    drift: Positive
    volatility: Positive


class Brownian(Section):
    """PPO and `direct` on geometric Brownian motions, with the laboratory's learners.

    Attributes:
        seeds: of every learner. iterations: of PPO. bars_per_year: bars that a year is cut into.
        risk_levels: yearly deviations of the account among which PPO chooses, from 0; up to the largest for `direct`.
        near_frac: share of the optimal growth from which on a policy counts as near the optimum.
        claimed_steps: steps that the source says PPO needs to be there.
    """

    seeds: Seeds = (1, 2, 3)
    iterations: Count = 60
    bars_per_year: Positive = 252.0
    risk_levels: Numbers
    near_frac: Fraction = 0.90
    claimed_steps: Count = 2_000_000
    markets: Annotated[dict[str, BrownianMarket], Field(min_length=1)]


class Sizers(Section):
    """Six position sizers on probabilities as a model says them and as they are calibrated.

    Attributes:
        replications: drawn markets. bars: of each; the first train_frac of them is learned from. regime_bars: bars until
            the regime is drawn again. second_regime_prob: of the regime that is of the other sign. noise: standard
            deviation of a bar's return, given those before it. folds: of the calibration's cross-validation.
    """

    replications: Annotated[int, Field(ge=2)] = 100
    bars: Annotated[int, Field(ge=500)] = 10_000
    regime_bars: Annotated[int, Field(ge=6)] = 30
    second_regime_prob: Fraction = 0.20
    noise: Positive = 0.0145
    train_frac: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.60
    folds: Annotated[int, Field(ge=2)] = 5

    @model_validator(mode="after")
    def _whole(self) -> "Sizers":
        if self.bars < 2 * self.regime_bars:
            raise ValueError("bars must hold two regimes or more: give more bars, or shorter regimes")
        return self


class Targeting(Section):
    """Volatility targeting by class of asset: in the main job's ledger, and of what is held long.

    Attributes:
        managed, constant: the arms of the ledger that are compared. half_life_days: of the forecast of what is held long,
            whose volatility is annual_vol_frac a year. negligible_sharpe: a yearly Sharpe ratio that counts as no
            difference.
    """

    managed: str = "vol_target"
    constant: str = "constant"
    half_life_days: Count = 20
    annual_vol_frac: Positive = 0.10
    negligible_sharpe: NotNegative = 0.10


class Outside(Section):
    """Checks from outside.

    Attributes:
        least_squares_bars: numbers of bars from which the two regressions learn on the planted markets.
    """

    brownian: Brownian
    sizers: Sizers = Sizers()
    targeting: Targeting = Targeting()
    least_squares_bars: Counts
