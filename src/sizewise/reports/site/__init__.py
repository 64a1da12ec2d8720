"""The pages that are no notebook: HTML from templates, which lie beside what fills them.

- box: what stands beside the verdict
- index: the index page, from metrics and plots
"""
