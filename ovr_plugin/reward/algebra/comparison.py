"""Two texts of LaTeX in, a verdict out: `compare`; how each was read: `explain_pair`.

Variables are the same if their names are, ``R`` is not ``r``. A constant of integration or of a
differential equation (``C``, ``c_1``) may have another name in the answer, and the imaginary unit
of ``3 + 4j`` may be ``i``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import permutations

import mpmath

from ovr_plugin.reward.algebra import structure
from ovr_plugin.reward.algebra.closeness import DIGITS
from ovr_plugin.reward.algebra.expressions import value_at
from ovr_plugin.reward.algebra.items import (
    Group,
    Items,
    Name,
    Unreadable,
    names_in,
    renamed,
    spelled,
)
from ovr_plugin.reward.algebra.nodes import Node, Term, form
from ovr_plugin.reward.algebra.tokens import read_tokens
from ovr_plugin.reward.algebra.verdicts import Judge

CORRECT, WRONG, BAD_REFERENCE = "correct", "wrong", "bad_reference"
MAX_CHARS = 4000
MAX_CONSTANTS = 3
MAX_FORM_CHARS = 500
CACHED_TEXTS = 512  # many answers are asked for one reference

_WHOLE_NUMBERS = ("\\mathbb{Z}", Name("Z"))
_CONSTANT = re.compile(r"[Cc](?:_\w)?")
_NO_VARIABLE = re.compile(r"[A-DKa-dk](?:_\w)?")
_ANSWERS_CONSTANT = re.compile(r"[CcDKkAB](?:_\w)?|const(?:ant)?")


def compare(reference: str, answer: str, tolerance: list[float] | None = None) -> str:
    """Return ``correct``, ``wrong`` or ``bad_reference`` (the reference is no mathematics).

    Args:
        reference: LaTeX.
        answer: LaTeX.
        tolerance: relative and absolute distance that a number may have; None for none.
    """
    right, given = _tokens(reference), _tokens(answer)
    if right is None:
        return BAD_REFERENCE
    if spelled(right) == spelled(given or ()):
        return CORRECT
    node = _read(right)
    if node is None:
        return BAD_REFERENCE
    if given is None:
        return WRONG
    with mpmath.workdps(DIGITS):
        equal = _equal(
            right, node, given, Judge((tolerance[0], tolerance[1]) if tolerance else None)
        )
    return CORRECT if equal else WRONG


def _equal(right: Items, node: Node, given: Items, judge: Judge) -> bool:
    names, others = names_in(right), names_in(given)
    if _count_with_j(node, names, others):
        right, given = renamed(right, {"j": "i"}), renamed(given, {"j": "i"})
        node = _read(right) or node
    for names_of in ({}, *_counters(right, given), *_constants(names, others)):
        found = _read(renamed(given, names_of))
        if found is not None and judge.same(node, found):
            return True
    return False


def explain_pair(reference: str, answer: str) -> tuple[str, str]:
    """Return how both texts are read, or why they are not."""
    return explain(reference), explain(answer)


def explain(text: str) -> str:
    """Return how a text is read, its terms in sympy's notation, cut to `MAX_FORM_CHARS`."""
    try:
        read = form(structure.read(_read_tokens(text)))
    except Unreadable as error:
        read = f"not read: {error}"
    return read if len(read) <= MAX_FORM_CHARS else read[: MAX_FORM_CHARS - 3] + "..."


@lru_cache(CACHED_TEXTS)
def _tokens(text: str) -> Items | None:
    try:
        return _read_tokens(text)
    except Unreadable:
        return None


@lru_cache(CACHED_TEXTS)
def _read(items: Items) -> Node | None:
    try:
        return structure.read(items)
    except Unreadable:
        return None


def _read_tokens(text: str) -> Items:
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    return read_tokens(text)


def _count_with_j(node: Node, names: frozenset[str], given: frozenset[str]) -> bool:
    """Whether one side is a complex number in ``j`` and the other one in ``i``, or in ``j`` too.

    The reference has a real part: ``3j`` is rather a vector.
    """
    units = {"i", "j"}
    if len(names & units) != 1 or len(given & units) > 1 or "j" not in names | given:
        return False
    if not isinstance(node, Term) or not names <= units | {"e"}:
        return False
    real = value_at(node.expression, {"i": mpmath.mpf(0), "j": mpmath.mpf(0)})
    return real is not None and real != 0


def _counters(right: Items, given: Items) -> list[dict[str, str]]:
    r"""The answer's ``n \in \mathbb{Z}`` as the reference calls it."""
    ours, theirs = _counter(right), _counter(given)
    is_new = ours != theirs and ours not in names_in(given)
    return [{theirs: ours}] if ours and theirs and is_new else []


def _counter(items: Items) -> str:
    for item, sign, numbers in zip(items, items[1:], items[2:], strict=False):
        if isinstance(item, Name) and sign == "\\in" and numbers in _WHOLE_NUMBERS:
            return item.text
    last = items[-1] if items else None
    return _counter(last.items) if isinstance(last, Group) else ""


def _constants(names: frozenset[str], given: frozenset[str]) -> list[dict[str, str]]:
    """Ways to call constants of the answer as the reference does."""
    theirs, ours = sorted(given - names), sorted(names - given)
    common = names & given - {"e", "i"}
    if all(map(_NO_VARIABLE.fullmatch, common)):  # b + c is made of variables, and so is c alone
        return []
    if not 0 < len(ours) == len(theirs) <= MAX_CONSTANTS:
        return []
    if not all(map(_CONSTANT.fullmatch, ours)) or not all(map(_ANSWERS_CONSTANT.fullmatch, theirs)):
        return []
    return [dict(zip(order, ours, strict=True)) for order in permutations(theirs)]
