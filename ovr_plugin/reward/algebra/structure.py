r"""Tokens in, what they say out (`nodes`).

Read here is what commas, relation signs, set operations and brackets say, at the top level and then
inside; what is left are terms, which go to `terms`. ``\pm`` is two terms; a ratio keeps its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ovr_plugin.reward.algebra import vocabulary as v
from ovr_plugin.reward.algebra.items import (
    Group,
    Item,
    Items,
    Name,
    Unreadable,
    Words,
    has_sign,
    leaves,
)
from ovr_plugin.reward.algebra.names import pair_bars
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
from ovr_plugin.reward.algebra.signs import variants
from ovr_plugin.reward.algebra.terms import read_term, symbol

LABEL_WORDS = 4  # behind a value; more are prose
REMARKS = frozenset("if when for where with whenever provided since because as such".split())
_DENIALS = frozenset("not no none never neither nor but except unless maybe perhaps".split())
_MATRICES = frozenset(("matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array"))
_SYSTEMS = frozenset(("cases", "aligned", "align", "align*", "gathered"))
_STATEMENT = v.RELATIONS | v.SET_OPERATIONS | {"\\pm", "\\mp", ":"}
_EQUATES = (("=",), ("\\ne",), ("\\approx",))


def read(items: Items) -> Node:
    """Read tokens.

    Raises:
        Unreadable: if they are no mathematics of the kinds in `nodes`.
    """
    items = _with_comma(_without_remark(_trimmed(items)))
    for read_as in _READERS:
        node = read_as(items)
        if node is not None:
            return node
    return _read_term(items)


def _trimmed(items: Items) -> Items:
    while items and items[-1] in (".", ",", ";", "\\\\"):
        items = items[:-1]
    while items and items[0] in (",", ";", "\\\\", *v.INFERENCES):
        items = items[1:]
    if not items:
        raise Unreadable("nothing")
    return items


def _cut(items: Items, is_joint: Callable[[Item], bool]) -> list[Items]:
    """The parts of ``items`` between joints."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if is_joint(item):
            parts.append([])
        else:
            parts[-1].append(item)
    return [tuple(part) for part in parts]


def _word(item: Item) -> str:
    return item.text.strip(" ,.:;").lower() if isinstance(item, Words) else ""


def _without_remark(items: Items) -> Items:
    """Leave out "if ..." behind a value, words with a colon and what the value follows from."""
    for i in range(len(items) - 2, 0, -1):
        if isinstance(items[i], str) and items[i] in v.INFERENCES:
            return _without_remark(items[i + 1 :])
    for i, item in enumerate(items):
        if i and _word(item).partition(" ")[0] in REMARKS:
            return _trimmed(items[:i])
    if isinstance(items[0], Words) and items[0].text.endswith(":") and len(items) > 1:
        return items[1:]
    return items


def _with_comma(items: Items) -> Items:
    r"""``k\pi (k \in Z)`` as ``k\pi, k \in Z``."""
    last = items[-1]
    if len(items) > 1 and isinstance(last, Group) and last.opening == "(" and "\\in" in last.items:
        return (*items[:-1], ",", *last.items)
    return items


def _read_list(items: Items) -> Node | None:
    joint = next((sign for sign in ("\\\\", ";", ",") if sign in items), "")
    if not joint:
        return None
    parts = _cut(items, lambda item: item == joint or _word(item) in ("and", "or", "and/or"))
    return _list_of([read(part) for part in parts if part])


def _list_of(nodes: Sequence[Node]) -> Node:
    flat: list[Node] = []
    for node in nodes:
        is_list = isinstance(node, Several) and not node.brackets
        flat += node.items if is_list and isinstance(node, Several) else [node]
    if not flat:
        raise Unreadable("nothing between joints")
    if len(flat) == 1:
        return flat[0]
    first = flat[0]
    # x = 1, 2 says x = 1, x = 2, and so does \ne.
    if isinstance(first, Relation) and first.signs in _EQUATES:
        if not any(isinstance(node, (Relation, Joined)) for node in flat[1:]):
            flat[1:] = [replace(first, parts=(first.parts[0], node)) for node in flat[1:]]
    return Several("", tuple(flat))


