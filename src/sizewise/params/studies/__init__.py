"""Sections of the studies, a file a study.

- ablations: the candidate with one thing changed
- budget: more samples, other networks
- calibration: nulls and planted edges
- cpcv: train on both sides of test
- laboratory: planted markets
- overfitting: what selection is worth
- stability: another arithmetic, other seeds
- stress: worse conditions
"""
