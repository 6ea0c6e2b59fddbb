r"""What two texts say in, whether the answer is the reference out; one rule for each kind.

The reference alone decides:

===================  ===============================================================================
reference            takes
===================  ===============================================================================
expression           an equal one (`expressions`), also as the end of ``x = ... = 5``; one in a set
``x = 5``            the same equation, or the value, as the left side is a name
equation             one that is the same up to a factor, and what both sides are divided by
``x > 2``            the same numbers in any form: ``2 < x``, ``(2, \infty)``, ``-x < -2``
interval, union      likewise; ends that are no numbers one by one
``(1, 2)``           the same in order, also ``x = 1, y = 2``, a vector or ``1 < x < 2``; no set
``\{1, 2\}``         the same in any order, bare or in braces
``1, 2``             the same in any order, in braces too; in parentheses in this order
``x = 1, y = 2``     the same in any order; the values alone in this order
matrix               the same entries; a column or row also as a tuple
``1 : 2 : 3``        the same ratio
cases                the same rows in any order
===================  ===============================================================================
"""

from __future__ import annotations

from typing import Any

import sympy

from ovr_plugin.reward.algebra.equations import same_congruence, same_equation, same_statement
from ovr_plugin.reward.algebra.expressions import Kind, Tolerance, free_names, same
from ovr_plugin.reward.algebra.families import same_families
from ovr_plugin.reward.algebra.listed import in_order, match, same_values
from ovr_plugin.reward.algebra.nodes import (
    Builder,
    Joined,
    Matrix,
    Node,
    NumberSet,
    Ratio,
    Relation,
    Several,
    Term,
)
from ovr_plugin.reward.algebra.readings import (
    TUPLES,
    as_list,
    as_matrix,
    as_quotient,
    as_sum,
    as_term,
    expressions_of,
    is_interval,
    is_name,
    names_axes,
    plain,
    values_of,
)
from ovr_plugin.reward.algebra.regions import Foreign, region_of
from ovr_plugin.reward.algebra.terms import symbol


