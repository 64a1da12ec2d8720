"""How much of what is found rests on the one family of signals that the study trades.

- report: notebook 12
- study: every family over the test slices, sized by the reference and by a constant
"""
