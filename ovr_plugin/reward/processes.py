"""Worker processes as the trainer sees them: started in milliseconds, asked by the line, killed.

Importing sympy takes about a second, so that it happens once: a `Zygote` imports everything and
does nothing but fork workers off itself. It is a plain `subprocess` child, as ``fork`` would copy a
trainer with its threads and ``spawn`` would import the caller's main module, and with it verl and
torch. A worker has a socket to the trainer, and the zygote alone knows process ids: it collects a
worker only when it is told to, so that no kill can hit a process that took over an id.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from typing import Any

# What a zygote is told: what to do, and with which worker. A fork's socket comes along.
ORDER = struct.Struct("!cQ")
FORK, KILL, REAP = b"f", b"k", b"r"

SEND_LIMIT_S = 1.0  # a process that does not read is stuck
END_LIMIT_S = 5.0
MAX_LINE = 2**20  # no reply is that long
_ZYGOTE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ovr_plugin.reward.zygote import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)


class ProcessLost(RuntimeError):
    """The process at the other end has ended, or sends what it should not."""


class Lines:
    """JSON objects over a socket, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(SEND_LIMIT_S)
        self._unread = b""

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    def send(self, messages: list[dict[str, Any]]) -> None:
        """Write messages.

        Raises:
            ProcessLost: if nobody reads them.
        """
        try:
            self.socket.sendall(b"".join(json.dumps(one).encode() + b"\n" for one in messages))
        except OSError as error:
            raise ProcessLost(f"a reward worker does not listen: {error}") from error

    def receive(self) -> list[dict[str, Any]]:
        """Read what is there, without waiting; the socket has to be readable.

        Raises:
            ProcessLost: if the other end is closed or sends no JSON.
        """
        try:
            chunk = self.socket.recv(2**16)
            lines = (self._unread + chunk).split(b"\n")
            self._unread = lines.pop()
            if chunk and len(self._unread) <= MAX_LINE:
                return [dict(json.loads(line)) for line in lines]
        except (OSError, TypeError, ValueError) as error:
            raise ProcessLost(f"a reward worker sent no reply: {error}") from error
        raise ProcessLost("a reward worker ended")

    def close(self) -> None:
        """Close it at both ends, also where a forked child of this process holds a copy."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Zygote:
    """The process that forks workers.

    Args:
        memory_mb: address space of one worker.
        comparer: ``module:function``, see `ovr_plugin.reward.worker`.

    Attributes:
        lines: what it says; `receive` reads it.
        since: when it was started, as `time.monotonic` counts.
        is_ready: whether it can fork.
        is_warm: whether its forks are as quick as they get.
    """

    def __init__(self, memory_mb: int, comparer: str) -> None:
        # One arithmetic and one order of terms on every machine, whatever is installed beside.
        env = {**os.environ, "SYMPY_GROUND_TYPES": "python", "PYTHONHASHSEED": "0"}
        args = [json.dumps(sys.path), str(os.getpid()), str(memory_mb), comparer]
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed code
                [sys.executable, "-c", _ZYGOTE, *args], stdin=theirs.fileno(), env=env
            )
        self.lines = Lines(ours)
        self.since = time.monotonic()
        self.is_ready = self.is_warm = False
        self._fatal = ""

    def receive(self) -> list[tuple[int, int | None]]:
        """Read what it says; returns id and exit code of each worker asked for by `reap`.

        Raises:
            ProcessLost: if it has ended.
        """
        ended = []
        for message in self.lines.receive():
            self.is_ready |= bool(message.get("ready"))
            self.is_warm |= bool(message.get("warm"))
            self._fatal = str(message.get("fatal", ""))
            if "ended" in message:
                ended.append((int(message["ended"]), message["exit_code"]))
        return ended

    def fork(self, worker_id: int) -> Lines:
        """Start a worker and return the way to it; questions may follow at once."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._order(FORK, worker_id, [theirs.fileno()])
        return Lines(ours)

    def kill(self, worker_id: int) -> None:
        """Kill a worker."""
        self._order(KILL, worker_id)

    def reap(self, worker_id: int) -> None:
        """Kill a worker that has closed its socket, and ask for its exit code."""
        self._order(REAP, worker_id)

    def end(self) -> str:
        """End it with all its workers and return why it had ended, if it had."""
        self.lines.close()  # at which it kills and collects its workers
        if not self.is_ready:  # it has none yet
            self._process.kill()
        try:
            exit_code = self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            exit_code = self._process.wait()
        return self._fatal or f"a reward worker ended with exit code {exit_code}"

    def _order(self, kind: bytes, worker_id: int, fds: list[int] | None = None) -> None:
        with contextlib.suppress(OSError):  # one that has died is noticed where it is read
            socket.send_fds(self.lines.socket, [ORDER.pack(kind, worker_id)], fds or [])
