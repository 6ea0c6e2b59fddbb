r"""Several values against several: lists, sets, tuples and intervals of plain values.

The reference decides what the order and the brackets mean:

==================  =====================================================================
reference           takes
==================  =====================================================================
``1, 2``            ``2, 1``, ``1 and 2``, ``\{2, 1\}``, ``x=1 or x=2``; ``(1, 2)`` in order
``\{1, 2\}``        the same, but nothing in round or square brackets
``(1, 2)``          ``(1, 2)``; ``1, 2`` and ``x=1, y=2`` in this order; no set, no ``[1, 2]``
``[1, 2]``          ``[1, 2]``; with three values and more what ``(1, 2, 3)`` takes
``(1, 2]``          ``(1, 2]``
``a=1, b=2``        ``b=2, a=1``; ``1, 2`` and ``(1, 2)`` in this order
``x_1=1, x_2=2``    the roots in any order, numbered or not
==================  =====================================================================

A value counts as often as it comes, in a set once. Values are compared by
`ovr_plugin.reward.values`; where these are expressions the lists go to algebra, without their
names. A row's ``answer_type`` (set, tuple, interval) narrows the reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from ovr_plugin.reward import folding, values, words
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.labels import is_label_list
from ovr_plugin.reward.normalize import clean, squeeze
from ovr_plugin.reward.spec import AnswerSpec
from ovr_plugin.reward.value_list import ANGLE, ROUND, SET, SQUARE, Values, read_values, split_name

MAX_DEPTH = 2  # of values within values
MAX_PAIRED = 12  # up to this many values each is compared with each

# With one of these a text is no value, or several that are not written out.
_RELATION = re.compile(
    r"[=<>|]|\\(?:leq?|geq?|neq?|pm|mp|cup|cap|setminus|mid|vert|in|notin)(?![a-zA-Z])"
)
# "and" and "or" between inequalities make a difference.
_ORDERING = re.compile(r"[<>]|\\(?:le|ge|ne)(?![a-zA-Z])")
# A letter that counts, which is for algebra: `k\pi, k \in \mathbb{Z}`.
_PARAMETER = re.compile(r"[,;]\s?[a-zA-Z]\s?\\in\s?(?:\\mathbb\s?)?\{?\s?[ZN]\b")
_NUMBER = re.compile(r"[+-]?[0-9]{1,100}(?:\.[0-9]{1,100}|/[0-9]{1,100})?")
_KINDS = {"": "list", SET: "set", ROUND: "tuple", ANGLE: "tuple"}


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where the reference is several values, whatever their type.

    Args:
        reference: cleaned.
        answer: cleaned.
        spec: for the values.
    """
    right = read_values(reference)
    if right is None:
        return None
    if _PARAMETER.search(reference) or any(map(_ORDERING.search, right.items)):
        return None
    in_words = words.has_words(reference)
    if in_words and folding.same_text(reference, answer):
        return Comparison(True, "words", reference, answer)
    if in_words and "or" in words.hedge(reference, answer).split():
        return Comparison(False, "hedge", reference, answer)
    given = read_values(answer)
    if given is not None and any(map(_ORDERING.search, given.items)):
        return None  # [1, 2) as x \ge 1 and x < 2
    if given is None or (len(right.items) == 1 and given.brackets != SET):
        compared = _compare_one(right, answer, spec)
    else:
        compared = _compare(right, given, spec)
    if in_words and words.is_prose(reference) and (compared is None or compared.equal is None):
        return Comparison(False, "words", reference, answer)
    return compared


