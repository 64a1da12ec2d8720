"""Sections of how it is decided.

- plan: what is compared and how
- slices: further ways to cut the test days
"""
