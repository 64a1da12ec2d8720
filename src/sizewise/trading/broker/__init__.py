"""The broker: the only place where cash moves.

- book: what an account holds: cash, lots, margin, day trades, working orders
- broker: the batched broker
- compiled_bar: one bar of accounts of one instrument, by compiled loops
- compiled_plain: accounts of plain cash, a block at a time in vectors
- compiled_records: what those loops read and change
- compiled_step: the step of such accounts on a CPU
- compiled_stretch: such accounts, with plain cash, from one decision to the next
- dealing: the book in the hands of one step: trades and fills
- holding: accounts that hold through many bars, by a compiled loop
- orders: what a scheme asks and what the broker answers
- reference_broker: the specification in plain Python
- reference_orders: its orders and fills as plain records
- refusals: orders checked whole
- step: one step under way, in the order of its rules
"""
