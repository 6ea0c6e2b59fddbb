r"""Words in, a verdict out: words are compared as text, never as products of variables.

The policy for words and phrases:

- case, accents, quotation marks, apostrophes, end punctuation and text wrappers are ignored;
- articles (a, an, the) in front of another word are ignored; "vitamin A" keeps its A;
- a hyphen is a space or nothing, a minus sign ("-2", "x - 1") neither; "&" is "and"; spaces between
  Chinese characters are ignored; a prime (``f'``) is no apostrophe;
- a reference in one piece, such as ``MaximSergeevich``, takes the same with spaces;
- one more s or es on the last word is a plural and accepted (cats for cat);
- anything else must be the same, in the same order: anagrams are never equal;
- ``Yes`` takes y, but no "true", ``True`` takes t, but no "yes"; 是 is yes, 对 true (`_TRUTHS`); a
  capital N is a variable rather than no. A remark behind them ("Yes, because ...") is ignored
  unless it says the contrary. Where the row says that the answer is yes or no, yes and true are the
  same, and so are correct and 1, and N is no.

Two or three letters that are no word (``ab``, ``mgh``) are a product, and algebra's business;
letters and digits (``H2O``) are a name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.folding import CJK, HAS_CJK, NAMES, fold, same_folded
from ovr_plugin.reward.normalize import plain_text

if TYPE_CHECKING:
    from ovr_plugin.reward.spec import AnswerSpec

# A text with this many words is prose, and algebra would pick some formula out of it.
PROSE_WORDS = 3
# Words that leave the answer open, behind one value.
HEDGES = frozenset(
    "or and not no nor to if but than either neither maybe perhaps possibly vs versus except wrong "
    "incorrect unless otherwise".split()
)

_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log ln exp min max lim gcd lcm mod det arcsin arccos arctan sinh cosh "
    "tanh sup inf arg deg dim ker sgn pi sqrt".split()
)
_TWO_LETTER_WORDS = frozenset(
    "ad ah am an as at ax be by do ex go ha he hi id if in is it me mr ms my no of oh ok on or ox "
    "pm so tv uk un up us we".split()
)
_COMMAND = re.compile(r"\\(?:begin|end)\s?\{[a-zA-Z*]*\}|\\[a-zA-Z]+")
_LONG_WORD = re.compile(r"[^\W\d_]{2,}")
_NOT_WORDS = re.compile(r"[^\w .,&'/\"()!:;?-]|[\d_]|(?<=\w)\(")
_TEXT_WRAPPER = re.compile(r"\\(?:text|mbox|emph)")
_LETTERS = re.compile(r"[^\W\d_]{3}")
_OPERATOR = re.compile(r"[=+*^<>\\/|_(){}\[\]]|\d[-\u2212]|[-\u2212]\d")
_CJK_UNIT = re.compile(rf"(?<=[\d)}}a-zA-Z])\s?[{CJK}]{{1,6}}$")
_FORMULA = re.compile(r"[a-z]+\d[a-z\d]*")  # folded: H2O, FR10
_GLUED = re.compile(r"^[^\W\d_]*[a-z][A-Z][^\W\d_]*$")

_TRUTHS = (
    (frozenset(("yes", "y", "是", "是的")), frozenset(("no", "n", "否", "不是"))),
    (
        frozenset(("true", "t", "对", "正确", "对的", "真", "✓", "✔", r"\sqrt")),
        frozenset(("false", "f", "错", "错误", "不对", "不正确", "假", "✗", "✘", r"\times")),
    ),
)
# Where the row says that the answer is yes or no.
_ALL_YES = _TRUTHS[0][0] | _TRUTHS[1][0] | {"correct", "right", "1"}
_ALL_NO = _TRUTHS[0][1] | _TRUTHS[1][1] | {"x", "incorrect", "wrong", "0"}
_REMARK = re.compile(r"([^\W\d_]+)\s?(?:[,.;:!]\s?|\s-\s)")
_OPEN = r"maybe|perhaps|possibly|or|but|however|unless|sometimes|depends|wrong|incorrect"
_NOT_YES = re.compile(rf"\b(?:no|not|false|{_OPEN}|\w+n't)\b|[不否错]")
_NOT_NO = re.compile(rf"\b(?:yes|true|{_OPEN})\b|(?<!不)[是对]")
# Folded; what algebra knows how to compare with intervals and conditions.
_REALS = frozenset(
    [
        *("all real numbers", "all real number", "all reals", "reals", "real numbers"),
        *("set of all real numbers", "set of real numbers", "any real number", "every real number"),
        *("全体实数", "所有实数", "一切实数", "任意实数", "实数集", "实数"),
    ]
)
_BUT = re.compile(
    r"(?:\s[a-z])?,?\s(?:except|but|excluding|other than)(?:\s(?:for|when|where|at))?\s"
    r"(?:[a-z]\s?=\s?)?(?P<values>[-\d\\](?:[^a-zA-Z=<>]|\\[a-zA-Z]|\band\b)*)$"
)
MAX_REALS_CHARS = 80


def decide(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where words decide: in the reference, or in an answer that is nothing else.

    Args:
        reference: cleaned; an answer in words, or mathematics that words cannot equal.
        answer: cleaned.
        spec: not used.
    """
    if _GLUED.search(reference):
        reference, answer = reference.replace(" ", ""), answer.replace(" ", "")
    right, given = fold(reference), fold(answer)
    in_words, answer_in_words = has_words(reference), has_words(answer)
    if right in NAMES and given in NAMES:
        return Comparison(right == given, "words", right, given)
    in_letters = _LETTERS.search(_COMMAND.sub(" ", right)) is not None
    if right == given and in_letters:  # functions, say, whose minus may look like a hyphen
        return Comparison(True, "words", right, given)
    if (in_words or answer_in_words) and same_folded(right, given):
        return Comparison(True, "words", right, given)
    if in_words and (is_words(reference) or is_prose(reference) or not _OPERATOR.search(right)):
        return Comparison(False, "words", right, given)
    if answer_in_words and is_words(answer) and not is_product(reference):
        return Comparison(False, "words", right, given)
    if _FORMULA.fullmatch(right) or _FORMULA.fullmatch(given):
        right, given = (re.sub(r"[_{} ]", "", text) for text in (right, given))
        if right == given or _FORMULA.fullmatch(fold(reference)):
            return Comparison(right == given, "words", right, given)
    if reference.endswith(("+", "-")):  # a mark, or a language: no expression ends like this
        return Comparison(right == given, "words", right, given)
    return None


