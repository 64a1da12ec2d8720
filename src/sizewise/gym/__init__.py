"""The market as Gymnasium environments.

- accounts: n accounts at one desk
- episodes: how they begin and how long they last
- environments: `SizewiseEnv` and `SizewiseVectorEnv`
- features: what they show of the market
- spaces: a scheme's action space as Gymnasium shows it
"""
