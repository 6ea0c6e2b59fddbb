"""Several values against several: whether order, brackets and names agree, and then the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ovr_plugin.reward.algebra.nodes import Node, Relation, Several
from ovr_plugin.reward.algebra.readings import TUPLES, assigned

MAX_VALUES = 64

Same = Callable[[Node, Node], bool]


def same_values(reference: Several, answer: Several, is_same: Same) -> bool:
    """Compare lists, sets and tuples by the table of `ovr_plugin.reward.algebra.verdicts`."""
    if max(len(reference.items), len(answer.items)) > MAX_VALUES:
        return False
    if _has_set(answer) and not _has_set(reference):  # {1}, {2} is not {1, 2}
        return False
    names, values = assigned(reference)
    other_names, others = assigned(answer)
    ours, theirs = reference.brackets, answer.brackets
    n_names, n_others = len(set(names)), len(set(other_names))
    if n_names > 1 and n_others > 1:
        pairs, given = (
            list(zip(names, values, strict=True)),
            list(zip(other_names, others, strict=True)),
        )
        return match(pairs, given, lambda a, b: a[0] == b[0] and is_same(a[1], b[1]))
    if n_names > 1 or n_others > 1:  # x = 1, y = 2 and (1, 2)
        is_ordered = ours in ("", *TUPLES) and theirs in ("", "()", "<>")
        return n_names != 1 and n_others != 1 and is_ordered and in_order(values, others, is_same)
    if names and other_names and names[0] != other_names[0]:
        return False
    if names and any(isinstance(node, Relation) for node in others):  # y = \pm x and x \pm y = 0
        return ours == theirs == "" and match(reference.items, others, is_same)
    if ours in ("", "{}") and theirs in ("", "{}"):
        return _match(values, others, ours == "{}", is_same)
    return _fit(ours, theirs, len(values)) and in_order(values, others, is_same)


def _has_set(node: Several) -> bool:
    return any(isinstance(item, Several) and item.brackets == "{}" for item in node.items)


def _fit(ours: str, theirs: str, n_values: int) -> bool:
    """Whether values in these brackets may be the same in order."""
    if "{}" in (ours, theirs):
        return False
    square = {"[]"} if n_values > 2 else set()  # of two values that is an interval
    ordered = {"", "()", "<>"} | square
    return ours == theirs or (ours in ordered and theirs in ordered)


def in_order(values: Sequence[Node], others: Sequence[Node], is_same: Same) -> bool:
    """Whether there are as many, and each is the same as that in its place."""
    return len(values) == len(others) and all(map(is_same, values, others))


def _match(values: Sequence[Node], others: Sequence[Node], is_set: bool, is_same: Same) -> bool:
    distinct = _distinct(values, is_same)
    if is_set or len(distinct) == len(values):
        values, others = distinct, _distinct(others, is_same)
    return match(values, others, is_same)


def _distinct(nodes: Sequence[Node], is_same: Same) -> list[Node]:
    kept: list[Node] = []
    for node in nodes:
        if not any(other == node or is_same(other, node) for other in kept):
            kept.append(node)
    return kept


def match(values: Sequence[Any], others: Sequence[Any], fits: Callable[[Any, Any], bool]) -> bool:
    """Whether each value has a partner of its own; as equality is transitive, the first will do."""
    left = list(others)
    for value in values:
        partner = next((i for i, other in enumerate(left) if fits(value, other)), None)
        if partner is None:
            return False
        del left[partner]
    return not left
