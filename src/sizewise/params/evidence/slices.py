"""The section `slices`: further ways to cut the out-of-sample days."""

from sizewise.params.fields import Count, Fraction, Section


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
