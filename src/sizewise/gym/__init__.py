"""The market as Gymnasium environments.

- accounts: n accounts at one desk
- environments: `SizewiseEnv` and `SizewiseVectorEnv`
- features: what they show of the market
- spaces: action spaces as Gymnasium knows them
"""
