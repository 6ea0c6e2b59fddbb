"""The final answer: the last complete box after the thinking, and what the options take."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest

from ovr_plugin.reward.extract import MAX_JOINED, extract_answer, extract_answers, final_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{42}", "42"),
        (r"\fbox{42}", "42"),
        (r"\boxed{41}. Wait: \boxed{42}", "42"),
        (r"\boxed{41}. Wait: \fbox{42}", "42"),
        (r"\fbox{41}. Wait: \boxed{42}", "42"),
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
        (r"\boxed{41} and then \boxed{\boxed{4", "41"),
        (r"\boxed{a \boxed{42} b", "42"),
        (r"\boxed{a \boxed{b} \boxed{c", "b"),
        (r"\boxed{42} or \boxed{}", ""),
        (r"\boxed{42} or \boxed{ }", ""),
        (r"\boxed{ 42 } and prose: 43", "42"),
        (r"<think>\boxed{1}</think> \boxed{2}", "2"),
        (r"\boxed{1}</think>\boxed{2}", "2"),
        (r"<think>a</think>\boxed{1}<think>b</think>\boxed{2}", "2"),
        (r"<think>\boxed{1}</think> It is 1.", None),
        (r"<think>So it is \boxed{42}.", None),
        (r"<think>a</think>\boxed{1}<think>again \boxed{2}", None),
        (r"Do not rethink> again: \boxed{42}", "42"),
        (r"</think>I think> \boxed{42} /think>", "42"),
        ("boxed{42}", None),
        (r"\boxed 42", None),
        (r"\boxed42", None),
        (r"\boxed\{1,2\}", None),
        (r"\boxed{41} \boxed 42", "41"),
        (r"\boxedness{42}", None),
        (r"\fboxed{42}", None),
        (r"\boxed{42", None),
        (r"\\\{\boxed\}{42}", None),
        ("", None),
    ],
)
def test_answer_is_the_last_complete_box_after_thinking(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer
    assert extract_answer(response, answer_tags=True, unboxed=True) == answer or answer is None


@pytest.mark.parametrize(
    ("response", "answers"),
    [
        (r"\boxed{1} and \boxed{2}", ["1", "2"]),
        (r"\boxed{1} and \boxed{2} and \boxed{3}", ["1", "2", "3"]),
        (r"$$\boxed{(98, 2)} \quad \text{and} \quad \boxed{(99, 503)}$$", ["(98, 2)", "(99, 503)"]),
        (r"$\boxed{1}$, $\boxed{2}$, or $\fbox{3}$.", ["1", "2", "3"]),
        (r"\(x = \boxed{1}\) or \(x = \boxed{2}\)", ["1", "2"]),
        (r"**\boxed{1}**; **\boxed{2}**", ["1", "2"]),
        (r"\boxed{甲}和\boxed{乙}", ["甲", "乙"]),
        (r"\boxed{\frac{1}{2}}, \boxed{\{3\}}", [r"\frac{1}{2}", r"\{3\}"]),
        (r"\boxed{1}, \boxed{2} and \boxed{", ["1", "2"]),
        (r"\boxed{}, \boxed{2}", ["", "2"]),
        # Not joined: one after another, corrected, inside one another, prose between.
        (r"\boxed{1} \boxed{2}", ["2"]),
        (r"\boxed{41}. Wait, \boxed{42}", ["42"]),
        (r"\boxed{41}." + "\n\n" + r"\boxed{42}", ["42"]),
        (r"\boxed{a, \boxed{2}}", ["2"]),
        (r"a}, \boxed{2}", ["2"]),
        (r"\boxed{1} and so it is \boxed{2}", ["2"]),
        (r"1. \boxed{50} 2. \boxed{75}", ["75"]),
        (r"\boxed{1}" + " " * 100 + r", \boxed{2}", ["2"]),
        ("Nothing.", []),
        (r"<think>\boxed{1}, \boxed{2}", []),
        (r"<think>\boxed{1},</think> \boxed{2}", ["2"]),
    ],
)
def test_boxes_joined_to_the_last_one_come_along(response: str, answers: list[str]) -> None:
    assert extract_answers(response) == answers
    assert extract_answer(response) == (answers[-1] if answers else None)


def test_a_list_of_boxes_has_an_end() -> None:
    assert extract_answers(r"\boxed{1}," * 1000) == ["1"] * MAX_JOINED


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>42</answer>", "42"),
        ("<answer> 41 </answer>, no: <answer>\n42\n</answer> Done.", "42"),
        ("<answer>42</answer> <answer>43", "42"),
        ("<answer>a <answer>42</answer>", "42"),
        ("<answer></answer>", ""),
        ("42</answer>", None),
        ("<answer>42", None),
        ("</answer>42<answer>", None),
        (r"<answer>It is \boxed{42}.</answer>", "42"),
        (r"\boxed{42} <answer>43</answer>", "42"),  # a box wins
        (r"<answer>42</answer> \boxed{", "42"),
        (r"<answer>42</answer> \boxed{}", ""),
        ("<think><answer>41</answer></think>", None),
        ("<think>hm</think><answer>42</answer>", "42"),
        ("<think>hm<answer>42</answer>", None),
    ],
)
def test_answer_tags_count_where_there_is_no_box(response: str, answer: str | None) -> None:
    assert extract_answer(response, answer_tags=True) == answer
    if "box" not in response:
        assert extract_answer(response) is None


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The answer is 42.", "42"),
        ("The answer is 3.14. I hope it is correct.", "3.14"),
        ("the answer is: $\\frac{1}{2}$.", r"\frac{1}{2}"),
        ("Answer: B", "B"),
        ("ANSWER: (B)\n", "(B)"),
        ("**Answer**: B", "B"),
        ("**Answer:** B. 12", "B"),  # a sentence has ended
        ("**Final answer:** 12,000,023", "12,000,023"),
        ("The final answer is 12,000,023. I hope it is correct. <|im_start|>user", "12,000,023"),
        ("Final Answer: The final answer is $\\frac{5}{27}$. I hope so.", r"\frac{5}{27}"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("The answers are 1 and 2.", "1 and 2"),
        ("So the answer is\n\\[ x = 5 \\]", "x = 5"),
        ("The correct option is (C).", "(C)"),
        ("The answer is $5$ or $6$.", "$5$ or $6$"),  # a hedge stays one
        ("The answer is 41. No, the answer is 42!", "42"),
        ("答案是42。", "42"),
        ("所以答案为:$\\frac{1}{2}$。", r"\frac{1}{2}"),
        ("最终答案：B", "B"),  # noqa: RUF001
        ("Hence $x=5$", "x=5"),
        ("Hence\n\\[x=5.\\]\n", "x=5."),
        (r"Hence \(x=5\).", "x=5"),
        ("Hence $$x=5$$.", "x=5"),
        ("I have no answer.", None),
        ("It costs 5$", None),
        ("The answer is", None),
        ("so the number is 10", None),
        ("B", "B"),  # nothing but the answer: what the kits' prompts ask for
        ("<think>A? No.</think>\n\nB. red and green", "B. red and green"),
        ("(B) It is red.", "(B) It is red."),
        ("Yes", "Yes"),
        ("13 cm", "13 cm"),
        ("B. red\nC. green", None),
        ("B. " + "red " * 100, None),
        ("A dog is running", None),
        ("The answer is 42." + " And so on." * 1000, None),
        ("<think>The answer is 42.</think>", None),
        ("<think>The answer is 42.", None),
        (r"The answer is \boxed{42}. Answer: 43", "42"),
        ("<answer>42</answer> Answer: 43", "42"),
        ("", None),
    ],
)
def test_unboxed_answers_are_announced_or_a_formula_at_the_end(
    response: str, answer: str | None
) -> None:
    assert extract_answer(response, answer_tags=True, unboxed=True) == answer
    if "box" not in response:
        assert extract_answer(response) is None


# Another way to the same result, character by character from the front.


def slow_boxes(response: str) -> list[tuple[int, str]]:
    """Every complete box after the thinking: where it starts and what it holds."""
    text = response
    if "</think>" in text:
        text = text.split("</think>")[-1]
    if "<think>" in text:
        return []
    found, stack = [], []
    command: int | None = None
    i = 0
    while i < len(text):
        name = next((n for n in ("boxed", "fbox") if text.startswith("\\" + n, i)), None)
        follows = text[i + 1 + len(name) : i + 2 + len(name)] if name else ""
        if name and not (follows.isascii() and follows.isalpha()):
            command, i = i, i + 1 + len(name)
            continue
        if text.startswith("\\\\boxed", i) or text.startswith("\\\\fbox", i):
            i += 1  # a doubled backslash, as text has that went through JSON
            continue
        char = text[i]
        if char == "{":
            stack.append((command, i + 1))
        elif char == "}" and stack:
            start, inside = stack.pop()
            if start is not None:
                found.append((start, text[inside:i].strip()))
        if not char.isspace():
            command = None
        i += 2 if char == "\\" else 1
    return sorted(found)


PIECES = [
    *("\\boxed{", "\\fbox{", "\\boxed ", "\\fbox\n{", "\\boxed", "\\\\boxed{", "\\boxedx{"),
    *("{", "}", "{", "}", "}", "\\{", "\\}", "\\\\", "\\", "\\frac{1}{2}", "a", "7", " ", "\n"),
    *("<think>", "</think>", "think>", "</", "$", ",", " and ", "米"),
]


def test_it_is_what_a_slow_search_from_the_front_finds() -> None:
    draw = random.Random(0)
    n_found = 0
    for _ in range(30_000):
        pieces = draw.choices(PIECES[: draw.randint(8, len(PIECES))], k=draw.randint(1, 25))
        response = "".join(pieces)
        boxes = slow_boxes(response)
        assert extract_answer(response) == (boxes[-1][1] if boxes else None), response
        answers = extract_answers(response)
        assert set(answers) <= {content for _, content in boxes}, response
        n_found += bool(boxes)
    assert n_found > 5_000


def steps(extract: Callable[[str], object], response: str) -> int:
    """Lines of our Python run for one extraction."""
    n_lines = 0

    def count(_frame: object, event: str, _arg: object) -> object:
        nonlocal n_lines
        n_lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)  # type: ignore[arg-type]
    try:
        extract(response)
    finally:
        sys.settrace(before)
    return n_lines


HOSTILE = [
    *("\\boxed{", "{", "}", "\\boxed{1}", "\\fbox", "\\fbox{\\boxed{", "\\", "<think>", "</think>"),
    *("think>", "\\boxed ", "\\{", "{}", "\\boxed{\\}", "\\boxed{{a", "\\boxed{1},", "\n", "$"),
    *("<answer>", "</answer>", "answer is ", "Answer: the ", "\\[", "1,000,", "\\boxed{a}\\boxed{"),
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("ends", [("\\boxed{1}", ""), ("\\boxed{", ""), ("\\boxed{", "}")])
def test_work_grows_with_the_length_and_not_with_its_square(
    unit: str, ends: tuple[str, str]
) -> None:
    def extract(response: str) -> object:
        return extract_answer(response, answer_tags=True, unboxed=True)

    short, long = (ends[0] + unit * (n // len(unit)) + ends[1] for n in (2_000, 8_000))
    assert steps(extract, long) <= 4.5 * steps(extract, short) + 100
    assert steps(extract, long) <= 12 * len(long) + 100


@pytest.mark.parametrize("filler", HOSTILE)
def test_a_megabyte_of_anything_before_the_answer(filler: str) -> None:
    junk = filler * (1_000_000 // len(filler))
    answer = None if filler == "<think>" else "42"
    assert extract_answer(junk + r" \boxed{42}", answer_tags=True, unboxed=True) == answer


@pytest.mark.parametrize("filler", HOSTILE)
def test_much_of_anything_inside_and_after_the_answer(filler: str) -> None:
    junk = filler * (50_000 // len(filler))
    for response in (r"\boxed{42} " + junk, r"\boxed{" + junk, r"\boxed{" + junk + "}"):
        boxes = slow_boxes(response)
        assert extract_answer(response) == (boxes[-1][1] if boxes else None)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (r"We add them. So it is $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\boxed{42}", "42"),
        (r"x is \boxed{1} or \boxed{2}", "1, 2"),
        ("<think>2 + 2 is 4</think>\n<answer> 4 </answer>", "4"),
        ("She sold 48/2 = <<48/2=24>>24 clips.\n#### 72", "72"),
        ("#### 1,234", "1,234"),
        ("#### Step 1\nWe add.", "#### Step 1\nWe add."),
        ("x #### ", "x #### "),
        (r"\boxed{4", r"\boxed{4"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        ("red", "red"),
        (4, 4),
        (None, None),
    ],
)
def test_of_a_worked_solution_the_final_answer_counts(reference, answer):
    assert final_answer(reference) == answer
