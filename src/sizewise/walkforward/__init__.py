"""Every arm over every fold's test slice.

- account_size: growth against the size of the account
- arms: the arms stage: for each stage a file of those it uses
- behaviour: how arms size
- evaluate: the walk-forward stage
- field: each arm of params as its paths
- responses: the size chosen when one condition changes
- unsealing: opening the sealed slice, once
- walk: paths and their ledgers
"""
