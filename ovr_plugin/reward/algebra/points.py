"""Where expressions are evaluated: values for their variables, always the same ones.

Values are fractions of many binary digits, so that they are exact at any precision and solve no
formula that somebody writes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy
from mpmath import mpf

# Letters that are whole numbers if the answer counts with them; of others only the reference tells.
COUNTERS = frozenset("n m k N M K".split())
_WHOLE = (2, 3, 5, 4, 7, 1, 6, 11, 8, 17, 9, 26)
_STEP = 5  # between the whole numbers of two variables
_RANGES = ((1.1, 4.0), (0.1, 0.9), (4.0, 30.0), (0.5, 2.0))
_BITS = 100


def point(names: Iterable[str], whole: frozenset[str], i: int) -> dict[str, Any]:
    """Return positive values for ``names``, other ones for each ``i``; whole ones for ``whole``."""
    return {
        name: mpf(_WHOLE[(i + _STEP * j) % len(_WHOLE)]) if name in whole else _random_value(i, j)
        for j, name in enumerate(names)
    }


@lru_cache(maxsize=4096)
def _random_value(i: int, j: int) -> Any:
    low, high = _RANGES[i % len(_RANGES)]
    fraction = mpf(random.Random(1000 * i + j).getrandbits(_BITS)) / 2**_BITS  # noqa: S311
    return low + (high - low) * fraction


def counted(e: Any) -> frozenset[str]:
    """Names that ``e`` counts with: they can only be whole numbers."""
    found: set[str] = set()
    for node in sympy.preorder_traversal(e):
        if isinstance(node, (sympy.factorial, sympy.binomial, sympy.Mod)):
            found |= _names(node)
        elif isinstance(node, (sympy.Sum, sympy.Product)):
            found |= _names(node.args[1][1]) | _names(node.args[1][2])
        elif isinstance(node, (sympy.floor, sympy.ceiling)):
            found |= _names(node) & COUNTERS
        elif isinstance(node, sympy.Function) and node.func.__name__ in ("gcd", "lcm"):
            found |= _names(node)
        elif isinstance(node, sympy.Pow) and _is_negative(node.args[0]):
            found |= _names(node.args[1])
    return frozenset(found)


def _names(e: Any) -> set[str]:
    return {symbol.name for symbol in e.free_symbols}


def _is_negative(e: Any) -> bool:
    if isinstance(e, sympy.Mul):
        return sum(map(_is_negative, e.args)) % 2 == 1 and not e.free_symbols
    return isinstance(e, sympy.Rational) and e.p < 0
