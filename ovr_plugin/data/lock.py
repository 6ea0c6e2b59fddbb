"""One run at a time in a folder, or at a file: two that write the same would mix their rows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock, which goes with the process however that ends.

    Raises:
        BlockingIOError: another process holds it, or has just removed the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / "lock"):
        yield


@contextmanager
def alone_at(file: Path) -> Iterator[None]:
    """Hold the lock of a file, which stands beside it as long as it is held.

    Raises:
        BlockingIOError: another process holds it; the message says so.
    """
    path = file.with_name(f"{file.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(_held(path))
        except BlockingIOError:
            raise BlockingIOError(
                f"{file}: another run is writing it; wait for its end, or give another file"
            ) from None
        held.callback(path.unlink, missing_ok=True)
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        if not os.fstat(lock.fileno()).st_nlink:
            raise BlockingIOError
        yield
