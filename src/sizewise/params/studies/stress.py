"""The section `stress`: what the comparison is put under."""

from pydantic import model_validator

from sizewise.params.fields import Counts, Names, Numbers, Section, Shares


class Stress(Section):
    """What the comparison is put under. Amounts in bps are shares of traded value.

    Attributes:
        arms: who is walked again under each scenario: the plan's two, policies and plain rules. cost_multiples: of every
            cost at once; 1 is what the ledgers were made with. fee_tiers_bps: a flat fee in place of each instrument's.
            slippage_bps: added half-spread.
            funding_bps_per_day: paid by longs, earned by shorts. delays_bars: a decision is filled so many bars later than
            the next open. missed_fracs: chance that an order is lost. thinned_fracs: share of the bars that
            is dropped.
    """

    arms: Names = ("ppo", "atr_managed", "atr", "constant")
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
