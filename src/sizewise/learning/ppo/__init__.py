"""Proximal policy optimisation, for a population of policies.

- acting: the network without gradients
- agent: a trained policy outside of training, and its file
- ensemble: several policies as one
- encoders: what a policy reads off the market
- learner: an iteration of a population
- lessons: what a policy trains and is selected on
- loops: small networks on a CPU
- policy: the network
- populations: who trains side by side
- rollouts: one horizon of experience
- scores: what policies and rules earn on slices of train
- selection: which checkpoint is kept
- training: train, select, report
- update: advantages, loss, update
- watched: what a watcher sees while it runs
"""
