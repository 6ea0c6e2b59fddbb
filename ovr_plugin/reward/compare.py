"""Reference and answer in, verdict out - or the pair that only algebra can decide.

Text first, by what the reference is: an option is compared by letter or option text, a number
exactly, words as words (so that ``on`` is not the product ``no``). What none of these decides goes
to math-verify in a worker process (`ovr_plugin.reward.worker`); nothing here costs more than time
linear in the length. The reference alone decides how it is read; the answer never does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ovr_plugin.reward.choices import Named, read_named, same_text
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.normalize import clean, plain_text, squeeze
from ovr_plugin.reward.quantity import CLOCK, HEDGES, read_quantity, same_quantity, split_unit
from ovr_plugin.reward.spec import AnswerSpec

NOTHING_KNOWN = AnswerSpec()

# A text with this many words is prose, and algebra would pick some formula out of it.
PROSE_WORDS = 3
# Words up to this length may be a product of variables, if the answer is written as mathematics.
PRODUCT_LETTERS = 3

_WORDS = re.compile(r"[^\W\d_]+(?:[ .,&'’/-]+[^\W\d_]+)*")  # noqa: RUF001
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_LONG_WORD = re.compile(r"[^\W\d_]{2,}")
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log ln exp min max lim gcd lcm mod det arcsin arctan".split()
)
_ASSIGNMENT = re.compile(r"[a-zA-Z](?:_\{?\w{1,3}\}?)?\s*=\s*(?=[^=])")
_OPTION = re.compile(r"\(?[A-Z](?:\)|$|[.:] )")
# A reference with one of these may be several values, which "and" or "or" may join.
_SEVERAL = re.compile(
    r"[,;=<>]|\\(?:pm|mp|cup|cap|in|ne|neq|leq?|geq?|lor|vee|\{)(?![a-zA-Z])|\b(?:and|or)\b"
)
_BASED = re.compile(r"([0-9A-Fa-f]+)\s*_\s*\{?\s*(\d{1,2})\s*\}?")


def compare(reference: str, answer: str, spec: AnswerSpec = NOTHING_KNOWN) -> Comparison:
    """Compare without algebra.

    Args:
        reference: the right answer, as the dataset has it; not empty.
        answer: what the response's box holds.
        spec: what the row knows of its answer.
    """
    reference, answer = clean(reference), clean(answer)
    if squeeze(reference) == squeeze(answer):
        return Comparison(True)
    if spec.choices or _OPTION.match(plain_text(reference)):
        return _compare_option(reference, answer, spec.choices)
    return _compare_value(reference, answer)


def _compare_option(reference: str, answer: str, choices: Mapping[str, str]) -> Comparison:
    """Compare where the reference is an option's letter or the question has options."""
    target, named = _target_option(reference, choices), read_named(answer, choices)
    if choices and named and named.letter not in choices:
        named = None
    if target is None:  # a value that no option has in so many words
        return _compare_value(reference, clean(choices[named.letter]) if named else answer)
    if named:
        return Comparison(named.letter == target.letter and not _names_another(named, choices))
    if len(target.letter) > 1:
        return Comparison(_letters(answer) == target.letter)
    if not target.text:
        return Comparison(False)
    compared = _compare_value(clean(target.text), answer)
    # A text behind the reference's letter is a remark: it is not worth algebra.
    return compared if choices else Comparison(bool(compared.equal))


def _target_option(reference: str, choices: Mapping[str, str]) -> Named | None:
    """The option, or sorted options, that ``reference`` means; None if it is a value of its own."""
    named = read_named(reference, choices)
    if named and (not choices or named.letter in choices):
        return Named(named.letter, choices.get(named.letter, named.text))
    letters = _letters(reference)
    if len(letters) > 1 and set(letters) <= set(choices):
        return Named(letters)
    for letter, text in choices.items():
        if _compare_value(reference, clean(text)).equal:
            return Named(letter, reference)
    return None


def _letters(text: str) -> str:
    """The option letters that ``text`` lists (``A, C`` or ``AC``), sorted; '' if it is no list."""
    letters = re.sub(r"[\s,;]|and", "", plain_text(text).strip("(){}\\"))
    return "".join(sorted(set(letters))) if letters.isalpha() and letters.isupper() else ""


def _names_another(named: Named, choices: Mapping[str, str]) -> bool:
    """Whether the text behind the letter is another option's: the answer contradicts itself."""
    if not named.text or same_text(named.text, choices.get(named.letter, "")):
        return False
    others = (text for letter, text in choices.items() if letter != named.letter)
    return any(same_text(named.text, text) for text in others)


def _compare_value(reference: str, answer: str) -> Comparison:
    if squeeze(reference) == squeeze(answer):
        return Comparison(True)
    for decide in (_compare_numbers, _compare_notation, _compare_words, _compare_hedged):
        equal = decide(reference, answer)
        if equal is not None:
            return Comparison(equal)
    return Comparison(None, "algebra", _for_algebra(reference), _for_algebra(answer))


def _compare_numbers(reference: str, answer: str) -> bool | None:
    right = read_quantity(reference)
    if right is None:
        return None
    given = read_quantity(answer) or read_quantity(_ASSIGNMENT.sub("", answer, count=1))
    return None if given is None else same_quantity(right, given)


def _compare_hedged(reference: str, answer: str) -> bool | None:
    """Words such as "or" beside the answer, where the reference is one value."""
    hedges = HEDGES & {word.lower() for word in _prose(plain_text(answer))}
    several = _SEVERAL.search(reference) and read_quantity(reference) is None
    return False if hedges and not several else None


def _compare_notation(reference: str, answer: str) -> bool | None:
    """Times of day and numbers with a base: algebra would read them as something else."""
    right, given = _BASED.fullmatch(reference), _BASED.fullmatch(answer)
    if right and given:
        return right.groups() == given.groups()
    if right or given:
        # A base that the answer leaves out is the reference's; one that it adds is not.
        return right is not None and right.group(1) == answer
    if CLOCK.fullmatch(reference) or (CLOCK.fullmatch(answer) and read_quantity(reference)):
        return False
    return None


def _compare_words(reference: str, answer: str) -> bool | None:
    right, given = _without_exclamation(reference), _without_exclamation(answer)
    if same_text(right, given):
        return True
    if len([word for word in _prose(right) if word not in ("and", "or")]) >= PROSE_WORDS:
        return False
    right_is_words, given_is_words = _is_words(right), _is_words(given)
    if right_is_words and given_is_words:
        return False if max(len(right), len(given)) > 1 else None
    if right_is_words and len(right) > PRODUCT_LETTERS:
        return False
    if given_is_words and len(given) > PRODUCT_LETTERS and not re.search("[a-zA-Z]{2}", right):
        return False
    return None


def _without_exclamation(text: str) -> str:
    """Plain text; behind words an exclamation mark is no factorial."""
    text = plain_text(text)
    return text.rstrip("!") if len(_prose(text)) else text


def _is_words(text: str) -> bool:
    return _WORDS.fullmatch(text) is not None


def _prose(text: str) -> list[str]:
    words = _LONG_WORD.findall(_COMMAND.sub(" ", text))
    return [word for word in words if word.lower() not in _FUNCTIONS]


def _for_algebra(text: str) -> str:
    text, _ = split_unit(text)
    return re.sub(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi ", text)
