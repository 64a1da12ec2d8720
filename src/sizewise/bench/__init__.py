"""Speed.

- peers: other people's systems in the same run
- run: `sizewise bench`: environment and training
- schemes: every scheme on real bars
"""
