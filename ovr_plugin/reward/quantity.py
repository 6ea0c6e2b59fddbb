r"""Numbers and quantities in, right or wrong out; exactly, unless the row has a tolerance.

The reference decides how it is read, the answer is read to match. The conventions, each a choice:

====================  ============================================================================
reference             takes
====================  ============================================================================
a number ``12``       the same value in any spelling (`numerals`, `number_words`); with any unit,
                      currency, thing counted ("12 apples") or per cent (``12\%``); the same value
                      in per cent (``0.5`` takes ``50\%``); as the ratio ``12:1``
``50\%``              ``50\%``, ``50``, ``0.5``
``5 cm``              ``5``; any unit of the same dimension, converted (``0.05 m``); no other
``5\text{ apples}``   ``5``; "5 red apples", "5 units", 5个; no "5 pears"
``\$5``, 5元          ``5``, "5 dollars", "500 cents", "5 USD"; no other currency
``90^\circ``          ``90``, ``\frac{\pi}{2}``, "90 degrees"; and ``\frac{\pi}{2}`` takes
                      ``90^\circ``, but not ``90``
``25^\circ C``        ``25``, ``25^\circ``, ``77^\circ F``, ``298.15 K``
``1 h 30 min``        "90 minutes", ``1.5 h``, ``1.5``
``2s``, ``40m``       the product of variables, unless the answer has the unit for sure
``3:4``, ``1:2:3``    an equal ratio ("3 to 4", ``6:8``), the quotient; but ``3:40`` may be a time
                      and is left to `moments` unless the row says that it is a ratio
====================  ============================================================================

- ``1.414`` is not ``\sqrt{2}``, ``0.33`` not ``1/3``, ``0.333...`` neither: nothing is rounded.
- A row's ``unit`` is that of a bare reference. Where it requires one, a bare answer is wrong.
- A row's tolerance is relative to the reference, an absolute one is in the reference's unit. It
  holds for numbers, quantities, money and per cents, not for ratios.
- Where the reference is ``3000``, ``3k`` and ``3K`` are 3000.
- Expressions with a unit (``4\pi\sqrt{2}\text{ cm}``) are for algebra, once their units agree.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from ovr_plugin.reward import numerals, ratios
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.normalize import clean
from ovr_plugin.reward.numerals import Exact
from ovr_plugin.reward.quantity_text import SUFFIXES, Quantity, read_quantity
from ovr_plugin.reward.spec import AnswerSpec, AnswerType, Tolerance
from ovr_plugin.reward.split_unit import split_unit
from ovr_plugin.reward.units import Unit, conversions, convert, read_unit

__all__ = ["decide", "split_unit"]

_PLAIN = re.compile(r"-?\d{1,100}(?:\.\d{1,100})?")
_SHORTENED = re.compile(r"([\d.,]{1,40})\s?([kKmMbB]|mn|bn|tn)")
_UNENDING = re.compile(r"\s?\\(?:ldots|cdots|dots)(?![a-zA-Z])")
_MAX_PI_POWER = 4
PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where ``reference`` is a number, quantity, percentage, ratio or sum of money.

    Args:
        reference: cleaned.
        answer: cleaned.
        spec: its tolerance and unit are used, and a type ``ratio``.

    Returns:
        None where the reference is none of these, or the answer is something else again. Its
        ``equal`` is None where algebra is to compare two expressions, in one unit now.
    """
    if _PLAIN.fullmatch(reference) and _PLAIN.fullmatch(answer) and _knows_nothing(spec):
        return Comparison(Decimal(reference) == Decimal(answer), "number", reference, answer)
    if ratios.may_be(reference) or ratios.may_be(answer):
        compared = ratios.decide(reference, answer, spec)
        if compared is not None:
            return compared
    right = read_quantity(reference)
    given = read_quantity(answer)
    if right and right.is_bare and _is_shortened(right, answer, spec.tolerance):
        return Comparison(True, "number", right, answer)
    if right is None or given is None:
        return _decide_expression(right, reference, answer, spec)
    expected = _with_unit_of_row(right, spec)
    if not right.is_sure or not given.is_sure:
        return _decide_product(expected, given, spec)
    if spec.unit_required and not expected.is_bare and given.is_bare:
        return Comparison(False, "unit missing", expected, given)
    equal = same_quantity(expected, given, spec.tolerance)
    if not equal and expected is not right and given.is_bare:
        equal = same_quantity(right, given, spec.tolerance)
    return Comparison(equal, _kind(expected), expected, given)


def same_quantity(
    reference: Quantity, answer: Quantity, tolerance: Tolerance | None = None
) -> bool:
    """Tell whether ``answer`` is the quantity that ``reference`` is; see the module's table."""
    if reference.is_percent or answer.is_percent:
        return _same_percentage(reference, answer, tolerance)
    right, given = reference.unit, answer.unit
    if right and given:
        return _same_in_units(reference.number, right, answer.number, given, tolerance)
    if _same(reference.number, answer.number, tolerance):
        return True
    # An angle in degrees is a number with pi in it.
    if right and answer.number.pi and reference.number.pi == 0:
        return _same_angle(reference.number, right, answer.number, tolerance)
    if given and reference.number.pi and answer.number.pi == 0:
        return _same_angle(answer.number, given, reference.number, tolerance)
    return False


def _same(reference: Exact, answer: Exact, tolerance: Tolerance | None) -> bool:
    if reference == answer or (reference.value == answer.value == 0):
        return True
    if tolerance is None:
        return False
    right, given = _approximately(reference), _approximately(answer)
    if right is None or given is None:
        return False
    relative, absolute = (
        Fraction(str(bound)) for bound in (tolerance.relative, tolerance.absolute)
    )
    return abs(right - given) <= max(absolute, abs(right) * relative)


