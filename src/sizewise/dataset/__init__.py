"""What is known of the market at each bar, and how time is cut.

- clock: rows at whose close something is decided
- confidence: the probability that a signal's trade gains
- days: sessions of bars, and which of them is known when
- declines: days on which a price is far below its trailing high
- features: the 56 features and their scaler
- joint: several symbols in one account, on a common clock
- market_tensor: every symbol's rows stacked once, read by row number
- own: a signal and features of one's own
- regimes: rule labels of volatility and trend
- signals: direction, entries and exits
- slices: labels of a symbol's days
- spill: tables that find no room side by side
- splits: walk-forward folds
- store: the features stage on disk
"""
