"""What is traded: bars, their instruments and what trading costs.

- bars: the schema of bars, and its validation
- calendars: when a market trades: four calendars by wall clock, exchanges by their code
- catalogue: which series there are and where, bundled and own
- costs: what trading costs, as rates
- download: bars from exchanges, public dumps and other sources
- exchanges: sessions, holidays and half days of exchanges
- funding: real funding rates as a column of the bars
- grids: where bars may start within the hours of a market
- importing: foreign files of bars, recognised, checked and repaired
- indicators: causal indicators
- instruments: instruments.yaml as models
- own: an instrument from four answers, and storing a series of one's own
- tape: what the broker is told of every bar
- terms: what is assumed of an asset class, and the fees of venues
- tracking: how bars of one's own are kept by DVC, by git or not
"""
