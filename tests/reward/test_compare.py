"""What text alone decides for each type of answer, and what it leaves to algebra (None)."""

from __future__ import annotations

import random
import sys
from itertools import product

import pytest
from read_table import read_table

from ovr_plugin.reward.choices import read_choices
from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.spec import AnswerSpec, AnswerType

NUMBERS = [
    "42", "-7", "0", "1,000", "1234567", "0.5", ".5", "-0.25", "3.0", r"\frac{1}{2}", "1/2",
    r"1\frac{1}{2}", r"6.02\times10^{23}", "10^{-3}", r"28\%", "5 cm", r"90^\circ", r"\$5", "101_2",
    "3:30",
]  # fmt: skip
DIFFERENT = [
    ("5", "5.0000001"),
    ("0", "0.0000001"),
    ("1000000007", "1000000009"),
    ("123456789123456789123456789", "123456789123456789123456788"),
    ("10000", "9999"),
    (r"\frac{1}{3}", "0.33"),
    ("0.05", "5"),
    ("5", "-5"),
    ("12:00", "1:00"),
    ("3:30", "3.5"),
    ("101_2", "101_3"),
    ("5", "101_2"),
    ("101_2", "5"),
    ("5 cm", "5 m"),
    ("42", "The answer"),
    ("A", "x+y=a"),
    ("We can write $E(Y)$ in this case and never else", "y=x"),
    (r"(D) \ 1", "f(z) = 1"),
    (r"x+1", r"x+1 \text{\} not \{}"),
]
ALGEBRA = [
    ("2^{10}", "1024"),
    ("x^2+2x+1", "(x+1)^2"),
    ("10!", "10"),
    ("n!", "n"),
    ("5", r"\sqrt{25}"),
    ("5", "x"),
    ("1e99999999", "1"),
    (r"\frac{1}{0}", "1"),
    (r"\pm 2", r"2 \text{ or } -2"),
    ("x<1", "x<1 or x<0"),
    ("ab", r"b \cdot a"),
    ("9" * 2000, "1"),
    ("$$", "$$"),
    ("y=3x", "z=3x"),
]


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("types"))
def test_the_row_says_what_the_answer_is(
    reference: str, answer: str, spec: AnswerSpec, equal: bool | None
) -> None:
    assert compare(reference, answer, spec).equal is equal


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("forms"))
def test_forms(reference: str, answer: str, spec: AnswerSpec, equal: bool | None) -> None:
    assert compare(reference, answer, spec).equal is equal


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "form",
    ["{}", " {} ", "{{{}}}", "${}$", r"\({}\)", r"\text{{{}}}", "**{}**", "The answer is {}.",
     "x = {}", "{}\n", r"\boxed{{{}}}", r"\,{}\;", "{}<|im_end|>", "\u200b{}"],
)  # fmt: skip
def test_a_number_is_itself_in_every_form(number: str, form: str) -> None:
    assert compare(number, form.format(number)).equal is True
    assert compare(form.format(number), number).equal is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference: str, answer: str) -> None:
    assert compare(reference, answer).equal is False


@pytest.mark.parametrize(("reference", "answer"), ALGEBRA)
def test_left_to_algebra(reference: str, answer: str) -> None:
    compared = compare(reference, answer)
    assert compared.equal is None
    assert compared.reference
    assert compared.answer


def test_the_short_way_of_plain_numbers_is_the_long_way() -> None:
    """A tolerance of nothing keeps `compare` from the short way."""
    rng = random.Random(0)
    long_way = AnswerSpec.of({"tolerance": 0})
    spellings = [str, "{:.1f}".format, "{:.2f}".format, "0{}".format, "-{}".format]
    for _ in range(2000):
        a, b = (rng.choice(spellings)(rng.choice([0, 1, 2, 10, 10**15])) for _ in "ab")
        assert compare(a, b).equal is compare(a, b, long_way).equal, (a, b)


@pytest.mark.parametrize(
    ("reference", "answer", "facts", "how"),
    [
        ("42", "42", {}, "text"),
        ("42", "43", {}, "number"),
        ("Paris", "paris", {}, "words"),
        ("Yes", "No", {}, "yes/no"),
        ("B", "(C)", {}, "option"),
        ("1,2", "2,1", {}, "list"),
        (r"\{1,2\}", "2,1", {}, "set"),
        ("(1,2)", "(2,1)", {}, "tuple"),
        ("[1,2)", "[1,3)", {}, "interval"),
        ("(1,2)", "[1,2]", {}, "brackets"),
        ("5", "5 or 6", {}, "several values"),
        (r"\sqrt{2}", r"\sqrt{2} \text{ maybe}", {}, "hedge"),
        (r"\overline{AB}", "AB", {}, "figure"),
        ("101_2", "101_3", {}, "base"),
        ("5", "", {}, "empty"),
        ("5", "word", {"answer_type": "number"}, "words"),
        ("x+1", "1+x", {}, "algebra"),
    ],
)
def test_the_rule_is_told(reference: str, answer: str, facts: dict[str, object], how: str) -> None:
    assert compare(reference, answer, AnswerSpec.of(facts)).how == how


def test_no_text_raises_for_any_type() -> None:
    rng = random.Random(0)
    parts = [
        *r"\ { } ( ) [ ] $ ^ _ = : , . % / + - ! A B x 7 0 10^ 1e9 & ; ' and or yes the".split(),
        *r"\frac \text{ \sqrt \% \circ \boxed \{ \} \pm \in \begin{cases} \overline{AB}".split(),
        *["\u0661", "\u200b", "\ud800", "\x00", "米", "是", "²", "½", " ", "\n", "cm", "12:30"],
    ]
    types = [None, *AnswerType]
    for _ in range(6000):
        reference, answer = ("".join(rng.choices(parts, k=rng.randint(1, 9))) for _ in "ra")
        choices = read_choices([answer, reference, "10"] if rng.random() < 0.3 else None)
        spec = AnswerSpec(choices=choices, answer_type=rng.choice(types))
        compare(reference, answer, spec)
        same = compare(reference, reference, AnswerSpec(choices=choices))
        assert same.equal is True or same.how == "algebra", (reference, same)


HOSTILE = (
    r"( [ { } \{ \} \\ \ $ \$ \text{ \mathbf{ a A 1 1, 1.1, x=1, A, (A) (A)( A. and or is 是 或 "
    r"- ' ` * _ ^ ^{ = : < </ | & ! ~ ½ ² é \frac \frac{1}{ \begin{cases} \pm \langle, ['a', 1e 10^"
).split()


@pytest.mark.parametrize("spaced", ["", " "])
def test_hostile_texts_neither_hang_nor_recurse(spaced: str) -> None:
    """An exponential pattern would not come to an end here; the recursion limit is a low one."""
    limit = sys.getrecursionlimit()
    options = AnswerSpec(choices=read_choices(["10", "Rome", "1,2", r"$\sqrt2$"]))
    pairs = list(product(HOSTILE, HOSTILE))[len(spaced) :: 4]
    sys.setrecursionlimit(250)
    try:
        for index, (a, b) in enumerate(pairs):
            unit = a + spaced + b + spaced
            text = unit * (400 // len(unit))
            reference = ["5", "B", "Paris", "1,2", "(1,2)", "x=1,y=2", text + "x"][index % 7]
            compare(reference, text, options if index % 5 == 0 else AnswerSpec())
    finally:
        sys.setrecursionlimit(limit)
