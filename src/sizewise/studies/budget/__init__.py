"""Whether more samples, or another network, change what the candidate comes to.

- report: notebook 15: tables, figures and sentences
- study: train the candidate in other ways, and look at every checkpoint
"""
