"""Memory that nothing uses any more, back to the system."""

import ctypes
import gc
import sys


def give_back() -> None:
    """Return what the C library keeps of freed arrays, hundreds of megabytes after a walk; where it can be asked to."""
    gc.collect()
    # Other systems' C libraries have no such call, and Windows has none to ask.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)
