"""Memory that nothing uses any more, back to the system."""

import ctypes
import gc


def give_back() -> None:
    """Return what the C library keeps of freed arrays, hundreds of megabytes after a walk; where it can be asked to."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
