r"""Sets of real numbers: intervals, inequalities, unions, in one form that compares.

A region is where it changes, its cuts, and whether each cut and each gap between cuts belongs to
it. So ``1 < x < 2``, ``(1, 2)`` and ``\{x | x > 1\} \cap (-\infty, 2)`` are one and the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from operator import and_, or_
from typing import Any

import sympy
from mpmath import mpc, mpf

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.closeness import DIGITS
from ovr_plugin.reward.algebra.expressions import free_names, number
from ovr_plugin.reward.algebra.nodes import (
    Builder,
    Joined,
    Matrix,
    Node,
    NumberSet,
    Relation,
    Several,
    Term,
)
from ovr_plugin.reward.algebra.terms import symbol
from ovr_plugin.reward.algebra.values import Evaluator

MAX_CUTS = 64
MAX_NODES = 60  # of an inequality that sympy is to solve
_NEAR = mpf(10) ** -40
_SOLVED = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Abs, sympy.Symbol, sympy.Rational)


@dataclass(frozen=True)
class Region:
    """A set of real numbers.

    Attributes:
        cuts: where it begins or ends, ascending.
        at: for each cut, whether it belongs to the set.
        between: the same for the gaps in front of, between and behind the cuts.
        variable: whose values these are, '' if nothing says.
    """

    cuts: tuple[Any, ...]
    at: tuple[bool, ...]
    between: tuple[bool, ...]
    variable: str = ""

    def same(self, other: Region) -> bool:
        """Whether both are the same numbers, of variables that may be the same."""
        if self.variable and other.variable and self.variable != other.variable:
            return False
        return (self.at, self.between) == (other.at, other.between) and all(
            _is_near(a, b) for a, b in zip(self.cuts, other.cuts, strict=True)
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing belongs to the set."""
        return not any(self.at) and not any(self.between)

    def has(self, x: Any) -> bool:
        """Whether ``x`` belongs to the set."""
        i = bisect_left(self.cuts, x)
        for j in (i - 1, i):
            if 0 <= j < len(self.cuts) and _is_near(self.cuts[j], x):
                return self.at[j]
        return self.between[i]


EVERYTHING = Region((), (), (True,))
NOTHING = Region((), (), (False,))


class Foreign(ValueError):
    """A node is no set of real numbers that can be written down here."""


def region_of(node: Node) -> Region:
    """Return the numbers that ``node`` describes.

    Raises:
        Foreign: if it describes none, or has letters beside the one variable.
    """
    if isinstance(node, NumberSet) and node.name in ("R", ""):
        return EVERYTHING if node.name else NOTHING
    if isinstance(node, Several):
        return _of_several(node)
    if isinstance(node, Relation):
        return _of_relation(node)
    if isinstance(node, Builder):
        return _of_builder(node)
    if isinstance(node, Joined):
        regions = [region_of(part) for part in node.parts]
        if node.sign == "\\setminus":
            rest = [_complement(region) for region in regions[1:]]
            return _fold([regions[0], *rest], and_)
        both = _fold(regions, and_)
        # "(1, 2) and (3, 4)" is where something holds
        are_intervals = node.sign == "and" and all(isinstance(part, Several) for part in node.parts)
        is_union = node.sign in ("or", "\\cup") or (are_intervals and both.is_empty)
        return _fold(regions, or_) if is_union else both
    if isinstance(node, Matrix) and node.is_system and all(len(row) == 1 for row in node.rows):
        return _fold([region_of(row[0]) for row in node.rows], and_)
    raise Foreign(type(node).__name__)


def _of_several(node: Several) -> Region:
    if node.brackets == "{}":
        return _fold([_point(_number(item)) for item in node.items] or [NOTHING], or_)
    if node.brackets == "":
        regions = [region_of(item) for item in node.items]
        both = _fold(regions, and_)
        is_union = both.is_empty or any(isinstance(item, Several) for item in node.items)
        return _fold(regions, or_) if is_union else both
    if node.brackets in ("()", "[]", "(]", "[)") and len(node.items) == 2:
        low, high = (_number(item) for item in node.items)
        after = _ray(low, ">" if node.brackets[0] == "(" else "\\ge")
        before = _ray(high, "<" if node.brackets[1] == ")" else "\\le")
        region = _combine(after, before, and_)
        if region.is_empty:
            raise Foreign("a pair that is no interval")
        return region
    raise Foreign("a tuple")


def _of_builder(node: Builder) -> Region:
    element = node.element
    within = EVERYTHING
    if isinstance(element, Relation) and element.signs == ("\\in",):
        within, element = region_of(element.parts[1]), element.parts[0]
    if not (isinstance(element, Term) and isinstance(element.expression, sympy.Symbol)):
        raise Foreign("a set of what depends on a variable")
    region = region_of(node.condition)
    if region.variable not in ("", element.expression.name):
        raise Foreign("a condition on another variable")
    return _named(_combine(region, within, and_), "")


def _of_relation(node: Relation) -> Region:
    if node.signs == ("\\in",) or node.signs == ("\\notin",):
        region = region_of(node.parts[1])
        region = region if node.signs == ("\\in",) else _complement(region)
        element = node.parts[0]
        if isinstance(element, Term) and isinstance(element.expression, sympy.Symbol):
            return _named(region, element.expression.name)
        raise Foreign("something else than a variable in a set")
    sides = [part.expression for part in node.parts if isinstance(part, Term)]
    names = {name for side in sides for name in free_names(side)}
    if len(sides) != len(node.parts) or len(names) != 1:
        raise Foreign("a relation of several variables")
    name = names.pop()
    steps = zip(sides, node.signs, sides[1:], strict=False)
    return _named(_fold([_solve(a, sign, b, name) for a, sign, b in steps], and_), name)


