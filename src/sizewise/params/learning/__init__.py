"""Sections of the learners.

- direct: a gradient through the account
- outcome: learning from closed trades
- tabular: the sizing table: bins, actions, learning
- train: PPO: budget, network, coefficients
"""
