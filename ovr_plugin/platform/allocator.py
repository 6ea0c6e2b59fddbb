"""Memory that a training process frees is kept for its next allocation, on the CPU platform.

glibc hands every large block straight back to the kernel, and asks for it, zeroed page by page,
for the next tensor: a quarter of the time of a step of a tiny model. A GPU's allocator caches for
the same reason. What it costs: the process keeps its peak.
"""

from __future__ import annotations

import ctypes

# malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEPT_BYTES = 2**31 - 1  # of free memory at the heap's end; the largest that mallopt takes
GROWTH_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tune this process's allocator; return whether there was one to tune (glibc's)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: KEPT_BYTES, M_TOP_PAD: GROWTH_BYTES}
    return all(mallopt(option, value) for option, value in wanted.items())
