"""Sections of the studies, a file a study.

- ablations: the candidate with one thing changed
- calibration: nulls and planted edges
- cpcv: train on both sides of test
- families: the signal in other families
- laboratory: planted markets
- overfitting: what selection is worth
- stability: another arithmetic, other seeds
- stress: worse conditions
"""
