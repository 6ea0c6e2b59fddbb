"""An answer as written in, the same answer in one spelling out.

Only what never changes the meaning goes: invisible characters, dollar signs, spacing and size
commands, full-width and foreign digits, markdown, a final full stop. `plain_text` goes further and
drops LaTeX's text wrappers; it is for comparing words. Everything here is linear in the length.
"""

from __future__ import annotations

import re
import unicodedata

_SYMBOLS = {
    "−": "-",  # noqa: RUF001 - the minus sign
    "–": "-",  # noqa: RUF001 - the en dash
    "×": r"\times ",  # noqa: RUF001 - the multiplication sign
    "·": r"\cdot ",
    "÷": r"\div ",
    "°": r"^\circ ",
    "π": r"\pi ",
    "√": r"\sqrt",
    "∞": r"\infty ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "∅": r"\emptyset ",
    "。": ".",
}


class _OneSpelling(dict[int, str]):
    """A table for `str.translate` that works out a character when it first meets it."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char in _SYMBOLS:
            result = _SYMBOLS[char]
        elif unicodedata.category(char) == "Cf":  # zero-width space, byte order mark, ...
            result = ""
        elif 0xFF01 <= code <= 0xFF5E:  # full-width ASCII
            result = chr(code - 0xFEE0)
        elif char.isdecimal():
            result = str(unicodedata.decimal(char))
        else:
            result = " " if char.isspace() else char
        self[code] = result
        return result


_TABLE = _OneSpelling()
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>")
# `\\` (a line break) comes first, so that the backslash of `\,` is never its second half.
_COMMANDS = re.compile(
    r"(?P<line_break>\\\\)"
    r"|(?P<space>\\[,;:> ]|\\q?quad(?![a-zA-Z])|~)"
    r"|(?P<nothing>\\!\s?|\\[()\[\]$]|\$"
    r"|\\(?:displaystyle|textstyle|limits|boldsymbol|bf|[bB]igg?[lr]?)(?![a-zA-Z])"
    r"|\\(?:left|right)(?=[()\[\]|]|\\[{}|]))"
    r"|(?P<frac>\\[dtc]frac(?![a-zA-Z]))"
    r"|(?P<empty>\\varnothing(?![a-zA-Z])|\\\{\s?\\\})"
    r"|(?P<percent>(?<![\\a-zA-Z])(?:%|(?:pct|percent(?:age)?)(?![a-zA-Z])))"
)
_REPLACEMENTS = {
    "line_break": "\\\\",
    "space": " ",
    "nothing": "",
    "frac": r"\frac",
    "empty": r"\emptyset ",
    "percent": r"\%",
}
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|operatorname|mbox)\s?\{([^{}]*)\}"
)
MAX_NESTING = 4


def clean(text: str) -> str:
    """Return ``text`` in one spelling; its meaning as LaTeX is untouched."""
    text = _SPECIAL_TOKEN.sub("", text.translate(_TABLE)).replace("{,}", ",")
    text = " ".join(_COMMANDS.sub(lambda m: _REPLACEMENTS[str(m.lastgroup)], text).split())
    for _ in range(MAX_NESTING):
        text = _strip_ends(text)
        if not _is_one_group(text):
            break
        text = text[1:-1]
    return text


def plain_text(text: str) -> str:
    r"""Return cleaned ``text`` without ``\text{}`` and the like, spaces collapsed."""
    for _ in range(MAX_NESTING):
        text, n_unwrapped = _WRAPPER.subn(r"\1", text)
        if not n_unwrapped:
            break
    return " ".join(text.split()).strip(" .,;:?*`\"'")


def squeeze(text: str) -> str:
    """Return ``text`` without the spaces that mean nothing in LaTeX; those between digits stay."""
    return re.sub(r"(?<!\d) | (?!\d)", "", text)


def _strip_ends(text: str) -> str:
    text = text.strip(" `").rstrip(" .,;")
    if text.startswith("**") and text.endswith("**"):
        text = text[2:-2].rstrip(" .,;")
    while text.endswith("\\\\"):
        text = text[:-2].rstrip(" .,;")
    return text


def _is_one_group(text: str) -> bool:
    return text.startswith("{") and text.find("}") == len(text) - 1
