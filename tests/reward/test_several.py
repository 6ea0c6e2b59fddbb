"""Lists, sets, tuples and intervals; what their order and brackets mean."""

from __future__ import annotations

import random

import pytest
from read_table import read_table

from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.several import answer_of
from ovr_plugin.reward.spec import AnswerSpec
from ovr_plugin.reward.value_list import Values, read_values


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("several"))
def test_several(reference: str, answer: str, spec: AnswerSpec, equal: bool | None) -> None:
    assert compare(reference, answer, spec).equal is equal


@pytest.mark.parametrize("n_values", [2, 5, 12, 13, 200])
def test_order_counts_in_tuples_only(n_values: int) -> None:
    rng = random.Random(n_values)
    numbers = [str(number) for number in rng.sample(range(-500, 500), n_values)]
    shuffled = numbers[1:] + numbers[:1]
    other = [*numbers[:-1], "1000"]

    def written(values: list[str], opening: str = "", closing: str = "") -> str:
        return opening + ", ".join(values) + closing

    for brackets in (("", ""), (r"\{", r"\}")):
        assert compare(written(numbers, *brackets), written(shuffled, *brackets)).equal is True
        assert compare(written(numbers, *brackets), written(other, *brackets)).equal is False
        again = written([*numbers, numbers[0]], *brackets)
        assert compare(written(numbers), again).equal is (brackets != ("", ""))
    assert compare(written(numbers, "(", ")"), written(numbers, "(", ")")).equal is True
    assert compare(written(numbers, "(", ")"), written(shuffled, "(", ")")).equal is False


def test_values_are_paired_whatever_their_spelling() -> None:
    reference = r"\frac{1}{2}, 1.50, x=3, \text{red}, (1, 2), 5 \text{ cm}"
    assert compare(reference, "red, 5.0, 3, (1.0, 2), 0.5, 3/2").equal is True
    assert compare(reference, "red, 5.0, 3, (2, 1), 0.5, 3/2").equal is False
    # 50 % fits two of the answer's values, and has to leave the other one its own.
    assert compare(r"50\%, \frac{1}{2}", "0.5, 50").equal is True
    assert compare(r"50\%, 0.5, 7", "7, 0.5, 50").equal is True
    assert compare(r"50\%, 0.5, 7", "7, 0.7, 50").equal is False


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", Values(("1", "2"), "", ("", ""))),
        (r"x_{1} = 1 \text{ and } x_2 = 2", Values(("1", "2"), "", ("x_1", "x_2"))),
        ("n = 2, 3", Values(("2", "3"), "", ("n", "n"))),
        ("(p, q) = (3, 2)", Values(("3", "2"), "()", ("", ""))),
        ("(1, 2]", Values(("1", "2"), "(]", ("", ""))),
        (r"\{1; (2, 3)\}", Values(("1", "(2, 3)"), r"\{\}", ("", ""))),
        (r"\text{1 or red}", Values(("1", r"\text{red}"), "", ("", ""))),
        ("1,234 and 5", Values(("1,234", "5"), "", ("", ""))),
        ("1,234,5", Values(("1", "234", "5"), "", ("", "", ""))),
        (r"\{x | x > 1\}", None),
        (r"(0,1) \cup (2,3)", None),
        (r"\frac{1,5}{2}", None),
        (r"\begin{pmatrix}1, 2\\3, 4\end{pmatrix}", None),
        ("(1,2", None),
        ("1,2)", None),
        (",", None),
        ("1,,2", None),
        ("(5)", None),
        ("", None),
    ],
)
def test_reading_values(text: str, values: Values | None) -> None:
    assert read_values(text) == values


@pytest.mark.parametrize(
    ("boxes", "reference", "answer"),
    [
        (["1"], "1,2", "1"),
        (["1", "2"], "1,2", "1, 2"),
        (["1", "2"], r"\{1,2\}", "1, 2"),
        (["2", "-2"], r"\pm 2", "2, -2"),
        (["(98, 2)", "(99, 503)"], "(98, 2), (99, 503)", "(98, 2), (99, 503)"),
        (["A", "C"], "A, C", "A, C"),
        (["1", "2"], "2", "2"),
        (["A", "C"], "AC", "A, C"),
        (["1", "2"], "(1,2)", "1, 2"),
        (["(1,2)", "(1,2)"], "(1,2)", "(1,2)"),
        (["1", "2", "3"], "(1,2)", "3"),
        (["1", "2"], "1,200", "2"),
        (["1", "2"], "[1,2]", "2"),
    ],
)
def test_joined_boxes_are_a_list_where_the_reference_is_one(
    boxes: list[str], reference: str, answer: str
) -> None:
    assert answer_of(boxes, reference) == answer


def test_what_was_read_is_told() -> None:
    compared = compare("x_1 = 1, x_2 = 2", "(2; 1)")
    assert (compared.how, str(compared.reference)) == ("list", "x_1 = 1, x_2 = 2")
    assert str(compared.answer) == "(2, 1)"
