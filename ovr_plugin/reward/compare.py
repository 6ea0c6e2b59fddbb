"""Reference and answer in, verdict out - or the pair that only algebra can decide.

The answer's type orders the deciders; the row may know it (`AnswerSpec.answer_type`), else the
reference's form decides, never the answer's. A decider takes two cleaned texts and either says
whether they are equal or, with None, that the reference is none of its kind. What none of them
knows goes to math-verify in a worker process (`ovr_plugin.reward.algebra`); nothing here takes
longer than linear in the length.

==================================  ===============================================================
type                                decided by
==================================  ===============================================================
known options, a label              `choices`
number, quantity, percentage,       `quantity`, exactly or within the row's tolerance; several
ratio, money                        values, words and hedges are wrong; then algebra
time, date                          `moments`, then as text
text                                `words`, as text only; names in a list may come in any order
yes_no                              `words`: yes, true, correct, y, 是 ... are the same
set, tuple, interval                `several`, then algebra
expression, equation, matrix        algebra
not known                           figures, numbers, times, lists, yes and no, words; then algebra
==================================  ===============================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from ovr_plugin.reward import choices, figures, moments, quantity, several, values, words
from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.labels import is_label
from ovr_plugin.reward.normalize import clean, squeeze
from ovr_plugin.reward.spec import AnswerSpec, AnswerType

__all__ = ["Comparison", "compare"]

Decider = Callable[[str, str, AnswerSpec], Comparison | None]

NOTHING_KNOWN = AnswerSpec()
_QUALIFIER = re.compile(
    r"(?<=[^\s,])\s?,?\s?\\text\s?\{\s?,?\s?for (?:any|all|every|each)\b[^{}]{0,60}\}[^=<>]{0,40}$"
)
_IN = re.compile(r"\\in(?![a-zA-Z])")
_COUNTER = re.compile(
    r"(?<=[^\s,;(])\s?[,;]?\s?\(?\s?[a-z]\s?\\in\s?(?:\\mathbb\s?)?\{?\s?N\s?\}?"
    r"\s?(?:[\^_]\s?\{?\s?(?:[*+]|\\ast)\s?\}?)?\s?\)?$"
)
# "The area is 5": an answer in a sentence, where the reference has no words.
_SENTENCE = re.compile(
    r"(?:\\text\s?\{\s?)?(?:(?:so|thus|hence|therefore),?\s)?(?:the|its|their|there)\s"
    r"(?![^{}]*\b(?:not|never|wrong|incorrect)\b)[^{}\\=<>]{0,80}?\b(?:is|are|equals)\s?:?\s?"
    r"(?:\}\s?(?=\S)|(?=[^\sa-zA-Z}]))",
    re.IGNORECASE,
)
# 或 and 且 between formulas; beside other words they are words.
_HAN = re.compile("[\u3400-\u9fff]")
_HAN_JOINT = re.compile(
    r"\\text\s?\{\s?(?P<wrapped>[或且])\s?\}|(?<=[\w)}\]])\s?(?P<bare>[或且])\s?(?=[\w({\[\\+-])"
)
_JOINTS = {"或": r"\text{ or }", "且": r"\text{ and }"}
_DIGITS = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")

_NUMBER = (
    values.decide_number,
    several.refuse_several,
    words.refuse_words,
    several.refuse_hedge,
)
_INFERRED = (
    values.decide_number,
    figures.decide,
    several.decide,
    values.decide,
    several.refuse_several,
    several.refuse_hedge,
)
_DECIDERS: dict[AnswerType | None, tuple[Decider, ...]] = {
    None: _INFERRED,
    AnswerType.CHOICE: _INFERRED,
    AnswerType.NUMBER: _NUMBER,
    AnswerType.QUANTITY: _NUMBER,
    AnswerType.PERCENTAGE: _NUMBER,
    AnswerType.RATIO: _NUMBER,
    AnswerType.MONEY: _NUMBER,
    AnswerType.TIME: (moments.decide, values.decide_number, words.decide_text),
    AnswerType.DATE: (moments.decide, words.decide_text),
    AnswerType.TEXT: (several.decide_names, words.decide_text),
    AnswerType.YES_NO: (words.decide_any_yes_no,),
    AnswerType.SET: (several.decide_set,),
    AnswerType.TUPLE: (several.decide_tuple,),
    AnswerType.INTERVAL: (several.decide_interval,),
    AnswerType.EXPRESSION: (values.decide_number, several.refuse_hedge),
    AnswerType.EQUATION: (several.refuse_hedge,),
    AnswerType.MATRIX: (),
}


def compare(reference: str, answer: str, spec: AnswerSpec = NOTHING_KNOWN) -> Comparison:
    """Compare without algebra.

    Args:
        reference: the right answer, as the dataset has it; not empty.
        answer: what the response's box holds.
        spec: what the row knows of its answer.
    """
    right, given = _read(reference), _read(answer)
    right, given = _without_counter(right, given)
    if not right:  # nothing but dollar signs, say: algebra will find that it cannot be read
        return Comparison(None, "algebra", reference, answer)
    if not given:
        return Comparison(False, "empty", right, given)
    if not words.has_words(right) and (sentence := _SENTENCE.match(given)):
        given = given[sentence.end() :]
    if spec.unit_required:  # then the same text may be wrong: it may lack the unit
        compared = values.decide_number(right, given, spec)
        if compared is not None:
            return compared
    if right == given:
        return Comparison(True, "text", right, given)
    if spec is NOTHING_KNOWN or spec == NOTHING_KNOWN:
        if _DIGITS.fullmatch(right) and _DIGITS.fullmatch(given):  # by far the most frequent case
            return Comparison(Decimal(right) == Decimal(given), "number", right, given)
    if spec.choices or spec.answer_type is AnswerType.CHOICE or _is_label(right, spec):
        compared = None if spec.choices else figures.decide(right, given, spec)
        compared = compared or choices.decide(right, given, spec.choices, _compare_option)
        if compared is not None:
            return compared
        given = choices.text_of(given, spec.choices, _compare_option)
    return _compare_value(right, given, spec)


@lru_cache(maxsize=4096)  # a reference is read for each of its prompt's samples
def _read(text: str) -> str:
    r"""Clean ``text`` and drop ``\text{ for all } x`` behind mathematics."""
    text = words.as_formula(clean(text))
    if not text.isascii() and len(_HAN.findall(text)) == len(_HAN_JOINT.findall(text)):
        text = _HAN_JOINT.sub(lambda joint: _JOINTS[joint["wrapped"] or joint["bare"]], text)
    qualifier = _QUALIFIER.search(text) if r"\text" in text else None
    if qualifier and not words.has_words(text[: qualifier.start()]):
        return text[: qualifier.start()]
    return text


def _without_counter(right: str, given: str) -> tuple[str, str]:
    r"""Drop ``n \in \mathbb{N}`` behind what one of two texts says, if the other does without."""
    if bool(_IN.search(right)) == bool(_IN.search(given)):
        return right, given
    bare = [_COUNTER.sub("", text) for text in (right, given)]
    return bare[0], bare[1]


def _is_label(reference: str, spec: AnswerSpec) -> bool:
    return spec.answer_type is None and is_label(reference)


def _compare_option(reference: str, answer: str) -> Comparison:
    """Compare an option's text; a row's tolerance is not for telling options apart."""
    return _compare_value(reference, answer, NOTHING_KNOWN)


def _compare_value(reference: str, answer: str, spec: AnswerSpec) -> Comparison:
    if squeeze(reference) == squeeze(answer):
        return Comparison(True, "text", reference, answer)
    for decide in _DECIDERS[spec.answer_type]:
        compared = decide(reference, answer, spec)
        if compared is not None:
            return compared
    if choices.same_letter(reference, answer):
        return Comparison(True, "option", reference, answer)
    return Comparison(None, "algebra", _for_algebra(reference), _for_algebra(answer))


def _for_algebra(text: str) -> str:
    text, _ = quantity.split_unit(text.replace(r"\$", ""))
    return re.sub(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi ", text)
