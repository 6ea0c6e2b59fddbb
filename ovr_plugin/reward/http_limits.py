"""How much the server takes in at a time: `Limits`, and the `Room` that requests share.

Memory and waiting are both bounded: bytes, as they arrive, for the one, rows for the other. Who
finds no room gets 503 and the time to come back; that costs a trainer a second and never a reward.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MB = 2**20
RETRY_AFTER_S = 1


@dataclass(frozen=True)
class Limits:
    """How much is taken in.

    Attributes:
        body_mb: of one request, in MiB.
        rows: of one request.
        pending_mb: of all requests that are being read or graded, in MiB.
        pending_rows: of them.
        request_s: from the first byte to the reply. OpenRLHF gives up after 180 s.
    """

    body_mb: float = 64
    rows: int = 8192
    pending_mb: float = 512
    pending_rows: int = 65536
    request_s: float = 170

    def __post_init__(self) -> None:
        """Check every limit.

        Raises:
            ValueError: naming everything that is wrong.
        """
        wrong = [
            f"{name} must be positive, not {value}"
            for name, value in vars(self).items()
            if not (value > 0 and math.isfinite(value))
        ]
        for one, pending in (("body_mb", "pending_mb"), ("rows", "pending_rows")):
            if getattr(self, one) > getattr(self, pending):
                wrong.append(f"{one} must not be more than {pending}, or no request would fit")
        if wrong:
            raise ValueError("; ".join(wrong))


class Refused(Exception):
    """A request that is not answered with grades: its status and why."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.content = {"error": message, **more}


class Room:
    """Counts the bytes and rows that are being read or graded; used by one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.n_requests = 0
        self.n_bytes = 0
        self.n_rows = 0

    @contextlib.contextmanager
    def enter(self) -> Iterator[Ticket]:
        """Count a request until it is answered."""
        ticket = Ticket(self)
        self.n_requests += 1
        try:
            yield ticket
        finally:
            self.n_requests -= 1
            self.n_bytes -= ticket.n_bytes
            self.n_rows -= ticket.n_rows

    def has(self, n_bytes: int, n_rows: int) -> bool:
        """Whether so much more may come in."""
        limits = self._limits
        return (
            self.n_bytes + n_bytes <= limits.pending_mb * MB
            and self.n_rows + n_rows <= limits.pending_rows
        )


class Ticket:
    """What one request takes of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.n_bytes = 0
        self.n_rows = 0

    def take(self, n_bytes: int = 0, n_rows: int = 0) -> None:
        """Take more room.

        Raises:
            Refused: with 503, if there is none.
        """
        if not self._room.has(n_bytes, n_rows):
            raise Refused(503, f"too much is waiting to be graded; try again in {RETRY_AFTER_S} s")
        self._room.n_bytes += n_bytes
        self._room.n_rows += n_rows
        self.n_bytes += n_bytes
        self.n_rows += n_rows
