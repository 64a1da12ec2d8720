"""A trained policy for today.

- decide: its decision for now, as the backtest would have taken it
"""
