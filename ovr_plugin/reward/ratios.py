r"""Ratios of two and more numbers in, the same ratio or not out.

``3:4``, ``3 : 4``, "3 to 4", 3比4, ``1:2:3``. A ratio of two is also a quotient: ``3:4`` takes
``\frac{3}{4}`` and ``0.75``, and these take ``3:4``. With a zero in it (``4:0``) it is no ratio but
a score, which must be the same. ``3:40`` may be a time; as a reference it is a ratio only where the
row says so. ``3 : 40`` is one, as no time is spaced like that.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ovr_plugin.reward import numerals
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.normalize import plain_text
from ovr_plugin.reward.spec import AnswerSpec, AnswerType

MAX_PARTS = 8
_COLON = re.compile(r"\s?(?::|∶|\\colon(?![a-zA-Z])|比)\s?")  # noqa: RUF001
_TO = re.compile(r"\sto\s")
_MAYBE = re.compile(r":|∶|\\colon|比|\sto\s")  # noqa: RUF001
_TIME = re.compile(r"(?:[01]?\d|2[0-4])(?: ?:|: )[0-5]\d(?:\s?:\s?[0-5]\d)?")
_ZERO_LED = re.compile(r"0\d")

Parts = tuple[Fraction, ...]


def may_be(text: str) -> bool:
    """Whether ``text`` has what a ratio is written with."""
    return _MAYBE.search(text) is not None


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where one of the two is a ratio; None where that is no ratio, or may be a time."""
    if spec.answer_type is not AnswerType.RATIO and _TIME.fullmatch(reference):
        return None
    right, given = _read(reference), _read(answer)
    if right is None or given is None or (len(right) == 1 and len(given) == 1):
        return None
    if not all(right + given):
        return Comparison(right == given, "ratio", _spell(right), _spell(given))
    equal = _reduced(right) == _reduced(given)
    return Comparison(equal, "ratio", _spell(right), _spell(given))


def _read(text: str) -> Parts | None:
    """The parts of a ratio; a number is one of one part."""
    text = plain_text(text) if "\\" in text else text
    parts = _COLON.split(text, maxsplit=MAX_PARTS)
    if len(parts) == 1:
        parts = _TO.split(text, maxsplit=MAX_PARTS)
    numbers = [numerals.read(part) for part in parts]
    if len(parts) > MAX_PARTS or any(map(_ZERO_LED.match, parts[1:])):
        return None
    found = [number.value for number in numbers if number is not None and number.pi == 0]
    return tuple(found) if len(found) == len(parts) else None


def _reduced(parts: Parts) -> Parts:
    """The parts over the last, without it; two parts are their quotient."""
    if len(parts) == 1:
        return parts
    return tuple(part / parts[-1] for part in parts[:-1])


def _spell(parts: Parts) -> str:
    return ":".join(map(str, parts))
