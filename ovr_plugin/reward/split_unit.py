r"""An expression with a unit in, both apart out: ``4\pi\sqrt{2}\text{ cm}``, 3√5米."""

from __future__ import annotations

import re
import string

from ovr_plugin.reward.units import CJK, MAX_CHARS, is_product, read_unit

_START = re.compile(
    r"\s?(?:(?<!\\)\\(?:text|mathrm|textrm|textbf|mbox|rm|operatorname)(?:\s?\{|\s)"
    r"|\^\s?\{?\s?\\circ|\\degree(?![a-zA-Z])"
    rf"|(?<![a-zA-Z{CJK}\\])[a-zA-Z{CJK}°])"
)
_WRAPPED = re.compile(r"\s?\\(?:text|math|mbox|rm|operatorname)")
_TRIGONOMETRY = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREE = re.compile(r"\s?(?:\^\s?\{?\s?\\circ|\\degree|°|\\text\s?\{\s?deg|deg)")
MAX_STARTS = 16


def split_unit(text: str) -> tuple[str, str]:
    """Split cleaned ``text`` into what comes before a unit and the unit; '' without a unit.

    A word in a wrapper is a unit whatever it is; bare, it must be one of measurement and cannot be
    a product of variables. Degrees behind a trigonometric function stay, as these are part of it.
    """
    n_tried = 0
    for start in _START.finditer(text, max(0, len(text) - MAX_CHARS)):
        body, rest = text[: start.start()].rstrip(), text[start.start() :]
        if not body or body[-1] in "\\+-*/=<>(^_{[,&" or not _is_closed(body):
            continue
        n_tried += 1
        if n_tried > MAX_STARTS:
            break
        unit = read_unit(rest.strip())
        if unit is None or (_DEGREE.match(rest) and _TRIGONOMETRY.search(body)):
            continue
        is_short = unit.is_formal and unit.text.rstrip("^23") in string.ascii_letters
        is_wrapped = _WRAPPED.match(rest) is not None
        if is_wrapped or not (unit.is_counted or is_short or is_product(unit, rest, body)):
            return body, rest.strip()
    return text, ""


def _is_closed(body: str) -> bool:
    """Whether as many brackets are closed as opened, of whatever kind: ``(1, 2]`` is closed."""
    opened, closed = (sum(map(body.count, brackets)) for brackets in ("([{", ")]}"))
    return opened == closed
