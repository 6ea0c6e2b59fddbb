"""Equations, inequalities and statements in, whether they are the same out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import sympy

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.expressions import Kind, free_names, same
from ovr_plugin.reward.algebra.nodes import Node, Relation, Several, Term
from ovr_plugin.reward.algebra.readings import (
    difference,
    expressions_of,
    is_name,
    name_of,
    names_coordinates,
    values_of,
)

MAX_NODES = 80  # of an equation whose denominators are cleared
MAX_POWER = 16
MAX_CHAIN = 4  # sides in any order
_FUNCTION_NAMES = ({"f", "y"}, {"g", "y"})  # y may be called f(x)

Same = Callable[[Node, Node], bool]


def same_equation(reference: Relation, answer: Node, is_same: Same) -> bool:
    """Compare with an equation; where its left side is a name, the right one alone will do."""
    if _is_system(reference):
        return _same_chain(reference, answer, is_same)
    left, right = reference.parts[0], reference.parts[-1]
    if _is_identity(left, right):
        return is_same(right, answer)
    if isinstance(answer, Relation):
        if set(answer.signs) == {"="}:
            ends = answer.parts[0], answer.parts[-1]
            return any(_same_sides(left, right, *sides, is_same) for sides in (ends, ends[::-1]))
        if set(answer.signs) == {"=", "\\approx"} and is_name(left):
            is_named = is_same(left, answer.parts[0])
            return is_named and any(is_same(right, value) for value in values_of(answer))
        return False
    if is_name(left) or isinstance(left, Several):
        return is_same(right, answer)
    return is_name(right) and not names_coordinates(left) and is_same(left, answer)


def _is_system(reference: Relation) -> bool:
    """Whether ``a = b = c`` says more than that a name has the value at its end."""
    first, *middle, last = reference.parts
    if any(map(name_of, middle)):
        return True  # a = b = 1
    if not middle or is_name(first) or not isinstance(last, Term):
        return False
    return bool(free_names(last.expression)) and not _is_identity(first, last)


def _is_identity(left: Node, right: Node) -> bool:
    """Whether both sides are equal anyway: ``x^2 - 1 = (x + 1)(x - 1)``."""
    if not (isinstance(left, Term) and isinstance(right, Term)) or is_name(left):
        return False
    return same(left.expression, right.expression)


def _same_chain(reference: Relation, answer: Node, is_same: Same) -> bool:
    """Compare ``a = b = c`` with as long a chain, or ``a = b = 1`` with values one by one."""
    *names, last = reference.parts
    if not isinstance(answer, Relation):
        values = tuple(Relation((name, last), ("=",)) for name in names)
        return all(map(is_name, names)) and is_same(Several("", values), answer)
    if answer.signs != reference.signs:
        return False
    is_short = len(answer.parts) <= MAX_CHAIN
    sides = list(permutations(answer.parts, 2) if is_short else pairwise(answer.parts))
    return all(
        any(_same_sides(*pair, *other, is_same) for other in sides)
        for pair in pairwise(reference.parts)
    )


def _same_sides(left: Node, right: Node, other_left: Node, other: Node, is_same: Same) -> bool:
    if _same_name(left, other_left, is_same) and is_same(right, other):
        return True
    terms = expressions_of((left, right, other_left, other))
    if terms is None:
        return False
    ours, theirs = difference(*terms[:2]), difference(*terms[2:])
    if same(ours, theirs, kind=Kind.PROPORTIONAL):
        return True
    cleared = _cleared(ours), _cleared(theirs)
    return None not in cleared and same(*cleared, kind=Kind.PROPORTIONAL)


def _same_name(left: Node, other: Node, is_same: Same) -> bool:
    if isinstance(left, Several) and isinstance(other, Several):
        return is_same(left, other)
    if not (isinstance(left, Term) and isinstance(other, Term)):
        return False
    if {name_of(left), name_of(other)} in _FUNCTION_NAMES:
        return True
    return is_name(left) and same(left.expression, other.expression)


def _cleared(e: Any) -> Any:
    """An equation's difference without denominators; None if that would take long."""
    nodes = list(sympy.preorder_traversal(e))
    if len(nodes) > MAX_NODES or any(map(_is_large, nodes)):
        return None
    divides = any(isinstance(n, sympy.Pow) and n.args[1] == -1 and n.free_symbols for n in nodes)
    return sympy.fraction(sympy.together(e))[0] if divides else e


def _is_large(e: Any) -> bool:
    if isinstance(e, sympy.Pow):
        return not (e.args[1].is_Rational and abs(e.args[1]) <= MAX_POWER)
    counts = (sympy.factorial, sympy.binomial, sympy.Sum, sympy.Product, sympy.Integral)
    return isinstance(e, counts)


def same_congruence(reference: Relation, answer: Node, is_same: Same) -> bool:
    """Compare ``x = a (mod m)``: the same remainder, and the same modulus if the answer has one."""
    if isinstance(answer, Relation):
        if answer.signs != reference.signs or not is_same(reference.parts[0], answer.parts[0]):
            return False
        answer = answer.parts[1]
    ours, theirs = _modulus(reference.parts[1]), _modulus(answer)
    if theirs is not None and (ours is None or not same(ours, theirs)):
        return False
    return is_same(reference.parts[1], answer)


def _modulus(node: Node) -> Any:
    e = node.expression if isinstance(node, Term) else None
    return e.args[1] if isinstance(e, sympy.Mod) else None


def same_statement(reference: Relation, answer: Relation, is_same: Same) -> bool:
    r"""Compare what is no set of numbers: ``a < b < c``, ``x + y > 2``, ``AB \parallel CD``."""
    turned = Relation(answer.parts[::-1], tuple(v.TURNED[sign] for sign in answer.signs[::-1]))
    for other in (answer, turned):
        if other.signs == reference.signs and len(other.parts) == len(reference.parts):
            if all(map(is_same, reference.parts, other.parts)):
                return True
            if _same_inequality(reference, other):
                return True
    return False


def _same_inequality(reference: Relation, answer: Relation) -> bool:
    terms = expressions_of((*reference.parts, *answer.parts))
    sign = reference.signs[0]
    if terms is None or len(terms) != 4 or sign not in (*v.ORDERINGS, "\\ne"):
        return False
    kind = Kind.PROPORTIONAL if sign == "\\ne" else Kind.POSITIVE
    return same(difference(*terms[:2]), difference(*terms[2:]), kind=kind)
