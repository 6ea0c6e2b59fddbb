"""What nodes amount to: the value that a chain ends with, names of quantities, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from ovr_plugin.reward.algebra.expressions import free_names, number, same
from ovr_plugin.reward.algebra.grammar import quotient
from ovr_plugin.reward.algebra.nodes import Matrix, Node, Ratio, Relation, Several, Term, form
from ovr_plugin.reward.algebra.terms import matrix_of

APPROXIMATE = 0.05  # how far the two sides of \approx may be apart
EXACT = 1e-40
INTERVALS = frozenset(("()", "[]", "(]", "[)"))
TUPLES = frozenset(("()", "<>", "[]"))
# Two of these make an equation; sums of other letters are a quantity, such as a + b.
_ANGLE_FUNCTIONS = (sympy.sin, sympy.cos, sympy.tan, sympy.cot)
_AXES = ("i", "j", "k")
_COORDINATES = frozenset("x y z X Y Z".split())


def plain(node: Node) -> Node:
    """Take off what says nothing: one value in a list, a system's brace, ``25 + 2 = 27``."""
    while True:
        if isinstance(node, Several) and node.brackets == "" and len(node.items) == 1:
            node = node.items[0]
        elif (
            isinstance(node, Matrix) and node.is_system and all(len(row) == 1 for row in node.rows)
        ):
            node = Several("", tuple(row[0] for row in node.rows))
        elif isinstance(node, Relation) and _is_computation(node):
            node = node.parts[-1] if node.signs[-1] == "=" else node.parts[0]
        else:
            return node


def _is_computation(node: Relation) -> bool:
    """Whether a chain equates numbers that are equal, or nearly so."""
    if not set(node.signs) <= {"=", "\\approx"}:
        return False
    found = [number(part.expression) for part in node.parts if isinstance(part, Term)]
    values = [value for value in found if value is not None]
    if len(values) < len(node.parts):
        return False
    return all(
        abs(a - b) <= (APPROXIMATE if sign == "\\approx" else EXACT) * abs(b)
        for a, b, sign in zip(values, values[1:], node.signs, strict=False)
    )


def values_of(answer: Relation) -> list[Node]:
    r"""What ``x = ... = 5`` and ``x = \frac{1}{3} \approx 0.33`` say the value is."""
    parts = answer.parts
    if answer.signs == ("\\in",):
        return [parts[1]]
    if not set(answer.signs) <= {"=", "\\approx"}:
        return []
    if len(parts) == 2 and is_name(parts[1]) and not is_name(parts[0]):
        return [parts[0]]  # 5 = x
    first, last = parts[0], parts[-1]
    if answer.signs[0] == "=" and isinstance(last, Term) and free_names(last.expression):
        is_equal = isinstance(first, Term) and same(first.expression, last.expression)
        if not (is_name(first) or is_equal):
            return []  # an equation, and no name for a value
    sides = zip(parts, parts[1:], answer.signs, strict=False)
    if any(sign == "\\approx" and _are_apart(a, b) for a, b, sign in sides):
        return []
    exact = [part for part, sign in zip(parts, answer.signs, strict=False) if sign == "\\approx"]
    return [*(part for part in exact if not is_name(part)), last]


def _are_apart(a: Node, b: Node) -> bool:
    """Whether both are numbers, and so different that none is the other rounded."""
    first, second = (number(n.expression) if isinstance(n, Term) else None for n in (a, b))
    if first is None or second is None:
        return False
    return bool(abs(first - second) > APPROXIMATE * abs(second))


def is_name(node: Node) -> bool:
    r"""Whether a left side only names a quantity: ``x``, ``f(x)``, ``|AB|``, ``\frac{AB}{CD}``."""
    if isinstance(node, Ratio):
        return all(map(is_name, node.parts))
    if isinstance(node, Several):
        return node.brackets == "()" and all(map(is_name, node.items))
    return isinstance(node, Term) and _names_quantity(node.expression)


def _names_quantity(e: Any) -> bool:
    if isinstance(e, sympy.Symbol):
        return e.name != "i"
    if isinstance(e, AppliedUndef):
        return e.func.__name__ not in ("matrix", "det")
    if isinstance(e, sympy.Pow):
        is_power = e.args[1] == -1
        return (is_power or _is_inverse_matrix(e)) and _names_quantity(e.args[0])
    if isinstance(e, sympy.Add) and len(_COORDINATES & free_names(e)) > 1:
        return False
    if isinstance(e, _ANGLE_FUNCTIONS):  # \sin A
        return not _COORDINATES & free_names(e) and _names_quantity(e.args[0])
    if isinstance(e, (sympy.Mul, sympy.Add, sympy.Abs)):
        return all(map(_names_quantity, e.args))
    return False


