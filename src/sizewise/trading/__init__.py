"""Where orders become accounts.

- broker: where cash moves, and its specification in plain Python
- decisions: the signal and the mask of an action, checked where accounts decide
- desk: one scheme, one broker, one reward: actions become accounts
- environment: any scheme, any costs, any reward, batched
- episodes: where accounts stand and when they start again
- rewards: what a step earns
- schemes: action spaces and what each action orders
- simulation: `simulate`: a list of actions over real bars
- trades: closed trades, read off positions or fills
"""
