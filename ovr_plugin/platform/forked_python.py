"""A Python interpreter that is forked from a warm one: this file is what stands in its place.

In: the command line of a worker, as Ray or multiprocessing would give it to ``python``; the socket
of a fork server (``fork_server.py``) before it. Out: the same process as ``python`` would have
been, as far as its parent sees: standard streams and inherited files, folder, environment, exit
status, and signals both ways. Where the server does not answer, the real interpreter takes over.

Run as a script with ``-S``, so the standard library only: this process is all that is not shared.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
import sys

LENGTH = struct.Struct("!I")
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def open_files() -> list[int]:
    """Return the numbers of this process's inherited files."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    found = []
    for number in numbers:
        try:
            if os.get_inheritable(number):
                found.append(number)
        except OSError:  # the folder that was just listed
            continue
    return sorted(found)


def request(arguments: list[str], files: list[int]) -> bytes:
    """Return the message that asks for a process like this one."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        folder = "/"
    wanted = {"argv": arguments, "env": dict(os.environ), "cwd": folder, "files": files}
    text = json.dumps(wanted).encode("utf-8", "surrogateescape")
    return LENGTH.pack(len(text)) + text


def ask(server: str, arguments: list[str]) -> tuple[socket.socket, int] | None:
    """Return the connection that lives as long as the forked process, and its number; or None."""
    files = open_files()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(server)
        message = request(arguments, files)
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        sent = connection.sendmsg([message], attached)
        connection.sendall(message[sent:])
        answer = connection.recv(LENGTH.size)
    except OSError:
        return None
    return (connection, *LENGTH.unpack(answer)) if len(answer) == LENGTH.size else None


def live_through(connection: socket.socket, process: int) -> int:
    """Pass signals on until the forked process ends; return how it ended, as waitpid says it."""

    def forward(number: int, frame: object) -> None:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass

    for number in FORWARDED:
        signal.signal(number, forward)
    answer = connection.recv(LENGTH.size)
    # A server that is gone can't say; its processes are ended by their own parents' absence.
    return LENGTH.unpack(answer)[0] if len(answer) == LENGTH.size else 1 << 8


def main() -> None:
    """Become ``python ARGUMENTS``: argv is the server's socket, the real interpreter, arguments."""
    server, python, *arguments = sys.argv[1:]
    found = ask(server, arguments)
    if found is None:
        os.execv(python, [python, *arguments])  # noqa: S606
    status = live_through(*found)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
