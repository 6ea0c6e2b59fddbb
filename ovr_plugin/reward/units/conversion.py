"""Two units in: whether they measure the same, and how many of the one the other is."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

from ovr_plugin.reward.units.nouns import same_noun
from ovr_plugin.reward.units.reader import Unit
from ovr_plugin.reward.units.spelling import WRAPPER
from ovr_plugin.reward.units.table import Dimension, Size

# Letters that are a unit where a space or a decimal point tells them from a product.
_LETTERS = frozenset("m s g h N J W V A K L T C F H".split())
# Pairs of letters that nobody takes for a product.
_PAIRS = frozenset(
    "cm mm km dm nm kg ml cc ha ft yd mi lb oz hr Hz Pa eV kW GB MB KB kB TB dB Wh lx lm hp".split()
)
_QUOTIENTS = frozenset(("m/s", "m/s^2", "m/s2", "N/m", "g/L", "g/l", "m / s"))
_NO_VARIABLES = re.compile("[a-zA-Z]{3}|[^\x00-\x7f·]")
_TURNS = frozenset(("rad", "cycle"))


def conversions(unit: Unit, other: Unit) -> list[tuple[Size, Size]]:
    """The pairs of what the two may be, in which they are of the same dimension."""
    return [
        (a, b)
        for a, b in product(unit.sizes, other.sizes)
        if _same_dimension(a.dimension, b.dimension)
    ]


def convert(value: Fraction, source: Size, target: Size) -> tuple[Fraction, int]:
    """Return ``value`` in ``target``'s units: a fraction, and the power of pi that it is times."""
    absolute = (value + source.zero) * source.scale
    return absolute / target.scale - target.zero, source.pi - target.pi


def _same_dimension(a: Dimension, b: Dimension) -> bool:
    """Compare two; 1/s may be rad/s and Hz, but these two are not the same."""
    if a == b:
        return True
    first, second = dict(a), dict(b)
    if not (_TURNS & first.keys() and _TURNS & second.keys()):
        bare, other = (
            {base: power for base, power in powers.items() if base not in _TURNS}
            for powers in (first, second)
        )
        if bare == other:
            return bool(bare)
    return _noun(a) != "" and _noun(b) != "" and same_noun(_noun(a), _noun(b))


def _noun(dimension: Dimension) -> str:
    """The one thing counted, or ''."""
    if len(dimension) != 1 or dimension[0][1] != 1:
        return ""
    kind, _, noun = dimension[0][0].partition(":")
    return noun if kind == "noun" else ""


def is_product(unit: Unit, written: str, before: str) -> bool:
    """Whether ``written``, read as ``unit``, may be a product of variables.

    Args:
        unit: what was read.
        written: the text it was read from, with the space in front.
        before: the number that it stands behind.
    """
    text = unit.text
    if not unit.is_formal or WRAPPER.search(written) or _NO_VARIABLES.search(text):
        return False
    is_attached = not written[:1].isspace()
    letters = re.findall("[a-zA-Z]+", text)
    if any(pair in _PAIRS or pair.lower() in _PAIRS for pair in letters) or text in _QUOTIENTS:
        return False
    if "/" in text or "·" in text:
        return is_attached
    if len(letters) > 1 or is_attached:
        return not ("." in before and text in _LETTERS)
    if len(letters[0]) == 2:
        return False
    return letters[0] not in _LETTERS or text not in (letters[0], "m^2", "m^3", "m2", "m3")
