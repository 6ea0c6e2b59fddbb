r"""A number as people write it in, an exact fraction with its unit out; nothing is rounded.

Read are thousands separators, decimals, ``a/b``, ``\frac{a}{b}``, mixed numbers, ratios ``a:b``,
scientific notation, per cent, degrees, currency signs and a unit. Conventions, each a choice:

- a unit, degree or currency sign that only one side has is ignored; two unit symbols must agree;
- a reference in per cent takes `50`, `50%` and `0.5` for `50%`; a reference without takes no `50%`;
- `3:30` may be a time, so that ratios with such a second part are left to exact text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ovr_plugin.reward.normalize import plain_text

# Beyond these a number is no quantity but an expression.
MAX_EXPONENT = 400  # of ten
MAX_NUMBER_CHARS = 1000

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_SCIENTIFIC = re.compile(
    rf"(?P<mantissa>{_DECIMAL})?"
    r"(?:(?:(?(mantissa)\s*(?:\\times|\\cdot|\*|x)\s*))10\s*\^\s*"
    r"(?:\{\s*(?P<braced>[+-]?\d{1,4})\s*\}|(?P<digit>\d))|(?(mantissa)[eE](?P<e>[+-]?\d{1,4})|(?!)))?"
)
_FRACTION = re.compile(
    r"(?P<whole>\d+)?\s*\\frac\s*(?:\{\s*(?P<n>[+-]?\d+)\s*\}\s*\{\s*(?P<d>\d+)\s*\}"
    r"|(?P<n_digit>\d)\s*(?P<d_digit>\d))"
)
_RATIO = re.compile(rf"({_INTEGER})\s*[/:]\s*({_INTEGER})")
CLOCK = re.compile(r"\d{1,2}\s*:\s*[0-5]\d")
_DEGREES = re.compile(r"\s*(?:\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree|degrees?)\s*$")
_WRAPPED_UNIT = re.compile(
    r"\s*\\(?:text|mathrm|textrm|mbox|rm)\s?\{([^{}]{1,40})\}\s*(\^\s*\{?\s*[23]\s*\}?)?$"
)
_CJK_UNIT = re.compile(r"\s*([\u3400-\u9fff\uac00-\ud7a3]{1,6})$")
_UNIT_SYMBOLS = frozenset(
    "nm mm cm dm m km ft in yd mi mg g kg lb oz ms s min h hr hrs mL ml L cm^2 m^2 mm^2 km^2 cm^3 "
    "m^3 mph kmph km/h m/s m/s^2 Hz kHz MHz N J kJ W kW V A K Pa kPa mol".split()
)
_BARE_UNIT = re.compile(r"(?<=[\d)}])(\s*)([a-zA-Z]{1,4}(?:/[a-zA-Z]{1,3})?)\s*(\^\s*\{?[23]\}?)?$")
# Words that make a remark behind a number more than a unit: the answer hedges.
HEDGES = frozenset("or and not no to if but than either maybe nor vs except wrong".split())


@dataclass(frozen=True)
class Quantity:
    """An exact value; ``is_percent`` means that ``value`` was written with a per-cent sign."""

    value: Fraction
    unit: str = ""
    is_percent: bool = False


def read_quantity(text: str) -> Quantity | None:
    """Read cleaned ``text`` as one number, or return None where it is anything else."""
    body, unit = split_unit(text)
    is_percent = body.endswith(r"\%")
    body = body.removesuffix(r"\%").strip()
    value = _read_number(body.strip("€£¥₹ "))
    return None if value is None else Quantity(value, unit, is_percent)


def same_quantity(reference: Quantity, answer: Quantity) -> bool:
    """Tell whether ``answer`` is the number that ``reference`` is; see the module's conventions."""
    units = {reference.unit, answer.unit}
    if len(units) == 2 and units <= _UNIT_SYMBOLS:
        return False
    if answer.is_percent and not reference.is_percent:
        return False
    if reference.value == answer.value:
        return True
    return reference.is_percent and not answer.is_percent and reference.value == 100 * answer.value


def split_unit(text: str) -> tuple[str, str]:
    r"""Split cleaned ``text`` into what comes before a unit and the unit; '' without a unit.

    Taken for a unit: up to three words in ``\text{}`` or the like, a known symbol, words in Chinese
    or Korean; the degree sign is dropped.
    """
    if degrees := _DEGREES.search(text):
        return text[: degrees.start()].strip(), ""
    if wrapped := _WRAPPED_UNIT.search(text):
        return _split_wrapped(text, wrapped)
    if cjk := _CJK_UNIT.search(text):
        return (text[: cjk.start()], cjk.group(1)) if text[:1].isascii() else (text, "")
    if bare := _BARE_UNIT.search(text):
        symbol = bare.group(2) + _squared(bare.group(3))
        # `2s` may be a product; `2 s` and `2cm` are not.
        if symbol in _UNIT_SYMBOLS and (bare.group(1) or len(symbol) > 1):
            return text[: bare.start()].strip(), symbol
    return text, ""


def _split_wrapped(text: str, unit: re.Match[str]) -> tuple[str, str]:
    words = plain_text(unit.group(1))
    body = text[: unit.start()].strip()
    tokens = re.findall(r"[^\W\d_]+", words.lower())
    if not body or not 0 < len(tokens) <= 3 or HEDGES & set(tokens):
        return text, ""
    return body, words + _squared(unit.group(2))


def _squared(power: str | None) -> str:
    return "^" + re.sub(r"\D", "", power) if power else ""


def _read_number(text: str) -> Fraction | None:
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if CLOCK.fullmatch(text) or len(text) > MAX_NUMBER_CHARS:
        return None
    sign = -1 if text.startswith("-") else 1
    unsigned = text[1:].strip() if text[:1] in ("+", "-") else text
    for read in (_read_scientific, _read_fraction, _read_ratio):
        value = read(unsigned)
        if value is not None:
            return sign * value
    return None


def _read_scientific(text: str) -> Fraction | None:
    number = _SCIENTIFIC.fullmatch(text)
    if number is None or not text:
        return None
    mantissa = Fraction(re.sub("[, ]", "", number["mantissa"] or "1").rstrip("."))
    exponent = int(number["braced"] or number["digit"] or number["e"] or 0)
    return mantissa * Fraction(10) ** exponent if abs(exponent) <= MAX_EXPONENT else None


def _read_fraction(text: str) -> Fraction | None:
    number = _FRACTION.fullmatch(text)
    if number is None:
        return None
    numerator, denominator = number["n"] or number["n_digit"], number["d"] or number["d_digit"]
    if int(denominator) == 0:
        return None
    return int(number["whole"] or 0) + Fraction(int(numerator), int(denominator))


def _read_ratio(text: str) -> Fraction | None:
    number = _RATIO.fullmatch(text)
    if number is None:
        return None
    numerator, denominator = (int(re.sub("[, ]", "", part)) for part in number.groups())
    return Fraction(numerator, denominator) if denominator else None
