"""The command line, a file of commands a reader's purpose. Bad input is one line on stderr, status 2.

- app: the application that commands register with
- given: what several commands are given: numbers, a profile
- market: commands about bars: check
- importing: commands that make bars of one's own: import
- downloading: commands that fetch bars: download
- account: commands about an account that trades: decide
- results: commands about what a run found: report, trials, verdicts, unseal, verify
- studying: one command from files of bars to a verdict: study
- judging: commands about curves from elsewhere: judge
- timing: commands about speed: bench, profile, gpu-check
- entry: the entry point, and how refusals are said
"""
