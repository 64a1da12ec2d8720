"""The section `calibration`: whether the tests reject a true null, and see what they should."""

from typing import Annotated

from pydantic import Field

from sizewise.params.fields import Count, Counts, Numbers, Positive, Section


class Calibration(Section):
    """Null and power studies of the tests.

    Attributes:
        replications: runs of each null of markets. series_replications: runs of the null of persistent regimes, which are
            drawn without a market. power_replications: runs of each planted edge.
        size_noise: standard deviation of the log size noise of the A/A arms, a trade.
        edges: planted mean differences, in standard errors of the mean difference. looks: how often a peeking analyst looks.
        regime_days: mean lengths of the persistent regimes for which the level is measured.
        bootstrap_draws, placebo_draws: of each replication's secondary tests.
    """

    replications: Count = 2000
    series_replications: Count = 10_000
    power_replications: Count = 4000
    size_noise: Positive = 0.5
    edges: Numbers = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    looks: Annotated[int, Field(ge=2)] = 24
    bootstrap_draws: Count = 1000
    placebo_draws: Count = 499
    regime_days: Counts = (30, 42, 60, 90, 120, 180, 365)
    seed: int = 20261120
