r"""Two expressions in, whether they are equal out: decided by their values.

The rule. Two numbers are equal if they agree to `AGREE` digits, however large or small they are;
two expressions if they do so at each of a dozen points. That is no proof, and here is why it is
enough: expressions are short and built of analytic functions, and the points are random, so that a
difference would have to hide in the last digits everywhere. It can hide in one way, as an addend
that vanishes beside another; such addends are noticed (`Evaluator.gaps`), and more digits are taken
until they show, or nothing is accepted.

Domains count. Points lie at both sides of zero: ``\sqrt{x^2}`` is not ``x`` and ``\ln|x|`` not
``\ln x``. A variable that the reference needs to be positive stays so, and ``\sqrt{2h/g}`` is
``\sqrt{2hg}/g``. Where the reference counts with a variable (``n!``, a sum to ``n``, ``(-1)^n``),
its values are whole numbers.

Limits and infinite series are computed by sympy; what it cannot compute, and integrals that do not
converge fast, are equal to what has the same terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import sympy
from mpmath import mpf

from ovr_plugin.reward.algebra.closeness import AGREE, DIGITS, agree, distance, size
from ovr_plugin.reward.algebra.failures import TooLarge, Undefined, Unknown
from ovr_plugin.reward.algebra.pairs import Kind, Pair
from ovr_plugin.reward.algebra.terms import symbol
from ovr_plugin.reward.algebra.towers import same_logarithms
from ovr_plugin.reward.algebra.values import DEGREE, PERCENT, Evaluator, Point, Value

__all__ = ["Kind", "Tolerance", "free_names", "is_complex", "number", "same", "value_at"]

ROUGH_DIGITS = 15
ROUGH_DISTANCE = 0.1

Tolerance = tuple[float, float]  # relative, absolute

_COMPUTED = (sympy.Limit, sympy.Sum)
_NOT_COMPUTED = (NotImplementedError, sympy.PoleError, ArithmeticError, TypeError, ValueError)


def free_names(e: Any) -> frozenset[str]:
    """The names of the variables; the imaginary unit and units are none."""
    return frozenset(s.name for s in e.free_symbols) - {DEGREE, PERCENT, "i"}


def is_complex(e: Any) -> bool:
    """Whether the imaginary unit is in it."""
    return any(s.name == "i" for s in e.free_symbols)


def number(e: Any) -> Value | None:
    """The value of an expression without variables; None if it has none that can be computed."""
    return None if free_names(e) else value_at(e, {})


def value_at(e: Any, at: Point) -> Value | None:
    """The value of an expression at a point, if it is a number that can be computed."""
    evaluator = Evaluator({**_units(), **at}, DIGITS, is_complex(e))
    try:
        value = evaluator(e)
    except ArithmeticError:
        return None
    return None if evaluator.is_opaque or isinstance(value, mpmath.matrix) else value


def same(
    reference: Any, answer: Any, tolerance: Tolerance | None = None, kind: Kind = Kind.EQUAL
) -> bool:
    """Tell whether two expressions of sympy are equal, or what else ``kind`` says.

    Args:
        reference: the right one.
        answer: the other.
        tolerance: how far two numbers may be apart.
        kind: what they have to be to each other.
    """
    if reference == answer and kind is Kind.EQUAL:
        return True
    return any(
        _same(reference, answer, tolerance, kind, units)
        for units in _units_between(reference, answer)
    )


def _units_between(reference: Any, answer: Any) -> Iterator[Point]:
    """What degrees and per cent may be: numbers, or units that one side may leave out."""
    names = [{s.name for s in e.free_symbols} for e in (reference, answer)]
    yield _units()
    if (DEGREE in names[0]) != (DEGREE in names[1]):
        yield _units(degree=1)
    if (PERCENT in names[0]) != (PERCENT in names[1]):
        yield _units(percent=1)


def _units(degree: int = 0, percent: int = 0) -> Point:
    with mpmath.workdps(2 * DIGITS):
        return {DEGREE: mpf(degree) or mpmath.pi / 180, PERCENT: mpf(percent) or mpf(1) / 100}


def _same(
    reference: Any, answer: Any, tolerance: Tolerance | None, kind: Kind, units: Point
) -> bool:
    with_i = is_complex(reference) or is_complex(answer)
    pair = Pair(reference, answer, kind, units, with_i)
    names = sorted(free_names(reference) | free_names(answer))
    try:
        if names:
            equal = pair.agree(names)
        else:
            equal = _is_near(pair, tolerance) or (pair.agree_at({}) and pair.shows_all())
    except Undefined:
        return False
    except TooLarge:
        return same_logarithms(reference, answer)
    except Unknown:
        equal, pair.is_opaque = False, True
    if equal or not pair.is_opaque or kind is not Kind.EQUAL:
        return equal
    right, given = _computed(reference, with_i), _computed(answer, with_i)
    if (right, given) == (reference, answer):
        return False
    if _differ_roughly(reference, answer, units, with_i):
        return False
    return _same(right, given, tolerance, kind, units)


def _is_near(pair: Pair, tolerance: Tolerance | None) -> bool:
    if tolerance is None:
        return False
    reference, answer = pair.evaluate({}, DIGITS)
    allowed = max(mpf(tolerance[0]) * size(reference), mpf(tolerance[1]))
    return bool(distance(reference, answer) <= allowed + mpf(10) ** -AGREE * size(reference))


def _differ_roughly(reference: Any, answer: Any, units: Point, with_i: bool) -> bool:
    """Whether two numbers are so far apart that an integral need not be known better."""
    found = []
    for e in (reference, answer):
        evaluator = Evaluator(units, ROUGH_DIGITS, with_i, is_rough=True)
        try:
            found.append(evaluator(e))
        except ArithmeticError:
            return False
        if evaluator.is_opaque:
            return False
    return not agree(*found) and bool(distance(*found) > ROUGH_DISTANCE * size(found[0]))


def _computed(e: Any, with_i: bool) -> Any:
    """Let sympy compute limits and infinite sums; ``e`` itself if it leaves one."""
    if not any(isinstance(node, _COMPUTED) for node in sympy.preorder_traversal(e)):
        return e
    try:
        done = (e.subs(symbol("i"), sympy.I) if with_i else e).doit(integrals=False)
    except _NOT_COMPUTED:
        return e
    return e if done.has(*_COMPUTED) else done
