r"""Times of day and dates in, the same or not out.

====================  ============================================================================
reference             takes
====================  ============================================================================
``3:30``              any spelling of it (`times`), with am or pm or neither; "3 hours 30 minutes";
                      not ``15:30``, not ``3.5``, not the ratio
``3:30 pm``           ``15:30``, ``3:30``; not ``3:30 am``
``15:30``             ``3:30 pm``; not ``3:30``
"3 o'clock", "3 pm"   also a bare ``3``, and a reference ``3`` takes them
"March 4, 2020"       any spelling of it (`dates`); not "March 4", not "March 2020"
====================  ============================================================================

Anything else in an answer to a time or a date is wrong.
"""

from __future__ import annotations

import re

from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.dates import read_date
from ovr_plugin.reward.normalize import plain_text
from ovr_plugin.reward.spec import AnswerSpec, AnswerType
from ovr_plugin.reward.times import Time, read_time, same_time

_HOUR = re.compile(r"\d{1,2}")
_DURATION = re.compile(
    r"(\d{1,2})\s?(?:hours?|hrs?|h|个?小时|minutes?|mins?|min|分钟?)(?:\s?,?\s?and\b)?\s?"
    r"(\d{1,2})\s?(?:minutes?|mins?|min|m|分钟?|seconds?|secs?|s|秒)"
)


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where ``reference`` is a time of day or a date; None where it is neither.

    Args:
        reference: cleaned.
        answer: cleaned.
        spec: a type other than time and date keeps figures (``3:30``) from being one.
    """
    if not spec.answer_type or spec.answer_type in (AnswerType.TIME, AnswerType.DATE):
        if (right := read_time(reference)) is not None:
            return _decide_time(right, answer)
        if (date := read_date(reference)) is not None:
            given = read_date(answer)
            return Comparison(date == given, "date", date, given or answer)
    if _HOUR.fullmatch(reference) and (time := read_time(answer)) is not None:
        is_same = time.minute is None and time.hour % 12 == int(reference) % 12
        return Comparison(is_same, "time", reference, time)
    return None


def _decide_time(right: Time, answer: str) -> Comparison:
    given = read_time(answer)
    if given is not None:
        equal = same_time(right, given)
    elif right.minute is None:
        equal = _HOUR.fullmatch(answer) is not None and int(answer) in (
            right.hour,
            (right.hour - 1) % 12 + 1,
        )
    else:
        equal = not right.second and _figures(answer) == (right.hour, right.minute)
    return Comparison(equal, "time", right, given or answer)


def _figures(answer: str) -> tuple[int, int] | None:
    """The two numbers of "3 hours 30 minutes" or "3 minutes 30 seconds"."""
    found = _DURATION.fullmatch(plain_text(answer).lower())
    return (int(found.group(1)), int(found.group(2))) if found else None
