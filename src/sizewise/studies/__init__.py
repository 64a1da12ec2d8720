"""The studies behind the main job: a wing each.

- ablations: the candidate with one thing changed
- assay: would an edge of sizing be found
- budget: whether more samples, or another network, change what the candidate comes to
- calibration: do the tests hold their level and see what they should
- configured: the market of params.yaml, and its reward step by step
- families: the signal in other families, beside the null
- headlines: the one figure of each study that DVC shows
- known_answers: do the learners find a known optimum
- mechanics: what an order does to an account
- outside: what others found, asked of the parts of this project
- overfitting: what the best of many is worth
- planted: markets whose law is known
- schemes: PPO under the reference designs' other actions
- small_account: design A's $1,000 account, and accounts of other sizes
- speed: what everything takes, and beside whom
- standing: which ledgers of a study need not be made again
- stability: what other seeds and another arithmetic would have decided
- stress: worse conditions, and where the difference comes from
- tables: variants of the tables and of the learners of closed trades
"""
