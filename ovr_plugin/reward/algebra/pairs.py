"""A reference and an answer, evaluated at the same points: the rule of `expressions` at work."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import Enum
from typing import Any

import mpmath
from mpmath import mpf

from ovr_plugin.reward.algebra.closeness import AGREE, DIGITS, agree, distance, is_real, size
from ovr_plugin.reward.algebra.failures import TooLarge, Undefined
from ovr_plugin.reward.algebra.points import COUNTERS, counted, point
from ovr_plugin.reward.algebra.values import Evaluator, Point, Value

MAX_DIGITS = 8000
N_POINTS = 4
N_WHOLE_POINTS = 10
ENOUGH_POINTS = 2
NEGATIVE_SHARE = 0.6
_DIGITS_PER_BIT = 0.31


class Kind(Enum):
    """What two expressions have to be to each other."""

    EQUAL = 1
    PROPORTIONAL = 2  # one is the other times a number that is not zero
    POSITIVE = 3  # ... a positive number
    SHIFTED = 4  # one is the other plus a number


class Pair:
    """Two expressions.

    Attributes:
        is_opaque: whether a limit or series was among the values.

    Args:
        reference: the right one.
        answer: the other.
        kind: what they have to be to each other.
        fixed: name -> value for what is no variable.
        is_complex: whether one of them has the imaginary unit.
    """

    def __init__(
        self, reference: Any, answer: Any, kind: Kind, fixed: Point, is_complex: bool
    ) -> None:
        self.is_opaque = False
        self._both = reference, answer
        self._kind = kind
        self._fixed = fixed
        self._is_complex = is_complex
        self._home: Point | None = None  # what other points are compared with
        self._at_home: dict[int, tuple[Value, Value]] = {}
        self._gaps: list[tuple[Point, list[int]]] = []  # where addends were lost

    def agree(self, names: list[str]) -> bool:
        """Whether both have one value wherever both have one, and that at enough points.

        Raises:
            Unknown: if a value takes more than arithmetic.
        """
        n_agree = 0
        elsewhere: list[Point] = []  # where neither is real
        for at in self._points(names):
            try:
                if self._kind is not Kind.EQUAL and self._home is None:
                    if not self._go_home(at):
                        return False
                elif self._is_elsewhere(at):
                    elsewhere.append(at)
                elif not self.agree_at(at):
                    return False
                else:
                    n_agree += 1
            except (Undefined, TooLarge):
                continue
        if not n_agree:
            n_agree = len(elsewhere) if all(map(self._agree_if_defined, elsewhere)) else 0
        return n_agree >= ENOUGH_POINTS and self.shows_all()

    def agree_at(self, at: Point) -> bool:
        """Whether both have one value here.

        Raises:
            Undefined: if one has none.
            TooLarge: if one is.
            Unknown: if one takes more than arithmetic.
        """
        reference, answer = self.evaluate(at, DIGITS)
        if not self._is_complex and is_real(reference) != is_real(answer):
            return False
        if agree(reference, answer):
            return True
        # Where both are zero, rounding leaves something that gets smaller with more digits.
        closer = self.evaluate(at, 2 * DIGITS)
        if agree(*closer, digits=DIGITS + AGREE):
            return True
        return bool(distance(*closer) < distance(reference, answer) * mpf(10) ** -AGREE)

    def shows_all(self) -> bool:
        """Whether the agreement holds with so many digits that every addend shows."""
        return all(self._shows_at(at, gaps) for at, gaps in self._gaps[:ENOUGH_POINTS])

    def evaluate(self, at: Point, digits: int) -> tuple[Value, Value]:
        """Both values, or what of them has to be equal.

        Raises:
            Undefined: if one has none.
            TooLarge: if one is.
            Unknown: if one takes more than arithmetic.
        """
        try:
            with mpmath.workdps(digits):
                return self._sides(at, digits)
        except ValueError as error:  # matrices of other sizes
            raise Undefined(str(error)) from None

    def _sides(self, at: Point, digits: int) -> tuple[Value, Value]:
        right, given = self._values(at, digits)
        if self._home is None:
            return right, given
        if digits not in self._at_home:
            self._at_home[digits] = self._values(self._home, digits)
        right_home, given_home = self._at_home[digits]
        if self._kind is Kind.SHIFTED:
            return right - right_home, given - given_home
        return right * given_home, given * right_home

    def _values(self, at: Point, digits: int) -> tuple[Value, Value]:
        reference, answer = self._both
        return self._value(reference, at, digits), self._value(answer, at, digits)

    def _value(self, e: Any, at: Point, digits: int) -> Value:
        evaluator = Evaluator({**self._fixed, **at}, digits, self._is_complex)
        try:
            return evaluator(e)
        finally:
            self.is_opaque |= evaluator.is_opaque
            if evaluator.gaps:
                self._gaps.append((at, evaluator.gaps))

    def _go_home(self, at: Point) -> bool:
        """Take a point for the others' home, if it is fit; False if no other can be either."""
        values = self._values(at, DIGITS)
        if self._kind is Kind.SHIFTED or all(size(value) > mpf(10) ** -AGREE for value in values):
            self._home = at
        return self._kind is not Kind.POSITIVE or bool(mpmath.re(values[0] / values[1]) > 0)

    def _points(self, names: list[str]) -> Iterator[Point]:
        """Positive points; then each variable negative, and those together that may be."""
        whole = counted(self._both[0]) | (counted(self._both[1]) & COUNTERS)
        n = N_WHOLE_POINTS if whole else N_POINTS
        for i in range(n):
            yield point(names, whole, i)
        may_be_negative = []
        for name in names:
            if name not in whole:
                at = point(names, whole, n)
                at[name] = -at[name]
                yield at
                if self._is_in_domain(at):
                    may_be_negative.append(name)
        rng = random.Random(len(names))  # noqa: S311
        for i in range(N_POINTS if may_be_negative else 0):
            at = point(names, whole, n + 1 + i)
            for name in may_be_negative:
                if rng.random() < NEGATIVE_SHARE:
                    at[name] = -at[name]
            yield at

    def _is_in_domain(self, at: Point) -> bool:
        try:
            return self._is_complex or is_real(self._value(self._both[0], at, DIGITS))
        except (Undefined, TooLarge):
            return False

    def _is_elsewhere(self, at: Point) -> bool:
        if self._is_complex:
            return False
        return not any(is_real(self._value(e, at, DIGITS)) for e in self._both)

    def _agree_if_defined(self, at: Point) -> bool:
        try:
            return self.agree_at(at)
        except (Undefined, TooLarge):
            return True

    def _shows_at(self, at: Point, gaps: list[int]) -> bool:
        digits = 2 * DIGITS
        while True:
            self._gaps = []
            if not agree(*self.evaluate(at, digits), digits=digits - DIGITS + AGREE):
                return False
            # What rounding left of a zero lies deeper with more digits; an addend stays.
            found = [gap for _, deeper in self._gaps for gap in deeper]
            gaps = [gap for gap in gaps if any(abs(gap - other) <= 2 for other in found)]
            if not gaps:
                return True
            if digits == MAX_DIGITS:
                return False
            digits = min(MAX_DIGITS, int(max(gaps) * _DIGITS_PER_BIT) + 2 * DIGITS)
