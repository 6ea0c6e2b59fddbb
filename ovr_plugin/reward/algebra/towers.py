"""Numbers that are too large to be computed, compared by their logarithms."""

from __future__ import annotations

from typing import Any

import mpmath
import sympy
from mpmath import mpf

from ovr_plugin.reward.algebra.closeness import DIGITS, agree
from ovr_plugin.reward.algebra.failures import TooLarge, Undefined, Unknown
from ovr_plugin.reward.algebra.values import Evaluator, Value

MAX_LOGARITHMS = 3


def same_logarithms(reference: Any, answer: Any) -> bool:
    """Tell whether two numbers are equal of which one at least is `TooLarge`."""
    for _ in range(MAX_LOGARITHMS):
        right, given = _value(reference), _value(answer)
        if right is not None and given is not None:
            return agree(right, given)
        if right is not None or given is not None:
            return False
        try:
            reference, answer = _logarithm(reference), _logarithm(answer)
        except Unknown:
            break
    return bool(reference == answer)


def _value(e: Any) -> Value | None:
    """The value, None if it is too large, not a number if it has none."""
    try:
        value = Evaluator({}, DIGITS)(e)
    except TooLarge:
        return None
    except (Undefined, Unknown):
        return mpf("nan")
    if isinstance(value, mpmath.matrix):
        return value
    return mpf("nan") if mpmath.isinf(value) else value


def _logarithm(e: Any) -> Any:
    """An expression of the logarithm; the parts are as they are, nothing is evaluated."""
    if isinstance(e, sympy.Pow):
        return sympy.Mul(e.args[1], _logarithm(e.args[0]), evaluate=False)
    if isinstance(e, sympy.exp):
        return e.args[0]
    if isinstance(e, sympy.Mul):
        return sympy.Add(*map(_logarithm, e.args), evaluate=False)
    if isinstance(e, sympy.factorial):  # Stirling's leading terms, of numbers beyond 10^15
        n = e.args[0]
        return sympy.Mul(n, sympy.Add(_logarithm(n), -1, evaluate=False), evaluate=False)
    if isinstance(e, sympy.Rational) and e.p > 0:
        return sympy.log(e, evaluate=False)
    raise Unknown(type(e).__name__)
