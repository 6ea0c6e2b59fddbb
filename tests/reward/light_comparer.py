"""A comparison for the pool's tests: it starts at once and misbehaves on demand.

The answer says how, see `MISDEEDS`; any other answer is compared as text. Workers can open nothing,
so that what they did shows in folders that they make.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 2**20


def load() -> Callable[..., str]:
    return compare


def load_for_ever() -> Callable[..., str]:
    time.sleep(600)
    return compare


_warmth: list[float] = []


def load_and_warm_up() -> Callable[..., str]:
    globals()["warm_up"] = get_warm
    return compare


def get_warm() -> Iterator[None]:
    for _ in range(20):
        time.sleep(0.02)
        _warmth.append(time.monotonic())
        yield


def exit() -> Callable[..., str]:
    os._exit(4)


def compare(reference: str, answer: str, tolerance: list[float] | None) -> str:
    verb, _, argument = answer.partition(" ")
    if verb in MISDEEDS:
        MISDEEDS[verb](argument)
    if verb == "warmth":
        return "correct" if len(_warmth) == 20 else "wrong"
    if verb == "within" and tolerance:
        return "correct" if abs(float(reference) - float(argument)) <= tolerance[1] else "wrong"
    return "correct" if reference == answer else "wrong"


def explain_pair(reference: str, answer: str) -> tuple[str, str]:
    compare(reference, answer, None)
    return f"<{reference}>", f"<{answer}>"


def hang(_: str) -> None:
    """In C, holding the interpreter's lock, deaf to any signal handler."""
    _ = str(10 ** (10**10 // len(_ or "hang")))


def compute(seconds: str) -> None:
    end = time.process_time() + float(seconds)
    while time.process_time() < end:
        pass


def die_once(mark: str) -> None:
    if not Path(mark).exists():
        Path(mark).mkdir()
        os._exit(3)


def eat(_: str) -> None:
    raise MemoryError(len(bytearray(2**40)))


_hoard: list[bytearray] = []


def hoard(megabytes: str) -> None:
    """Keep what later answers may need."""
    _hoard.append(bytearray(int(megabytes) * CHUNK))


def recurse(text: str) -> None:
    recurse(text)


def fail(_: str) -> None:
    raise ValueError("of the comparison")


def log(folder: str) -> None:
    Path(folder, f"{time.monotonic_ns()}").mkdir()


def log_and_fail(folder: str) -> None:
    log(folder)
    fail("")


def babble(text: str) -> None:
    """Write to whatever is open."""
    for fd in range(3, 20):
        try:
            os.write(fd, text.encode() + b"\n")
        except OSError:
            continue


def kill_parent(_: str) -> None:
    os.kill(os.getppid(), 9)
    time.sleep(600)


MISDEEDS: dict[str, Callable[[str], object]] = {
    "hang": hang,
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "compute": compute,
    "die": lambda _: os._exit(3),
    "die_once": die_once,
    "eat": eat,
    "hoard": hoard,
    "recurse": recurse,
    "fail": fail,
    "print": lambda _: print("noise"),
    "log": log,
    "log_and_fail": log_and_fail,
    "babble": babble,
    "kill_parent": kill_parent,
    "read": lambda path: Path(path).read_text(),
    "write": lambda path: Path(path).write_text("here"),
    "connect": lambda _: socket.socket(),
    "spawn": lambda path: subprocess.run(["touch", path], check=True),
    "import": __import__,
}