def _is_inverse_matrix(e: Any) -> bool:
    return isinstance(e.args[0], sympy.Symbol) and e.args[1] == sympy.Symbol("T", real=True)


def names_coordinates(node: Node) -> bool:
    """Whether ``x``, ``y`` or ``z`` is in a term."""
    return isinstance(node, Term) and bool(_COORDINATES & free_names(node.expression))


def name_of(node: Node) -> str:
    """The name of a function or variable, or ''."""
    e = node.expression if isinstance(node, Term) else None
    return e.func.__name__ if isinstance(e, AppliedUndef) else str(getattr(e, "name", ""))


def assigned(node: Several) -> tuple[list[str], list[Node]]:
    """The names in front of values, if all have one, and the values.

    Roots that are numbered ``x_1, x_2`` have one name, in whatever order they come.
    """
    names, values = [], []
    for item in node.items:
        if isinstance(item, Relation) and item.signs == ("=",) and is_name(item.parts[0]):
            names.append(form(item.parts[0]))
            values.append(item.parts[1])
    if len(values) < len(node.items):
        return [], list(node.items)
    base = names[0].rpartition("_")[0]
    if base and set(names) == {f"{base}_{i + 1}" for i in range(len(names))}:
        names = [base] * len(names)
    return names, values


def is_interval(node: Node) -> bool:
    """Whether a node may be an interval."""
    return isinstance(node, Several) and node.brackets in INTERVALS and len(node.items) == 2


def as_quotient(ratio: Ratio) -> Node:
    """A ratio of two expressions as one expression."""
    terms = expressions_of(ratio.parts)
    return Term(quotient(*terms)) if terms is not None and len(terms) == 2 else ratio


def as_list(node: Matrix) -> Sequence[Node] | None:
    """The entries of a single row or column."""
    if node.is_system:
        return None
    if len(node.rows) == 1:
        return node.rows[0]
    return [row[0] for row in node.rows] if len(node.rows[0]) == 1 else None


def as_matrix(node: Several) -> Matrix | None:
    """``[[1, 2], [3, 4]]`` as a matrix."""
    rows = [
        item.items for item in node.items if isinstance(item, Several) and item.brackets == "[]"
    ]
    is_matrix = node.brackets == "[]" and len(rows) == len(node.items) > 0
    return Matrix(tuple(rows)) if is_matrix and len(set(map(len, rows))) == 1 else None


def as_term(node: Matrix | Several) -> Term | None:
    """A matrix or tuple as one term, to be compared with sums and products of such."""
    rows: list[tuple[Node, ...]] = []
    if isinstance(node, Several):
        rows += [(item,) for item in node.items] if node.brackets in TUPLES else []
    else:
        rows += [] if node.is_system else node.rows
    entries = [expressions_of(row) for row in rows]
    if not entries or None in entries:
        return None
    return Term(matrix_of([row for row in entries if row is not None]))


def as_sum(node: Matrix | Several) -> Term | None:
    """A vector of two or three components as a sum of multiples of ``i``, ``j`` and ``k``."""
    entries: Sequence[Node] | None = None
    if isinstance(node, Matrix):
        entries = as_list(node)
    elif node.brackets in TUPLES:
        entries = node.items
    components = expressions_of(entries) if entries is not None else None
    if components is None or len(components) not in (2, 3):
        return None
    axes = (sympy.Symbol(name, real=True) for name in _AXES)
    parts = (sympy.Mul(e, axis, evaluate=False) for e, axis in zip(components, axes, strict=False))
    return Term(sympy.Add(*parts, evaluate=False))


def names_axes(node: Node) -> bool:
    """Whether a term is a vector of the plane or space: two of ``i``, ``j`` and ``k`` are in it."""
    if not isinstance(node, Term):
        return False
    return sum(s.name in _AXES for s in node.expression.free_symbols) > 1


def expressions_of(nodes: Sequence[Node]) -> list[Any] | None:
    """The expressions of terms; None if one is something else."""
    found = [node.expression for node in nodes if isinstance(node, Term)]
    return found if len(found) == len(nodes) else None


def difference(a: Any, b: Any) -> Any:
    """An equation's left side minus its right side, not evaluated."""
    return sympy.Add(a, sympy.Mul(-1, b, evaluate=False), evaluate=False)
