"""What everything takes, and beside whom.

- report: tables, figures and sentences of notebook 19
"""
