r"""A text in, its several values out: bare or in brackets, each perhaps with a name (``x_1=1``).

Values are joined by commas, semicolons, "and", "or", their Chinese words or line breaks. A comma in
front of three digits is a thousands separator where other joints are wider (``1,000, 2,000``). One
pass over the text, whatever its brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SET, ROUND, SQUARE, ANGLE = r"\{\}", "()", "[]", r"\langle\rangle"

_WORDED_JOINT = re.compile(r"\\text\s?\{([^{}]*)\}")
_JOINT_WORD = re.compile(r"\b(?i:and|or)\b|[或和与及]")
_LETTER = re.compile(r"[^\W\d_]")
_TOKENS = re.compile(
    r"(?P<wide>\s?[,;]?\s?(?:\b(?i:and|or)\b|以?及|[或和与]|\\lor(?![a-zA-Z])|\\?&|\\\\)\s?|\s?[,;]\s|\s?;)"
    r"|(?P<comma>,)"
    r"|(?P<open>[(\[{]|\\\{|\\langle(?![a-zA-Z])|\\begin\s?\{\w{1,12}\*?\})"
    r"|(?P<close>[)\]}]|\\\}|\\rangle(?![a-zA-Z])|\\end\s?\{\w{1,12}\*?\})"
    r"|\\.",
    re.DOTALL,
)
_BRACKET = re.compile(r"[(\[]|\\(?:\{|langle(?![a-zA-Z]))")
_CLOSING = re.compile(r"(?:[)\]]|\\(?:\}|rangle))$")
_CASES = re.compile(r"\\begin\s?\{cases\}(.*)\\end\s?\{cases\}", re.DOTALL)
_IN_ROW = re.compile(r"&|[,;](?!\s?(?:\\\\|$))")
_THOUSAND = re.compile(r"(?<=\d),\d{3}(?!\d)")
_NAME = (
    r"(?:(?:\\angle\s?|\\triangle\s?)?[a-zA-Z]\w{0,11}|\\text\s?\{[^{}]{1,30}\}"
    r"|\\[a-zA-Z]+(?:\s?\{[a-zA-Z]{1,4}\})?)'{0,2}(?:\s?_\s?(?:\w|\{[^{}]{1,12}\}))?(?:\([a-z]\))?"
)
# P(X = 3), \mathbb{E}[X^2]
_OF_CHANCE = r"(?:[PE]|\\Pr|\\mathbb\s?\{[PE]\})\s?(?:\([^()]{1,40}\)|\[[^\[\]]{1,40}\])"
_NAMED = re.compile(
    rf"(?P<name>{_OF_CHANCE}|{_NAME}|\(\s?{_NAME}(?:\s?,\s?{_NAME}){{0,9}}\s?\))"
    r"\s?(?:=|\\approx(?![a-zA-Z])|\\in(?![a-zA-Z]))\s?(?P<value>[^=<>]+)"
)
_ROOT = re.compile(r"([kmrtxyz]|\\lambda)_?(\d{1,2})")
_POINT = re.compile(
    r"(?:\\text\s?\{\s?(?:[Tt]he\s)?[Pp]oint\s?\}\s?|(?:[Tt]he\s)?[Pp]oint\s|点\s?)?"
    r"(?:[A-Z](?:_\d|')?\s?)?(?=\()"
)


@dataclass(frozen=True)
class Values:
    """Several values.

    Attributes:
        items: as written, without names.
        brackets: around them: `SET`, `ROUND`, ... or a mix such as ``(]``; '' for a bare list.
        names: one per item, '' for none.
    """

    items: tuple[str, ...]
    brackets: str = ""
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        half = len(self.brackets) // 2
        named = (f"{n} = {v}" if n else v for n, v in zip(self.names, self.items, strict=True))
        return f"{self.brackets[:half]}{', '.join(named)}{self.brackets[half:]}"

    @property
    def variables(self) -> frozenset[str]:
        """The names; those of numbered roots, ``x_1`` and ``x_2``, are one: ``x``."""
        roots = [root for name in self.names if (root := _ROOT.fullmatch(name))]
        numbers = sorted(int(root.group(2)) for root in roots)
        bases = {root.group(1) for root in roots}
        if len(bases) == 1 and numbers == list(range(1, len(self.names) + 1)):
            return frozenset(bases)
        return frozenset(self.names) - {""}


def read_values(text: str) -> Values | None:
    """Read cleaned ``text`` as several values, or as a set of one; None where it is one value."""
    if "{" in text:
        text = " ".join(_WORDED_JOINT.sub(_unwrapped, text).split())
    if cases := _CASES.fullmatch(text):
        text = cases.group(1).strip()
        if _IN_ROW.search(text):  # a value and its condition
            return None
    items = _split(text)
    if len(items) == 1:
        if named := _NAMED.fullmatch(text):
            text = named["value"].strip()
            items = _split(text)
        elif point := _POINT.match(text):
            text = text[point.end() :]
    if len(items) == 1:
        return _read_bracketed(text)
    return _with_names(items) if len(items) > 1 and all(items) else None


def split_name(text: str) -> tuple[str, str]:
    """Split cleaned ``text`` into the name in ``x = 5`` and the value; '' where there is none."""
    named = _NAMED.fullmatch(text) if "=" in text or "\\" in text else None
    return (_spell_name(named["name"]), named["value"].strip()) if named else ("", text)


def _unwrapped(wrapper: re.Match[str]) -> str:
    r"""``\text{ or six}`` as ``or \text{six}``; other text as it is."""
    if not _JOINT_WORD.search(wrapper.group(1)):
        return wrapper.group()
    parts = re.split(r"(\b(?i:and|or)\b|以?及|[或和与,;])", wrapper.group(1))
    pieces = [
        rf"\text{{{part.strip()}}}" if index % 2 == 0 and _LETTER.search(part) else part.strip()
        for index, part in enumerate(parts)
        if part.strip()
    ]
    return f" {' '.join(pieces)} "


def _split(text: str) -> tuple[str, ...]:
    """Split at the joints outside all brackets; () where the brackets do not match."""
    joints: list[tuple[int, int, bool]] = []
    depth = 0
    for token in _TOKENS.finditer(text):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
            if depth < 0:
                return ()
        elif kind and not depth:
            joints.append((token.start(), token.end(), kind == "wide"))
    if depth:
        return ()
    if any(is_wide for _, _, is_wide in joints):
        joints = [joint for joint in joints if joint[2] or not _THOUSAND.match(text, joint[0])]
    starts = [0, *(end for _, end, _ in joints)]
    ends = [*(start for start, _, _ in joints), len(text)]
    return tuple(text[start:end].strip() for start, end in zip(starts, ends, strict=True))


def _read_bracketed(text: str) -> Values | None:
    opening, closing = _BRACKET.match(text), _CLOSING.search(text, max(len(text) - 7, 0))
    if opening is None or closing is None:
        return None
    items = _split(text[opening.end() : closing.start()].strip())  # () for `(0,1) \cup (2,3)`
    brackets = opening.group() + closing.group()
    if not items or not all(items) or (len(items) == 1 and brackets != SET):
        return None
    if len(items) == 1 and re.search(r"[|:]|\\(?:mid|vert)(?![a-zA-Z])", items[0]):
        return None  # `\{x | x > 1\}`
    return Values(items, brackets, ("",) * len(items))


def _with_names(items: tuple[str, ...]) -> Values:
    """Take the names off; one in front of a list (``n = 2, 3``) is the name of all."""
    names, bare = map(list, zip(*map(split_name, items), strict=True))
    if names[0] and not any(names[1:]):
        names = [names[0]] * len(names)
    return Values(tuple(bare), "", tuple(names))


def _spell_name(name: str) -> str:
    return re.sub(r"[\s{}]", "", name)
