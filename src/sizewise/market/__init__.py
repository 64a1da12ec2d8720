"""What is traded: bars, their instruments and what trading costs.

- bars: the schema of bars, and its validation
- costs: what trading costs, as rates
- importing: foreign files of bars, recognised, checked and repaired
- indicators: causal indicators
- instruments: instruments.yaml and trading calendars
- tape: what the broker is told of every bar
"""
