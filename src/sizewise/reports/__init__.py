"""One file a notebook, and the pages.

- account: notebook 05: one account's path
- compare: tables and figures of notebook 04
- features: tables and figures of notebook 01
- index: the index page
- learners: tables and closed trades in notebook 02
- run: execute a notebook and keep it as a report
- style: how figures look
- train: tables and figures of notebook 02
- walk_forward: tables and figures of notebook 03
"""
