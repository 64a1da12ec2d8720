"""Known answers.

- cartpole: CartPole-v1 beside Stable-Baselines3
- direct: a gradient through the account on planted markets
- experience: learning curves, by the bars that a learner has seen
- laboratory: PPO on planted markets
- report: tables, figures and sentences of notebook 06
- study: every learner on every planted market
"""
