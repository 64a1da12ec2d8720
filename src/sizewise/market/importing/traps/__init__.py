"""What may be wrong with bars, how it is found, and how it is repaired.

- catalogue: every trap by name, with its repairs, and the walk through all of them
- clock: traps of times: repeats, labels, bars off the grid, mixed lengths, gaps
- values: traps of prices and volumes: outages, broken ranges, spikes, splits, padding, copies
"""
