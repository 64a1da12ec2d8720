"""Action schemes: what an action means as orders.

- catalogue: every scheme of params.yaml by its kind
- compiled_sizing: the orders of those that choose a size, by a compiled loop
- interface: what a scheme is; one of your own starts here
- orders: schemes that choose orders
- sizing: schemes that choose a size
- values: actions as orders in value, for the learners
"""
