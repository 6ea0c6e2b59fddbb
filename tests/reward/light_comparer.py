"""A comparison for the pool's tests: it starts at once and misbehaves on demand.

The answer says how; any other answer is compared as text.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def load() -> Callable[..., str]:
    return compare


def exit() -> Callable[..., str]:
    os._exit(4)


def compare(reference: str, answer: str, tolerance: object = None) -> str:
    verb, _, path = answer.rpartition(" ")
    if answer == "hang":  # in C, holding the interpreter's lock, deaf to any signal handler
        _ = 10 ** (10**10 // len(answer))
    elif answer == "die" or (verb == "die unless" and not Path(path).exists()):
        if path != "die":
            Path(path).touch()
        os._exit(3)
    elif answer == "eat":
        _ = bytearray(2**40)
    elif answer == "recurse":
        compare_again(reference)
    elif answer == "raise":
        raise ValueError("of the comparison")
    elif answer == "print":
        print("noise")
    elif verb.startswith("log"):
        with open(path, "a") as log:
            log.write(verb.split()[-1] + "\n")
        if verb.endswith("raise"):
            raise ValueError("of the comparison")
    return "correct" if reference == answer else "wrong"


def compare_again(text: str) -> str:
    return compare_again(text)