class Judge:
    """Compares what texts say.

    Args:
        tolerance: how far numbers may be apart; None for not at all.
    """

    def __init__(self, tolerance: Tolerance | None = None) -> None:
        self._tolerance = tolerance

    def same(self, reference: Node, answer: Node) -> bool:
        """Tell whether ``answer`` is what ``reference`` says."""
        reference, answer = plain(reference), plain(answer)
        if same_families(reference, answer):
            return True
        if isinstance(reference, Term):
            return self._same_term(reference, answer)
        if isinstance(reference, Ratio):
            return self._same_ratio(reference, answer)
        if isinstance(reference, Relation):
            return self._same_relation(reference, answer)
        if isinstance(answer, Relation) and answer.signs == ("=",) and is_name(answer.parts[0]):
            answer = plain(answer.parts[1])  # S = \{1, 2\}
        if isinstance(reference, Several):
            return self._same_several(reference, answer)
        if isinstance(reference, Matrix):
            return self._same_matrix(reference, answer)
        return self._same_set(reference, answer)

    def _same_term(self, reference: Term, answer: Node) -> bool:
        if isinstance(answer, Several) and len(answer.items) == 1 and answer.brackets == "{}":
            return self.same(reference, answer.items[0])
        if isinstance(answer, Relation):
            return any(self.same(reference, value) for value in values_of(answer))
        if isinstance(answer, Ratio):
            answer = as_quotient(answer)
        if isinstance(answer, (Matrix, Several)):
            vector = as_sum(answer) if names_axes(reference) else as_term(answer)
            answer = vector or answer
        return isinstance(answer, Term) and self._same_expression(reference, answer)

    def _same_expression(self, reference: Term, answer: Term) -> bool:
        a, b = reference.expression, answer.expression
        if same(a, b, self._tolerance):
            return True
        # Two antiderivatives differ by a number.
        if _has_constant(a) and _has_constant(b) and len(free_names(a)) > 1:
            return same(a, b, kind=Kind.SHIFTED)
        return False

    def _same_ratio(self, reference: Ratio, answer: Node) -> bool:
        if isinstance(answer, Relation):
            return any(self.same(reference, value) for value in values_of(answer))
        if not isinstance(answer, Ratio):
            quotient = as_quotient(reference)
            return isinstance(quotient, Term) and self._same_term(quotient, answer)
        ours, theirs = expressions_of(reference.parts), expressions_of(answer.parts)
        if ours is None or theirs is None or len(ours) != len(theirs):
            return False
        products = (
            (_product(a, theirs[0]), _product(b, ours[0]))
            for a, b in zip(ours, theirs, strict=True)
        )
        return all(same(a, b) for a, b in products)

    def _same_relation(self, reference: Relation, answer: Node) -> bool:
        parts, signs = reference.parts, reference.signs
        if set(signs) == {"="}:
            return same_equation(reference, answer, self.same)
        if signs == ("\\equiv",):
            return same_congruence(reference, answer, self.same)
        if signs in (("\\in",), ("\\approx",)) and is_name(parts[0]):
            if isinstance(answer, Relation) and answer.signs == signs:
                return all(map(self.same, parts, answer.parts))
            return self.same(parts[1], answer)
        if self._same_set(reference, answer):
            return True
        return isinstance(answer, Relation) and same_statement(reference, answer, self.same)

    def _same_several(self, reference: Several, answer: Node) -> bool:
        if isinstance(answer, Several):
            if same_values(reference, answer, self.same):
                return True
            # Lists of intervals were compared one by one, and may as well be lists of points.
            are_lists = not reference.brackets and not answer.brackets
            if are_lists and any(isinstance(item, Several) for item in reference.items):
                return False
        elif isinstance(answer, Matrix):
            if (matrix := as_matrix(reference)) is not None and self._same_matrix(matrix, answer):
                return True
            vector = as_list(answer)
            if vector is None or reference.brackets not in TUPLES:
                return False
            return in_order(reference.items, vector, self.same)
        elif isinstance(answer, Relation) and answer.signs in (("=",), ("\\in",)):
            names_one = not any(isinstance(item, Relation) for item in reference.items)
            is_set = isinstance(answer.parts[1], (Several, Joined))
            if names_one and is_set and self.same(reference, answer.parts[1]):
                return True
        elif isinstance(answer, Term) and reference.brackets == "{}" and len(reference.items) == 1:
            return self.same(reference.items[0], answer)
        elif names_axes(answer) and (total := as_sum(reference)) is not None:
            return isinstance(answer, Term) and self._same_expression(total, answer)
        may_be_region = any(isinstance(item, (Relation, Several)) for item in reference.items)
        return (may_be_region or is_interval(reference)) and self._same_set(reference, answer)

    def _same_matrix(self, reference: Matrix, answer: Node) -> bool:
        if isinstance(answer, Several):
            answer = as_matrix(answer) or answer
        if isinstance(answer, Matrix):
            if reference.is_system != answer.is_system:
                return False
            if reference.is_system:
                return match(reference.rows, answer.rows, self._in_order)
            shapes = [[len(row) for row in node.rows] for node in (reference, answer)]
            return shapes[0] == shapes[1] and all(map(self._in_order, reference.rows, answer.rows))
        vector = as_list(reference)
        if isinstance(answer, Several) and vector is not None and answer.brackets in TUPLES:
            return in_order(vector, answer.items, self.same)
        matrix = as_sum(reference) if names_axes(answer) else as_term(reference)
        return (
            isinstance(answer, Term)
            and matrix is not None
            and self._same_expression(matrix, answer)
        )

    def _in_order(self, row: tuple[Node, ...], other: tuple[Node, ...]) -> bool:
        return in_order(row, other, self.same)

    def _same_set(self, reference: Node, answer: Node) -> bool:
        try:
            return region_of(reference).same(region_of(answer))
        except Foreign:
            return self._same_parts(reference, answer)

    def _same_parts(self, reference: Node, answer: Node) -> bool:
        """Compare sets part by part, where these cannot be computed."""
        if isinstance(reference, NumberSet):  # R may be upright, or bold
            if isinstance(answer, Relation) and answer.signs == ("\\in",):
                answer = answer.parts[1]
            return answer in (reference, Term(symbol(reference.name)))
        if isinstance(reference, Joined) and isinstance(answer, Joined):
            if reference.sign != answer.sign:
                return False
            if reference.sign == "\\setminus":
                return in_order(reference.parts, answer.parts, self.same)
            return match(reference.parts, answer.parts, self.same)
        if isinstance(reference, Builder) and isinstance(answer, Builder):
            is_same_element = self.same(reference.element, answer.element)
            return is_same_element and self.same(reference.condition, answer.condition)
        if isinstance(reference, (Joined, Builder)) and isinstance(answer, Relation):
            return answer.signs == ("\\in",) and self.same(reference, answer.parts[1])
        for interval, relation in ((reference, answer), (answer, reference)):
            if isinstance(interval, Several) and is_interval(interval):
                if isinstance(relation, Relation):
                    return self._same_bounds(interval, relation)
        return False

    def _same_bounds(self, interval: Several, relation: Relation) -> bool:
        """Compare ``(a, b)`` with ``a < x < b``."""
        if len(relation.parts) != 3 or not is_name(relation.parts[1]):
            return False
        opening = {"<": "(", "\\le": "["}.get(relation.signs[0], "")
        closing = {"<": ")", "\\le": "]"}.get(relation.signs[1], "")
        ends = (relation.parts[0], relation.parts[2])
        return interval.brackets == opening + closing and in_order(interval.items, ends, self.same)


def _has_constant(e: Any) -> bool:
    """Whether a constant of integration is added, and nothing else is made of its name."""
    names = [node.name for node in sympy.preorder_traversal(e) if isinstance(node, sympy.Symbol)]
    is_added = isinstance(e, sympy.Add) and any(getattr(arg, "name", "") == "C" for arg in e.args)
    return is_added and names.count("C") == 1


def _product(a: Any, b: Any) -> Any:
    return sympy.Mul(a, b, evaluate=False)
