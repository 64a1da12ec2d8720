"""A policy trained by gradient through the account.

- network: multiples of a reference's size, from a market row and what is held
- lessons: train slices as stretches of decisions side by side
- learner: passes over the account, and the step uphill
- loops: a pass and its gradient by compiled loops
- training: train, stop on the tail, report
- policy: a trained policy, its file, and how it trades
- yardstick: what any policy reaches on the slices that it was trained on
"""
