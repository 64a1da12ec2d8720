"""Sections of the learners.

- outcome: learning from closed trades
- tabular: the sizing table: bins, actions, learning
- train: PPO: budget, network, coefficients
"""
