r"""What holds for every answer: equal to itself in any spelling, never equal to another one.

Hypothesis draws the answers. ``HUNT=20 pytest tests/reward/test_properties.py`` draws many more.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from spellings import (
    AROUND_NUMBERS,
    AROUND_WORDS,
    integers_and_fractions,
    number_spellings,
    wrapped,
)

from ovr_plugin.reward import Outcome, Pool, compute_score, grade
from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.extract import extract_answer
from ovr_plugin.reward.spec import AnswerSpec

# HUNT=20 draws twenty times as many examples, and others at every run.
HUNT = int(os.environ.get("HUNT", "0"))


def drawn(n_examples: int) -> settings:
    """Settings for a test of so many examples; the same ones at every run unless we hunt."""
    return settings(
        max_examples=n_examples * max(1, HUNT),
        derandomize=not HUNT,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=9)
LETTERS = st.sampled_from("ABCDEFGH")
KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason"]


def score(reference: str, answer: str, pool: Pool, **extra: Any) -> float:
    return grade(rf"\boxed{{{answer}}}", reference, extra, pool=pool).score


# Numbers


@drawn(150)
@given(st.data(), integers_and_fractions())
def test_a_number_equals_itself_in_any_spelling(
    reward_pool: Pool, data: st.DataObject, value: Fraction
) -> None:
    reference, answer = data.draw(number_spellings(value)), data.draw(number_spellings(value))
    assert score(reference, data.draw(wrapped(answer, AROUND_NUMBERS)), reward_pool) == 1.0


@drawn(150)
@given(st.data(), integers_and_fractions())
def test_different_numbers_are_never_equal(
    reward_pool: Pool, data: st.DataObject, value: Fraction
) -> None:
    near = [
        -value,
        value + 1,
        value - Fraction(1, 1000),
        value * 10,
        value / 10,
        value / 100,
        value * (1 + Fraction(1, 10**6)),
        1 / value if value else Fraction(7),
        data.draw(integers_and_fractions()),
    ]
    other = data.draw(st.sampled_from(near))
    assume(other != value)
    a, b = data.draw(number_spellings(value)), data.draw(number_spellings(other))
    assert score(a, data.draw(wrapped(b, AROUND_NUMBERS)), reward_pool) == 0.0
    assert score(b, a, reward_pool) == 0.0


@drawn(150)
@given(st.data(), st.integers(1, 10**6), st.sampled_from(["0.05", "0.01"]))
def test_a_tolerance_is_kept_to(
    reward_pool: Pool, data: st.DataObject, value: int, tolerance: str
) -> None:
    offset = Fraction(tolerance) * value
    inside = value + offset * data.draw(st.fractions(-1, 1, max_denominator=50))
    outside = value + offset * data.draw(st.fractions(Fraction(51, 50), 9, max_denominator=50))
    for other, expected in ((inside, 1.0), (outside, 0.0), (2 * value - outside, 0.0)):
        answer = f"{other.numerator}/{other.denominator}"
        assert score(str(value), answer, reward_pool, tolerance=float(tolerance)) == expected


@drawn(150)
@given(st.data(), st.integers(1, 999))
def test_per_cent_takes_the_figure_and_the_fraction_and_nothing_else(
    reward_pool: Pool, data: st.DataObject, value: int
) -> None:
    right = [f"{value}%", rf"{value}\%", f"{value}", f"{value}/100", f"{value} percent"]
    wrong = [f"{value + 1}%", f"{value}00%", f"{value}/1000", f"-{value}%", f"{value * 10}"]
    reference = data.draw(st.sampled_from([f"{value}%", rf"{value}\%", rf"{value}\,\%"]))
    assert score(reference, data.draw(st.sampled_from(right)), reward_pool) == 1.0
    assert score(reference, data.draw(st.sampled_from(wrong)), reward_pool) == 0.0


LENGTHS = {"km": 1000, "m": 1, "cm": Fraction(1, 100), "mm": Fraction(1, 1000)}
MASSES = {"kg": 1, "g": Fraction(1, 1000)}
DIMENSIONS = st.sampled_from([LENGTHS, MASSES])


@drawn(150)
@given(st.data(), DIMENSIONS, st.integers(1, 5000))
def test_a_quantity_equals_itself_in_any_unit_of_its_dimension(
    reward_pool: Pool, data: st.DataObject, units: dict[str, Fraction], value: int
) -> None:
    unit, other = (
        data.draw(st.sampled_from(sorted(units))),
        data.draw(st.sampled_from(sorted(units))),
    )
    converted = value * Fraction(units[unit]) / Fraction(units[other])
    space = data.draw(st.sampled_from([" ", r"\text{ ", r"\,\mathrm{", r"\ \text{"]))
    close = "}" if "{" in space else ""
    answer = data.draw(number_spellings(converted)) + f"{space}{other}{close}"
    assert score(f"{value} {unit}", answer, reward_pool) == 1.0
    if unit != other:
        assert score(f"{value} {unit}", f"{value} {other}", reward_pool) == 0.0
    alien = "s" if units is LENGTHS else "cm"
    assert score(f"{value} {unit}", f"{value} {alien}", reward_pool) == 0.0


# Words and options


@drawn(150)
@given(st.data(), WORDS)
def test_a_word_equals_itself_in_any_spelling(
    reward_pool: Pool, data: st.DataObject, word: str
) -> None:
    assert score(word, data.draw(wrapped(word, AROUND_WORDS)), reward_pool) == 1.0


@drawn(150)
@given(st.data(), WORDS)
def test_another_word_is_never_equal(reward_pool: Pool, data: st.DataObject, word: str) -> None:
    i = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("aeioubcdfghklmnprtvz"))
    other = data.draw(
        st.sampled_from(
            [
                "".join(data.draw(st.permutations(word))),
                word[:i] + letter + word[i + 1 :],
                word[:i] + word[i + 1 :],
                word[:i] + letter + word[i:],
                data.draw(WORDS),
                f"not {word}",
                f"{word} or {data.draw(WORDS)}",
            ]
        )
    )
    assume(not {word, word + "s", word + "es"} & {other, other + "s", other + "es"})
    assert score(word, data.draw(wrapped(other, AROUND_WORDS[:3])), reward_pool) == 0.0


FORMS = ["{0}", "({0})", "{0}.", "{0})", r"\text{{{0}}}", r"\textbf{{({0})}}", "Option {0}"]
FORMS += ["The answer is {0}.", r"\mathrm{{{0}}}", "[{0}]", "**{0}**", "answer: ({0})"]


@drawn(150)
@given(st.data(), LETTERS, LETTERS)
def test_a_letter_equals_itself_alone(
    reward_pool: Pool, data: st.DataObject, letter: str, other: str
) -> None:
    reference = data.draw(st.sampled_from(["{0}", "({0})", r"\text{{({0})}}"])).format(letter)
    answer = data.draw(st.sampled_from(FORMS)).format(letter)
    assert score(reference, data.draw(wrapped(answer)), reward_pool) == 1.0
    if letter != other:
        forms = [*FORMS, f"{letter} or {{0}}", f"{{0}}, {letter}", f"{letter}{{0}}", "{0}. x"]
        answer = data.draw(st.sampled_from(forms)).format(other)
        assert score(reference, data.draw(wrapped(answer)), reward_pool) == 0.0


TEXTS = st.one_of(
    st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
    integers_and_fractions().filter(lambda value: value.denominator == 1).map(str),
)


@drawn(150)
@given(st.data(), st.lists(TEXTS, min_size=2, max_size=6, unique=True))
def test_an_option_is_its_letter_or_its_text_and_no_other(
    reward_pool: Pool, data: st.DataObject, texts: list[str]
) -> None:
    assume(len({text.rstrip("es") for text in texts}) == len(texts))
    right, wrong = data.draw(st.permutations(range(len(texts))))[:2]
    choices: Any = texts
    if data.draw(st.booleans()):
        choices = {letter: text for letter, text in zip("ABCDEF", texts, strict=False)}
    reference = data.draw(st.sampled_from(["ABCDEF"[right], texts[right]]))

    def written(index: int) -> str:
        letter, text = "ABCDEF"[index], texts[index]
        forms = [letter, text, f"{letter}. {text}", f"({letter}) {text}", rf"\text{{{text}}}"]
        return data.draw(st.sampled_from([*forms, rf"\textbf{{({letter})}} \text{{{text}}}"]))

    assert score(reference, written(right), reward_pool, choices=choices) == 1.0
    assert score(reference, written(wrong), reward_pool, choices=choices) == 0.0
    for letter, text in ((right, wrong), (wrong, right)):
        contradiction = f"{'ABCDEF'[letter]}. {texts[text]}"
        assert score(reference, contradiction, reward_pool, choices=choices) == 0.0


# Several values


@drawn(150)
@given(st.data(), st.lists(st.integers(-99, 99), min_size=2, max_size=5, unique=True))
def test_a_list_has_no_order_and_a_tuple_has_one(
    reward_pool: Pool, data: st.DataObject, values: list[int]
) -> None:
    shuffled = data.draw(st.permutations(values))
    bare, other = ", ".join(map(str, values)), ", ".join(map(str, shuffled))
    assert score(bare, other, reward_pool) == 1.0
    assert score(rf"\{{{bare}\}}", rf"\{{{other}\}}", reward_pool) == 1.0
    assert score(f"({bare})", f"({other})", reward_pool) == float(shuffled == values)
    assert score(bare, ", ".join(map(str, shuffled[1:])), reward_pool) == 0.0
    assert score(bare, f"{other}, 100", reward_pool) == 0.0
    assert score(str(values[0]), bare, reward_pool) == 0.0


@drawn(25)
@given(st.data(), st.lists(st.integers(-9, 9), min_size=3, max_size=4))
def test_a_polynomial_equals_itself_in_any_order(
    reward_pool: Pool, data: st.DataObject, coefficients: list[int]
) -> None:
    def polynomial(terms: list[tuple[int, int]]) -> str:
        return " + ".join(f"({c})x^{{{power}}}" for c, power in terms)

    terms = [(c, power) for power, c in enumerate(coefficients)]
    reference, shuffled = polynomial(terms), polynomial(data.draw(st.permutations(terms)))
    assert score(reference, shuffled, reward_pool) == 1.0
    assert score(reference, f"{shuffled} + 1", reward_pool) == 0.0


# Any text

FRAGMENTS = [
    *r"\ { } ( ) [ ] $ ^ _ = : , . ; % / + - ! ? < > | & ~ * ' A B E I x n e i 0 7 10 1e9".split(),
    *r"\frac \sqrt \text{ \mathrm{ \left( \right) \circ \pi \% \boxed \boxed{ \fbox{ \pm".split(),
    *r"\cup \infty \le \in \{ \} \\ \begin{pmatrix} \end{pmatrix} \binom".split(),
    *r"\overline \ldots \sum_".split(),
    *"<think> </think> <answer> </answer> or and not cm m/s percent 12:30 pm yes ABCD __".split(),
    *[
        "\u0661",
        "\u200b",
        "\ud800",
        "\x00",
        "\n",
        " ",
        "米",
        "是",
        "²",
        "½",
        "√",
        "°",
        "€",
        "\uff05",
    ],
]
SOUP = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(), max_size=20),  # lone surrogates as well
    st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join),
)
CHOICES = st.none() | st.lists(SOUP, max_size=4)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "choices": CHOICES,
        "answer_type": st.none() | st.sampled_from(["number", "text", "choice", "time", "yes_no"]),
        "tolerance": st.none() | st.just(0.05),
        "unit": st.none() | st.sampled_from(["cm", "required", "%"]),
    },
)


@drawn(1500)
@given(SOUP, SOUP, SPECS)
def test_comparing_raises_for_no_text_and_any_text_equals_itself(
    reference: str, answer: str, extra: dict[str, Any]
) -> None:
    spec = AnswerSpec.of(extra)
    first, second = compare(reference, answer, spec), compare(reference, answer, spec)
    assert first == second
    assert first.equal in (True, False, None)
    if not spec.unit_required and not spec.choices:
        assert compare(reference, reference, spec).equal is not False


@drawn(150)
@given(SOUP, SOUP, SPECS, st.booleans())
def test_grading_gives_a_whole_row_for_any_text(
    reward_pool: Pool, reference: str, text: str, extra: dict[str, Any], boxed: bool
) -> None:
    response = rf"So \boxed{{{text}}}" if boxed else text
    graded = grade(response, reference, extra, pool=reward_pool)
    assert graded.outcome is not Outcome.ERROR, graded
    assert graded.score in (0.0, 1.0)
    assert (graded.score == 1.0) is (graded.outcome is Outcome.CORRECT)
    assert isinstance(graded.extracted, str)
    if graded.outcome is not Outcome.TIMEOUT:
        assert grade(response, reference, extra, pool=reward_pool) == graded


@drawn(100)
@given(SOUP, SOUP, SPECS, st.booleans())
def test_every_row_has_the_same_keys(
    reference: str, response: str, extra: dict[str, Any], truncated: bool
) -> None:
    row = compute_score("any", response, reference, {**extra, "truncated": truncated})
    assert list(row) == KEYS
    assert row["score"] == row["acc"]
    assert row["truncated"] == float(truncated)
    assert not (truncated and row["score"])
    assert json.loads(json.dumps(row)) == row


# Extraction

PLAIN = st.text(st.characters(exclude_characters="\\{}"), max_size=12).filter(
    lambda text: "think>" not in text
)
BALANCED = st.recursive(
    PLAIN | st.sampled_from([r"\{", r"\}", r"\\", r"\frac", r"\text", r"\,"]),
    lambda inner: st.lists(inner, max_size=4).map("".join) | inner.map(lambda text: f"{{{text}}}"),
    max_leaves=12,
)
# The last backslash of a text would escape the brace behind it.
CONTENTS = BALANCED.filter(lambda text: not text.replace(r"\\", "").endswith("\\"))


@drawn(500)
@given(CONTENTS, SOUP, PLAIN, st.sampled_from([r"\boxed", r"\fbox", r"\boxed "]))
def test_the_answer_is_what_was_put_into_the_last_box(
    content: str, before: str, after: str, command: str
) -> None:
    assume("<think>" not in before)
    assume(before.count("\\") == 0 or not before.endswith("\\"))
    response = f"{before} {command}{{{content}}} {after}"
    assert extract_answer(response) == content.strip()


@drawn(300)
@given(SOUP, SOUP)
def test_nothing_within_the_thinking_is_an_answer(thoughts: str, rest: str) -> None:
    assume("think>" not in rest)
    assume("<think>" not in thoughts + rest)
    assert extract_answer(f"{thoughts}</think>{rest}") == extract_answer(rest)
    assert extract_answer(f"{rest}<think>{thoughts.replace('</think>', '')}") is None


@drawn(300)
@given(SOUP, SOUP)
def test_a_box_that_is_never_closed_changes_nothing(text: str, tail: str) -> None:
    assume("think>" not in text + tail)
    assume("}" not in tail)
    assume("boxed" not in tail and "fbox" not in tail)
    assume(not text.endswith("\\"))
    assert extract_answer(text + r"\boxed{" + tail) == extract_answer(text)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_reference_of_one_letter_takes_no_list_of_letters(reward_pool: Pool, n: int) -> None:
    letters = "ABCDEFGH"
    for joint in ("", ", ", " and ", " or ", "/", " "):
        answer = joint.join(letters[: n + 1])
        assert score("A", answer, reward_pool) == 0.0, answer
