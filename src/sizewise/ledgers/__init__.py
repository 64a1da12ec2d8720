"""What was traded, as the judge reads it.

- columns: the columns of a ledger and their identity
- daily: the ledger summed to days
- files: ledgers on disk
- joint: accounts of several symbols beside those of one
- metrics: returns by day, and what describes a daily series
- orders: sizes as they were ordered, and round trips
- plan: what was declared beforehand, and what makes a trial
- reruns: reruns with other digits, which are no trials
- summaries: growth, risk, trading and costs by arm and by regime
- trials: the trial ledger and the seal
- weights: what a symbol counts on a portfolio's day
"""
