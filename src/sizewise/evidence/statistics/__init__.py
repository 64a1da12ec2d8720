"""Tests, each with its source.

- blocks: the Ibragimov-Mueller test
- bounds: what the parameters of a test may be
- cosines: the equal-weighted-cosine test
- e_values: an anytime-valid bet
- joint: what two tests that must agree find
- many_arms: SPA and the model confidence set
- means: tests of a mean, and the bootstrap
- placebo: sizes rotated over other trades
- power: detectable effects, and adjustment for many tests
- seeds: seeds as draws of the training
- selection: deflated Sharpe ratio and PBO
- sharpe: two Sharpe ratios on the same days
"""
