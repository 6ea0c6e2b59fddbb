"""One plain value against another: number, quantity, time, date, word.

The first that knows what the reference is decides. Both texts are cleaned
(`ovr_plugin.reward.normalize`), and the reference is no list. A name in front (``x = 5``) is
ignored, unless both have one and these differ: then it is no plain value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ovr_plugin.reward import moments, quantity, words
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.normalize import squeeze
from ovr_plugin.reward.value_list import split_name

if TYPE_CHECKING:
    from ovr_plugin.reward.spec import AnswerSpec

Decider = Callable[[str, str, "AnswerSpec"], "Comparison | None"]

_PLAIN = re.compile(r"[+-]?[\d.,/ ]*\d|[a-zA-Z]")
_BASED = re.compile(r"([A-Fa-f]{0,20}[0-9][0-9A-Fa-f]*)\s*_\s*\{?\s*(\d{1,2})\s*\}?")


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare two plain values; None where the reference, or what the answer has in it, is none."""
    if squeeze(reference) == squeeze(answer):
        return Comparison(True, "text", reference, answer)
    deciders = (quantity.decide, moments.decide, _decide_based, words.decide_yes_no, words.decide)
    return _first(deciders, reference, answer, spec)


def decide_number(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare numbers, quantities, times and dates."""
    return _first((quantity.decide, moments.decide, _decide_based), reference, answer, spec)


def _first(
    deciders: Sequence[Decider], reference: str, answer: str, spec: AnswerSpec
) -> Comparison | None:
    """Ask one after the other, without the names."""
    right_name, right = split_name(reference)
    given_name, given = split_name(answer)
    if right_name and given_name and right_name != given_name:
        return None
    for decider in deciders:
        compared = decider(right, given, spec)
        if compared is not None:
            return compared
    return None


def is_plain(text: str) -> bool:
    """Whether cleaned ``text`` is a number, a letter or words, for sure."""
    return _PLAIN.fullmatch(text) is not None or words.is_words(text)


def _decide_based(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare numbers with a base: the reference's may be left out, none may be added."""
    right, given = _BASED.fullmatch(reference), _BASED.fullmatch(answer)
    if right is None and given is None:
        return None
    if right and given:
        equal = right.groups() == given.groups()
    else:
        equal = right is not None and right.group(1) == answer
    return Comparison(equal, "base", reference, answer)
