"""Return memory that a process no longer uses to the system."""

import ctypes


def free_memory() -> None:
    """Return the memory of versions that no longer serve; glibc keeps it otherwise (7 % after 50
    promotions).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
