"""Accounts walked along the bars with one sizer.

- backtest: many accounts over real bars, bar by bar, with a whole ledger
- day_marks: the same accounts from decision to decision, marked at the end of every day
- decision_steps: from one decision to the next in returns, with a gradient
- held_paths: the growth of many vectors of sizes at once
- leaps: what a sizer earns from mark to mark
- sessions: daily closes of a symbol on its bars
"""
