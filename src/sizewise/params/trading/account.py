"""The section `account`: what every arm trades with."""

from sizewise.params.fields import Fraction, Positive, Section


class Account(Section):
    """The account every arm trades. The defaults are the $1,000 account of reference design A."""

    initial_equity: Positive = 1000.0
    safety_buffer_frac: Fraction = 0.30
    base_alloc_frac: Fraction = 0.15
    max_position_frac: Fraction = 0.20
    ruin_frac: Fraction = 0.10

    @property
    def position_limit_frac(self) -> float:
        """Largest |position| an order may lead to, as a share of equity: the cap, and what the safety buffer leaves."""
        return min(self.max_position_frac, 1.0 - self.safety_buffer_frac)
