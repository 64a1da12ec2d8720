"""Proximal policy optimisation, for a population of policies.

- agent: a trained policy outside of training, and its file
- encoders: what a policy reads off the market
- policy: the network
- rollouts: one horizon of experience
- training: train, select, report
- update: advantages, loss, update
"""
