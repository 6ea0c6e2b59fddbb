r"""A time of day as people write it in, hour and minute out.

Read are ``3:30``, ``15:30``, ``3:30:00``, "3:30 pm", "3.30 p.m.", "3 pm", "3 o'clock", "15h30",
"half past three", "quarter to 4", "ten past 3", "noon", "midnight", 下午3点30分, 三点半, 15时30分.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ovr_plugin.reward import number_words
from ovr_plugin.reward.normalize import plain_text

MAX_CHARS = 60
_MAX_HOUR = 24

_DAYTIME = (
    r"(?:\s?(?P<daytime>[ap]\.?\s?m\b|in the (?:morning|afternoon|evening)|at night|noon|midnight)"
    r"|\s?(?:hours|hrs|h))?"
)
_HOUR = r"(?P<hour>one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})"
_MINUTE = r"(?P<minute>half|(?:a\s)?quarter|five|ten|twenty(?:[\s-]five)?|[0-5]?\d)(?:\sminutes?)?"
_ENGLISH = tuple(
    re.compile(pattern + _DAYTIME)
    for pattern in (
        r"(?P<hour>\d{1,2})\s?[:h]\s?(?P<minute>[0-5]\d)(?:\s?:\s?(?P<second>[0-5]\d))?",
        r"(?P<hour>\d{1,2})\s?\.\s?(?P<minute>[0-5]\d)(?=\s?[ap]\.?\s?m\b)",
        r"(?P<hour>\d{1,2})(?=\s?(?:[ap]\.?\s?m\b|noon|midnight))",
        _HOUR + r"\s?o\s?'?\s?clock",
        _HOUR + r"\s(?P<minute>ten|fifteen|(?:twenty|thirty|forty|fifty)(?:[\s-]five)?)",
        _MINUTE + r"[\s-](?P<side>past|after|to|before|till)\s" + _HOUR + r"(?:\so\s?'?\s?clock)?",
    )
)
_CHINESE_HOUR = r"(?P<hour>\d{1,2}|[一二两三四五六七八九十]{1,3})"
_CHINESE = re.compile(
    rf"(?P<daytime>上午|早上|早晨|凌晨|下午|晚上|傍晚|中午)?\s?(?:{_CHINESE_HOUR}\s?[点點时時]"
    r"(?:整|钟|(?P<half>半)|(?P<quarters>[一三])刻"
    r"|(?P<minute>[0-5]?\d|[零一二三四五六七八九十]{1,3})\s?分?)?|(?P<h>\d{1,2}):(?P<m>[0-5]\d))"
)
_NAMED = {"noon": 12, "midday": 12, "midnight": 0, "正午": 12, "中午": 12, "午夜": 0}
_QUARTER = 15


@dataclass(frozen=True)
class Time:
    """A time of day.

    Attributes:
        hour: 0 to 23.
        minute: None in "3 pm" and "3 o'clock".
        second: 0 where it is not said.
        is_sure: whether morning or afternoon is said, as in "3 pm" and "15:30".
        is_of_24: whether only a clock of 24 hours shows the hour as it is written.
    """

    hour: int
    minute: int | None
    second: int = 0
    is_sure: bool = False
    is_of_24: bool = False

    def __str__(self) -> str:
        return f"{self.hour}:{self.minute or 0:02}" + f":{self.second:02}" * bool(self.second)


def read_time(text: str) -> Time | None:
    """Read cleaned ``text``, all of it, as a time; None where it is anything else."""
    if len(text) > MAX_CHARS:
        return None
    plain = plain_text(text).lower().removeprefix("at ").removeprefix("exactly ").strip()
    if plain in _NAMED:
        return Time(_NAMED[plain], 0, is_sure=True)
    if not plain.isascii():
        return _read_chinese(plain)
    if not any(char.isdigit() for char in plain) and " " not in plain:
        return None
    for pattern in _ENGLISH:
        if found := pattern.fullmatch(plain):
            return _read_english(found.groupdict())
    return None


def same_time(a: Time, b: Time) -> bool:
    """Compare two times; without am and pm one is either, unless the other is 13:00 or later."""
    if (a.minute or 0, a.second) != (b.minute or 0, b.second):
        return False
    if a.is_sure and b.is_sure:
        return a.hour == b.hour
    return a.hour % 12 == b.hour % 12 and not (a.is_of_24 or b.is_of_24)


def _read_english(found: dict[str, str | None]) -> Time | None:
    hour = _number(found["hour"])
    minute = _minutes(found.get("minute"))
    if hour is None:
        return None
    if found.get("side"):
        if minute is None or not 0 < hour <= 12:
            return None
        if found["side"] in ("to", "before", "till"):
            hour, minute = (hour - 2) % 12 + 1, 60 - minute
    second = int(found.get("second") or 0)
    is_led = (found["hour"] or "").startswith("0")
    return _time(hour, minute, second, found["daytime"] or "", is_led)


def _read_chinese(text: str) -> Time | None:
    found = _CHINESE.fullmatch(text)
    if found is None:
        return None
    hour = _number(found["hour"] or found["h"])
    minute = _number(found["minute"] or found["m"])
    if found["half"]:
        minute = 30
    elif found["quarters"]:
        minute = _QUARTER * (1 if found["quarters"] == "一" else 3)
    is_led = (found["hour"] or found["h"]).startswith("0")
    return None if hour is None else _time(hour, minute, 0, found["daytime"] or "", is_led)


def _time(hour: int, minute: int | None, second: int, daytime: str, is_led: bool) -> Time | None:
    """Build a time; "12 noon" is 12:00, "12 am" 0:00, "9 at night" 21:00 and "2 at night" 2:00."""
    if hour > _MAX_HOUR or (minute or 0) > 59 or (hour == _MAX_HOUR and minute):
        return None
    is_of_24 = hour > 12 or hour == 0
    if not daytime:
        return Time(hour % 24, minute, second, is_of_24 or is_led, is_of_24)
    if is_of_24:
        return Time(hour % 24, minute, second, True, True)
    is_night = daytime in ("at night", "晚上")
    is_later = daytime[0] == "p" or daytime in _LATER or (is_night and 5 < hour < 12)
    if daytime == "中午":
        is_later = hour in (12, 1, 2)
    return Time(hour % 12 + 12 * is_later, minute, second, True)


_LATER = ("in the afternoon", "in the evening", "noon", "下午", "傍晚")


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    found = number_words.match(text.lstrip("零"))
    return int(found.value) if found and found.end == len(text.lstrip("零")) else None


def _minutes(text: str | None) -> int | None:
    if text == "half":
        return 30
    return _QUARTER if text and text.endswith("quarter") else _number(text)
