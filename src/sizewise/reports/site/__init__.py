"""The pages that are no notebook: HTML from templates, which lie beside what fills them.

- answer: the answer as a person reads it, in plain words and dollars
- box: what stands beside the verdict
- judged_figures: the figures of a judgement, in two lights
- judgement: the page of a judgement on curves from elsewhere
- index: the index page, from metrics and plots, and the page of words
- manual: README and docs/ as pages
- api: the page of the public names, from their docstrings
- pipeline: a picture of the pipeline, from dvc.yaml
- readme: what the README says of the results
- search: what the search of the site looks through
"""
