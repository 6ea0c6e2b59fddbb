"""A worker process: pairs of reference and answer on stdin, verdicts of algebra on stdout.

`main` is the child's side of `ovr_plugin.reward.pool`: one JSON object a line each way. The answers
are hostile, and the process is built to be lost: its memory is limited, a timer that no code here
can catch ends it if its parent does not, and it dies with its parent. It holds no secrets and
imports no trainer. It evaluates no text as code (`_shut_text_evaluation`).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

Compare = Callable[[str, str, "list[float] | None"], str]

TIMER_SLACK_S = 2.0
# Numbers that differ by more than this part of themselves are different. math-verify rounds to six
# decimals, so that 2^-98 and 2^-99 are equal to it.
RELATIVE_TOLERANCE = 1e-5
# What sympy's parser makes of one number or name.
_ATOM = re.compile(r"(?:Integer|Float) ?\( ?'?[0-9.eE+-]+'? ?\) ?|Symbol ?\( ?'\w+' ?\) ?")
_WARM_UP = (
    ("x^2+2x+1", "(x+1)^2"),
    (r"\sin^2 x+\cos^2 x", "1"),
    ("2x+4y=3", r"y=\frac{3}{4}-0.5x"),
    ("-7<a<1", "(-7,1)"),
)


def main(parent_pid: int, memory_mb: int, comparer: str) -> None:
    """Answer requests until stdin ends; ``comparer`` names a loader, ``module:function``."""
    replies = _take_over_stdout()
    _die_with(parent_pid)
    _limit_memory(memory_mb)
    try:
        module, _, load = comparer.partition(":")
        compare = getattr(importlib.import_module(module), load)()
    except Exception as error:
        _send(replies, {"fatal": f"{type(error).__name__}: {error}"})
        return
    _send(replies, {"ready": True})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["timeout_s"] + TIMER_SLACK_S)
        reply = _reply(compare, request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(replies, {"id": request["id"], **reply})


def load_algebra() -> Compare:
    """Import math-verify, warm it up and return ``compare(reference, answer) -> verdict``.

    The verdicts: ``correct``, ``wrong``, ``bad_reference`` (the reference is no mathematics).
    """
    import logging

    from math_verify import LatexExtractionConfig, parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    targets = [LatexExtractionConfig()]

    def read(text: str) -> list[Any]:
        # The timeouts are off: they are signals, and this process is killed instead.
        found = parse(rf"\boxed{{{text}}}", targets, parsing_timeout=None)
        return [value for value in found if not isinstance(value, str)]

    def compare(reference: str, answer: str, tolerance: list[float] | None = None) -> str:
        gold = read(reference)
        if not gold:
            return "bad_reference"
        # math-verify does not know escaped braces: it would end the box at the first of these.
        given = [] if _closes_early(answer) else read(answer)
        equal = verify(gold, given, timeout_seconds=None)
        return "correct" if equal and _not_far_apart(gold[0], given[0]) else "wrong"

    # sympy imports some modules only when it needs them, and some of those parse text.
    import sympy.physics.units  # noqa: F401

    for reference, answer in _WARM_UP:
        compare(reference, answer, None)
    _shut_text_evaluation()
    return compare


def _reply(compare: Compare, request: dict[str, Any]) -> dict[str, str]:
    try:
        outcome = compare(request["reference"], request["answer"], request["tolerance"])
        return {"outcome": outcome, "reason": "algebra"}
    except Exception as error:  # a process boundary: what it raised is the verdict
        return {"outcome": "error", "reason": f"{type(error).__name__}: {error}"[:200]}


def _closes_early(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return True
    return False


def _not_far_apart(gold: Any, given: Any) -> bool:
    if not (getattr(gold, "is_number", False) and getattr(given, "is_number", False)):
        return True
    a, b = gold.evalf(20), given.evalf(20)
    if not (a.is_finite and b.is_finite):
        return True
    return bool(abs(a - b) <= RELATIVE_TOLERANCE * max(abs(a), abs(b)))


def _shut_text_evaluation() -> None:
    """Leave sympy no way from text to code but that for one number or symbol.

    math-verify reads LaTeX with a grammar, yet ``sympy.Number("12")`` underneath is an `eval`. All
    ways from text to an expression (parse_expr, sympify, S) end in that one `eval`; the other
    source of code is lambdify, which numeric sums use. A name in a module hides the builtin.
    """
    import builtins

    def refuse(*_args: object) -> None:
        raise PermissionError("the reward evaluates no text as code")

    def atom_only(code: str, *scopes: Any) -> Any:
        return builtins.eval(code, *scopes) if _ATOM.fullmatch(code) else refuse()  # noqa: S307

    parser: Any = importlib.import_module("sympy.parsing.sympy_parser")
    lambdify: Any = importlib.import_module("sympy.utilities.lambdify")
    parser.eval = atom_only
    lambdify.eval = lambdify.exec = refuse


def _take_over_stdout() -> IO[bytes]:
    """Keep stdout for replies: whatever a library prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return replies


def _send(replies: IO[bytes], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")


def _die_with(parent_pid: int) -> None:
    """Ask Linux for a kill when the parent's thread dies; elsewhere the end of stdin must do."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the kernel was asked
        os._exit(0)


def _limit_memory(memory_mb: int) -> None:
    import resource

    limit = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
