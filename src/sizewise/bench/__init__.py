"""Speed.

- laboratory: seconds until a learner finds a known optimum
- operations: what a rollout and an update ask of torch, as counts
- peers: other people's systems in the same run
- run: `sizewise bench`: environment and training
- schemes: every scheme on real bars
"""
