"""Sections of what is known of the market.

- data: which bars are used
- observation: what a policy sees of the market
- regimes: thresholds of the rule labels
- signals: the direction rule and the model of its confidence
- splits: calendar folds and the seal, as dates or as a rule that finds them
"""
