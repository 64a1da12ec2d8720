"""Sizing rules, and what a size earns.

- calibrated: bets from calibrated probabilities
- fits: rules fitted on train slices, by symbol
- fitted: rules matched on train, drawn at random or read from the future
- forecasts: a GARCH(1,1) of variances, and a ridge regression of returns
- identifiability: whether a reward can teach a size
- multiples: any scheme, those that ask a rule among them
- opportunities: what each trade of the signal earns for one unit
- own: a rule or a learner of one's own, opened and checked
- risk_price: what risk costs in a learner's reward
- scaled: an arm at another risk, its sizes times a factor
- sizers: the interface of a sizer, and the plain rules
- trade_rewards: what a closed trade earns for its decision
- walks: accounts walked along the bars
"""
