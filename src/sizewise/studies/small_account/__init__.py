"""Reference design A's $1,000 account, and accounts of other sizes.

- curve: growth against the size of the account
- report: notebook 12
- study: the candidate and the reference in the small account
"""
