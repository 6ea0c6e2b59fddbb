r"""Values that a whole number counts: ``\frac{\pi}{4} + k\pi, k \in \mathbb{Z}``.

Two such families are equal if they are the same numbers, whatever the parameter is called and from
where it counts; they are compared within a window that both fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import mpf

from ovr_plugin.reward.algebra.expressions import free_names
from ovr_plugin.reward.algebra.nodes import (
    Builder,
    Joined,
    Node,
    NumberSet,
    Relation,
    Several,
    Term,
)
from ovr_plugin.reward.algebra.terms import symbol
from ovr_plugin.reward.algebra.values import Evaluator

REACH = 40  # of the parameter, to both sides
WINDOW = 10  # periods
DIGITS = 30
MAX_MEMBERS = 12
_NEAR = mpf(10) ** -20


@dataclass(frozen=True)
class Family:
    """Expressions of one variable, whose parameter runs through all whole numbers."""

    members: tuple[Any, ...]
    parameter: str
    variable: str


def same_families(reference: Node, answer: Node) -> bool:
    """Tell whether both are families, and of the same numbers."""
    one, other = read_family(reference), read_family(answer)
    if one is None and other is None:
        return False
    # One side may leave out which letter counts.
    one, other = one or _undeclared(reference), other or _undeclared(answer)
    if one is None or other is None:
        return False
    if one.variable and other.variable and one.variable != other.variable:
        return False
    values, others = _values(one), _values(other)
    if not values or not others:
        return False
    window = min(WINDOW * min(_period(one), _period(other)), REACH * _period(one) / 2)
    inside = [sorted(x for x in v if abs(x) <= window) for v in (values, others)]
    return _covers(inside[0], others) and _covers(inside[1], values)


def read_family(node: Node) -> Family | None:
    r"""Read a list that ends with ``k \in Z``, or a set with that condition."""
    if isinstance(node, Builder):
        items, condition = [node.element], node.condition
        if isinstance(condition, Several) and condition.brackets == "":
            *definitions, condition = condition.items
            first = definitions[0] if definitions else condition
            if isinstance(first, Relation) and first.parts[0] == node.element:
                items = definitions
    elif isinstance(node, Several) and node.brackets == "" and len(node.items) > 1:
        items, condition = list(node.items[:-1]), node.items[-1]
    else:
        return None
    if not (isinstance(condition, Relation) and condition.signs == ("\\in",)):
        return None
    name, numbers = condition.parts
    if numbers not in (NumberSet("Z"), Term(symbol("Z"))) or not isinstance(name, Term):
        return None
    return _family(items, str(name.expression))


def _undeclared(node: Node) -> Family | None:
    is_list = isinstance(node, Several) and node.brackets == ""
    items = list(node.items) if isinstance(node, Several) and is_list else [node]
    last = items[0].parts[-1] if isinstance(items[0], Relation) else items[0]
    names = free_names(last.expression) if isinstance(last, Term) else frozenset()
    return _family(items, *names) if len(names) == 1 else None


def _family(items: list[Node], parameter: str) -> Family | None:
    if len(items) > MAX_MEMBERS:
        return None
    members, variables = [], set()
    for item in items:
        if isinstance(item, Joined) or isinstance(item, Several):
            return None
        if isinstance(item, Relation) and item.signs == ("=",) and isinstance(item.parts[0], Term):
            variables.add(str(item.parts[0].expression))
            item = item.parts[1]
        if not isinstance(item, Term):
            return None
        members.append(item.expression)
    if any(free_names(member) != {parameter} for member in members) or len(variables) > 1:
        return None
    family = Family(tuple(members), parameter, variables.pop() if variables else "")
    return family if _is_linear(family) else None


def _is_linear(family: Family) -> bool:
    for member in family.members:
        try:
            a, b, c = (_value(member, family.parameter, k) for k in (-7, 1, 9))
        except ArithmeticError:
            return False
        if abs(a - 2 * b + c) > _NEAR or abs(a - b) < _NEAR:
            return False
    return True


def _value(member: Any, parameter: str, k: int) -> Any:
    return Evaluator({parameter: mpf(k)}, DIGITS)(member)


def _period(family: Family) -> Any:
    return min(
        abs(_value(m, family.parameter, 1) - _value(m, family.parameter, 0)) for m in family.members
    )


def _values(family: Family) -> list[Any]:
    return [
        _value(member, family.parameter, k)
        for member in family.members
        for k in range(-REACH, REACH + 1)
    ]


def _covers(values: list[Any], others: list[Any]) -> bool:
    return bool(values) and all(any(abs(x - y) < _NEAR for y in others) for x in values)
