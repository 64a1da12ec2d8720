"""Which instructions the number libraries use. They read the environment once, while they load, so this runs first."""

import os
import platform

# OpenBLAS chooses its kernels by the processor's model, and they round differently: the confidence of a few hundred bars
# moves by one unit in the last place, and training makes another policy of it.
PINNED = {"OPENBLAS_CORETYPE": "Haswell"}


def pin() -> None:
    """Ask OpenBLAS, in this process and in those it starts, for the kernels of one x86-64 processor."""
    if platform.machine().lower() in {"x86_64", "amd64"}:
        os.environ.update(PINNED)
