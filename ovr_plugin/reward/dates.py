r"""A date as people write it in, year, month and day out.

Read are ``2020-03-04``, ``2020/3/4``, ``2020.3.4``, "March 4, 2020", "4th of March 2020", "4 Mar",
``04-Mar-2020``, "March 2020", "May '21", "Wednesday, March 4", 2020年3月4日, 三月四日.

Convention: ``3/4/2020`` and ``3-4-2020`` are March 4th, as in the United States, unless the first
number is no month; ``3.4.2020`` is the 3rd of April, as in Europe. A weekday is not checked.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from ovr_plugin.reward import number_words
from ovr_plugin.reward.normalize import plain_text

MAX_CHARS = 60
_LEAP_YEAR = 2000  # a day of the year without a year may be February 29

_MONTHS = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug"
        "|september sept sep|october oct|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12]\d{3}|'\d{2})"
_NUMBER = "(?:\\d{1,4}|[〇零一二三四五六七八九十]{1,4})"
_WEEKDAY = re.compile(r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s")
_PATTERNS = tuple(
    map(
        re.compile,
        (
            rf"{_MONTH}\s?(?:the\s)?{_DAY}(?:(?:,\s?|\s){_YEAR})?",
            rf"(?:the\s)?{_DAY}(?:\sof)?[\s-]?{_MONTH}(?:(?:,\s?|[\s-]){_YEAR})?",
            rf"{_MONTH},?\s?{_YEAR}",
            r"(?P<year>[12]\d{3})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
            rf"(?:(?P<year>{_NUMBER})年)?(?P<month>{_NUMBER})月(?:(?P<day>{_NUMBER})[日号])?",
        ),
    )
)
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2([12]\d{3})")


@dataclass(frozen=True)
class Date:
    """A date; the year or the day may be missing, not both."""

    year: int | None
    month: int
    day: int | None

    def __str__(self) -> str:
        return "-".join(str(part or "?") for part in (self.year, self.month, self.day))


def read_date(text: str) -> Date | None:
    """Read cleaned ``text``, all of it, as a date; None where it is anything else."""
    if len(text) > MAX_CHARS or not _may_be_date(text):
        return None
    plain = plain_text(text).lower()
    if weekday := _WEEKDAY.match(plain):
        plain = plain[weekday.end() :]
    if numeric := _NUMERIC.fullmatch(plain):
        first, separator, second, year = numeric.groups()
        month, day = int(first), int(second)
        if separator == "." or month > 12:
            month, day = day, month
        return _date(int(year), month, day)
    for pattern in _PATTERNS:
        if found := pattern.fullmatch(plain):
            parts = found.groupdict()
            named = _MONTHS.get(parts["month"] or "") or _number(parts["month"])
            return _date(_number(parts.get("year")), named or 0, _number(parts.get("day")))
    return None


def _may_be_date(text: str) -> bool:
    return text[-1:].isdigit() or text[-1:] in "日号月" or text[:1].isdigit() or " " in text


def _date(year: int | None, month: int, day: int | None) -> Date | None:
    if year is None and day is None:
        return None
    try:
        datetime.date(year or _LEAP_YEAR, month, day or 1)
    except ValueError:
        return None
    return Date(year, month, day)


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if text.startswith("'"):
        return 2000 + int(text[1:])
    if text.isascii():
        return int(text)
    found = number_words.match(text)
    return int(found.value) if found and found.end == len(text) else None
