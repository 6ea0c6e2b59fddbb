"""The final answer: the last complete box after the thinking."""

from __future__ import annotations

import sys

import pytest

from ovr_plugin.reward.extract import extract_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{42}", "42"),
        (r"\fbox{42}", "42"),
        (r"\boxed{41}. Wait: \boxed{42}", "42"),
        (r"\boxed{41}. Wait: \fbox{42}", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{x=\{1,2\}}", r"x=\{1,2\}"),
        (r"\boxed{\{ 1 \}}", r"\{ 1 \}"),
        (r"\boxed{\left\{ 1 \right.} and 2}", r"\left\{ 1 \right."),
        (r"\boxed{a\}b}", r"a\}b"),
        (r"\boxed{a \\{b} c}", r"a \\{b} c"),
        ("\\boxed \n {42}", "42"),
        (r"\boxed{{42}}", "{42}"),
        (r"\boxed{\boxed{B}}", "B"),
        (r"\boxed{\text{so } \fbox{5}}", "5"),
        (r"\\boxed{42}", "42"),
        (r"\boxed{42}}", "42"),
        (r"{ \boxed{42}", "42"),
        (r"\boxed{41} and then \boxed{4", "41"),
        (r"\boxed{42} or \boxed{}", ""),
        (r"\boxed{ 42 } and prose: 43", "42"),
        (r"<think>\boxed{1}</think> \boxed{2}", "2"),
        (r"\boxed{1}</think>\boxed{2}", "2"),
        (r"<think>a</think>\boxed{1}<think>b</think>\boxed{2}", "2"),
        (r"<think>\boxed{1}</think> It is 1.", None),
        (r"<think>So it is \boxed{42}.", None),
        (r"<think>a</think>\boxed{1}<think>again \boxed{2}", None),
        ("boxed{42}", None),
        (r"\boxed 42", None),
        (r"\boxedness{42}", None),
        (r"\boxed{42", None),
        (r"\\\{\boxed\}{42}", None),
        ("", None),
    ],
)
def test_answer_is_the_last_complete_box_after_thinking(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


def steps(response: str) -> int:
    """Lines of our Python run for one extraction; every token matched is at most 8 characters."""
    n_lines = 0

    def count(_frame: object, event: str, _arg: object) -> object:
        nonlocal n_lines
        n_lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)  # type: ignore[arg-type]
    try:
        extract_answer(response)
    finally:
        sys.settrace(before)
    return n_lines


@pytest.mark.parametrize(
    "unit",
    [
        r"\boxed{",
        "{",
        "}",
        r"\boxed{1}",
        r"\fbox",
        "\\",
        "<think>",
        "</think>",
        r"\boxed ",
        r"\{",
        "{}",
    ],
)
def test_work_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    short, long = (r"\boxed{1}" + unit * (n // len(unit)) for n in (5_000, 20_000))
    assert steps(long) <= 4.5 * steps(short)
    assert steps(long) <= 12 * len(long) + 100


@pytest.mark.parametrize("filler", [r"\boxed{", "$", r"\[", "1,000,", "\\", "{", "\n", r"\boxed "])
def test_a_megabyte_of_anything_before_the_answer(filler: str) -> None:
    junk = filler * (1_000_000 // len(filler))
    assert extract_answer(junk + r" \boxed{42}") == "42"
