"""One file a notebook, and the pages.

- account: notebook 05: one account's path
- compare: notebook 04
- families: which arms a figure draws together
- features: notebook 01
- figures: figures that several reports draw
- headlines: the few figures and curves that DVC shows
- learner: what PPO learned, for notebook 02
- page: what every report shares: opening, running, style
- risk: what matching risk does to every arm
- site: the index page
- stages: the pipelines, as a table that fits a screen
- tables: the tables in notebook 02
- trades: the explorer of trades, a page that reads files beside it
- train: notebook 02
- train_direct: notebook 02, on what is trained by gradient through the account
- verify: whether a run says what the committed one says
- walk_forward: notebook 03
"""
