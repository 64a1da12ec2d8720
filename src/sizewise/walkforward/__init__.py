"""Every arm over every fold's test slice.

- arms: the arms stage: for each stage a file of those it uses
- behaviour: how arms size
- cutting: folds that follow the bars: `splits: auto` as dates
- evaluate: the walk-forward stage
- field: each arm of params as its paths: what walks beside what, at which risk
- frames: walked paths as rows of the ledgers
- openers: the sizer of each arm on paths
- responses: the size chosen when one condition changes
- risk: every arm matched to one volatility on train
- unsealing: opening the sealed slice, once
- walk: which paths there are, and the accounts that walk them
- writing: arms walked into ledgers on disk, in processes
"""
