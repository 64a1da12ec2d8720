"""Words of the reports that a trader or a learner of either field may not know, each in one or two sentences."""

GLOSSARY = {
    "arm": (
        "One way to size the same trades: a rule, or a learner's policies. Arms are compared on accounts of their own."
    ),
    "ATR": "Average true range: how far a price moves in a day, gaps included, averaged (Wilder, 1978).",
    "ATR sizing": (
        "A trade risks a fixed share of equity if the price moves a set number of ATR against it; calm markets "
        "get larger positions than wild ones."
    ),
    "basis point": "A hundredth of a per cent of equity. One basis point of $100,000 is $10.",
    "bps": "Basis points: hundredths of a per cent. One of $100,000 is $10.",
    "candidate": "The arm that is asked about: the learned sizes.",
    "reference": "The arm that the candidate is held against: the rule.",
    "fold": (
        "One step of the walk-forward: a stretch of train, then the stretch of test that follows it. No policy is "
        "trained on bars from after its test began."
    ),
    "seed": (
        "The start of a learner's random numbers. Training with another seed gives another policy, so that seeds "
        "are draws like any other."
    ),
    "policy": "What a learner ends with: a function from what is seen at a close to a size.",
    "PPO": "Proximal policy optimisation, a learner of policies by trial and error (Schulman et al., 2017).",
    "walk-forward": "Train on the past, test on what follows, move on, and join the tests.",
    "out of sample": "On bars that nothing was fitted on or chosen by.",
    "gate": (
        "What must hold before a verdict counts: the learner learned, its budget is enough, the reference is its "
        "rule, the signal pays, a planted edge is found."
    ),
    "assay": "A planted edge: would this experiment find one of that size if it were there?",
    "interval": "Where the true difference may lie: an interval made so holds it in 95 of 100 experiments.",
    "p-value": "How often chance alone would show a difference at least as large, were there none.",
    "minimum detectable effect": (
        "The true difference that this experiment would find in four of five cases. Smaller ones may be there and "
        "stay unseen."
    ),
    "Holm": "Two questions are asked, so each must pass a stricter test: Holm's step-down adjustment.",
    "placebo": "The same sizes on other trades of the same symbol: what chance and leverage would earn.",
    "block": (
        "A stretch of days that is counted as one observation, because days that follow each other are not independent."
    ),
    "Sharpe": "Mean daily growth over its standard deviation, a year: return for risk.",
    "drawdown": "How far equity lies below its highest so far.",
    "exposure": "The size of a position as a share of equity.",
    "slippage": "What a fill costs beyond the printed price: here, half the spread.",
    "funding": "What holders of perpetual contracts pay each other every few hours.",
    "regime": "What kind of market a day belongs to, by volatility and trend, known before the day begins.",
    "DSR": "Deflated Sharpe ratio: the chance that a Sharpe is more than the luck of the best of many tries.",
    "PBO": (
        "Probability of backtest overfitting: how often the best in one half of the days is below the middle in "
        "the other."
    ),
    "CPCV": "Combinatorial purged cross-validation: train on both sides of test, with gaps between them.",
    "Kelly": "The size at which wealth grows fastest in the long run, were the odds known.",
    "risk matching": (
        "Each arm's sizes are multiplied by one factor a symbol and fold, so that all had the same volatility on "
        "train: a difference is then timing, not leverage."
    ),
    "sealed": "The last bars, which no stage reads until somebody opens them once, on the record.",
}
# Words that reports use in other senses as well: they are explained on their page, and not where they stand.
AMBIGUOUS = ("candidate", "reference", "gate", "block")
