"""params.yaml: one file a section, what reads them, and what a stage is given.

- arm: what every arm is asked
- arms: the section `arms`: learned arms and their schemes, and what a page may know of an arm
- dataset: the sections of bars, signals, folds and observation
- dates: the dates that `splits: auto` came to, kept and read
- evidence: the sections of the plan and of the slices
- fields: the kinds of value that recur
- learning: the sections of the learners
- own_class: classes of one's own, found and loaded
- reading: read, overlay and validate the file
- rule_arms: arms that nothing trains: rules, fitted rules and yardsticks
- stage: the sections that a stage declares, and where it writes
- studies: the sections of the studies
- trading: the sections of the account and the market
"""
