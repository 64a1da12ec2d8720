"""What is traded: bars, their instruments and what trading costs.

- bars: the schema of bars, and its validation
- costs: what trading costs, as rates
- indicators: causal indicators
- instruments: instruments.yaml and trading calendars
- tape: what the broker is told of every bar
"""
