"""What decides. Knows no learner and no broker.

- ab_plan: the original plan's coin-tossed A/B test
- comparison: the compare stage: test, sensitivities, record
- history: every verdict so far, and what changed
- inference: the protocol that decides
- pairing: what two ledgers must share
- seed_draws: what other draws of the seeds would have decided
- sensitivities: what stands beside the verdict
- slice_effects: the primary test on slices
- statistics: the tests themselves
- verdict: the verdict's file and sentences
"""
