"""Sizing rules, and what a size earns.

- backtest: walk many accounts over real bars with one sizer
- calibrated: bets from calibrated probabilities
- day_marks: the same accounts from decision to decision, marked at the end of every day
- decision_steps: from one decision to the next in returns, with a gradient
- fits: rules fitted on train slices, by symbol
- fitted: rules matched on train, drawn at random or read from the future
- forecasts: a GARCH(1,1) of variances, and a ridge regression of returns
- held_paths: the growth of many vectors of sizes at once
- identifiability: whether a reward can teach a size
- leaps: what a sizer earns from mark to mark
- multiples: any scheme, those that ask a rule among them
- opportunities: what each trade of the signal earns for one unit
- own: a rule or a learner of one's own, opened and checked
- risk_price: what risk costs in a learner's reward
- scaled: an arm at another risk, its sizes times a factor
- sessions: daily closes of a symbol on its bars
- sizers: the interface of a sizer, and the plain rules
- trade_rewards: what a closed trade earns for its decision
"""
