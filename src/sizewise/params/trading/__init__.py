"""Sections of what is traded with.

- account: the account every arm trades
- actions: action grids of a learned arm
- rewards: what a step earns, and the penalties that shape it
- trading: scheme, costs, reward and rules of the market
"""