def decide_text(reference: str, answer: str, spec: AnswerSpec) -> Comparison:
    """Compare as text whatever the texts are."""
    right, given = fold(reference), fold(answer)
    return Comparison(same_folded(right, given), "words", right, given)


def decide_yes_no(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Compare where the reference is a bare yes, no, true or false; None for any other."""
    right = fold(reference)
    if len(right) == 1 and right.isascii():  # an option or a variable, unless the row knows better
        return None
    for yes, no in _TRUTHS:
        if right in yes | no:
            given = None if plain_text(answer) == "N" else _truth(answer, yes, no)
            return Comparison(given is (right in yes), "yes/no", right, fold(answer))
    return None


def decide_any_yes_no(reference: str, answer: str, spec: AnswerSpec) -> Comparison:
    """Compare two of yes, y, true, correct, 1, 是, ...: here all of these are the same."""
    right, given = _truth(reference, _ALL_YES, _ALL_NO), _truth(answer, _ALL_YES, _ALL_NO)
    return Comparison(right is not None and right is given, "yes/no", fold(reference), fold(answer))


def _truth(text: str, yes: frozenset[str], no: frozenset[str]) -> bool | None:
    folded = fold(text)
    if folded in yes or folded in no:
        return folded in yes
    plain = plain_text(text).casefold()
    head = _REMARK.match(plain)
    if head is None:
        return None
    if head.group(1) in yes and not _NOT_YES.search(plain, head.end()):
        return True
    if head.group(1) in no and not _NOT_NO.search(plain, head.end()):
        return False
    return None


def hedge(reference: str, answer: str) -> str:
    """Return the words such as "or" that ``answer`` has and ``reference`` has not."""
    plain = plain_text(answer)
    found = HEDGES & {word.lower() for word in long_words(plain)} if " " in plain else set()
    if found:
        found -= {word.lower() for word in long_words(plain_text(reference))}
    return " ".join(sorted(found))


def refuse_words(reference: str, answer: str, spec: AnswerSpec) -> Comparison | None:
    """Refuse an answer that is words where the row asks for a number."""
    return Comparison(False, "words", reference, answer) if is_words(answer) else None


def long_words(text: str) -> list[str]:
    """The words of two letters and more in plain ``text``, without commands and functions."""
    words = _LONG_WORD.findall(_COMMAND.sub(" ", text))
    return [word for word in words if word.lower() not in _FUNCTIONS]


def is_prose(text: str) -> bool:
    """Whether there are so many words in ``text`` that it is no formula."""
    words = long_words(plain_text(text))
    return sum(word not in ("and", "or") and not is_product(word) for word in words) >= PROSE_WORDS


def as_formula(text: str) -> str:
    r"""Return ``\mathbb{R}`` for "all real numbers" in any wording, any other text as it is.

    "All real numbers except 2" is ``\mathbb{R} \setminus \{2\}``.
    """
    if len(text) > MAX_REALS_CHARS or not ("real" in text.lower() or "实数" in text):
        return text
    if fold(text) in _REALS:
        return r"\mathbb{R}"
    plain = plain_text(text)
    if (but := _BUT.search(plain)) and fold(plain[: but.start()]) in _REALS:
        left_out = re.sub(r"\s?,?\s?\band\b\s?", ", ", but["values"])
        return rf"\mathbb{{R}} \setminus \{{{left_out}\}}"
    return text


def has_words(text: str) -> bool:
    """Whether there is a word in cleaned ``text`` that is no function, product or Chinese unit."""
    plain = plain_text(text)
    if _has_cjk(plain):
        return True
    words = long_words(plain)
    return bool(words) and (
        _TEXT_WRAPPER.search(text) is not None or not all(is_product(word) for word in words)
    )


def _has_cjk(plain: str) -> bool:
    return not plain.isascii() and HAS_CJK.search(_CJK_UNIT.sub("", plain)) is not None


def is_words(text: str) -> bool:
    """Whether cleaned ``text`` is words and nothing else; products of variables are not."""
    plain = plain_text(text)
    return has_words(text) and (_has_cjk(plain) or _NOT_WORDS.search(plain) is None)


def is_product(text: str) -> bool:
    """Whether ``text`` is a few letters that are no word: ``ab``, ``xyz``, ``mgh``."""
    if not (text.isascii() and text.isalpha() and len(text) <= 4):
        return False
    word = text.lower()
    if len(word) == 2:
        return word not in _TWO_LETTER_WORDS
    if len(word) == 1 or word in "abcdefghijklmnopqrstuvwxyz":
        return True
    return len(word) == 3 and not re.search("[aeiou]|.y|y$", word)