def _read_logic(items: Items) -> Node | None:
    for word, sign in (("or", "\\lor"), ("and", "\\land")):
        parts = _cut(items, lambda item: item == sign or _word(item) == word)  # noqa: B023
        if len(parts) > 1:
            nodes = [read(part) for part in parts if part]
            is_logic = sign in items and all(map(_is_letter, nodes))  # p \lor q
            is_region = any(map(_is_region, nodes))
            return Joined(word, tuple(nodes)) if is_region or is_logic else _list_of(nodes)
    return None


def _is_letter(node: Node) -> bool:
    return isinstance(node, Term) and getattr(node.expression, "is_Symbol", False)


def _is_region(node: Node) -> bool:
    """Whether a node can only be a set of numbers, which "or" unites."""
    if isinstance(node, Relation):
        return not set(node.signs) <= {"=", "\\approx"}
    if isinstance(node, Several):
        return node.brackets in ("[)", "(]")
    return isinstance(node, (NumberSet, Builder, Joined))


def _read_relation(items: Items) -> Node | None:
    signs = tuple(item for item in items if isinstance(item, str) and item in v.RELATIONS)
    if not signs:
        return None
    parts = _cut(items, lambda item: isinstance(item, str) and item in v.RELATIONS)
    if not parts[0] and signs[0] in ("=", "\\approx") and len(items) > 1:
        return read(items[1:])  # "= 5": what it is equal to
    if any(not part for part in parts):
        raise Unreadable("a relation without a side")
    nodes = [_read_side(part) for part in parts]
    for i, node in enumerate(nodes):  # x = \pm 1
        if isinstance(node, Several) and not node.brackets and signs in _EQUATES:
            sides = [(*nodes[:i], value, *nodes[i + 1 :]) for value in node.items]
            return Several("", tuple(Relation(side, signs) for side in sides))
    return Relation(tuple(nodes), signs)


def _read_side(items: Items) -> Node:
    if all(isinstance(item, Words) for item in items):  # \text{Area} = 5
        return Term(symbol(" ".join(leaves(items)).lower()))
    return read(items)


def _read_set_operation(items: Items) -> Node | None:
    for sign in ("\\cup", "\\cap", "\\setminus"):
        if sign in items:
            return Joined(sign, tuple(read(part) for part in _cut(items, lambda i: i == sign)))  # noqa: B023
    if len(items) > 2 and items[1] == "-" and _number_set(items[0]):  # \mathbb{R} - \{0\}
        return Joined("\\setminus", (read(items[:1]), read(items[2:])))
    return None


def _number_set(item: Item) -> str:
    if isinstance(item, str) and item.startswith("\\mathbb{") and item[8:-1] in v.NUMBER_SETS:
        return item[8:-1]
    return ""


def _read_group(items: Items) -> Node | None:
    last = items[-1]
    if len(items) == 1 and isinstance(last, Group):
        return _read_brackets(last)
    if len(items) == 1 and (last == "\\emptyset" or _number_set(last)):
        return NumberSet(_number_set(last))
    if len(items) == 2 and isinstance(items[0], Name) and items[0].text.isupper():
        if isinstance(last, Group) and last.opening == "(" and has_sign(last.items, _COMMAS):
            return _read_brackets(last)  # the point A(1, 2)
    return None


def _read_transposed(items: Items) -> Node | None:
    r"""``(1, 2)^T`` is a column, that of a matrix its transpose."""
    if len(items) != 3 or items[1] != "^" or leaves(items[2:]) != ["T"]:
        return None
    node = _read_group(items[:1])
    if isinstance(node, Several) and node.brackets in ("()", "[]"):
        return Matrix(tuple((item,) for item in node.items))
    if isinstance(node, Matrix) and not node.is_system:
        return Matrix(tuple(zip(*node.rows, strict=True)))
    return None


_COMMAS = frozenset((",", ";"))
_READERS = (
    _read_list,
    _read_logic,
    _read_relation,
    _read_set_operation,
    _read_group,
    _read_transposed,
)


