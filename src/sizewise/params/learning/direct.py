"""The section `direct`: how the arms of that kind are trained by gradient through the account."""

from typing import Literal

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section


class Direct(Section):
    """A network that multiplies a reference's size by 0 to 2, trained by gradient on what the account earns.

    Attributes:
        objective: `log_growth`, of an account k times as bold, see sizing.risk_price; or `sharpe`, a ratio a symbol, which
            teaches relative sizes alone.
        hidden: units of the one layer. stretch: decisions that a gradient goes back through; what is held before them is
            carried over, without a gradient.
        passes: over train, each one step of the optimiser, at a rate that falls linearly to its declared end.
        validate_every: passes from one look at the tail to the next; patience: looks without a better one after which a
            policy stops.
        weight_decay: each pass takes learning_rate times this share off every weight; weights of 0 are the reference.
    """

    objective: Literal["log_growth", "sharpe"] = "log_growth"
    hidden: Count = 8
    stretch: Count = 64
    passes: Count = 200
    learning_rate: Positive = 1.0e-2
    final_learning_rate_frac: Fraction = 1.0
    weight_decay: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    validate_every: Count = 5
    patience: Count = 10
