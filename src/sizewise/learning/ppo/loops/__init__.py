"""Small networks on a CPU by compiled loops.

- fused: the update, in place of update.update
- kernels: the loops themselves
"""
