r"""Multiple choice: option texts, reference and answer in, a verdict out.

The reference is an option, or several, by label or text (`ovr_plugin.reward.labels` says how these
are written); an answer is right that names the same one. Where the options are known, so is an
answer that is the option's value: ``12.0`` for ``B`` with the text 12.

Several correct options (``AC``, ``A, C``, ``A and C``) are a set: any order, all of them and no
other. ``ABCD``, "A or B" and ``A, B`` are wrong where one option is right. Of options with the same
text each stands for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from string import ascii_uppercase

from ovr_plugin.reward.comparison import Comparison
from ovr_plugin.reward.labels import LISTED_LETTERS, Compare, Labels, Options, option_text
from ovr_plugin.reward.normalize import clean

_option_text = lru_cache(maxsize=4096)(option_text)  # the same question comes many times


def read_choices(choices: object) -> dict[str, str]:
    """Return label -> option text; empty for None.

    Args:
        choices: option texts in order (any sequence, a numpy array too) or label -> text; options
            that are None are left out, as parquet fills the columns of a struct.

    Raises:
        TypeError: for anything else.
    """
    if hasattr(choices, "tolist"):
        choices = choices.tolist()
    if choices is None:
        return {}
    if isinstance(choices, Mapping):
        pairs = [(_spell_label(str(label)), text) for label, text in choices.items()]
    elif isinstance(choices, Sequence) and not isinstance(choices, str | bytes):
        pairs = list(zip(_letters(), choices, strict=False))
    else:
        raise TypeError(
            f"choices must be option texts or letter -> text, not {type(choices).__name__}"
        )
    return {label: _option_text(label, str(text)) for label, text in pairs if text is not None}


def decide(
    reference: str, answer: str, choices: Mapping[str, str], compare: Compare
) -> Comparison | None:
    """Compare where the reference is one or several options; None where it is a value of its own.

    Args:
        reference: cleaned.
        answer: cleaned.
        choices: from `read_choices`; empty where they are not known.
        compare: compares two cleaned values, such as an option's text and the answer.
    """
    options = _options(tuple(choices.items()))
    target = _target(reference, options, compare)
    if not target:
        return None
    several = len(target) > 1
    named = options.named(answer, compare, several)
    text = "" if several else options.texts.get(next(iter(target)), "")
    # Several options' texts may be the values in the right one: 5, -5 for the text \pm 5.
    are_values = text and named and len(named) > 1 and not options.listed(answer, several=True)
    if named is not None and not are_values:
        return Comparison(named == target, "option", _listed(target), _listed(named))
    if text:
        return _compare_text(text, answer, options, compare)
    # A text behind the reference's letter is a remark: it is not worth algebra.
    remark = "" if several else clean(options.remark(reference))
    equal = bool(remark) and "=" not in answer and compare(remark, answer).equal is True
    return Comparison(equal, "option", remark or _listed(target), answer)


def text_of(answer: str, choices: Mapping[str, str], compare: Compare) -> str:
    """Return the text of the one option that ``answer`` names, or ``answer`` itself."""
    options = _options(tuple(choices.items()))
    named = options.named(answer, compare, several=False) if choices else None
    return options.texts[next(iter(named))] if named and len(named) == 1 else answer


def same_letter(reference: str, answer: str) -> bool:
    """Whether ``answer`` is the letter a to j that ``reference`` is, written as a label."""
    if not reference.islower() or reference.upper() not in LISTED_LETTERS:
        return False
    return _options(()).alone(answer) == reference.upper()


@lru_cache(maxsize=1024)
def _options(choices: tuple[tuple[str, str], ...]) -> Options:
    return Options(dict(choices))


def _target(reference: str, options: Options, compare: Compare) -> Labels:
    """The options that ``reference`` means; none if it is a value of its own."""
    named = options.named(reference, compare, several=True)
    if named:
        return named
    equal = (label for label, text in options.texts.items() if compare(reference, text).equal)
    return frozenset(label for label in (next(equal, None),) if label)


def _compare_text(text: str, answer: str, options: Options, compare: Compare) -> Comparison:
    """Compare with the right option's text."""
    compared = compare(text, answer)
    if compared.equal is not None:
        return compared
    # A letter, or labels in a row, are worth no algebra: `AB` would be the product `BA`.
    if len(text) == 1 or options.listed(answer, several=True):
        return Comparison(False, "option", text, answer)
    return replace(compared, how="option")


def _listed(labels: Labels) -> str:
    return ", ".join(sorted(labels))


def _letters() -> Iterator[str]:
    """A to Z, then AA, AB and so on, as columns of a table are called."""
    for number in count():
        label = ""
        while number >= 0:
            number, digit = divmod(number, 26)
            label, number = ascii_uppercase[digit] + label, number - 1
        yield label


def _spell_label(label: str) -> str:
    return label.strip(" ().:[]").upper()
