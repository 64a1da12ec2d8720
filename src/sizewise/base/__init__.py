"""What everything stands on.

- arithmetic: which instructions the number libraries use
- card: how a result shows itself in a notebook
- compiled: loops over float32 rows, compiled, whose bytes depend on no processor
- errors: typed errors, and how a command ends on one
- hashing: contents and sources as short hashes
- imports: what a file of the package imports of it
- lean: what is left out when nbformat is read
- paths: where things lie, and writing them whole or not at all
- pool: work in processes side by side, one thread each
- seeding: random generators from what they are for
- tensors: choices as arithmetic, rounding to a lot or a tick
- words: numbers with what they count
- yamls: YAML, safely and fast
"""
