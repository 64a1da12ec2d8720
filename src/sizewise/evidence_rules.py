"""The sections of params.yaml that the evidence is made by: slices of the market, calibration, stress, selection, CPCV."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.fields import Count, Fraction, NotNegative, Positive, Section, as_tuple

Numbers = Annotated[tuple[NotNegative, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Shares = Annotated[tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], BeforeValidator(as_tuple), Field(min_length=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]


class Slices(Section):
    """Further ways to cut out-of-sample days, beside the declared regimes; each label is known before the day it cuts.

    Attributes:
        markov_min_days: train days that a symbol needs for its switching model; with fewer the days are unlabelled.
        trend_days: the trailing return over so many days tells bull, bear and sideways apart.
        sideways_frac: a trailing return closer to 0 than this is sideways.
        declining_days: a decline is measured from the highest daily close of so many days.
        declining_frac: a close this far below that high, or farther, is declining.
    """

    markov_min_days: Count = 250
    trend_days: Count = 60
    sideways_frac: Fraction = 0.10
    declining_days: Count = 120
    declining_frac: Fraction = 0.15


class Calibration(Section):
    """Null and power studies of the tests.

    Attributes:
        replications: runs of each null of markets. series_replications: runs of the null of persistent regimes, which are
            drawn without a market. power_replications: runs of each planted edge.
        size_noise: standard deviation of the log size noise of the A/A arms. cap_frac: cap of the sizes before the noise,
            share of equity. bar_hours: bars of the random walks and the shuffled markets.
        edges: planted mean differences, in standard errors of the mean difference. looks: how often a peeking analyst looks.
        bootstrap_draws, placebo_draws: of each replication's secondary tests.
    """

    replications: Count = 2000
    series_replications: Count = 10_000
    power_replications: Count = 4000
    size_noise: Positive = 0.5
    cap_frac: Positive = 1.0
    bar_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 4
    edges: Numbers = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    looks: Annotated[int, Field(ge=2)] = 24
    bootstrap_draws: Count = 1000
    placebo_draws: Count = 499
    seed: int = 20261120


class Stress(Section):
    """What the comparison is put under. Amounts in bps are shares of traded value.

    Attributes:
        arms: who is walked again under each scenario. cost_multiples: of every cost at once; 1 is what the ledgers were
            made with. fee_tiers_bps: a flat fee in place of each instrument's. slippage_bps: added half-spread.
            funding_bps_per_day: paid by longs, earned by shorts. delays_bars: a decision is filled so many bars later than
            the next open. missed_fracs: chance that an order is not filled at all. thinned_fracs: share of the bars that
            is dropped.
    """

    arms: Names = ("ppo", "atr", "atr_exposure_matched", "constant")
    cost_multiples: Numbers = (0.0, 1.0, 2.0, 3.0)
    fee_tiers_bps: Numbers = (0.0, 2.0, 5.0, 10.0)
    slippage_bps: Numbers = (1.0, 5.0)
    funding_bps_per_day: Numbers = (1.0, 3.0)
    delays_bars: Counts = (1, 2, 3, 4, 5)
    missed_fracs: Shares = (0.05, 0.20)
    thinned_fracs: Shares = (0.05, 0.20)
    seed: int = 20261120

    @model_validator(mode="after")
    def _holds_what_was_walked(self) -> "Stress":
        multiples = self.cost_multiples
        if 1.0 not in multiples or any(a >= b for a, b in zip(multiples, multiples[1:], strict=False)):
            raise ValueError("cost_multiples must increase and hold 1.0, the costs that the ledgers were made with")
        return self


class Overfitting(Section):
    """Selection among everything that was tried.

    Attributes:
        pbo_blocks: blocks of days that CSCV divides in halves in every way; even. mcs_size: level of the model
            confidence set. draws: bootstrap draws of SPA and MCS. rotations: draws of the PBO of rotated days.
    """

    pbo_blocks: Annotated[int, Field(ge=2, le=20)] = 16
    mcs_size: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10
    draws: Count = 2000
    rotations: Count = 200
    seed: int = 20261120

    @model_validator(mode="after")
    def _even(self) -> "Overfitting":
        if self.pbo_blocks % 2:
            raise ValueError("pbo_blocks must be even: CSCV trains on half of them")
        return self


class Cpcv(Section):
    """Combinatorial purged cross-validation of the candidate: a sensitivity, with train on both sides of test.

    Attributes:
        groups: stretches of the calendar. test_groups: how many are tested at once. embargo_bars: dropped from train
            after each test stretch, at least as far as a feature looks back. seeds, iterations: of each training.
    """

    groups: Annotated[int, Field(ge=3)] = 6
    test_groups: Annotated[int, Field(ge=1)] = 2
    embargo_bars: Count = 2200
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (1,)
    iterations: Count = 16

    @model_validator(mode="after")
    def _leaves_train(self) -> "Cpcv":
        if self.test_groups >= self.groups:
            raise ValueError("test_groups must be below groups: something must be left to train on")
        return self
