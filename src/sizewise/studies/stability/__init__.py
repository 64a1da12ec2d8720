"""Stability.

- files: where the repeats' ledgers lie
- report: notebook 11, its figures and sentences
- run: train the repeats and walk them
- study: its numbers
"""
