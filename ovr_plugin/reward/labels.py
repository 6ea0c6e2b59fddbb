r"""An answer to multiple choice in, the labels of the options that it names out.

An answer names an option by its label (``B``, ``(B)``, ``Option B``, ``B is correct``, ``选B``), by
label and text (``B. 12``, ``12 (B)``) or, where the options are known, by its text. With a label
and a remark the label counts, unless the remark is another option's text, names another label or
takes it back ("or", "wrong", ...): such an answer names none.

Labels are letters, after Z double ones, or what the keys of the row's mapping are (``1``, ``ii``);
their case is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.folding import fold, same_folded
from ovr_plugin.reward.normalize import clean, plain_text, squeeze
from ovr_plugin.reward.value_list import read_values
from ovr_plugin.reward.words import has_words

Compare = Callable[[str, str], Comparison]
Labels = frozenset[str]

NO_LABEL: Labels = frozenset()
LISTED_LETTERS = frozenset("ABCDEFGHIJ")  # labels in a list, where the options are not known

_ANY_LETTER = "[A-Z]"
_BEFORE = (
    r"(?:i\s(?:choose|pick|select)\s|choose\s|select\s|both\s)?(?:the\s)?(?:correct\s)?"
    r"(?:(?:answer|option|choice|letter|figure|picture|image|diagram|graph|shape|tile|piece)s?"
    r"\s?(?:(?:is|are)\b\s?|:\s?)?"
    r"|(?:故|应)?选项?(?:择|为|是)?:?\s?)?"
)
_AFTER = (
    r"(?:\s?(?:选项|项)|\sonly"
    r"|\s(?:is|are)\s(?:the\s)?(?:correct|right|true)(?:\s(?:answer|option|choice)s?)?)?"
)
_PREFIX = re.compile(_BEFORE, re.IGNORECASE)
_OR = re.compile(r"\bor\b|或", re.IGNORECASE)
_TAKEN_BACK = re.compile(
    r"\b(?:or|either|neither|nor|wrong|incorrect|false|maybe|perhaps"
    r"|not (?:correct|right|sure|the|it|this))\b|不[对是]|错",
    re.IGNORECASE,
)
# Not the article, the pronoun or a unit behind a number.
_OTHER_LETTER = re.compile(r"(?<![\w'])(?<!\d )(?:[AI](?! [a-z])|[B-HJ])(?![\w'])")
_SPACED = re.compile(r"[(\[]?[A-Z0-9]{1,3}[)\]]?(?: [(\[]?[A-Z0-9]{1,3}[)\]]?)+")
_SMALL_LABEL = re.compile(r"\([a-z]\)")  # as an option's text
_LABEL_AT_START = re.compile(r"\(?[A-Z](?:\)|$|[.:] )")
_LABELLED_TEXT = re.compile(
    r"[(\[]?\s?(?P<label>[A-Za-z0-9]{1,3})\s?(?:[)\]]\s?[.:]?|[.:](?!\d))\s?(?P<text>\S.*)",
    re.DOTALL,
)
_MEASURED = re.compile(r"(?P<number>[+-]?\d[\d.,]*)(?P<unit>[a-zA-Z]{1,3})")
_LETTER_LIST = re.compile(r"\(?[A-J]\)?(?:[,;&\s]{0,3}(?:and\s)?\(?[A-J]\)?)+")


def is_label(reference: str) -> bool:
    """Whether cleaned ``reference`` is a label, or several, though no options are known.

    That is one capital letter, perhaps with a text behind it, or several of A to J: with joints, or
    without in the order of the alphabet.
    """
    return _LABEL_AT_START.match(plain_text(reference)) is not None or is_label_list(reference)


def is_label_list(reference: str) -> bool:
    """Whether cleaned ``reference`` is several labels, though no options are known."""
    text = plain_text(reference)
    if not _LETTER_LIST.fullmatch(text):
        return False
    letters = re.findall("[A-J]", text)
    return len(set(letters)) == len(letters) and (letters == sorted(letters) or not text.isalpha())


class Options:
    """The options of one question; without any, every letter is a label.

    Args:
        choices: label -> text, as `ovr_plugin.reward.choices.read_choices` gives it.
    """

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.texts = _with_units({label: clean(text) for label, text in choices.items()})
        self._written = _ways_of_writing(tuple(choices))
        self._folded = {label: fold(text) for label, text in self.texts.items() if has_words(text)}
        bare = {_bare(self.texts[label]): label for label in reversed(self.texts)}
        self._first_with = bare  # text -> the first label that has it
        self._in_words = {
            text.casefold(): label for text, label in bare.items() if label in self._folded
        }

    def named(self, text: str, compare: Compare, several: bool) -> Labels | None:
        """Return the labels that cleaned ``text`` names: none where it hedges, None if not any.

        Args:
            text: an answer or a reference.
            compare: compares two cleaned values, for remarks.
            several: whether ``AC`` may be two labels.
        """
        alone, plain = self.alone(text), plain_text(text)
        owner = "" if alone and alone in plain else self._owner(text)
        if owner or alone:  # a small letter is rather an option's text than a label
            return self._merged({owner or alone})
        for pattern in (self._written.with_text, self._written.behind_text):
            both = pattern.fullmatch(plain) if self.texts else None
            if both and self._owner(both["text"]) == _label_in(both):  # whatever else it may be
                return self._merged({_label_in(both)})
        listed = self.listed(plain, several)
        if listed is not None:
            return self._merged(listed)
        if both := self._written.with_text.fullmatch(plain):
            label = _label_in(both)
            return self._merged({label}) if self._agrees(label, both["text"], compare) else NO_LABEL
        for pattern in (self._written.before_text, self._written.behind_text):
            both = pattern.fullmatch(plain)
            if both and (owner := self._owner_beside(_label_in(both), both["text"], compare)):
                label = next(iter(self._merged({_label_in(both)})))
                return frozenset((label,) if label == owner else ())
        if owner := self.label_of(text):
            return frozenset((owner,))
        return self._with_texts_listed(text)

    def alone(self, text: str) -> str:
        """Return the label that cleaned ``text`` is, or ''."""
        label = self._written.alone.fullmatch(plain_text(text))
        return label["label"].upper() if label else ""

    def label_of(self, text: str) -> str:
        """Return the label of the option that has this text in so many words, '' without one."""
        if label := self._owner(text):
            return label
        folded = fold(text) if self._folded else ""
        for label, option in self._folded.items():
            if same_folded(option, folded):
                return label
        return ""

    def _owner(self, text: str) -> str:
        """The label of the option whose text this is, but for case where the option is words."""
        bare = _bare(text)
        return self._first_with.get(bare) or self._in_words.get(bare.casefold(), "")

    def listed(self, plain: str, several: bool) -> Labels | None:
        """Return the labels in a list: ``A, C``, ``A and C``, ``(A)(C)``, ``A C`` or ``AC``."""
        plain = _PREFIX.sub("", plain.replace(")(", "),("), count=1)
        values = read_values(plain)
        items: Sequence[str] = values.items if values else ()
        if not values and _SPACED.fullmatch(plain):
            items = plain.split()
        elif not values:
            is_word = several and plain.isalpha() and len(plain) == len(set(plain.upper()))
            items = list(plain) if is_word else ()
        found = set()
        for item in items:
            named = self._written.alone.fullmatch(item) or self._written.with_text.fullmatch(item)
            if named is None:
                return None
            label, text = _label_in(named), named.groupdict().get("text")
            if text is not None and self.label_of(text) not in self._merged({label}):
                return None
            found.add(label)
        if not items or not (self.texts or found <= LISTED_LETTERS):
            return None
        return NO_LABEL if _OR.search(plain) else frozenset(found)

    def remark(self, text: str) -> str:
        """Return the text behind the label that cleaned ``text`` starts with, '' without."""
        both = self._written.with_text.fullmatch(plain_text(text))
        return both["text"] if both else ""

    def _owner_beside(self, label: str, text: str, compare: Compare) -> str:
        """The option whose text stands beside ``label``; its own may be in other words."""
        own = self.texts.get(label, "")
        owner = self.label_of(text) or self.label_of(text := text.strip("()"))
        return owner or (label if own and compare(own, text).equal else "")

    def _agrees(self, label: str, remark: str, compare: Compare) -> bool:
        """Whether the text behind a label leaves the label standing."""
        if owner := self.label_of(remark):
            return owner in self._merged({label})
        if _TAKEN_BACK.search(remark) or set(_OTHER_LETTER.findall(remark)) - {label}:
            return False
        own = self.texts.get(label)
        if own and compare(own, remark).equal:
            return True
        return not any(compare(text, remark).equal for text in self.texts.values() if text != own)

    def _with_texts_listed(self, text: str) -> Labels | None:
        """The options whose texts ``text`` lists."""
        values = read_values(text) if self.texts else None
        found = [self.label_of(item) for item in values.items] if values else []
        return frozenset(filter(None, found)) if found and all(found) else None

    def _merged(self, labels: Set[str]) -> Labels:
        """Of options with the same text the first stands for all."""
        if len(self._first_with) == len(self.texts):
            return frozenset(labels)
        return frozenset(
            self._first_with[_bare(self.texts[label])] if label in self.texts else label
            for label in labels
        )


def option_text(label: str, text: str) -> str:
    """Return an option's text without the label that it may begin with."""
    labelled = _LABELLED_TEXT.fullmatch(clean(text))
    return labelled["text"] if labelled and labelled["label"].upper() == label else text


