"""The sizing table (reference design C).

- cells: 300 states and 25 actions
- learning: a bandit, or Q-learning over an account's trades
- lessons: what a table learns from
- marks: trades marked while they are on
- sizer: the table as a sizer
- store: tables on disk
- updates: steps, exploration, and tables updated side by side
- use: how much of a table is in use
"""