def decide_set(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two sets, each in braces, in square brackets or bare."""
    right, given = read_values(reference), read_values(answer)
    if right is None or given is None:
        return decide(reference, answer, spec)
    alike = ("", SET, SQUARE, right.brackets)
    brackets = SET if given.brackets in alike else given.brackets
    return _compare(replace(right, brackets=SET), replace(given, brackets=brackets), spec)


def decide_tuple(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two tuples, each in any brackets but braces, or bare."""
    right, given = read_values(reference), read_values(answer)
    if right is None or given is None:
        return decide(reference, answer, spec)
    brackets = SET if given.brackets == SET else ROUND
    return _compare(replace(right, brackets=ROUND), replace(given, brackets=brackets), spec)


def decide_interval(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two intervals: the same brackets around the same ends."""
    right, given = read_values(reference), read_values(answer)
    if right is None or given is None:
        return None
    if right.brackets != given.brackets:
        return Comparison(False, "brackets", right, given)
    return _compare_items(right, given, True, spec, 0)


def decide_names(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two lists of words, in any order."""
    right, given = read_values(reference), read_values(answer)
    if not (right and given and all(map(words.has_words, right.items))):
        return None
    if right.brackets not in ("", SET) or given.brackets not in ("", SET):
        return None
    if folding.same_text(reference, answer):
        return Comparison(True, "words", reference, answer)

    if "or" in words.hedge(reference, answer).split():
        return Comparison(False, "hedge", reference, answer)
    equal = _same_in_any_order(list(right.items), list(given.items), folding.same_text)
    return Comparison(bool(equal), "list", right, given)


def refuse_several(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Refuse a list where the reference is one number."""
    if not values.is_plain(reference):
        return None
    given = read_values(answer)
    if given is None or len(given.items) < 2:
        return None
    return Comparison(False, "several values", reference, given)


def refuse_hedge(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Refuse words such as "or" beside a value, where the reference is one value."""
    hedge = words.hedge(reference, answer)
    value = split_name(reference)[1]
    if not hedge or _RELATION.search(value) or read_values(value):
        return None
    return Comparison(False, "hedge", reference, hedge)


def answer_of(boxes: Sequence[str], reference: str) -> str:
    r"""Return the answer that boxes joined to each other give (`extract.extract_answers`).

    It is the last of them, or the list of all where the reference is one: a list or a set, several
    option labels, or a tuple with as many values.

    Args:
        boxes: the contents, in order; at least one.
        reference: as the dataset has it.
    """
    if len(boxes) > 1 and _takes_boxes(clean(reference), boxes):
        return ", ".join(boxes)
    return boxes[-1]


def _takes_boxes(reference: str, boxes: Sequence[str]) -> bool:
    if values.decide_number(reference, reference, AnswerSpec()):  # 1,200, say
        return False
    right = read_values(reference)
    if right is None:
        return r"\pm" in reference or is_label_list(reference)
    if right.brackets in ("", SET):
        return True
    is_one_each = len(boxes) == len(right.items) and read_values(clean(boxes[-1])) is None
    return is_one_each and "" in _taken(right)


def _compare_one(right: Values, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare several values with an answer that is none of several."""
    if len(right.items) == 1:  # a set of one: its value will do
        return decide(right.items[0], answer, spec) or values.decide(right.items[0], answer, spec)
    if values.is_plain(answer) and not any(map(_RELATION.search, right.items)):
        return Comparison(False, "list", right, answer)
    return None


def _compare(right: Values, given: Values, spec: AnswerSpec, depth: int = 0) -> Comparison | None:
    arranged = _arrange(right, given)
    if arranged is None:
        return Comparison(False, "brackets", right, given)
    return _compare_items(right, *arranged, spec, depth)


def _arrange(right: Values, given: Values) -> tuple[Values, bool] | None:
    """The answer as it is to be compared and whether in order; None where it cannot be equal."""
    if given.brackets not in _taken(right):
        return None
    n_right, n_given = len(right.variables), len(given.variables)
    if right.brackets == SET or (not right.brackets and n_right < 2 and n_given < 2):
        if n_right and n_given and right.variables != given.variables:
            return None
        return given, given.brackets not in ("", SET)
    if given.brackets == SET or n_given == 1:
        return None
    if n_right > 1 and n_given > 1 and len(set(right.names)) == len(right.names):
        item_of = dict(zip(given.names, given.items, strict=True))
        if sorted(right.names) != sorted(given.names):
            return None
        given = Values(tuple(item_of[name] for name in right.names), "", right.names)
    return given, True


def _taken(right: Values) -> set[str]:
    """The brackets that an answer may have."""
    square = {SQUARE} if len(right.items) > 2 else set()
    if right.brackets == SET:
        return {"", SET}
    if right.brackets == "":
        return {"", SET, ROUND, ANGLE} | square
    if right.brackets in {ROUND, ANGLE} | square:
        return {"", ROUND, ANGLE} | square
    return {right.brackets}


def _compare_items(
    right: Values, given: Values, in_order: bool, spec: AnswerSpec, depth: int
) -> Comparison | None:
    def same(a: str, b: str) -> bool | None:
        inner = read_values(a) if depth < MAX_DEPTH and not values.is_plain(a) else None
        other = read_values(b) if inner else None
        if inner is None:
            compared = values.decide(a, b, spec)
        elif other is None:
            compared = _compare_one(inner, b, spec)
        else:
            compared = _compare(inner, other, spec, depth + 1)
        return None if compared is None else compared.equal

    expected, found = list(right.items), list(given.items)
    if in_order:
        equal = _same_in_order(expected, found, same)
    else:
        expected = _distinct(expected) if right.brackets == SET else expected
        found = _distinct(found) if SET in (right.brackets, given.brackets) else found
        equal = _same_in_any_order(expected, found, same)
    if equal is None and right.brackets == given.brackets and not any(right.names + given.names):
        return None  # as they are
    how = _KINDS.get(right.brackets, "interval")
    if equal is None:
        opening, closing = (r"\{", r"\}") if not in_order else ("(", ")")
        texts = (f"{opening}{', '.join(v.items)}{closing}" for v in (right, given))
        return Comparison(None, how, *texts)
    return Comparison(equal, how, right, given)


Same = Callable[[str, str], "bool | None"]


def _same_in_order(expected: list[str], found: list[str], same: Same) -> bool | None:
    if len(expected) != len(found):
        return None if any(map(_RELATION.search, expected + found)) else False
    verdicts = [same(a, b) for a, b in zip(expected, found, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def _same_in_any_order(expected: list[str], found: list[str], same: Same) -> bool | None:
    if len(expected) != len(found):
        return False if all(map(values.is_plain, expected + found)) else None
    if _same_in_order(expected, found, same):
        return True
    expected, found = sorted(expected, key=_key), sorted(found, key=_key)
    equal = _same_in_order(expected, found, same)
    if equal or len(expected) > MAX_PAIRED:
        return equal
    verdicts = [[same(a, b) for b in found] for a in expected]
    if _can_pair([[verdict is True for verdict in row] for row in verdicts]):
        return True
    return (
        None
        if _can_pair([[verdict is not False for verdict in row] for row in verdicts])
        else False
    )


def _can_pair(fits: list[list[bool]]) -> bool:
    """Whether each row can be given a column of its own that it fits (augmenting paths)."""
    row_of: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, fit in enumerate(fits[row]):
            if fit and column not in tried:
                tried.add(column)
                if column not in row_of or place(row_of[column], tried):
                    row_of[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(fits)))


def _distinct(items: list[str]) -> list[str]:
    return list({_key(item): item for item in reversed(items)}.values())[::-1]


def _key(item: str) -> tuple[int, Fraction, str]:
    """Equal for equal numbers and for equal texts; for sorting."""
    if _NUMBER.fullmatch(item):
        number, _, divisor = item.partition("/")
        if not divisor:
            return 0, Fraction(number), ""
        if int(divisor):
            return 0, Fraction(int(number), int(divisor)), ""
    return 1, Fraction(0), folding.fold(squeeze(item))
