"""Where orders become accounts.

- accounts: accounts at a close, and what they show of themselves
- broker: where cash moves, and its specification in plain Python
- compiled_observer: what plain accounts show, by a compiled loop
- course: the bars between decisions, one by one or in one leap
- decisions: the signal and the mask of an action, checked where accounts decide
- desk: one scheme, one broker, one reward: actions become accounts
- environment: any scheme, any costs, any reward, any clock, batched
- episodes: where accounts stand and when they start again
- priced: growth that prices risk
- rewards: what a step earns
- schemes: action spaces and what each action orders
- simulation: `simulate`: a list of actions over real bars
- situation: what is known at a close where something is decided
- stretches: accounts through the bars between two decisions
- trades: closed trades, read off fills
"""
