"""The gates of a plan: what must hold before its verdict counts."""

from sizewise.params.fields import Fraction, Positive, Section


class Gates(Section):
    """Thresholds, declared with the plan.

    Attributes:
        learned_frac: least share of folds and seeds in which the candidate earns on its own train slices at least what the
            best of the rules does. capped_frac: largest share of the reference's entries at which the cap binds.
        budget_errors: what four times the samples may gain on test, in standard errors over seeds.
        assay_found_frac: least share of replications in which a planted edge of four standard errors is found.
        assay_false_frac: largest share in which one is "found" where none was planted.
    """

    learned_frac: Fraction = 0.80
    capped_frac: Fraction = 0.10
    budget_errors: Positive = 1.0
    assay_found_frac: Fraction = 0.80
    assay_false_frac: Fraction = 0.05
