"""An expression and a point in, its value out: numbers of many digits, nothing symbolic.

sympy evaluates exactly where it can, and a power tower or a factorial never comes back. Here
numbers are floating ones of a fixed number of digits (their exponents have no bound), so that each
step takes microseconds, and what is beyond that raises `TooLarge`. `Undefined` is a point where the
expression has no value.

Meanings that matter: an odd root of a negative number is real, unless the expression is complex;
``i`` is the imaginary unit where nothing counts with it; within trigonometric functions degrees are
a part of pi, elsewhere the point says what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import sympy
from mpmath import mpc, mpf
from sympy.core.function import AppliedUndef

from ovr_plugin.reward.algebra import counting
from ovr_plugin.reward.algebra.counting import GUARD_DIGITS
from ovr_plugin.reward.algebra.failures import TooLarge, Undefined, Unknown

MAX_BITS = 10**12  # of a number's exponent
MAX_ANGLE_BITS = 20_000
MAX_EXPONENT_BITS = 60  # of e's power
MAX_MATRIX_POWER = 100

DEGREE = "degree unit"  # the name of the symbol that ^\circ multiplies by
PERCENT = "percent unit"

Value = Any  # a real or complex number or a matrix of mpmath
Point = Mapping[str, Any]


class Evaluator:
    """Values of expressions at one point.

    Attributes:
        gaps: by how many bits addends were too small to leave a trace in their sum, so that the
            value says nothing of them; rounding leaves such addends as well.
        is_opaque: whether a limit or series went in as some value that stands for it.

    Args:
        point: name -> value.
        digits: of every number.
        is_complex: whether roots and powers of negative numbers are complex ones.
        is_rough: whether an integral may be off by some per cent.
    """

    def __init__(
        self, point: Point, digits: int, is_complex: bool = False, is_rough: bool = False
    ) -> None:
        self.point = dict(point)
        self.digits = digits
        self.is_rough = is_rough
        self.gaps: list[int] = []
        self.is_opaque = False
        self._is_complex = is_complex

    def __call__(self, expression: Any) -> Value:
        """Return the value.

        Raises:
            Undefined: where there is none.
            TooLarge: if a number on the way is.
            Unknown: if it takes more than arithmetic.
        """
        with mpmath.workdps(self.digits):
            try:
                return self.value(expression)
            except OverflowError:
                raise TooLarge("overflow") from None
            except (ZeroDivisionError, TypeError, ValueError, mpmath.libmp.NoConvergence) as error:
                raise Undefined(str(error)) from None

    def value(self, e: Any) -> Value:
        """Return the value of a part; for the functions that evaluate the whole."""
        evaluate = _EVALUATORS.get(type(e))
        if evaluate is not None:
            return evaluate(self, e)
        if isinstance(e, sympy.Rational):
            return mpf(e.p) / e.q
        if isinstance(e, AppliedUndef):
            return counting.applied(self, e)
        raise Unknown(type(e).__name__)

    def at(self, index: Any, value: Value, e: Any) -> Value:
        """Return the value of ``e`` where the variable ``index`` has another value."""
        outer = self.point.get(index.name)
        self.point[index.name] = value
        try:
            return self.value(e)
        finally:
            if outer is None:
                del self.point[index.name]
            else:
                self.point[index.name] = outer

    def _symbol(self, e: Any) -> Value:
        if e.name in self.point:
            return self.point[e.name]
        if e.name == "i":
            return mpc(0, 1)
        raise Unknown(f"no value for {e.name}")

    def _add(self, e: Any) -> Value:
        values = [self.value(arg) for arg in e.args]
        if any(isinstance(value, mpmath.matrix) for value in values):
            return sum(values[1:], start=values[0])
        total = mpmath.fsum(values)
        if total != 0:
            size = mpmath.mag(total)
            gap = max((size - mpmath.mag(value) for value in values if value != 0), default=0)
            if gap > mpmath.mp.prec - 3.4 * GUARD_DIGITS:
                self.gaps.append(gap)
        return total

    def _mul(self, e: Any) -> Value:
        product: Value = mpf(1)
        for arg in e.args:
            product = product * self.value(arg)
        return product

    def _pow(self, e: Any) -> Value:
        base, power = self.value(e.args[0]), self.value(e.args[1])
        if isinstance(base, mpmath.matrix):
            return _matrix_power(base, power)
        if not mpmath.isfinite(base) or not mpmath.isfinite(power):
            raise Undefined("a power of infinity")
        if base == 0:
            if mpmath.re(power) < 0:
                raise Undefined("a power of zero")
            return mpf(power == 0)
        bits = mpmath.mag(power) + mpmath.mag(abs(mpmath.log(abs(base))) + 1)
        if bits > MAX_BITS.bit_length():
            raise TooLarge("a power")
        if mpmath.isint(power):
            return mpmath.power(base, int(mpmath.re(power)))
        if not self._is_complex and not isinstance(base, mpc) and base < 0:
            p, q = _ratio(e.args[1])
            if q % 2:  # an odd root
                return (-1) ** p * mpmath.power(-base, power)
        return mpmath.power(base, power)

    def _log(self, e: Any) -> Value:
        value = self.value(e.args[0])
        if value == 0:
            raise Undefined("a logarithm of zero")
        if len(e.args) == 1:
            return mpmath.log(value)
        base = self.value(e.args[1])
        if base in (0, 1):
            raise Undefined("a logarithm to no base")
        return mpmath.log(value) / mpmath.log(base)

    def _exp(self, e: Any) -> Value:
        value = self.value(e.args[0])
        if mpmath.mag(value) > MAX_EXPONENT_BITS:
            raise TooLarge("an exponential")
        return mpmath.exp(value)

    def _abs(self, e: Any) -> Value:
        value = self.value(e.args[0])
        return mpmath.norm(value) if isinstance(value, mpmath.matrix) else abs(value)

    def plain(self, function: Callable[[Value], Value], e: Any) -> Value:
        """Return the value of a trigonometric function or the like, degrees being a part of pi."""
        outer = self.point.get(DEGREE)
        self.point[DEGREE] = mpmath.pi / 180
        value = self.value(e.args[0])
        self.point[DEGREE] = outer
        if mpmath.mag(value) > MAX_ANGLE_BITS:
            raise TooLarge("a function of a large number")
        return function(value)


def _matrix_power(base: Value, power: Value) -> Value:
    if base.rows != base.cols or not mpmath.isint(power) or abs(power) > MAX_MATRIX_POWER:
        raise Undefined("a power of a matrix")
    return (base if power >= 0 else mpmath.inverse(base)) ** abs(int(power))


def _ratio(e: Any) -> tuple[int, int]:
    """Numerator and denominator of a plain fraction; (0, 2) for anything else."""
    value = None
    if isinstance(e, sympy.Rational):
        value = e
    elif isinstance(e, sympy.Mul) and all(map(_is_plain, e.args)):
        value = sympy.Mul(*e.args)
    return (value.p, value.q) if isinstance(value, sympy.Rational) else (0, 2)


def _is_plain(e: Any) -> bool:
    if isinstance(e, sympy.Pow):
        return e.args[1] == -1 and _is_plain(e.args[0])
    return isinstance(e, sympy.Rational)


def _no_value(_evaluator: Evaluator, _e: Any) -> Value:
    raise Undefined("infinity that has no sign, or no number")


def _plain(name: str) -> Callable[[Evaluator, Any], Value]:
    function = getattr(mpmath, name)
    return lambda evaluator, e: evaluator.plain(function, e)


_EVALUATORS: dict[Any, Callable[[Evaluator, Any], Value]] = {
    sympy.Symbol: Evaluator._symbol,
    sympy.Add: Evaluator._add,
    sympy.Mul: Evaluator._mul,
    sympy.Pow: Evaluator._pow,
    sympy.log: Evaluator._log,
    sympy.exp: Evaluator._exp,
    sympy.Abs: Evaluator._abs,
    type(sympy.pi): lambda _evaluator, _e: +mpmath.pi,
    type(sympy.E): lambda _evaluator, _e: +mpmath.e,
    type(sympy.oo): lambda _evaluator, _e: mpf("inf"),
    type(-sympy.oo): lambda _evaluator, _e: mpf("-inf"),
    type(sympy.zoo): _no_value,
    type(sympy.nan): _no_value,
    **{
        getattr(sympy, prefix + name): _plain(prefix + name)
        for name in "sin cos tan cot sec csc sinh cosh tanh coth sech csch".split()
        for prefix in ("", "a")
    },
    **counting.EVALUATORS,
}
