"""One run at a time in a folder: two that write the same files would mix their rows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock, which goes with the process however that ends.

    Raises:
        BlockingIOError: another process holds it, or has just removed the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        if not os.fstat(lock.fileno()).st_nlink:
            raise BlockingIOError
        yield
