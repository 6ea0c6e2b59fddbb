"""Multiple choice: option texts and an answer in, the option's letter out.

An answer names an option by its letter (``B``, ``(B)``, ``Option B``) or by letter and text
(``B. 12``); then the letter counts. A remark behind the letter that names another option or says
"or", "not", "and" hedges, and the answer names no option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from ovr_plugin.reward.normalize import clean, plain_text, squeeze

_LETTER_ALONE = re.compile(
    r"(?:the\s)?(?:correct\s)?(?:(?:answer|option|choice)\s?)?(?:is\s?|:\s?)?[(\[]?\s?([A-Za-z])\s?[)\].:]{0,2}",
    re.IGNORECASE,
)
_LETTER_AND_TEXT = re.compile(
    r"(?:\(\s?([A-Za-z])\s?\)\s?[.:]?|([A-Za-z])\s?[).:])\s?(\S.*)", re.DOTALL
)
_OTHER_OPTION = re.compile(r"(?<!\w)[A-J](?![\w'])|(?i:\b(?:or|and|not|wrong|either)\b)")


@dataclass(frozen=True)
class Named:
    """An option's letter, upper case, and the text that came with it ('' without)."""

    letter: str
    text: str = ""


def read_choices(choices: object) -> dict[str, str]:
    """Return letter -> option text; empty for None.

    Args:
        choices: option texts in order (any sequence, a numpy array too) or letter -> text; options
            that are None are left out, as parquet fills the columns of a struct.

    Raises:
        TypeError: for anything else.
    """
    if hasattr(choices, "tolist"):
        choices = choices.tolist()
    if choices is None:
        return {}
    if isinstance(choices, Mapping):
        pairs = [(str(letter).strip(" ().").upper(), text) for letter, text in choices.items()]
    elif isinstance(choices, Sequence) and not isinstance(choices, str | bytes):
        pairs = list(zip(ascii_uppercase, choices, strict=False))
    else:
        raise TypeError(
            f"choices must be option texts or letter -> text, not {type(choices).__name__}"
        )
    return {letter: _option_text(letter, str(text)) for letter, text in pairs if text is not None}


def read_letter(text: str) -> str:
    """Return the letter that cleaned ``text`` is, upper case, or ''."""
    alone = _LETTER_ALONE.fullmatch(plain_text(text))
    return alone.group(1).upper() if alone else ""


def read_named(text: str, choices: Mapping[str, str]) -> Named | None:
    """Read cleaned ``text`` as the naming of an option, or None where it names none or hedges."""
    if letter := read_letter(text):
        return Named(letter)
    both = _LETTER_AND_TEXT.fullmatch(plain_text(text))
    if both is None:
        return None
    letter, rest = (both.group(1) or both.group(2)).upper(), both.group(3)
    if same_text(rest, choices.get(letter, "")):
        return Named(letter, rest)
    return None if _OTHER_OPTION.search(rest) else Named(letter, rest)


def same_text(a: str, b: str) -> bool:
    """Compare two texts apart from case, spacing, LaTeX's text wrappers and end punctuation."""
    return _folded(a) == _folded(b)


def _folded(text: str) -> str:
    return squeeze(plain_text(clean(text))).casefold()


def _option_text(letter: str, text: str) -> str:
    labelled = _LETTER_AND_TEXT.fullmatch(clean(text))
    if labelled and (labelled.group(1) or labelled.group(2)).upper() == letter:
        return labelled.group(3)
    return text