def _read_brackets(group: Group) -> Node | None:
    opening, inside = group.opening, group.items
    if opening in _MATRICES or opening in _SYSTEMS:
        is_system = opening in _SYSTEMS or (opening == "array" and _is_column_of_relations(inside))
        return _read_system(inside) if is_system else _read_matrix(inside)
    if opening == "\\{":
        return _read_set(inside)
    if opening not in ("(", "[", "{", "\\langle") or not inside:
        return None
    inner = inside[0] if len(inside) == 1 else None
    if isinstance(inner, Group) and inner.opening in _MATRICES:
        return _read_brackets(inner)
    if has_sign(inside, _COMMAS):
        brackets = {"{": "{}", "\\langle": "<>"}.get(opening, opening + group.closing)
        return _in_brackets(brackets, read(inside))
    is_statement = has_sign(inside, _STATEMENT) or isinstance(inner, Group)
    if opening == "{" or (opening == "(" and is_statement):
        return read(inside)
    return None


def _in_brackets(brackets: str, node: Node) -> Several:
    is_list = isinstance(node, Several) and not node.brackets
    return Several(brackets, node.items if is_list and isinstance(node, Several) else (node,))


def _read_set(inside: Items) -> Node:
    if not inside:
        return NumberSet("")
    for bar in ("|", ":"):
        i = inside.index(bar) if bar in inside else 0
        element, condition = inside[:i], tuple(pair_bars(list(inside[i + 1 :])))
        if element and condition and (bar == "|" or has_sign(inside, v.RELATIONS)):
            return Builder(read(element), read(condition))
    return _in_brackets("{}", read(inside))


def _read_matrix(items: Items) -> Node:
    rows = [
        _cut(row, lambda item: item == "&") for row in _cut(items, lambda i: i == "\\\\") if row
    ]
    if not rows or len({len(row) for row in rows}) > 1:
        raise Unreadable("a matrix with rows of different lengths")
    return Matrix(tuple(tuple(read(entry) for entry in row) for row in rows))


def _is_column_of_relations(items: Items) -> bool:
    return "&" not in items and has_sign(items, v.RELATIONS)


def _read_system(items: Items) -> Node:
    rows = []
    for row in _cut(items, lambda item: item == "\\\\"):
        cells = [cell for cell in _cut(row, lambda item: item == "&") if cell]
        if len(cells) == 1:
            cells = _split_condition(cells[0])
        if len(cells) == 2 and cells[1][0] in ("=", *v.ORDERINGS):  # aligned at the sign
            cells = [cells[0] + cells[1]]
        if cells:
            rows.append(tuple(read(_without_if(cell)) for cell in cells))
    if not rows:
        raise Unreadable("a system without rows")
    return Matrix(tuple(rows), is_system=True)


def _split_condition(cell: Items) -> list[Items]:
    """``x + 1, x > 0`` and ``x + 1 if x > 0``: the value and its condition."""
    for i, item in enumerate(cell[:-1]):
        is_comma = item == "," and has_sign(cell[i:], v.RELATIONS)
        if i and (
            _word(item).partition(" ")[0] in REMARKS
            or (is_comma and not has_sign(cell[:i], v.RELATIONS))
        ):
            return [cell[:i], cell[i + 1 :]]
    return [cell]


def _without_if(cell: Items) -> Items:
    return cell[1:] if len(cell) > 1 and isinstance(cell[0], Words) else cell


def _read_term(items: Items) -> Node:
    written_out = variants(items)
    if len(written_out) > 1:
        return Several("", tuple(read(variant) for variant in written_out))
    if ":" in items:
        parts = _cut(items, lambda item: item == ":")
        if any(not part for part in parts):
            raise Unreadable("a ratio without a part")
        return Ratio(tuple(_read_term(part) for part in parts))
    items, label = _split_label(items)
    return Term(read_term(items), label)


def _split_label(items: Items) -> tuple[Items, str]:
    words: list[str] = []
    if len(items) > 3 and isinstance(items[-3], Words) and items[-2] == "^":  # \text{cm}^2
        items, words = items[:-2], ["^" + "".join(leaves(items[-1:]))]
    while len(items) > 1 and isinstance(last := items[-1], Words):
        items, words = items[:-1], [*last.text.split(), *words]
    if len(words) > LABEL_WORDS or _DENIALS & {word.lower().strip(".,") for word in words}:
        raise Unreadable("words behind a value")
    return items, " ".join(words)
