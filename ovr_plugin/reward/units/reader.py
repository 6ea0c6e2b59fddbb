"""A unit's text in, a `Unit` out, read token by token from left to right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product

from ovr_plugin.reward.units import nouns
from ovr_plugin.reward.units.nouns import CJK
from ovr_plugin.reward.units.spelling import spell
from ovr_plugin.reward.units.table import ANY, SHAPES, Sizes, noun_size, raised, table, times

MAX_CHARS = 80
MAX_PARTS = 8
MAX_SIZES = 16  # of the combinations that ambiguous units make together

_IGNORED_END = re.compile(
    r"(?:\s(?:old|tall|long|wide|high|deep|thick|apart|away|ago|later|each|total|altogether|overall"
    r"|in (?:total|all|length|width|height|area|volume)|of\s.*"
    r"|\((?![^()]*\b(?:or|not|no|wrong|incorrect|maybe)\b)[a-zA-Z .]{1,30}\)))+$",
    re.IGNORECASE,
)
_SHAPES = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_SHAPED = {"squared": 2, "cubed": 3}
_TOKEN = re.compile(
    r"\s*(?:\^\s?\(?(?P<power>[+-]?\d)\)?(?!\d)|(?P<below>/)|(?P<joint>·|-(?=[a-zA-Z])|[()\[\]])"
    r"|(?P<mark>°[CFK]|[°℃℉€£¥₹₩₽¢]|(?:US|HK|[AC])?\$|''|['\"])"
    rf"|(?P<chinese>[{CJK}]+)"
    r"|(?P<word>[a-zA-Zµ]*[a-zA-ZΩÅ]|[^\W\d_]+)(?P<digit>[23](?!\d))?)"
)
_NEGATIVE_POWER = re.compile(r"\s?\^\s?\(?-")
_PHRASE = re.compile(r"[a-zA-Z]+(?:[ -][a-zA-Z]+){1,2}")


@dataclass(frozen=True)
class Unit:
    """A unit as read.

    Attributes:
        text: as it was written, in one spelling.
        sizes: what it may be, at least one thing.
        is_formal: whether it is in symbols only, not in words or signs.
    """

    text: str
    sizes: Sizes
    is_formal: bool = False

    @property
    def is_any(self) -> bool:
        """Whether it is "units", "square units" or the like."""
        return [base for base, _ in self.sizes[0].dimension] == [ANY]

    @property
    def is_counted(self) -> bool:
        """Whether there is a word in it that is no unit of measurement."""
        bases = [base for base, _ in self.sizes[0].dimension]
        return any(base.startswith("noun:") and base != ANY for base in bases)

    @property
    def is_degree(self) -> bool:
        """Whether it is a degree of whatever: of an angle or a temperature."""
        return self.text in ("°", "度", "deg", "degree", "degrees")

    @property
    def is_temperature(self) -> bool:
        """Whether it has a zero of its own."""
        return any(size.zero for size in self.sizes)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    """Read cleaned ``text``, all of it, as one unit; None where it is none."""
    if not text or len(text) > MAX_CHARS or text[0] in "-·":
        return None
    text = _IGNORED_END.sub("", spell(text).strip(" .,"))
    if text.startswith("in ") or text[:1] + text[-1:] in ("()", "[]"):
        text = text.removeprefix("in ").strip("()[]")
    if "." in text:  # of `sq. ft` or `m.p.h.`
        return _Reader(text.replace(".", " ")).read() or _Reader(text.replace(".", "")).read()
    return _Reader(text).read()


class _Reader:
    """The state of reading one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[tuple[Sizes, int]] = []  # units and their powers
        self.noun: list[str] = []  # words that were no unit, not yet a part
        self.shape = 1  # what "square" makes the power of the next part
        self.is_below = False
        self.is_formal = True

    def read(self) -> Unit | None:
        """Read everything."""
        end: int | None = 0
        while end is not None and (token := _TOKEN.match(self.text, end)):
            end = self._read_words(token) if token["word"] else self._read_token(token)
        self._end_noun()
        is_complete = end is not None and not self.text[end:].strip() and self.shape == 1
        if not is_complete or not 0 < len(self.parts) <= MAX_PARTS:
            return None
        factors = [[raised(size, power) for size in sizes] for sizes, power in self.parts]
        sizes = [times(combination) for combination in islice(product(*factors), MAX_SIZES)]
        sizes = [size for size in sizes if size.dimension]
        return Unit(self.text, tuple(sizes), self.is_formal) if sizes else None

    def _read_token(self, token: re.Match[str]) -> int | None:
        """Read what is no word; returns where it ends, None where it makes no sense."""
        is_read = True
        if token["power"]:
            is_read = self._raise(int(token["power"]))
        else:
            self._end_noun()
        if token["below"]:
            self.is_below = True
        elif token["mark"]:
            self._add(table().symbols[token["mark"]], is_formal=False)
        elif token["chinese"]:
            is_read = self._read_chinese(token["chinese"])
        return token.end() if is_read else None

    def _read_words(self, token: re.Match[str]) -> int | None:
        """Read the longest name from here, or one word; returns where it ends."""
        start = token.start("word")
        words = phrase.group().split() if (phrase := _PHRASE.match(self.text, start)) else []
        names = table().names
        for n_words in range(len(words), 1, -1):
            phrase_text = " ".join(words[:n_words])
            if sizes := names.get(phrase_text.lower()):
                self._add(sizes, is_formal=False)
                return start + len(phrase_text)
        rest = self.text[token.end() :]
        is_read = self._read_run(token["word"], rest) or self._read_word(
            token["word"], not rest.strip()
        )
        if is_read and token["digit"]:
            is_read = self._raise(int(token["digit"]))
        return token.end() if is_read else None

    def _read_run(self, word: str, rest: str) -> bool:
        """Read symbols that nothing parts before a power below zero: ``ms^{-1}``, ``kgm^-3``."""
        if not _NEGATIVE_POWER.match(rest) or self.noun:
            return False
        symbols = table().symbols
        if word != "ms" and word in symbols:
            return False
        for cut in range(1, len(word)):
            if word[:cut] in symbols and word[cut:] in symbols:
                self._add(symbols[word[:cut]])
                self._add(symbols[word[cut:]])
                return True
        return False

    def _read_word(self, word: str, is_last: bool) -> bool:
        lower = word.lower()
        if lower in _SHAPES:
            self._end_noun()
            self.shape, self.is_formal = _SHAPES[lower], False
            return True
        if lower in _SHAPED and self.parts and not self.noun:
            return self._raise(_SHAPED[lower])
        if (
            lower in ("per", "a", "an")
            and not is_last
            and (self.parts or self.noun or lower == "per")
        ):
            self._end_noun()
            self.is_below, self.is_formal = True, False
            return True
        if not self.noun or is_last:  # "red cups" are counted, "cups" measured
            symbols = table().symbols
            if sizes := symbols.get(word) or (word[0] == "u" and symbols.get(f"µ{word[1:]}")):
                self._add(sizes)
                return True
            if sizes := table().names.get(lower):
                self._add(sizes, is_formal=False)
                return True
            if sizes := _symbols_of_any_case().get(lower):
                self._add(sizes, is_formal=len(word) == 2)
                return True
        self.noun.append(lower)
        return nouns.is_noun(lower, is_last and not self.parts)

    def _read_chinese(self, run: str) -> bool:
        chinese = table().chinese
        rest = run
        while rest:
            if rest[0] == "每":
                self.is_below, rest = True, rest[1:]
                continue
            ends = range(len(rest), 0, -1)
            name = next((rest[:end] for end in ends if rest[:end] in chinese), "")
            if not name:
                break
            self._add(chinese[name], is_formal=False)
            rest = rest[len(name) :]
        return not rest or self._read_chinese_noun(run, rest)

    def _read_chinese_noun(self, run: str, rest: str) -> bool:
        """Read a run that only begins with units: 个苹果 counts apples, 天数 is one word."""
        if len(self.parts) > 1 or run[:2] in SHAPES or not nouns.is_chinese_noun(run):
            return False
        noun = rest if self.parts and self.parts[0][0][0].dimension == ((ANY, 1),) else run
        self.parts.clear()
        if len(noun) > 1 and noun[0] in nouns.COUNTERS:
            noun = noun[1:]
        is_any = noun in nouns.COUNTERS - nouns.TELLING_COUNTERS
        self._add((noun_size("unit" if is_any else noun),), is_formal=False)
        return True

    def _add(self, sizes: Sizes, is_formal: bool = True) -> None:
        self._end_noun()
        self.parts.append((sizes, -self.shape if self.is_below else self.shape))
        self.shape = 1
        self.is_formal = self.is_formal and is_formal

    def _end_noun(self) -> None:
        if self.noun:
            words, self.noun = self.noun, []
            words[-1] = nouns.singular(words[-1])
            self._add((noun_size(" ".join(words)),), is_formal=False)

    def _raise(self, power: int) -> bool:
        self._end_noun()
        if not self.parts or not power or abs(self.parts[-1][1]) != 1:
            return False
        sizes, sign = self.parts[-1]
        self.parts[-1] = (sizes, sign * power)
        return True


@lru_cache(maxsize=1)
def _symbols_of_any_case() -> dict[str, Sizes]:
    """Symbols of two letters and more whose case or plural does not matter: ``KM``, ``kms``."""
    symbols = table().symbols
    folded: dict[str, Sizes] = {}
    for symbol, sizes in symbols.items():
        if len(symbol) > 1:
            folded[symbol.lower()] = () if symbol.lower() in folded else sizes
    folded |= {f"{symbol}s": sizes for symbol, sizes in folded.items() if symbol.isalpha()} | folded
    return {symbol: sizes for symbol, sizes in folded.items() if sizes}
