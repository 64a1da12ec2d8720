"""The reference designs' other action schemes, through the evidence of the main job.

- files: the arms of the study, and where their policies and ledgers lie
- report: notebook 12, every scheme against the reference
- run: train and walk one scheme
"""
