"""Sizing rules, and what a size earns.

- backtest: walk many accounts over real bars with one sizer
- calibrated: bets from calibrated probabilities
- fits: rules fitted on train slices, by symbol
- fitted: rules matched on train, drawn at random or read from the future
- forecasts: a GARCH(1,1) of variances, and a ridge regression of returns
- held_paths: the growth of many vectors of sizes at once
- identifiability: whether a reward can teach a size
- multiples: any scheme, those that ask a rule among them
- opportunities: what each trade of the signal earns for one unit
- own: a rule or a learner of one's own, opened and checked
- sessions: daily closes of a symbol on its bars
- sizers: the interface of a sizer, and the plain rules
- trade_rewards: what a closed trade earns for its decision
"""