def _solve(left: Any, sign: str, right: Any, name: str) -> Region:
    if sign not in (*v.ORDERINGS, "=", "\\ne"):
        raise Foreign(f"the relation {sign}")
    if left == symbol(name) and not free_names(right):
        return _ray(_value(right), sign)
    if right == symbol(name) and not free_names(left):
        return _ray(_value(left), v.TURNED.get(sign, sign))
    difference = sympy.Add(left, sympy.Mul(-1, right, evaluate=False), evaluate=False)
    if line := _as_line(difference, name):
        slope, root = line
        return _ray(root, sign if slope > 0 else v.TURNED.get(sign, sign))
    if any(
        type(n) not in _SOLVED and not n.is_Rational for n in sympy.preorder_traversal(difference)
    ):
        raise Foreign("a relation that is not solved")
    if sum(1 for _ in sympy.preorder_traversal(difference)) > MAX_NODES or _has_large_power(
        difference
    ):
        raise Foreign("a relation that is too long to be solved")
    relation = {"<": sympy.Lt, ">": sympy.Gt, "\\le": sympy.Le, "\\ge": sympy.Ge}.get(sign)
    relation = relation or (sympy.Eq if sign == "=" else sympy.Ne)
    try:
        solution = relation(difference.doit(), 0).as_set()
    except (NotImplementedError, TypeError, AttributeError, ValueError):
        raise Foreign("a relation that sympy does not solve") from None
    return _of_sympy(solution)


def _as_line(e: Any, name: str) -> tuple[Any, Any] | None:
    """Slope and root of a linear expression."""
    try:
        low, zero, one, high = (Evaluator({name: mpf(x)}, DIGITS)(e) for x in (-7, 0, 1, 40))
    except ArithmeticError:
        return None
    slope = one - zero
    if isinstance(slope, mpc) or abs(slope) < _NEAR:
        return None
    for x, value in ((-7, low), (40, high)):
        if abs(zero + slope * x - value) > _NEAR * (1 + abs(value)):
            return None
    return slope, -zero / slope


def _has_large_power(e: Any) -> bool:
    powers = (n.args[1] for n in sympy.preorder_traversal(e) if isinstance(n, sympy.Pow))
    return any(not (p.is_Rational and abs(p) <= 8) for p in powers)


def _of_sympy(solution: Any) -> Region:
    if isinstance(solution, sympy.Interval):
        after = _ray(_value(solution.start), ">" if solution.left_open else "\\ge")
        return _combine(
            after, _ray(_value(solution.end), "<" if solution.right_open else "\\le"), and_
        )
    if isinstance(solution, sympy.FiniteSet):
        return _fold([_point(_value(x)) for x in solution.args], or_)
    if isinstance(solution, sympy.Union):
        return _fold([_of_sympy(part) for part in solution.args], or_)
    if isinstance(solution, sympy.Complement):
        whole, hole = (_of_sympy(part) for part in solution.args)
        return _combine(whole, _complement(hole), and_)
    if solution is sympy.S.EmptySet:
        return NOTHING
    if solution is sympy.S.Reals:
        return EVERYTHING
    raise Foreign("a solution that is no union of intervals")


def _number(node: Node) -> Any:
    if not isinstance(node, Term):
        raise Foreign("an end that is no number")
    return _value(node.expression)


def _value(e: Any) -> Any:
    value = number(e)
    if value is None or not isinstance(value, mpf):
        raise Foreign("an end that is no real number")
    return value


def _point(x: Any) -> Region:
    return Region((x,), (True,), (False, False))


def _ray(x: Any, sign: str) -> Region:
    """All numbers that have this relation to ``x``."""
    if x in (mpf("inf"), mpf("-inf")):
        below = x > 0
        return EVERYTHING if (sign in ("<", "\\le")) == below else NOTHING
    return Region(
        (x,),
        (sign in ("\\le", "\\ge", "="),),
        (sign in ("<", "\\le", "\\ne"), sign in (">", "\\ge", "\\ne")),
    )


def _named(region: Region, variable: str) -> Region:
    return Region(region.cuts, region.at, region.between, variable)


def _complement(region: Region) -> Region:
    return Region(
        region.cuts,
        tuple(not inside for inside in region.at),
        tuple(not inside for inside in region.between),
        region.variable,
    )


def _fold(regions: list[Region], operation: Callable[[bool, bool], bool]) -> Region:
    result = regions[0]
    for region in regions[1:]:
        result = _combine(result, region, operation)
    return result


def _combine(a: Region, b: Region, operation: Callable[[bool, bool], bool]) -> Region:
    if a.variable and b.variable and a.variable != b.variable:
        raise Foreign("relations of different variables")
    cuts: list[Any] = []
    for cut in sorted((*a.cuts, *b.cuts)):
        if not cuts or not _is_near(cuts[-1], cut):
            cuts.append(cut)
    if len(cuts) > MAX_CUTS:
        raise Foreign("too many intervals")
    inside = [cuts[0] - 1] if cuts else [mpf(0)]
    inside += [(x + y) / 2 for x, y in pairwise(cuts)]
    inside += [cuts[-1] + 1] if cuts else []
    at = [operation(a.has(x), b.has(x)) for x in cuts]
    between = [operation(a.has(x), b.has(x)) for x in inside]
    for i in range(len(cuts) - 1, -1, -1):
        if at[i] == between[i] == between[i + 1]:
            del cuts[i], at[i], between[i]
    return Region(tuple(cuts), tuple(at), tuple(between), a.variable or b.variable)


def _is_near(x: Any, y: Any) -> bool:
    return bool(abs(x - y) <= _NEAR * (1 + abs(x)))
