"""Variants of the tables and of the learners of closed trades.

- files: where the variants' ledgers lie
- report: notebook 17, every variant beside its arm and the reference
- run: train and walk one variant
- sources: what a variant leaves out, or keeps apart, of the trades that teach it
"""