@dataclass(frozen=True)
class _Written:
    alone: re.Pattern[str]
    with_text: re.Pattern[str]
    before_text: re.Pattern[str]
    behind_text: re.Pattern[str]


@lru_cache(maxsize=256)
def _ways_of_writing(labels: tuple[str, ...]) -> _Written:
    one = "|".join(map(re.escape, labels)) or _ANY_LETTER
    # `2.5` is not the label 2 with a text.
    no_decimal = r"(?!\d)" if any(label[-1:].isdigit() for label in labels) else ""
    label = rf"(?P<label>{one})"
    in_brackets = rf"[(\[]\s?{label}\s?[)\]]\s?(?:[.:,]|-\s)?"
    # `E.coli` is not the label E with a text.
    with_mark = rf"(?P<bare>{one})\s?(?:[):]|\.(?![a-zA-Z])){no_decimal}"

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(pattern, re.IGNORECASE | re.DOTALL)

    return _Written(
        alone=compiled(rf"{_BEFORE}[(\[]?\s?{label}\s?[)\]]?[.:]?{_AFTER}"),
        with_text=compiled(rf"{_BEFORE}(?:{in_brackets}|{with_mark})\s?(?P<text>\S.*)"),
        before_text=compiled(rf"{_BEFORE}{label}(?:\s?(?:[.,=]|-\s)\s?|\s)(?P<text>\S.*)"),
        behind_text=compiled(
            r"(?P<text>\S.*?)[\s,]{0,2}(?:\b(?:which|that)\sis\s)?"
            rf"(?:\((?:(?:option|choice)\s)?|\b(?:option|choice)\s\(?){label}\)?"
        ),
    )


def _with_units(texts: dict[str, str]) -> dict[str, str]:
    """Write ``10m`` and ``40m`` as ``10 m`` and ``40 m``: what all have is a unit, no variable."""
    measured = [_MEASURED.fullmatch(text) for text in texts.values()]
    if len({found["unit"] if found else "" for found in measured} - {""}) != 1 or None in measured:
        return texts
    return {label: _MEASURED.sub(r"\g<number> \g<unit>", text) for label, text in texts.items()}


def _bare(text: str) -> str:
    text = squeeze(plain_text(text))
    return text[1] if _SMALL_LABEL.fullmatch(text) else text


def _label_in(found: re.Match[str]) -> str:
    groups = found.groupdict()
    return str(groups["label"] or groups.get("bare")).upper()
