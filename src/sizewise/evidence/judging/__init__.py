"""Curves and trade lists from elsewhere under the rule that decides.

- alignment: the marks that curves have in common, and how long a mark lasts
- curve: an account's worth at its marks, and what had to be assumed to read it
- files: which file holds what: a curve, or somebody's list of trades
- findings: the terms of the test, and each pair's result, in numbers
- frames: a frame of pandas as a list of trades, or a column with its times
- given: what the user said of each curve
- judgement: the verdict on two or more curves
- layouts: the trade lists of TradingView, MetaTrader, freqtrade and others
- objects: what backtesters hand over, told apart
- sentences: the verdict in words, and what it cannot say
- series: a series of equity or of returns, in fractions or per cent
- tables: cells of a text file as numbers and times
- trades: closed trades as a curve that steps
"""
