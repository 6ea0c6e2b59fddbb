r"""A number in digits in, its exact value out; nothing is rounded.

Read are, each as people and LaTeX write it:

- thousands: ``1,234``, ``1 234``, ``1'234``, ``1_234``, Indian ``12,34,567``, European
  ``1.234.567`` and ``1.234,56``; but ``1.234`` is a decimal and ``1,2`` a list;
- decimals, with a period ``0.\overline{3}``, ``0.\dot{1}4\dot{2}`` or ``0.1(6)``;
- ``a/b``, ``\frac{a}{b}``, ``\frac12``, ``a \over b``, mixed ``1\frac{1}{2}`` and ``1 1/2``;
- ``6.02\times10^{23}``, ``6.02e23``, ``10^-3``;
- all of these times pi or over it.

What could be two things is no number here: ``1/2\pi``, ``2\frac{3}{2}`` (mixed or a product). Nor
is one of more than 1000 characters, a power beyond 10^400 or ``0.999...``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 1000
MAX_EXPONENT = 400  # of ten


class Exact(NamedTuple):
    """``value`` times the ``pi``-th power of pi."""

    value: Fraction
    pi: int = 0

    def __str__(self) -> str:
        power = "" if self.pi == 0 else " pi" if self.pi == 1 else f" pi^{self.pi}"
        return f"{self.value}{power}"


_INTEGER = (
    r"(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d{1,2}(?:,\d{2})+,\d{3}(?!,?\d)|\d{1,3}(?: \d{3})+(?! ?\d)"
    r"|\d{1,3}(?:'\d{3})+(?!\d)|\d{1,3}(?:_\d{3})+(?!\d)|\d+)"
)
_EUROPEAN = r"\d{1,3}(?:(?:\.\d{3}){2,}(?:,\d+)?|\.\d{3},(?:\d\d?|\d{4,}))(?![.,]?\d)"
_DECIMAL = rf"(?:{_EUROPEAN}|{_INTEGER}(?:\.\d*)?|\.\d+)"
_EXPONENT = r"(?:\{\s?[+-]?\s?\d{1,4}\s?\}|\(\s?[+-]?\d{1,4}\s?\)|[+-]?\d{1,4}(?!\d))"
_PI = r"(?:\\pi(?![a-zA-Z])|(?<![a-zA-Z\\])pi(?![a-zA-Z]))"

_MONOMIAL = re.compile(
    rf"(?:10\s?(?:\^|\*\*)\s?(?P<power>{_EXPONENT})"
    rf"|(?P<mantissa>{_DECIMAL})"
    rf"(?:\s?(?:\\times|\\cdot|\*|[xX])\s?10\s?(?:\^|\*\*)\s?(?P<times_power>{_EXPONENT})"
    r"|[eE](?P<e>[+-]?\d{1,4})(?!\d))?)"
    rf"(?P<times_pi>\s?(?:(?:\\times|\\cdot|\*)\s?)?{_PI})?|(?P<pi>{_PI})"
)
_FRACTION = re.compile(
    rf"(?:(?P<whole>{_INTEGER})\s?)?\\frac\s?"
    r"(?:\{(?P<n>[^{}]{1,400})\}|(?P<n_digit>\d))\s?(?:\{(?P<d>[^{}]{1,400})\}|(?P<d_digit>\d))"
    rf"(?P<times_pi>\s?(?:(?:\\times|\\cdot|\*)\s?)?{_PI})?"
)
_MIXED = re.compile(r"(\d{1,100}) ([1-9]\d{0,99})\s?/\s?(\d{1,100})(?!\d)")
_DIGITS = r"(?:\{\s?\d{1,100}\s?\}|\d)"
_REPEATING = re.compile(
    r"(?P<whole>\d{0,100})\.(?P<fixed>\d{0,100})"
    rf"(?:\\(?:overline|bar)\s?(?P<barred>{_DIGITS})|\((?P<bracketed>\d{{1,100}})\)"
    rf"|(?P<dotted>\\dot\s?{_DIGITS}(?:\d{{0,100}}\\dot\s?{_DIGITS})?))"
)
_TIMES = re.compile(r"\*|\\cdot|\\times")
_SIGN = re.compile(r"\s*([+-]?)\s*")
_OVER = re.compile(r"\s?(?:/|\\over(?![a-zA-Z]))\s?(?=[\d.(+-]|\\pi)([+-]?)\s?")


def match(text: str, start: int = 0) -> tuple[Exact, int] | None:
    """Read the number that ``text`` has at ``start``; returns it and where it ends."""
    sign = _SIGN.match(text, start)
    if sign is None:
        return None
    for kind in (_match_fraction, _match_repeating, _match_mixed, _match_quotient):
        if found := kind(text, sign.end()):
            number, end = found
            return (_negative(number) if sign.group(1) == "-" else number), end
    return None


def read(text: str) -> Exact | None:
    """Read all of ``text`` as one number, which may stand in brackets."""
    text = text.strip()
    if len(text) > MAX_CHARS:
        return None
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    found = match(text)
    return found[0] if found and found[1] == len(text) else None


Found = tuple[Exact, int] | None


def _negative(number: Exact) -> Exact:
    return Exact(-number.value, number.pi)


def _over(numerator: Exact, divisor: Exact) -> Exact | None:
    if not divisor.value:
        return None
    return Exact(numerator.value / divisor.value, numerator.pi - divisor.pi)


def _match_fraction(text: str, start: int) -> Found:
    found = _FRACTION.match(text, start)
    if found is None:
        return None
    numerator = read(found["n"] or found["n_digit"])
    divisor = read(found["d"] or found["d_digit"])
    quotient = _over(numerator, divisor) if numerator and divisor else None
    if quotient is None:
        return None
    if found["whole"]:
        if quotient.pi or not 0 <= quotient.value < 1:
            return None
        quotient = Exact(_decimal(found["whole"]) + quotient.value)
    return Exact(quotient.value, quotient.pi + bool(found["times_pi"])), found.end()


def _match_repeating(text: str, start: int) -> Found:
    found = _REPEATING.match(text, start)
    if found is None:
        return None
    period = re.sub(r"\D", "", found["barred"] or found["bracketed"] or found["dotted"])
    shift, nines = 10 ** len(found["fixed"]), 10 ** len(period) - 1
    fixed = Fraction(int(found["whole"] + found["fixed"] or 0), shift)
    return Exact(fixed + Fraction(int(period), shift * nines)), found.end()


def _match_mixed(text: str, start: int) -> Found:
    found = _MIXED.match(text, start)
    if found is None or len(found.group(2)) == 3:  # `1 234/5` is a quotient
        return None
    whole, numerator, divisor = map(int, found.groups())
    if numerator >= divisor:
        return None
    return Exact(whole + Fraction(numerator, divisor)), found.end()


def _match_quotient(text: str, start: int) -> Found:
    found = _match_monomial(text, start)
    if found is None:
        return None
    over = _OVER.match(text, found[1])
    divisor = _match_monomial(text, over.end()) if over else None
    if over is None or divisor is None:
        return found
    number, (divided_by, end) = found[0], divisor
    if divided_by.pi and divided_by.value != 1:
        if not _TIMES.search(text, over.end(), end):
            return None
        number, divided_by = Exact(number.value, number.pi + 1), Exact(divided_by.value)
    quotient = _over(number, divided_by)
    if quotient is None:
        return None
    return (_negative(quotient) if over.group(1) == "-" else quotient), end


def _match_monomial(text: str, start: int) -> Found:
    found = _MONOMIAL.match(text, start)
    if found is None or found.end() - start > MAX_CHARS:
        return None
    if found["pi"]:
        return Exact(Fraction(1), 1), found.end()
    exponent = found["power"] or found["times_power"] or found["e"]
    shift = int(re.sub(r"[^\d-]", "", exponent)) if exponent else 0
    if abs(shift) > MAX_EXPONENT:
        return None
    value = _decimal(found["mantissa"] or "1")
    if shift:
        value *= Fraction(10) ** shift
    return Exact(value, int(bool(found["times_pi"]))), found.end()


def _decimal(digits: str) -> Fraction:
    if digits.count(".") > 1 or 0 <= digits.find(".") < digits.find(","):
        digits = digits.replace(".", "").replace(",", ".")
    return Fraction(re.sub("[, '_]", "", digits).rstrip("."))
