"""Selection and overfitting.

- cpcv_folds: combinatorial purged folds, dealt to paths
- cpcv_report: their paths in notebook 08
- cpcv_run: the candidate on them
- report: tables, figures and sentences of notebook 08
- study: the study itself, and its record
"""
