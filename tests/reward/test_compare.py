"""What text alone decides, and what it leaves to algebra (None)."""

from __future__ import annotations

import random

import pytest

from ovr_plugin.reward.choices import read_choices
from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.spec import AnswerSpec

RIGHT = [
    # one spelling
    ("42", "42\u200b"),
    ("42", "\ufeff42"),
    ("42", "{42}"),
    ("42", "42<|im_end|>"),
    ("42", "$42$"),
    ("42", r"\(42\)"),
    ("42", r"\,42\;"),
    ("42", "42\\\\"),
    ("42", "**42**"),
    ("１２", "12"),  # noqa: RUF001 - full-width digits
    ("12", "١٢"),
    (r"\frac{1}{2}", r"\dfrac{1}{2}"),
    ("9^{9^{9^9}}", "9^{9^{9^9}}"),
    (r"\emptyset", r"\varnothing"),
    (r"\emptyset", r"\{\}"),
    # numbers
    ("1000", "1,000"),
    ("1000", "1{,}000"),
    ("1000", r"1\,000"),
    ("1234.5", "1,234.50"),
    ("11111111100", r"11,\! 111,\! 111,\! 100"),
    ("3", "3."),
    ("3", "+3.0"),
    ("0", "-0"),
    ("0.5", ".5"),
    ("0.5", "1/2"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"\frac12", "0.5"),
    (r"1\frac{1}{2}", "1.5"),
    (r"6.02\times10^{23}", "6.02e23"),
    ("0.00012", r"1.2\times10^{-4}"),
    ("10^{-3}", "0.001"),
    ("1:2", "2:4"),
    ("1:4", r"\frac{1}{4}"),
    ("5", "x = 5"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    (r"28\%", "28 percent"),
    (r"28\%", "28 pct"),
    # units
    (r"90^\circ", "90"),
    ("40°", "40.0"),
    ("90", r"90 \text{ degrees}"),
    ("5", r"5\text{ cm}"),
    (r"5\text{ cm}", r"5\,\mathrm{cm}"),
    (r"12\text{ cm}^2", "12"),
    ("5", "5 cm"),
    ("5", r"\$5.00"),
    ("€5", "5"),
    ("4.40米", "4.40"),
    ("3:30", "3:30"),
    ("101_2", "101_{2}"),
    # words
    ("yes", "Yes"),
    ("blue", r"\textbf{Blue}."),
    ("New York", r"\text{New York!}"),
    (r"\text{Evelyn}", "evelyn"),
    ("不等式", "不等式"),
    # letters
    ("B", "(B)"),
    ("B", "B."),
    ("B", r"\text{(B)}"),
    ("B", r"\text{(B) } 12"),
    ("B", r"\textbf{(B)}\; 12"),
    ("B", "Option B"),
    ("B", "b"),
    ("(B)", "B"),
    ("B. 12", "B"),
    ("I", r"\text{I}"),
]
WRONG = [
    ("on", "no"),
    ("left", "felt"),
    ("was", "saw"),
    ("AB", "BA"),
    ("blue", "dark blue"),
    ("True", "False"),
    ("不等式", "等式"),
    ("5", "5.0000001"),
    ("0", "0.0000001"),
    ("1000000007", "1000000009"),
    ("10000", "9999"),
    (r"\frac{1}{3}", "0.33"),
    ("0.05", "5"),
    ("5", "-5"),
    ("50", r"50\%"),
    ("100", r"100\%"),
    ("12:00", "1:00"),
    ("3:30", "3.5"),
    ("12:30", "2/5"),
    ("101_2", "101_3"),
    ("5", "101_2"),
    ("5 cm", "5 m"),
    ("5", r"5 \text{ or } 6"),
    ("5", r"5\text{ or six}"),
    ("5", r"5\text{ is not}"),
    (r"\sqrt{2}", r"\sqrt{2}\text{ or } 7"),
    (r"\sqrt{2}", r"\sqrt{2}\text{ or 7}"),
    (r"x+1", r"x+1 \text{\} not \{}"),
    ("42", "The answer"),
    ("A", "B"),
    ("A", "x+y=a"),
    ("B", "A or B"),
    ("B", "B or C"),
    ("B", "A, B, C, D"),
    ("B", "not B"),
    ("B", "B. is wrong, C"),
    ("B. 12", "C"),
    (r"(D) \ 1", "f(z) = 1"),
    ("B", "(B)(C)"),
    ("I", "1"),
    ("E", "2.718"),
    ("We can write $E(Y)$ in this case and never else", "y=x"),
]
ALGEBRA = [
    ("2^{10}", "1024"),
    ("x^2+2x+1", "(x+1)^2"),
    ("10!", "10"),
    ("n!", "n"),
    ("5", r"\sqrt{25}"),
    ("5", "x"),
    ("12", "1,2"),
    ("(1,2)", "(2,1)"),
    ("1e99999999", "1"),
    (r"\frac{1}{0}", "1"),
    ("1,2", r"1 \text{ and } 2"),
    (r"\pm 2", r"2 \text{ or } -2"),
    (r"2 \text{ or } 3", "3 or 2"),
    ("x<1", "x<1 or x<0"),
    ("ab", r"b \cdot a"),
    ("9" * 2000, "1"),
]


@pytest.mark.parametrize(("reference", "answer"), RIGHT)
def test_text_accepts(reference: str, answer: str) -> None:
    assert compare(reference, answer).equal is True


@pytest.mark.parametrize(("reference", "answer"), WRONG)
def test_text_rejects(reference: str, answer: str) -> None:
    assert compare(reference, answer).equal is False


@pytest.mark.parametrize(("reference", "answer"), ALGEBRA)
def test_text_leaves_to_algebra(reference: str, answer: str) -> None:
    compared = compare(reference, answer)
    assert compared.equal is None
    assert compared.reference
    assert compared.answer


NUMBERS = ["10", "12", "14", "16"]
CITIES = {"A": "Rome", "B": "Paris", "C": "New York", "D": None}


@pytest.mark.parametrize(
    ("choices", "reference", "answer", "equal"),
    [
        (NUMBERS, "B", "12", True),
        (NUMBERS, "B", "14", False),
        (NUMBERS, "B", "B) 12", True),
        (NUMBERS, "B", "A) 12", False),
        (NUMBERS, "B", "B) 14", False),
        (NUMBERS, "B", "E", None),
        (NUMBERS, "12", "B", True),
        (NUMBERS, "12", "B) 12", True),
        (NUMBERS, "12", "C", False),
        (NUMBERS, "12", "12.0", True),
        (NUMBERS, "13", "B", False),
        (NUMBERS, "2^4", "D", None),
        (NUMBERS, "BD", "D, B", True),
        (NUMBERS, "BD", "B", False),
        (NUMBERS, "B", "B, D", False),
        (["A. 10", "B. 12"], "B", "12", True),
        (["$6 \\mathrm{~cm}$", "$7.5 \\mathrm{~cm}$"], "B", "7.5", True),
        (["1:4", "1:3"], "B", r"\frac{1}{3}", True),
        (["$x+1$", "$1-x$"], "A", "1+x", None),
        (CITIES, "B", "paris", True),
        (CITIES, "B", r"\text{B. Paris}", True),
        (CITIES, "b", "(B)", True),
        (CITIES, "B", "Rome", False),
        (CITIES, "B", "B. Rome", False),
        (CITIES, "Paris", "B", True),
        (CITIES, "Paris", "A", False),
        (["P", "Q", "R"], "B", "Q", True),
    ],
)
def test_an_option_is_its_letter_or_its_text(
    choices: object, reference: str, answer: str, equal: bool | None
) -> None:
    assert compare(reference, answer, AnswerSpec(choices=read_choices(choices))).equal is equal


def test_choices_from_parquet_and_of_a_wrong_type() -> None:
    import numpy as np

    assert read_choices(np.array(["x", "y"], dtype=object)) == {"A": "x", "B": "y"}
    assert read_choices(None) == read_choices([]) == {}
    assert read_choices({"(a)": "x", "b.": None}) == {"A": "x"}
    with pytest.raises(TypeError, match="not str"):
        read_choices("A B C")


def test_hostile_answers_raise_nothing() -> None:
    rng = random.Random(0)
    parts = [
        *r"\ { } ( ) [ ] $ ^ _ = : , . % / + - ! A B x 7 0 10^ 1e9".split(),
        *r"\frac \text{ \sqrt \% \circ \boxed".split(),
        *[
            "\u0661",
            "\u200b",
            "\ud800",
            "\x00",
            "米",
            " ",
            "\n",
            "or",
            "percent",
            "cm",
            "12:30",
            "٪",
            "²",
        ],
    ]
    for _ in range(3000):
        reference, answer = ("".join(rng.choices(parts, k=rng.randint(1, 9))) for _ in "ra")
        choices = read_choices([answer, reference, "10"] if rng.random() < 0.5 else None)
        assert compare(reference, reference, AnswerSpec(choices=choices)).equal is True
        compare(reference, answer, AnswerSpec(choices=choices))
