"""The learners.

- adam: the optimiser of all that learn by gradient
- closed_trades: models that learn from closed trades
- from_closes: anybody's own closed trades as a teacher, the door `learn_from`
- direct: a policy trained by gradient through the account
- field: training of the learners beside PPO
- own: what learners of one's own learned
- ppo: proximal policy optimisation
- stored: what a learner leaves on disk, and how it is read back
- tabular: the sizing table
- trade_log: a log of anybody's own opens and closes, checked
"""
