"""What decides. Knows no learner and no broker.

- ab_plan: the original plan's coin-tossed A/B test
- claims: the promises of reference design C as hypotheses
- comparison: the compare stage: test, sensitivities, record
- gates: what must hold before a verdict counts
- history: every verdict so far, and what changed
- inference: the protocol that decides
- joint_rule: two tests that must agree
- judging: curves and trade lists from elsewhere under the rule that decides
- pairing: what two ledgers must share
- questions: those that a plan declares together, and Holm over them
- seed_draws: what other draws of the seeds would have decided
- sensitivities: what stands beside the verdict
- slice_conduct: how arms behave on slices, and as one begins
- slice_effects: the joint rule on slices
- statistics: the tests themselves
- verdict: the verdict's file and sentences
"""
