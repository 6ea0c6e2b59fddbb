"""A number in English or Chinese words in, its exact value out.

Read are cardinals ("one hundred and five", "twelve hundred", "minus three point one four",
一百零五, 负三点一四, 十二万), fractions ("half", "two thirds", "one and a half", 三分之二,
一又二分之一, 一半), dozens ("half a dozen", "two dozen"), per cents in Chinese (百分之五) and
single ordinals ("third", 第三). What may follow figures, as in "2 million" and 3亿, is in
`MAGNITUDES`. "A couple", "an apple" and "no" are no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

MAX_WORDS = 40

_SMALL = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
} | {"nought": 0, "naught": 0}
_TENS = {
    word: 10 * number
    for number, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_LARGE = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "quadrillion": 10**15,
}  # fmt: skip
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "twentieth": 20,
}  # fmt: skip
_PARTS = {"half": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000}
_PARTS |= {word: number for word, number in _ORDINALS.items() if number > 2}
_PARTS |= {f"{word}s": number for word, number in _PARTS.items()} | {"halves": 2}
_DOZENS = {"dozen": 12, "dozens": 12}
# What may stand between figures and a unit.
MAGNITUDES = {
    **_DOZENS, **_LARGE, "hundred": 100, "lakh": 10**5, "crore": 10**7,
    "十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "百万": 10**6, "千万": 10**7,
    "亿": 10**8, "億": 10**8, "万亿": 10**12,
}  # fmt: skip

_CHINESE_DIGITS = {
    char: number
    for number, chars in enumerate(
        "零〇 一壹 二贰两貳兩 三叁 四肆 五伍 六陆 七柒 八捌 九玖".split()
    )
    for char in chars
}
_CHINESE_TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_CHINESE_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_COLLOQUIAL = {*_CHINESE_TENS, *_CHINESE_LARGE} - {"十", "拾"}
_NUMERAL = f"[{''.join([*_CHINESE_DIGITS, *_CHINESE_TENS, *_CHINESE_LARGE])}]{{1,40}}"
_CHINESE = re.compile(
    rf"(?P<ordinal>第)?(?P<negative>[负負])?(?:(?P<half>一?半)(?!径)"
    rf"|(?:(?P<whole>{_NUMERAL})又)?(?:(?P<divisor>{_NUMERAL})分之)?(?P<number>{_NUMERAL})"
    rf"(?:点(?P<decimals>[{''.join(_CHINESE_DIGITS)}]{{1,40}}))?)"
)
_WORD = re.compile(r"[A-Za-z]+")
_JOINT = re.compile(r"\s?-\s?|,?\s+")


class Words(NamedTuple):
    """A number, where it ends in the text, and whether it was "third" or 百分之三."""

    value: Fraction
    end: int
    is_ordinal: bool = False
    is_percent: bool = False


def match(text: str, start: int = 0) -> Words | None:
    """Read the number in words that plain ``text`` has at ``start``."""
    first = text[start : start + 1]
    if first.isascii():
        return _English(text, start).read() if first.isalpha() else None
    return _match_chinese(text, start)


class _English:
    """A reader of the words from one place on, as far as only spaces and hyphens part them."""

    def __init__(self, text: str, start: int) -> None:
        self.words: list[str] = []
        self.ends: list[int] = []
        self.n_read = 0
        while len(self.words) < MAX_WORDS and (word := _WORD.match(text, start)):
            self.words.append(word.group().lower())
            self.ends.append(word.end())
            joint = _JOINT.match(text, word.end())
            if joint is None:
                break
            start = joint.end()

    def read(self) -> Words | None:
        """Read the longest number from the start."""
        negative = self._skip("minus", "negative")
        ordinal = self._take(_ORDINALS)
        value = self._mixed() if ordinal is None else Fraction(ordinal)
        if value is None:
            return None
        while (dozen := self._take(MAGNITUDES)) is not None:
            value *= dozen
        value = -value if negative else value
        return Words(value, self.ends[self.n_read - 1], is_ordinal=ordinal is not None)

    def _mixed(self) -> Fraction | None:
        """``one``, ``two thirds``, ``half``, ``half a`` dozen, ``one and two thirds``."""
        value = self._fraction() or self._cardinal()
        if value is None:
            return None
        start = self.n_read
        if value.denominator > 1:
            self._skip("a", "of")
            if self._peek() not in MAGNITUDES:
                self.n_read = start
        elif self._skip("and"):
            part = self._fraction()
            if part is None:
                self.n_read = start
            else:
                value += part
        return value

    def _fraction(self) -> Fraction | None:
        start = self.n_read
        count = None if self._skip("a") else self._cardinal()
        counted = self.n_read > start
        if (part := self._take(_PARTS)) is not None and (counted or part == 2):
            return Fraction(1 if count is None else count) / part
        self.n_read = start
        return None

    def _cardinal(self) -> Fraction | None:
        if self._skip("a"):
            if self._peek() not in {"hundred", *_LARGE, *_DOZENS}:
                self.n_read -= 1
                return None
            total, group = 0, 1
        else:
            first = self._below_hundred()
            if first is None:
                return None
            total, group = 0, first
        if self._skip("hundred"):
            group = group * 100 + self._rest(100)
        while (large := self._take(_LARGE)) is not None:
            total += group * large
            group = self._rest(large)
        return Fraction(total + group) + self._decimals()

    def _rest(self, limit: int) -> int:
        """What follows "hundred" or "thousand", perhaps after an "and"; 0 for nothing."""
        start = self.n_read
        self._skip("and")
        group = self._below_hundred()
        if group is not None and limit > 100 and self._skip("hundred"):
            group = group * 100 + self._rest(100)
        if group is None or self._peek() in _PARTS:  # `one hundred and two thirds`
            self.n_read = start
            return 0
        return group

    def _below_hundred(self) -> int | None:
        tens = self._take(_TENS)
        if tens is None:
            return self._take(_SMALL)
        if 0 < _SMALL.get(self._peek(), 0) < 10:
            tens += self._take(_SMALL) or 0
        return tens

    def _decimals(self) -> Fraction:
        start = self.n_read
        digits = ""
        if self._skip("point"):
            while _SMALL.get(self._peek(), 10) < 10:
                digits += str(self._take(_SMALL))
        if not digits:
            self.n_read = start
            return Fraction(0)
        return Fraction(int(digits), 10 ** len(digits))

    def _peek(self) -> str:
        return self.words[self.n_read] if self.n_read < len(self.words) else ""

    def _skip(self, *words: str) -> bool:
        found = self._peek() in words
        self.n_read += found
        return found

    def _take(self, table: Mapping[str, int]) -> int | None:
        value = table.get(self._peek())
        self.n_read += value is not None
        return value


def _match_chinese(text: str, start: int) -> Words | None:
    found = _CHINESE.match(text, start)
    if found is None:
        return None
    if found["half"]:
        value = Fraction(1, 2)
    else:
        numerator, divisor = _chinese(found["number"]), _chinese(found["divisor"] or "一")
        whole = _chinese(found["whole"] or "零")
        if numerator is None or whole is None or not divisor:
            return None
        decimals = "".join(str(_CHINESE_DIGITS[char]) for char in found["decimals"] or "")
        value = whole + (numerator + Fraction(int(decimals or 0), 10 ** len(decimals))) / divisor
    is_percent = found["divisor"] == "百"
    if is_percent:
        value *= 100
    value = -value if found["negative"] else value
    return Words(value, found.end(), found["ordinal"] is not None, is_percent)


def _chinese(numeral: str) -> Fraction | None:
    """Read 三百零五 or, digit by digit, 二〇二〇; None where the order makes no sense."""
    if len(numeral) > 1 and all(char in _CHINESE_DIGITS for char in numeral):
        return Fraction(int("".join(str(_CHINESE_DIGITS[char]) for char in numeral)))
    if len(numeral) > 1 and numeral[-2] in _COLLOQUIAL and numeral[-1] in _CHINESE_DIGITS:
        return None  # 一万二 is 12,000 to some and 10,002 to others
    total = section = 0
    digit: int | None = None
    scale = 10**4  # of the last ten, hundred or thousand in this section
    for char in numeral:
        if char in _CHINESE_DIGITS:
            if digit:
                return None
            digit = _CHINESE_DIGITS[char]
        elif char in _CHINESE_TENS:
            ten = _CHINESE_TENS[char]
            if ten >= scale or digit == 0:
                if digit != 0 or ten != 10:  # 零十 is said for the ten in 一千零十五
                    return None
            section += (digit or 1) * ten
            scale, digit = ten, None
        else:
            total = (total + section + (digit or 0) or 1) * _CHINESE_LARGE[char]
            section, digit, scale = 0, None, 10**4
    return Fraction(total + section + (digit or 0))
