"""Calibration of the tests.

- nulls: markets and arms in which no size can know anything
- rejections: which replications each test rejects
- report: tables, figures and sentences of notebook 07
- study: the study itself, and its record
"""
