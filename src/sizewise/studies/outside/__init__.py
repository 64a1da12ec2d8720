"""What others found, with their own definitions, asked of the parts of this project.

- brownian: PPO and `direct` beside Kelly's share on geometric Brownian motions
- experience: bars until most of the optimal growth is earned
- least_squares: sizes of two regressions, on planted markets
- predictions: what was said to come out, and whether it did
- regimes: a process of two regimes, and probabilities of a rule's trades
- report: figures of notebook 18
- sizers: sizes of a probability
- sizing: six sizers, probabilities raw and calibrated
- study: what the notebook opens
- targeting: volatility targeting by class of asset
"""
