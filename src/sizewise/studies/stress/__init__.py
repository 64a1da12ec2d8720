"""Stress and attribution.

- attribution: exposure, timing, direction, costs
- days: what arms trade, and break-even costs
- report: tables, figures and sentences of notebook 09
- study: what was walked under each scenario, as tables
- walks: arms under a scenario
- world: scenarios: what each changes of the market
"""
