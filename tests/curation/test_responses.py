r"""Undesirable patterns: what goes, and what looks like it and must stay."""

from __future__ import annotations

import pytest

from ovr_plugin.data.curation.responses import PATTERNS
from ovr_plugin.reward.extract import extract_answer

SENTENCES = [
    f"Step {n}: we add {n} to {n * n} and get {n + n * n}, which is even. " for n in range(300)
]
LOOP = "Wait, let me check this again. But the sum is 12. "
GOOD = "<think>\n" + "".join(SENTENCES[:40]) + "\n</think>\n\nSo the answer is \\boxed{2}."


@pytest.mark.parametrize(
    ("pattern", "response", "kind"),
    [
        ("repetition", "We begin. " + LOOP * 9, "endless repetition"),
        ("repetition", "We begin. " + LOOP * 9 + LOOP[:17], "endless repetition"),
        ("repetition", "no " * 500, "endless repetition"),
        ("repetition", "".join(SENTENCES[:3]) * 200 + r"\boxed{2}", "endless repetition"),
        ("mixed_languages", GOOD + "因此答案是二所以我们得到", "languages mixed"),
        ("mixed_languages", "Поэтому ответ два. " + GOOD[:200], "languages mixed"),
        ("unfinished_thinking", "<think>\nWe add. \\boxed{2}", "thinking does not end"),
        ("unfinished_thinking", "<think>a</think> no <think>b</think> 2", "thinking ends 2 times"),
        ("unfinished_thinking", "<think>\\boxed{2}</think>\n ", "nothing after the thinking"),
        ("no_boxed_answer", "<think>\\boxed{2}</think> It is 2.", "no boxed answer"),
        ("no_boxed_answer", "It is \\boxed{2", "no boxed answer"),
        ("control_tokens", GOOD + "<|im_end|>", "control token in the text"),
        (
            "control_tokens",
            "<\uff5cend\u2581of\u2581sentence\uff5c>" + GOOD,
            "control token in the text",
        ),
        ("refusal", "I'm sorry, but I can't help. \\boxed{2}", "a refusal"),
        ("refusal", "<think>Hm.</think>\nAs an AI I cannot. \\boxed{2}", "a refusal"),
    ],
)
def test_goes(answered, pattern, response, kind):
    reason = PATTERNS[pattern](answered(response))
    assert reason
    assert reason.startswith(f"undesirable, {kind}: ")


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(GOOD, id="good"),
        pytest.param("The angle is θ + φ ≤ π, so √2 ≈ 1.414. \\boxed{2}", id="mathematics"),
        pytest.param("".join(SENTENCES) + r"\boxed{2}", id="steps-that-look-alike"),
        pytest.param("| 0 | 1 |\n|---|---|\n" + "-" * 300 + r" \boxed{2}", id="a-table"),
        pytest.param(r"It is \boxed{1" + "0" * 400 + "}", id="a-long-number"),
        pytest.param("I'd say sorry to Ann first. \\boxed{2}", id="sorry-inside"),
    ],
)
def test_stays(answered, pattern, response):
    assert PATTERNS[pattern](answered(response)) is None


def test_the_language_of_the_question_may_be_answered_in(answered):
    response = "因此答案是 \\boxed{2} 我们得到结果"
    assert PATTERNS["mixed_languages"](answered(response, "求 1 + 1 的值")) is None
    assert PATTERNS["mixed_languages"](answered(response, "What is 1 + 1?"))


def test_real_traces_that_never_finish_are_found(shared, answered):
    """SkyThought's AIME traces of which SOURCE.md says that they loop, and those that end well."""
    from ovr_plugin.data.files import read_jsonl

    folder = shared / "raw" / "coldstart_skythought"
    traces = [row["code"][0] for file in folder.rglob("*.jsonl") for row in read_jsonl(file)]
    looping = [trace for trace in traces if PATTERNS["repetition"](answered(trace))]
    assert looping
    # What the pattern finds has no answer at its end: it never cuts a response that finished.
    finished = [trace for trace in looping if extract_answer(trace[-300:])]
    assert len(finished) <= len(looping) * 0.1
    assert len(looping) < len(traces) * 0.2
