"""Options: labels as people write them, texts and values, several right ones."""

from __future__ import annotations

import numpy as np
import pytest
from read_table import read_table

from ovr_plugin.reward.choices import read_choices
from ovr_plugin.reward.compare import compare
from ovr_plugin.reward.spec import AnswerSpec


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("labels"))
def test_labels(reference: str, answer: str, spec: AnswerSpec, equal: bool | None) -> None:
    assert compare(reference, answer, spec).equal is equal


@pytest.mark.parametrize(("reference", "answer", "spec", "equal"), read_table("options"))
def test_an_option_is_its_label_or_its_text(
    reference: str, answer: str, spec: AnswerSpec, equal: bool | None
) -> None:
    assert compare(reference, answer, spec).equal is equal


def test_choices_are_read_from_lists_mappings_and_parquet() -> None:
    assert read_choices(np.array(["x", "y"], dtype=object)) == {"A": "x", "B": "y"}
    assert read_choices(None) == read_choices([]) == read_choices({}) == {}
    assert read_choices({"(a)": "x", "b.": None, 3: 4}) == {"A": "x", "3": "4"}
    assert read_choices(["A. 10", "(B) 12", "C", "D: x"]) == {
        "A": "10", "B": "12", "C": "C", "D": "x",
    }  # fmt: skip
    labels = list(read_choices([str(number) for number in range(704)]))
    assert labels[25:28] == ["Z", "AA", "AB"]
    assert labels[701:] == ["ZZ", "AAA", "AAB"]


@pytest.mark.parametrize("choices", ["A B C", b"x", 5, {"A", "B"}])
def test_choices_of_a_wrong_type(choices: object) -> None:
    with pytest.raises(TypeError, match=f"letter -> text, not {type(choices).__name__}"):
        read_choices(choices)


@pytest.mark.parametrize("n_options", [2, 10, 26, 40])
def test_every_option_is_itself_and_no_other(n_options: int) -> None:
    texts = [f"{2 * number} apples" for number in range(n_options)]
    spec = AnswerSpec(choices=read_choices(texts))
    for right in list(spec.choices)[:: max(1, n_options // 4)]:
        for label, text in spec.choices.items():
            for answer in (label, f"({label})", f"{label}. {text}", text, f"Option {label}"):
                assert compare(right, answer, spec).equal is (label == right), (right, answer)
                assert compare(spec.choices[right], answer, spec).equal is (label == right)


def test_subsets_of_options() -> None:
    spec = AnswerSpec(choices=read_choices(["red", "green", "blue"]))
    subsets = ["A", "B", "C", "AB", "AC", "BC", "ABC"]
    for right in subsets:
        for given in subsets:
            for joint in ("", ", ", " and ", " & ", "、", "; "):
                assert compare(right, joint.join(given), spec).equal is (right == given)


def test_a_tolerance_does_not_blur_options() -> None:
    facts = {"choices": ["100", "102", "104"], "tolerance": 0.05}
    assert compare("A", "102", AnswerSpec.of(facts)).equal is False
    assert compare("A", "100", AnswerSpec.of(facts)).equal is True


def test_what_was_read_is_told() -> None:
    compared = compare("AC", "C, A")
    assert (compared.how, compared.reference, compared.answer) == ("option", "A, C", "A, C")
