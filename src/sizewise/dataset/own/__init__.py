"""What of a signal and of features is one's own.

- features: columns and features of one's own, beside the 56
- signal: a signal of one's own, as a class or a column
- trades: a signal of one's own, as a file of trades
"""
