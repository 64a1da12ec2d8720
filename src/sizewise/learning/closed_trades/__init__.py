"""Learning from closed trades (reference design E).

- learner: the ensemble and its votes
- lessons: what a fold's closed trades teach
- memory: open decisions and replay
- models: the networks
- own: a learner of anybody's own closed trades
- policy: what was learned, as inputs to a size and on disk
- rewards: what a closed trade is worth, by reward and size
- sizer: the policies as a sizer
- training: train a fold, all seeds together
"""
