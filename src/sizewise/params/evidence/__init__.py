"""Sections of how it is decided.

- gates: what must hold before a verdict counts
- plan: what is compared and how
- slices: further ways to cut the test days
"""
