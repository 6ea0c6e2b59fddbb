r"""A unit as LaTeX, or people, write it in, one spelling of it out: `spell`."""

from __future__ import annotations

import re
import unicodedata

_WRAPPER_NAME = (
    r"\\(?:text(?:bf|it|rm|sf|tt|up|md|normal)?|math(?:rm|bf|it|sf|tt)|mbox|hbox|operatorname)"
)
WRAPPER = re.compile(_WRAPPER_NAME + r"|\\rm(?![a-zA-Z])")
_WRAPPED = (re.compile(_WRAPPER_NAME + r"\s?\{([^{}]*)\}"), r"\1")
_CELSIUS = r"(?:C\b|[Cc]elsius|[Cc]entigrade)"
_REPLACEMENTS = (
    (re.compile(r"\^\s?(?:\{\s?(?:\\circ|o)\s?\}|(?:\\circ|o)(?![a-zA-Z]))"), "°"),
    (re.compile(r"\\degree(?![a-zA-Z])"), "°"),
    (re.compile(r"\^\s?\{\s?(?:\\prime\s?\\prime|'')\s?\}"), "''"),
    (re.compile(r"\^\s?(?:\{\s?(?:\\prime|')\s?\}|\\prime(?![a-zA-Z]))"), "'"),
    (re.compile(r"\^\s?\{\s?([+-]?\d{1,2})\s?\}"), r"^\1"),
    (re.compile(r"\\mu(?![a-zA-Z])\s?|[\u03bcµ]"), "µ"),
    (re.compile(r"\\(?:Omega|ohm)(?![a-zA-Z])\s?"), "Ω"),
    (re.compile(r"\\AA(?![a-zA-Z])"), "Å"),
    (re.compile(r"\\ell(?![a-zA-Z])|\u2113"), "L"),
    (re.compile(r"\\(?:cdot|times)(?![a-zA-Z])|[*⋅×]"), "·"),  # noqa: RUF001
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\rm(?![a-zA-Z])\s?"), ""),
    _WRAPPED,
    _WRAPPED,  # one within another
    (re.compile(r"\\frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}"), r"\1/(\2)"),
    (re.compile(r"[{}]"), ""),
    (re.compile(rf"(?:°|\bdeg(?:ree)?s?)\s?{_CELSIUS}"), "°C"),
    (re.compile(r"(?:°|\bdeg(?:ree)?s?)\s?(?:F\b|[Ff]ahrenheit)"), "°F"),
    (re.compile(r"°\s?T$"), "°"),  # a bearing from true north
)
_ONE_CHARACTER = re.compile("[\u3371-\u33df]")  # cm, kg and others, as Chinese fonts have them


def spell(text: str) -> str:
    r"""Return a unit, or a quantity, without wrappers and braces, signs for commands.

    ``\mathrm{~cm}^{2}`` is ``cm^2``, ``^{\circ}\text{C}`` ``°C``, ``\frac{m}{s}`` ``m/(s)``.
    """
    if text.isascii() and text.isalpha():
        return text
    if not text.isascii():
        text = _ONE_CHARACTER.sub(lambda char: unicodedata.normalize("NFKC", char.group()), text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())
