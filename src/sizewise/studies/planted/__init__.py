"""Planted markets.

- answers: the best sizing and its worth
- laws: what the next bar returns in each state
- markets: the markets of the laboratory
- rebate_market: a market of resting orders
"""
