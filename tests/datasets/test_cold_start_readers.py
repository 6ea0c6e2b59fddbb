"""Readers of the cold start: real traces where there are, else rows in the published layout."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from ovr_plugin.data.prompt import INSTRUCTION
from ovr_plugin.data.readers import cold_start_reader_names, get_cold_start_reader
from ovr_plugin.data.sample import BadRow, ColdStartSample, cold_start_problems
from ovr_plugin.reward import Outcome, grade

# Counted in the files; the share of wrong and cut traces is what their SOURCE.md says.
REAL = {
    "bespoke_stratos": ("coldstart_bespoke_stratos", {"train": 2}, {}),
    "skythought": (
        "coldstart_skythought",
        {"test": 57},
        {
            "the answer is wrong": 85,
            "no thinking tags in the response": 49,
            "the solution has not both of its tags": 7,
            "the thinking never ends": 2,
        },
    ),
    "prime_rl": ("coldstart_r1distill_primerl", {"train": 23}, {"the answer is wrong": 49}),
}


def read(name, root):
    return list(get_cold_start_reader(name)(root))


def one(tmp_path, name, row):
    (tmp_path / "train.json").write_text(json.dumps([row]))
    (item,) = read(name, tmp_path)
    return item


@pytest.mark.parametrize("name", REAL)
def test_real_traces_are_samples_or_named(shared, name):
    folder, splits, kinds = REAL[name]
    items = read(name, shared / "raw" / folder)
    good = [item for item in items if isinstance(item, ColdStartSample)]
    assert Counter(item.split for item in good) == splits
    assert Counter(item.kind for item in items if isinstance(item, BadRow)) == kinds
    for sample in good:
        assert cold_start_problems(sample) == []
        assert sample.response.startswith("<think>\n")
        assert sample.response.count("</think>") == 1
        assert "|>" not in sample.response
        assert not sample.prompt[0]["content"].startswith("Return your final")
        if sample.ground_truth:
            assert sample.prompt[0]["content"].endswith(INSTRUCTION)


@pytest.mark.parametrize("name", ["skythought", "prime_rl"])
def test_the_verifier_agrees_with_the_scores_of_the_corpora(shared, name):
    """What a corpus calls right, the reward calls right: hardly any exception."""
    good = [
        item
        for item in read(name, shared / "raw" / REAL[name][0])
        if isinstance(item, ColdStartSample)
    ]
    outcomes = [grade(item.response, item.ground_truth).outcome for item in good]
    # A busy machine may give a timeout, which says nothing of the answer.
    assert outcomes.count(Outcome.WRONG) <= 0.05 * len(outcomes)


SKY = (
    "<|begin_of_thought|>\n\nlook\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is \\boxed{2}\n\n<|end_of_solution|>"
)
THINK = "<think>\nlook\n</think>\n\nIt is \\boxed{2}"
END = "<\uff5cend\u2581of\u2581sentence\uff5c>"
QUESTION = "Return your final response within \\boxed{}. What is 1 + 1?"


def conversation(text, names=("from", "value"), roles=("user", "assistant"), key="conversations"):
    who, what = names
    turns = [{who: roles[0], what: QUESTION}, {who: roles[1], what: text}]
    return {"system": "Set the tags.", key: turns}


BOX = "It is \\boxed{2}"
AM = {
    "messages": [
        {"role": "user", "content": "What is 1 + 1?", "info": {"reference_answer": "2"}},
        {
            "role": "assistant",
            "content": f"<think>look</think>\n<answer>{BOX}</answer>",
            "info": {"think_content": None},
        },
    ]
}
RIGHT = {"correctness_math_verify": [False, True], "is_reasoning_complete": [True, True]}
GOOD = [
    ("bespoke_stratos", conversation(SKY)),
    ("bespoke_stratos", conversation(SKY, ("role", "content"), key="messages")),
    ("skythought", conversation(SKY)),
    ("openthoughts", conversation(SKY)),
    ("openthoughts", conversation(THINK, roles=("human", "gpt"))),
    ("openthoughts", conversation("look\n</think>\n\nIt is \\boxed{2}")),
    (
        "openthoughts",
        {
            "problem": "What is 1 + 1?",
            "deepseek_reasoning": "look",
            "deepseek_solution": "It is \\boxed{2}",
            "domain": "math",
        },
    ),
    ("openr1", {"problem": "What is 1 + 1?", "generations": ["<think>no", THINK], **RIGHT}),
    (
        "openr1",
        {
            "problem": "What is 1 + 1?",
            "generations": [THINK.replace("look", "cut"), THINK],
            "correctness_math_verify": [True, False],
            "correctness_llama": [None, True],
            "is_reasoning_complete": [False, True],
            "finish_reasons": ["length", "stop"],
        },
    ),
    (
        "s1k",
        {
            "question": "What is 1 + 1?",
            "deepseek_thinking_trajectory": ["look"],
            "deepseek_attempt": "It is \\boxed{2}",
            "deepseek_grade": "Yes",
        },
    ),
    (
        "prime_rl",
        {
            "prompt": "<\uff5cUser\uff5c>What is 1 + 1?<\uff5cAssistant\uff5c><think>\n",
            "completion": f"look\n</think>\n\nIt is \\boxed{{2}}{END}",
            "task_reward": 1,
            "verification_info": '{"ground_truth": "2"}',
        },
    ),
    (
        "skythought",
        {"question": "What is 1 + 1?", "code": [SKY], "score": [True], "gt": "2"},
    ),
    ("am_deepseek_r1", AM),
    ("am_deepseek_r1", {**AM, "info": {"think_content": "look", "answer_content": BOX}}),
    ("ovr", conversation(THINK)),
    ("ovr", conversation(SKY, ("role", "content"), key="messages")),
    ("ovr", [{"from": "human", "value": QUESTION}, {"from": "assistant", "value": THINK}]),
    ("ovr", {"prompt": QUESTION, "response": THINK}),
    ("ovr", {"prompt": [{"role": "user", "content": QUESTION}], "response": THINK}),
    ("ovr", {"instruction": QUESTION, "output": THINK}),
]


@pytest.mark.parametrize(("name", "row"), GOOD)
def test_every_spelling_gives_the_same_pair(tmp_path, name, row):
    row = {"samples": [row]} if name == "prime_rl" else [row]
    (tmp_path / "train.json").write_text(json.dumps(row))
    (sample,) = read(name, tmp_path)
    assert isinstance(sample, ColdStartSample), sample
    assert sample.response == THINK
    assert sample.prompt == [{"role": "user", "content": f"What is 1 + 1?\n{INSTRUCTION}"}]


def test_a_response_without_a_box_is_not_asked_for_one(tmp_path):
    row = conversation(THINK.replace("\\boxed{2}", "def f(): ..."))
    sample = one(tmp_path, "openthoughts", row)
    assert sample.prompt == [{"role": "user", "content": "What is 1 + 1?"}]


def test_limo_keeps_its_one_text(tmp_path):
    row = {"question": "What is 1 + 1?", "solution": "Look. \\boxed{2}", "answer": 2}
    sample = one(tmp_path, "limo", row)
    assert (sample.response, sample.ground_truth) == ("Look. \\boxed{2}", "2")


BAD = [
    ("bespoke_stratos", conversation(SKY[:40]), "the thinking never ends"),
    (
        "bespoke_stratos",
        conversation(SKY.replace("look", "look </think>")),
        "a thinking tag inside",
    ),
    ("bespoke_stratos", conversation(SKY.replace("<|begin_of_thought|>", "")), "the opening tag"),
    ("bespoke_stratos", conversation(SKY.replace("look", "")), "no thinking before the solution"),
    ("bespoke_stratos", conversation(SKY.replace("<|end_of_solution|>", "")), "the solution has"),
    ("bespoke_stratos", conversation("It is 2"), "no thinking tags in the response"),
    ("openthoughts", conversation("<think>on and on"), "the thinking never ends"),
    ("openthoughts", conversation("<think>look</think>"), "no solution after the thinking"),
    ("openthoughts", {"conversations": []}, "not one question and one response: 0 of the user"),
    ("openthoughts", {"conversations": [{"from": "tool", "value": "x"}]}, "unknown turn"),
    ("openthoughts", {"conversations": ["x"]}, "unknown turn"),
    ("openthoughts", {"text": "x"}, "field missing: 'conversations' or 'messages'"),
    (
        "openr1",
        {"problem": "p", "generations": [THINK], "correctness_math_verify": [False]},
        "no generation is both complete and right: of 1",
    ),
    ("s1k", {"deepseek_grade": "No"}, "the answer is wrong: deepseek_grade is 'No'"),
    ("limo", {"question": "q", "solution": " "}, "no solution"),
    ("skythought", {"code": [SKY], "score": [False], "question": "q"}, "the answer is wrong"),
    ("am_deepseek_r1", {"messages": AM["messages"][:1]}, "not one question and one response"),
    ("am_deepseek_r1", {"messages": ["x"]}, "unknown turn"),
    ("am_deepseek_r1", {"prompt": "x"}, "field missing: 'messages'"),
    ("ovr", {"question": "q"}, "field missing: 'response' or 'output'"),
    ("ovr", {"a": "q"}, "field missing: 'conversations' or 'messages' or 'prompt'"),
    ("ovr", 7, "the row is not an object: int"),
]


@pytest.mark.parametrize(("name", "row", "reason"), BAD)
def test_a_trace_that_cannot_be_learnt_from_is_named(tmp_path, name, row, reason):
    item = one(tmp_path, name, row)
    assert isinstance(item, BadRow)
    assert item.reason.startswith(reason)


def test_every_reader_of_the_cold_start_is_tested():
    named = {name for name, _ in GOOD} | {name for name, *_ in BAD}
    assert set(cold_start_reader_names()) == named | {"columns"}
    with pytest.raises(
        ValueError, match="no reader named 'orz'; there are: am_deepseek_r1, bespoke_stratos, "
    ):
        get_cold_start_reader("orz")
