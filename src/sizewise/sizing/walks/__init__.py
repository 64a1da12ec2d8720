"""Accounts walked along the bars with one sizer.

- asked: what accounts see where something is decided
- backtest: many accounts over real bars, with a whole ledger
- day_marks: the same accounts from decision to decision, marked at the end of every day
- decided: from decision to decision, with the ledger of the bars between
- decision_steps: from one decision to the next in returns, with a gradient
- held_paths: the growth of many vectors of sizes at once
- leaps: what a sizer earns from mark to mark
- path_ledger: what is kept of accounts that were walked
- sessions: daily closes of a symbol on its bars
"""
