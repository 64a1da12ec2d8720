"""Selection and overfitting.

- cpcv_folds: combinatorial purged folds, dealt to paths
- cpcv_paths: their paths, and the test on each
- cpcv_run: the candidate on them
- report: tables, figures and sentences of notebook 08
- study: the study itself, and its record
"""
