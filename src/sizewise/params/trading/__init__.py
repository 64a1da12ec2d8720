"""Sections of what is traded with.

- account: the account every arm trades
- decisions: the clock: at which closes something is decided
- rewards: what a step earns, and the penalties that shape it
- trading: scheme, costs, reward and rules of the market
- world: what every arm trades in: account, rules and clock
"""
