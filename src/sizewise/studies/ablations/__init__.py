"""Ablations.

- files: where the variants' ledgers lie
- report: notebook 10, every variant beside the baseline
- run: train and walk one variant
"""
