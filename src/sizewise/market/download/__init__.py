"""Bars from where they are published, into a cache that a later run goes on from.

- wanted: what is asked for: source, symbol, bar length, days
- patience: tries, waits and the pace of requests
- fetching: one file over HTTP, whole and checked, or not at all
- pages: pages of bars merged, kept on disk and written as CSV
- binance: Binance's public dumps, with their checksums
- dukascopy: Dukascopy's hourly ticks, made into bars
- exchange: any exchange that ccxt knows
- yahoo: Yahoo Finance through yfinance
- extras: optional libraries, and what to install where one is missing
- storing: from files of a vendor to own data of the checkout
- sources: the sources by name
- run: fetching and storing, as one
"""
