r"""One quantity as people write it in, its exact number and its unit out.

The number is in figures (`numerals`) or words (`number_words`), perhaps with a magnitude ("2
million", 3亿); the unit (`units`) follows it, or a currency leads. Per cent is a mark of the
number. Quantities in several units (``1 h 30 min``, ``5'3"``, ``63^\circ 45'``, 1元5角) are summed
up in the first. "About", ``\approx`` and the endings of ordinals are ignored.

Letters may be variables: ``2s`` and ``2 mgh`` may be products, so `Quantity.is_sure` is False where
only letters without a wrapper make the unit. Sure are ``2\text{ s}``, ``2 s``, ``2.5s``, ``2cm``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from ovr_plugin.reward import number_words, numerals
from ovr_plugin.reward.normalize import plain_text
from ovr_plugin.reward.numerals import Exact
from ovr_plugin.reward.units import (
    COUNTERS,
    Size,
    Unit,
    conversions,
    is_product,
    read_unit,
    spell,
)

MAX_CHARS = 1100  # of a number and its unit

_LEADING_MONEY = re.compile(
    r"(?P<sign>[+-]?)\s?(?P<symbol>(?:US|HK|[AC])?\s?\\\$|[€£¥₹₩₽]"
    r"|\bRs\.?|\b(?:USD|EUR|GBP|RMB|CNY|INR|JPY))\s?(?=[\d.+-]|\\frac)"
)
_ABOUT = re.compile(
    r"(?:\\(?:approx|simeq|sim|approxeq)(?![a-zA-Z])|≈"
    r"|(?:about|around|approximately|approx\.?|roughly|大?约)(?=[\s\d]))\s?",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^\s(?:of\s)?(?:an?|the)\s")
_MINUS = re.compile(r"(?:(?:minus|negative)\s|负)(?=[\d\\])", re.IGNORECASE)
_WRAPPER = re.compile(r"\\(?:text|math|mbox|hbox|rm|operatorname)")
_ORDINAL_END = re.compile(r"\^?\s?(?:st|nd|rd|th)s?")
_CLOCK_END = re.compile(r"[ap]\.?\s?m\.?", re.IGNORECASE)
_PERCENT = re.compile(r"(?:%|per\scents?\b|(?P<thousandth>‰)|个?百分点)\s?(?P<rest>.*)", re.DOTALL)
_AFTER_PERCENT = re.compile(r"(?:points?|(?:of|per|off|p\.a)\b.*)?", re.DOTALL)
_MAGNITUDE = re.compile(
    "(?P<word>{})".format(
        "|".join(
            rf"{word}(?=s?\b)" if word.isascii() else word
            for word in sorted(number_words.MAGNITUDES, key=len, reverse=True)
        )
    )
    + r"(?:s\sof\b|s\b)?\s?",
    re.IGNORECASE,
)
_PART_OF = re.compile(r"of\s(?:(?:an?|the|all|his|her|their)\s)*(?P<whole>\w.*)")
_SUFFIX = re.compile(r"(?P<suffix>[kKmMbB]|mn|bn|tn)(?![a-zA-Z])")
SUFFIXES = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9, "tn": 10**12}
_SEGMENT = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s?([^\d\\]{1,30})")
_JOINT = re.compile(r"(?:[\s,]+and\b|[\s,又零]+)?\s*$")


@dataclass(frozen=True)
class Quantity:
    """An exact quantity as written.

    Attributes:
        number: its value; 50 for 50 %.
        unit: None where there is none.
        is_percent: whether there is a per-cent sign, or its word.
        is_sure: whether the unit cannot be a product of variables.
    """

    number: Exact
    unit: Unit | None = None
    is_percent: bool = False
    is_sure: bool = True

    @property
    def is_bare(self) -> bool:
        """Whether it is a number and nothing else."""
        return self.unit is None and not self.is_percent

    def __str__(self) -> str:
        return f"{self.number}{'%' * self.is_percent}{f' {self.unit}' if self.unit else ''}"


@lru_cache(maxsize=8192)
def read_quantity(text: str) -> Quantity | None:
    """Read cleaned ``text``, all of it, as one quantity; None where it is anything else."""
    if not text or len(text) > MAX_CHARS:
        return None
    symbol = ""
    if not text[0].isdigit():
        text = _without_beginning(text)
        if money := _LEADING_MONEY.match(text):
            symbol, text = money["symbol"], money["sign"] + text[money.end() :]
    found = numerals.match(text)
    if found is None:
        return _read_words(text) if not symbol else None
    number, end = found
    if end == len(text) and not symbol:
        return Quantity(number)
    quantity = _read_rest(number, text[end:], text[:end], symbol)
    return quantity or (None if symbol else _read_sum(text))


def _without_beginning(text: str) -> str:
    """Drop "about" and what is around everything; "minus" becomes its sign."""
    if about := _ABOUT.match(text):
        text = text[about.end() :]
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if _WRAPPER.match(text):
        text = plain_text(text)
    minus = _MINUS.match(text)
    return f"-{text[minus.end() :]}" if minus else text


def _read_rest(number: Exact, rest: str, figures: str, symbol: str = "") -> Quantity | None:
    """Read what stands behind a number; ``symbol`` is the currency in front of it."""
    spelled = spell(rest).strip()
    if spelled.startswith("and "):  # "2 and a half"
        part = _match_part(spelled)
        if part is None:
            return None
        number, spelled = Exact(number.value + part[0], number.pi), spelled[part[1] :].strip()
        if not spelled and not symbol:
            return Quantity(number)
    if percent := _PERCENT.match(spelled):
        return _read_percent(number, percent) if not symbol else None
    if figures[-1:].isdigit() and _ORDINAL_END.fullmatch(spelled):
        return Quantity(number)
    if _CLOCK_END.fullmatch(spelled) and number.value in range(13):
        return None
    unit = read_unit(spelled) if spelled else None
    if symbol or unit is None or unit.is_counted:
        number, left = _read_magnitudes(number, spelled, bool(symbol))
        if left != spelled:
            spelled, unit = left, read_unit(left)
            if not spelled and not symbol:
                return Quantity(number)
    if symbol:
        return _with_money(number, symbol, spelled, unit)
    if unit is None and (share := _PART_OF.fullmatch(spelled)):
        unit = read_unit(share["whole"])  # "3/4 of an hour", "two thirds of the students"
    if unit is None or (unit.is_counted and figures.endswith(".")):
        return None
    return Quantity(number, unit, is_sure=not is_product(unit, rest, figures))


def _match_part(text: str) -> tuple[Fraction, int] | None:
    """Read the fraction in ``and 1/2`` or "and a half"; returns it and where it ends."""
    figures = numerals.match(text, 4)
    words = None if figures else number_words.match(text, 4)
    value = figures[0].value if figures else words.value if words else Fraction(0)
    end = figures[1] if figures else words.end if words else 0
    return (value, end) if 0 < value < 1 else None


def _read_percent(number: Exact, percent: re.Match[str]) -> Quantity | None:
    if percent["thousandth"]:
        number = Exact(number.value / 10, number.pi)
    if _AFTER_PERCENT.fullmatch(percent["rest"]):
        return Quantity(number, is_percent=True)
    unit = read_unit(percent["rest"])
    if unit is None or not unit.is_counted:
        return None
    return Quantity(number, unit, is_percent=True)


def _read_magnitudes(number: Exact, text: str, is_money: bool) -> tuple[Exact, str]:
    while magnitude := _MAGNITUDE.match(text):
        scale = number_words.MAGNITUDES[magnitude["word"].lower()]
        number, text = Exact(number.value * scale, number.pi), text[magnitude.end() :]
    if is_money and (suffix := _SUFFIX.match(text)):
        scale = SUFFIXES[suffix["suffix"].lower()]
        number, text = Exact(number.value * scale, number.pi), text[suffix.end() :].strip()
    return number, text


def _with_money(number: Exact, symbol: str, spelled: str, unit: Unit | None) -> Quantity | None:
    money = read_unit(symbol.rstrip("."))
    if money is None or (unit and conversions(money, unit)):
        return Quantity(number, unit) if money else None
    money = read_unit(f"{symbol.rstrip('.')} {spelled}") if spelled else money
    return Quantity(number, money) if money else None


def _read_words(text: str) -> Quantity | None:
    """Read a number in words with what follows it."""
    found = number_words.match(text)
    if found is None:
        return None
    if not text[:1].isascii() and found.end > 1:
        shorter = read_unit(text[found.end - 1 :])
        if shorter and not shorter.is_counted:  # 三千克 is 3 kg as 三千 g, but 3 is its number
            found = number_words.match(text[: found.end - 1]) or found
    rest = _ARTICLE.sub(" ", text[found.end :])  # "half an hour", "a quarter of an hour"
    if found.is_percent or not rest:
        return Quantity(Exact(found.value), is_percent=found.is_percent) if not rest else None
    if found.is_ordinal or (rest[0].isascii() and not rest[0].isspace() and rest[0] != "\\"):
        return None
    quantity = _read_rest(Exact(found.value), rest, "")
    is_counted = quantity is not None and quantity.unit is not None and quantity.unit.is_counted
    if is_counted and not rest.isascii() and rest.strip() not in COUNTERS:
        return None  # 一次函数 is no 1
    return quantity


def _read_sum(text: str) -> Quantity | None:
    """Read a quantity in several units, the largest first."""
    text = spell(text)
    sign = -1 if text.startswith("-") else 1
    text = text.removeprefix("-").strip()
    parts: list[tuple[Fraction, Unit]] = []
    end = 0
    while segment := _SEGMENT.match(text, end):
        end = segment.end()
        unit = read_unit(_JOINT.sub("", segment.group(2)) if end < len(text) else segment.group(2))
        if unit is None or unit.is_counted or len(parts) == 4:
            return None
        parts.append((Fraction(segment.group(1)), unit))
    if end < len(text) or len(parts) < 2:
        return None
    first = parts[0][1]
    for size in first.sizes:
        smaller = [_same_dimension(size, unit) for _, unit in parts]
        scales = [part.scale for part in smaller if part is not None]
        if len(scales) == len(parts) and scales == sorted(set(scales), reverse=True):
            total = sum(
                (value * scale for (value, _), scale in zip(parts, scales, strict=True)),
                Fraction(0),
            )
            return Quantity(Exact(sign * total / size.scale), replace(first, sizes=(size,)))
    return None


def _same_dimension(size: Size, unit: Unit) -> Size | None:
    sizes: Sequence[Size] = [other for other in unit.sizes if other.dimension == size.dimension]
    return sizes[0] if sizes else None
