"""One run at a time in a folder, or at a file: two that write the same would mix their rows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock, which goes with the process however that ends.

    Raises:
        BlockingIOError: another process holds it, or has just removed the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / "lock"):
        yield


@contextmanager
def alone_at(file: Path) -> Iterator[None]:
    """Hold the lock of a file, which stands beside it as long as it is held.

    Raises:
        BlockingIOError: another process holds it; the message says so.
    """
    path = file.with_name(f"{file.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(held(path))
        except BlockingIOError:
            raise BlockingIOError(
                f"{file}: another run is writing it; wait for its end, or give another file"
            ) from None
        stack.callback(path.unlink, missing_ok=True)
        yield


@contextmanager
def held(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder that is there, or of a file, which is made.

    Args:
        path: what is locked.
        waiting: called where another process holds it, which we then wait for.

    Raises:
        BlockingIOError: another process holds it, and we are not to wait; or it was just removed.
    """
    # NFS locks no file that is not open for writing.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, waiting)
        if not os.fstat(descriptor).st_nlink:
            raise BlockingIOError
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, waiting: Callable[[], None] | None) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is None:
            raise
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass
