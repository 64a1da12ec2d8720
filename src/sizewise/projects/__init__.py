"""Projects of one's own: a folder that holds a study whole, and what a project will make of its bars.

- budget: how much is trained in so many minutes
- checking: what a project will use of its bars, what not, and why
- folder: the folder of a study, made whole or not at all
- library: which code of the library each stage of a study depends on
- own_code: a signal or a rule of the user's, copied so that params.yaml can name it
- pipeline: the stages of a study, run in order, and where they stopped
- series: files of bars as the symbols of a study
- study: one command from files to a verdict
"""
