"""Values of what counts or sums: whole parts, factorials, sums, integrals, matrices, functions.

Each function here has an `Evaluator` and a part of its expression, and returns the part's value. A
function that nobody defined has some fixed value for each argument, so that ``f(2x)`` equals
``f(x+x)`` and nothing else; so has a limit or an infinite series for its terms.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mpmath
import sympy
from mpmath import mpc, mpf

from ovr_plugin.reward.algebra.failures import TooLarge, Undefined, Unknown

if TYPE_CHECKING:
    from ovr_plugin.reward.algebra.values import Evaluator, Value

GUARD_DIGITS = 10  # that rounding may have taken
MAX_FACTORIAL = 10**15
MAX_TERMS = 2000  # of a sum or product
MAX_ENTRIES = 64  # of a matrix
MAX_GCD = 10**30
MAX_QUAD_DEGREE = 7
ROUGH = 0.01
HASH_DIGITS = 25  # of an argument, where its function is not known
_TERMS = (0, 1, 2, 3, 7, 12)  # those of a series that are compared
_PLACES = ("0.3211", "1.7233")  # where the inside of a limit is
_SOMEWHERE = "0.7310585"


def _floor(evaluator: Evaluator, e: Any) -> Value:
    return _whole(evaluator, evaluator.value(e.args[0]), mpmath.floor)


def _ceiling(evaluator: Evaluator, e: Any) -> Value:
    return _whole(evaluator, evaluator.value(e.args[0]), mpmath.ceil)


def _whole(evaluator: Evaluator, value: Value, rounded: Callable[[Value], Value]) -> Value:
    if isinstance(value, mpc):
        raise Undefined("a complex number has no whole part")
    n_bits = mpmath.mp.prec - 3.4 * GUARD_DIGITS
    if not mpmath.isfinite(value) or mpmath.mag(value) > n_bits:
        raise TooLarge("a whole part")
    near = mpmath.nint(value)
    is_near = abs(value - near) < mpf(10) ** (GUARD_DIGITS - evaluator.digits)
    return near if is_near else rounded(value)


def _mod(evaluator: Evaluator, e: Any) -> Value:
    value, modulus = (evaluator.value(arg) for arg in e.args)
    return value - modulus * _whole(evaluator, value / modulus, mpmath.floor)


def _factorial(evaluator: Evaluator, e: Any) -> Value:
    value = evaluator.value(e.args[0])
    if abs(value) > MAX_FACTORIAL:
        raise TooLarge("a factorial")
    return mpmath.factorial(value)


def _binomial(evaluator: Evaluator, e: Any) -> Value:
    above, below = (evaluator.value(arg) for arg in e.args)
    if max(abs(above), abs(below)) > MAX_FACTORIAL:
        raise TooLarge("a binomial coefficient")
    return mpmath.binomial(above, below)


def _sum(evaluator: Evaluator, e: Any) -> Value:
    body, (index, first, last) = e.args[0], e.args[1]
    start, end = evaluator.value(first), evaluator.value(last)
    is_sum = isinstance(e, sympy.Sum)
    if not mpmath.isint(start):
        raise Undefined("a sum with limits that are not whole")
    if mpmath.isinf(end):
        terms = [evaluator.at(index, start + i, body) for i in _TERMS]
        evaluator.is_opaque = True
        return _some_value("sum" if is_sum else "product", terms)
    if not mpmath.isint(end):
        raise Undefined("a sum with limits that are not whole")
    if end - start > MAX_TERMS:
        raise TooLarge("a sum of many terms")
    total: Value = mpf(0) if is_sum else mpf(1)
    for i in range(int(start), int(end) + 1):
        term = evaluator.at(index, mpf(i), body)
        total = total + term if is_sum else total * term
    return total


def _limit(evaluator: Evaluator, e: Any) -> Value:
    body, index, place = e.args[:3]
    terms = [evaluator.at(index, mpf(x), body) for x in _PLACES]
    evaluator.is_opaque = True
    return _some_value("limit", [*terms, evaluator.value(place)])


def _integral(evaluator: Evaluator, e: Any) -> Value:
    body, limits = e.args[0], e.args[1]
    index = limits[0]
    if len(limits) == 1:
        here = evaluator.point.get(index.name, mpf(_SOMEWHERE))
        return _some_value("integral", [evaluator.at(index, here, body)])
    ends = [evaluator.value(limits[1]), evaluator.value(limits[2])]
    if any(isinstance(end, mpc) for end in ends):
        raise Unknown("an integral over complex numbers")
    try:
        value, error = mpmath.quad(
            lambda x: evaluator.at(index, x, body), ends, error=True, maxdegree=MAX_QUAD_DEGREE
        )
    except ArithmeticError as failure:
        raise Unknown(f"an integral over {failure}") from None
    allowed = mpf(ROUGH) if evaluator.is_rough else mpf(10) ** (-evaluator.digits // 2)
    if error > allowed * (1 + abs(value)):
        raise Unknown("an integral that does not converge fast")
    return value


def applied(evaluator: Evaluator, e: Any) -> Value:
    """Return the value of a function that is none of sympy's."""
    name = e.func.__name__
    if name == "matrix":
        return _matrix(evaluator, e)
    found = [evaluator.value(arg) for arg in e.args]
    if name == "det":
        if not isinstance(found[0], mpmath.matrix) or found[0].rows != found[0].cols:
            raise Undefined("a determinant of no matrix")
        return mpmath.det(found[0])
    if name == "Gamma":
        return mpmath.gamma(found[0])
    if name in ("max", "min"):
        return max(found) if name == "max" else min(found)
    if name in ("gcd", "lcm"):
        if not all(mpmath.isint(value) and abs(value) < MAX_GCD for value in found):
            raise Undefined(f"a {name} of numbers that are not whole")
        return mpf(getattr(math, name)(*map(int, found)))
    return _some_value(name, found)


def _matrix(evaluator: Evaluator, e: Any) -> Value:
    n_rows, n_columns = int(e.args[0]), int(e.args[1])
    if n_rows * n_columns > MAX_ENTRIES:
        raise TooLarge("a matrix")
    entries = [evaluator.value(arg) for arg in e.args[2:]]
    return mpmath.matrix([entries[i * n_columns : (i + 1) * n_columns] for i in range(n_rows)])


def _some_value(name: str, found: list[Value]) -> Value:
    """A number between 1 and 2 that depends on nothing but these."""
    text = "|".join([name, *map(_rounded, found)])
    digest = hashlib.sha256(text.encode()).digest()
    return 1 + mpf(int.from_bytes(digest, "big")) / 2**256


def _rounded(value: Value) -> str:
    if isinstance(value, mpmath.matrix):
        return ";".join(map(_rounded, value))
    parts = (mpmath.re(value), mpmath.im(value))
    zero = mpf(10) ** -HASH_DIGITS
    return ",".join("0" if abs(part) < zero else mpmath.nstr(part, HASH_DIGITS) for part in parts)


EVALUATORS = {
    sympy.floor: _floor,
    sympy.ceiling: _ceiling,
    sympy.Mod: _mod,
    sympy.factorial: _factorial,
    sympy.binomial: _binomial,
    sympy.Sum: _sum,
    sympy.Product: _sum,
    sympy.Integral: _integral,
    sympy.Limit: _limit,
}
