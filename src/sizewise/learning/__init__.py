"""The learners.

- closed_trades: models that learn from closed trades
- field: training of the learners beside PPO
- own: what learners of one's own learned
- ppo: proximal policy optimisation
- tabular: the sizing table
"""