def _approximately(number: Exact) -> Fraction | None:
    """The number with pi to 60 decimals."""
    return number.value * PI**number.pi if abs(number.pi) <= _MAX_PI_POWER else None


def _same_percentage(reference: Quantity, answer: Quantity, tolerance: Tolerance | None) -> bool:
    right, given = reference.number, answer.number
    if reference.is_percent and answer.is_percent:
        nouns_agree = not (reference.unit and answer.unit) or bool(
            conversions(reference.unit, answer.unit)
        )
        return nouns_agree and _same(right, given, tolerance)
    if not (reference.unit is None and answer.unit is None):
        return False
    in_ones = _hundredth(right) if reference.is_percent else right
    as_ones = _hundredth(given) if answer.is_percent else given
    return _same(right, given, tolerance) or _same(in_ones, as_ones, tolerance)


def _hundredth(number: Exact) -> Exact:
    return Exact(number.value / 100, number.pi)


def _same_in_units(
    reference: Exact, right: Unit, answer: Exact, given: Unit, tolerance: Tolerance | None
) -> bool:
    is_any = right.is_any or given.is_any or _are_degrees(right, given)
    if is_any and _same(reference, answer, tolerance):
        return True
    for target, source in conversions(right, given):
        value, pi = convert(answer.value, source, target)
        if _same(reference, Exact(value, answer.pi + pi), tolerance):
            return True
    return False


def _are_degrees(a: Unit, b: Unit) -> bool:
    """Whether one says degrees, and the other which degrees."""
    return (a.is_degree and b.is_temperature) or (b.is_degree and a.is_temperature)


def _same_angle(degrees: Exact, unit: Unit, number: Exact, tolerance: Tolerance | None) -> bool:
    for size in unit.sizes:
        if size.dimension == (("rad", 1),):
            return _same(Exact(degrees.value * size.scale, size.pi), number, tolerance)
    return False


def _knows_nothing(spec: AnswerSpec) -> bool:
    return not (
        spec.tolerance
        or spec.unit
        or spec.unit_required
        or spec.answer_type is AnswerType.PERCENTAGE
    )


def _with_unit_of_row(reference: Quantity, spec: AnswerSpec) -> Quantity:
    """Give a bare reference the unit that the row has."""
    if not reference.is_bare:
        return reference
    unit = _unit_of_row(spec.unit)
    if unit is not None:
        value = reference.number.value * unit.number.value
        return Quantity(Exact(value, reference.number.pi), unit.unit, unit.is_percent)
    if spec.answer_type is AnswerType.PERCENTAGE and abs(reference.number.value) > 1:
        return Quantity(reference.number, is_percent=True)
    return reference


@lru_cache(maxsize=256)
def _unit_of_row(unit: str) -> Quantity | None:
    """Read a row's unit as one of it: "million dollars" is 1,000,000 dollars."""
    return read_quantity(f"1 {unit if '$' in unit else clean(unit)}") if unit else None


def _decide_product(reference: Quantity, answer: Quantity, spec: AnswerSpec) -> Comparison | None:
    """Compare where letters may be a unit or a product of variables."""
    right, given = reference.unit, answer.unit
    if right is None or given is None:
        # `2` is no `2s`; whether `2s` is 2 is no question for a number
        return Comparison(False, "product", reference, answer) if right is None else None
    if not (reference.is_sure or answer.is_sure) or not conversions(right, given):
        return None
    return Comparison(
        same_quantity(reference, answer, spec.tolerance), "quantity", reference, answer
    )


def _is_shortened(reference: Quantity, answer: str, tolerance: Tolerance | None) -> bool:
    """Whether ``answer`` is the reference as ``3k`` is 3000."""
    shortened = _SHORTENED.fullmatch(answer) if reference.number.value >= 1000 else None
    number = numerals.read(shortened.group(1)) if shortened else None
    if shortened is None or number is None:
        return False
    scale = SUFFIXES[shortened.group(2).lower()]
    return _same(reference.number, Exact(number.value * scale), tolerance)


def _decide_expression(
    right: Quantity | None, reference: str, answer: str, spec: AnswerSpec
) -> Comparison | None:
    """Compare the units of two texts of which one, at least, is no number."""
    if right is not None and right.is_bare and not spec.unit:
        number = numerals.match(answer)
        if number and _UNENDING.fullmatch(answer, number[1]):
            return Comparison(False, "number", right, answer)
        return None
    body, right_text = split_unit(reference)
    given_body, given_text = split_unit(answer)
    of_row = _unit_of_row(spec.unit)
    right_unit = read_unit(right_text) if right_text else of_row.unit if of_row else None
    given_unit = read_unit(given_text) if given_text else None
    if right_unit is None or given_unit is None:
        if right_unit and spec.unit_required and not given_text:
            return Comparison(False, "unit missing", reference, answer)
        return None
    if right_unit.is_any or given_unit.is_any or _are_degrees(right_unit, given_unit):
        return None
    pairs = conversions(right_unit, given_unit)
    if not pairs:
        return Comparison(False, "unit", reference, answer)
    target, source = pairs[0]
    factor = source.scale / target.scale
    if factor == 1 or source.pi != target.pi or source.zero or target.zero:
        return None
    scaled = rf"\frac{{{factor.numerator}}}{{{factor.denominator}}} \cdot ({given_body})"
    return Comparison(None, "unit", body, scaled)


def _kind(reference: Quantity) -> str:
    if reference.is_percent:
        return "percentage"
    return "quantity" if reference.unit else "number"
