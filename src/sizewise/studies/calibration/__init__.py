"""Calibration of the tests.

- accounts: many accounts walked at once as the main job walks one
- arms: arms of which neither is better
- grounds: where they trade
- nulls: made-up markets in which no size can know anything
- power: how often what was planted is found
- rejections: which replications each test rejects
- report: tables, figures and sentences of notebook 07
- study: how often true nulls are rejected
"""
