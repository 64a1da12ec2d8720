"""Sections of the studies, a file a study.

- ablations: the candidate with one thing changed
- assay: a planted edge of sizing
- budget: more samples, other networks
- calibration: nulls and planted edges
- cpcv: train on both sides of test
- families: the signal in other families
- laboratory: planted markets
- outside: what others found
- overfitting: what selection is worth
- schemes: PPO under the reference designs' other schemes
- small_account: reference design A's account
- stability: another arithmetic, other seeds
- stress: worse conditions
- tables: tables and learners of closed trades with one thing changed
"""
