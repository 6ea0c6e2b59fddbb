"""Every adapter, called as its host calls it: the same row gets the same score everywhere.

What a host makes of it is in `test_hosts`; here the calls have the hosts' documented form.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from ovr_plugin.adapters import (
    areal,
    easyr1,
    mm_eureka,
    ms_swift,
    nemo_rl,
    open_r1,
    openrlhf,
    slime,
    verifiers,
)
from ovr_plugin.adapters.trl import CorrectnessReward
from ovr_plugin.reward import Outcome, grade


class Case(NamedTuple):
    response: str
    reference: Any
    facts: dict[str, Any] = {}  # noqa: RUF012 (nothing writes to it)


CASES = [
    Case(r"\boxed{42}", "42"),
    Case(r"\boxed{41}", "42"),
    Case(r"<think>\boxed{41}</think> So \boxed{42}.", "42"),
    Case(r"<think>\boxed{42}", "42"),
    Case("42", "42"),
    Case("", "42"),
    Case(r"\boxed{\frac{1}{2}}", "0.5"),
    Case(r"\boxed{blue}", "B", {"choices": ["red", "blue"]}),
    Case(r"\boxed{blue}", "B", {"choices": {"A": "blue", "B": "red"}}),
    Case(r"\boxed{blue}", "B"),
    Case(r"\boxed{5}", "5 cm", {"unit": "required"}),
    Case(r"\boxed{5}", "5 cm"),
    Case(r"\boxed{(x+1)^2}", "x^2+2x+1", {"answer_type": "expression"}),
    Case(r"\boxed{42}", "42", {"truncated": True}),
    Case(r"\boxed{42}", None),
    Case(r"\boxed{42}", ""),
    Case(r"\boxed{42}", ["41", "42"]),
    Case(r"\boxed{42}", "42", {"answer_type": "riddle"}),
    Case(r"\boxed{42}", "42", {"tolerance": "much", "choices": 5}),
    Case(r"\boxed{on}", "no"),
    Case("\\boxed{" + "9" * 5000 + "}", "42"),
]
BAD = None  # in a host's list: leave the sample out


def expected(case: Case, left_out: Any) -> float | None:
    graded = grade(case.response, case.reference, case.facts)
    return left_out if graded.outcome is Outcome.BAD_REFERENCE else graded.score


def columns(cases: Sequence[Case], reference: str) -> dict[str, list[Any]]:
    names = sorted({name for case in cases for name in case.facts})
    facts = {name: [case.facts.get(name) for case in cases] for name in names}
    return {reference: [case.reference for case in cases], **facts}


def label(case: Case) -> Any:
    return {"answer": case.reference, **case.facts} if case.facts else case.reference


def chat(response: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": response}]


def by_trl(cases):
    return CorrectnessReward()(
        prompts=["?"] * len(cases),
        completions=[case.response for case in cases],
        completion_ids=[[1]] * len(cases),
        trainer_state=object(),
        **columns(cases, "solution"),
    )


def by_open_r1(cases):
    completions = [chat(case.response) for case in cases]
    return open_r1.accuracy_reward(completions=completions, **columns(cases, "solution"))


def by_ms_swift(cases):
    return ms_swift.CorrectnessORM(args=object())(
        [case.response for case in cases],
        trainer_state=object(),
        messages=[chat(case.response) for case in cases],
        is_truncated=[False] * len(cases),
        response_token_ids=[[[1]]] * len(cases),
        **columns(cases, "solution"),
    )


def inputs_of_easyr1(cases):
    return [
        {"response": case.response, "response_length": 9, "ground_truth": label(case)}
        for case in cases
    ]


def by_easyr1(cases):
    return [score["overall"] for score in easyr1.compute_score(inputs_of_easyr1(cases))]


def by_easyr1_sequential(cases):
    return [easyr1.compute_score(each)["overall"] for each in inputs_of_easyr1(cases)]


PROMPT = "<|im_start|>user\n\\boxed{42}<|im_end|>\n<|im_start|>assistant\n"


def by_openrlhf(cases):
    queries = [PROMPT + case.response + "<|im_end|>" for case in cases]
    labels = [label(case) for case in cases]
    return openrlhf.reward_func(queries, [PROMPT] * len(cases), labels)["rewards"].tolist()


def by_mm_eureka(cases):
    queries = [PROMPT + case.response + "<|im_end|>" for case in cases]
    labels = [label(case) for case in cases]
    return mm_eureka.reward_func(queries, ["[]"] * len(cases), labels)["rewards"].tolist()


def sample_of(case, status="completed"):
    return SimpleNamespace(
        response=case.response,
        label=case.reference,
        metadata=case.facts,
        status=SimpleNamespace(value=status),
    )


def by_slime(cases, **arguments):
    args = SimpleNamespace(**arguments)
    return [asyncio.run(slime.reward(args, sample_of(case), extra=1)) for case in cases]


def by_slime_group(cases):
    return asyncio.run(slime.reward(SimpleNamespace(), [sample_of(case) for case in cases]))


def by_areal(cases):
    return [
        areal.reward_fn(
            "?", case.response, [1], [5], messages=[], answer=case.reference, **case.facts
        )
        for case in cases
    ]


def by_rubric(cases):
    reward = verifiers.RubricReward()
    calls = [
        reward(
            prompt="?",
            completion=chat(case.response),
            answer=case.reference,
            info=case.facts,
            state={"is_truncated": False},
            parser=object(),
            task=None,
        )
        for case in cases
    ]
    return [asyncio.run(call) for call in calls]


def by_trace(cases):
    return [
        asyncio.run(
            verifiers.reward(
                SimpleNamespace(prompt="?", answer=case.reference, **case.facts),
                SimpleNamespace(last_reply=case.response, is_truncated=False),
            )
        )
        for case in cases
    ]


def by_nemo_vlm(cases):
    return [nemo_rl.vlm_reward(label(case), case.response)[0] for case in cases]


@pytest.mark.parametrize(
    ("score", "left_out"),
    [
        (by_trl, BAD),
        (by_open_r1, BAD),
        (by_ms_swift, BAD),
        (by_easyr1, 0.0),
        (by_easyr1_sequential, 0.0),
        (by_openrlhf, 0.0),
        (by_mm_eureka, 0.0),
        (by_slime, 0.0),
        (by_slime_group, 0.0),
        (by_areal, 0.0),
        (by_rubric, 0.0),
        (by_trace, 0.0),
        (by_nemo_vlm, 0.0),
    ],
)
def test_a_row_gets_the_same_score_from_every_host(score, left_out):
    scores = score(CASES)
    assert scores == [expected(case, left_out) for case in CASES]
    assert {type(one) for one in scores} <= {float, type(None)}
    assert {0.0, 1.0} <= set(scores)


SETTINGS: dict[str, Callable[..., Any]] = {
    "trl": lambda **s: CorrectnessReward(**s)(["<answer>4</answer>"], answer=["4"])[0],
    "easyr1": lambda **s: easyr1.compute_score(
        {"response": "<answer>4</answer>", "ground_truth": "4"}, **s
    )["overall"],
    "openrlhf": lambda **s: openrlhf.score(["Q<answer>4</answer>"], ["Q"], ["4"], **s)[
        "scores"
    ].item(),
    "mm_eureka": lambda **s: mm_eureka.score(["Q<answer>4</answer>"], ["Q"], ["4"], **s)[
        "rewards"
    ].item(),
    "slime": lambda **s: by_slime([Case("<answer>4</answer>", "4")], ovr=s)[0],
    "areal": lambda **s: areal.CorrectnessReward(**s)("?", "<answer>4</answer>", answer="4"),
    "rubric": lambda **s: asyncio.run(
        verifiers.RubricReward(**s)(completion="<answer>4</answer>", answer="4")
    ),
    "trace": lambda **s: asyncio.run(
        verifiers.TraceReward(**s)(
            SimpleNamespace(answer="4"),
            SimpleNamespace(last_reply="<answer>4</answer>", is_truncated=False),
        )
    ),
    "nemo_rl": lambda **s: nemo_rl.vlm_reward("4", "<answer>4</answer>", **s)[0],
    "nemo_rl environment": lambda **s: (
        nemo_rl.OVREnvironment({"num_workers": 2, **s})
        .grader.grade("<answer>4</answer>", {"answer": "4"})
        .score
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_host_takes_the_same_settings_and_names_wrong_ones(name):
    score = SETTINGS[name]
    assert [score(), score(answer_tags=True)] == [0.0, 1.0]
    with pytest.raises(ValueError, match=r"no key answer_tag; there are .*answer_tags"):
        score(answer_tag=True)


NONE_OR_A_NUMBER: dict[str, Callable[[Any], Any]] = {
    "trl": lambda completion: CorrectnessReward()([completion], answer=["4"]),
    "ms_swift": lambda completion: ms_swift.CorrectnessORM()([completion], answer=["4"]),
    "easyr1": lambda c: easyr1.compute_score([{"response": c, "ground_truth": "4"}]),
    "openrlhf": lambda completion: openrlhf.reward_func([completion], ["?"], ["4"]),
    "slime": lambda completion: by_slime([Case(completion, "4")]),
    "areal": lambda completion: areal.reward_fn("?", completion, answer="4"),
    "rubric": lambda c: asyncio.run(verifiers.RubricReward()(completion=c, answer="4")),
    "nemo_rl": lambda completion: nemo_rl.vlm_reward("4", completion),
}


@pytest.mark.parametrize("name", NONE_OR_A_NUMBER)
@pytest.mark.parametrize("completion", [None, 4])
def test_a_completion_that_is_none_is_an_error_everywhere(name, completion):
    with pytest.raises(TypeError, match=r"must be a text|must have a role"):
        NONE_OR_A_NUMBER[name](completion)


# -- what only some hosts say, or have


def test_trl_knows_cut_off_responses_by_their_last_token():
    reward = CorrectnessReward(eos_token_id=[2, 3], max_completion_length=4)
    ids = [[1, 2], [1, 1, 1, 3], [1, 1, 1, 1], [1, 1]]
    scores = reward([r"\boxed{4}"] * 4, completion_ids=ids, answer=["4"] * 4)
    assert scores == [1.0, 1.0, 0.0, 1.0]
    assert CorrectnessReward()([r"\boxed{4}"], completion_ids=[[1]], answer=["4"]) == [1.0]


def test_trl_is_told_every_outcome():
    seen: dict[str, Any] = {}
    CorrectnessReward()(
        [r"\boxed{4}", r"\boxed{5}", "?", r"\boxed{4}"],
        answer=["4", "4", "4", None],
        log_extra=seen.__setitem__,
        log_metric=seen.__setitem__,
    )
    assert seen["ovr_outcome"] == ["correct", "wrong", "no_answer", "bad_reference"]
    assert seen["ovr_answer"] == ["4", "5", "", "4"]
    assert {key: seen[f"ovr/{key}"] for key in ("correct", "bad_reference", "timeout")} == {
        "correct": 0.25,
        "bad_reference": 0.25,
        "timeout": 0.0,
    }


@pytest.mark.parametrize(
    "reward",
    [
        CorrectnessReward("gold", eos_token_id=2, name="mine", answer_tags=True),
        open_r1.accuracy_reward,
        areal.CorrectnessReward(eos_token_id=2, max_new_tokens=9),
        verifiers.RubricReward(),
        openrlhf.reward_func,
        mm_eureka.reward_func,
    ],
)
def test_rewards_can_be_sent_to_other_processes(reward):
    copy = pickle.loads(pickle.dumps(reward))  # noqa: S301
    assert getattr(copy, "__name__", "") == getattr(reward, "__name__", "")
    assert vars(copy) == vars(reward)


def test_a_group_of_one_bad_reference_says_which_column_is_missing():
    with pytest.raises(ValueError, match="among prompts, target; name yours with reference="):
        CorrectnessReward()([r"\boxed{4}"], prompts=["?"], target=["4"])
    assert CorrectnessReward("target")([r"\boxed{4}"], prompts=["?"], target=["4"]) == [1.0]


@pytest.mark.parametrize(
    "said", [{"is_truncated": [True, False]}, {"finish_reason": ["length", "stop"]}]
)
def test_ms_swift_says_which_were_cut_off(said):
    assert ms_swift.CorrectnessORM()([r"\boxed{4}"] * 2, answer=["4", "4"], **said) == [0.0, 1.0]


def test_ms_swift_must_be_there_to_be_registered_with():
    with pytest.raises(ImportError, match="swift"):
        ms_swift.register()


def test_easyr1_knows_cut_off_responses_by_their_length():
    inputs = [
        {"response": r"\boxed{4}", "response_length": n, "ground_truth": "4"} for n in (7, 8, 9)
    ]
    scored = easyr1.compute_score(inputs, max_response_length=8)
    assert [score["overall"] for score in scored] == [1.0, 0.0, 0.0]
    assert [score["truncated"] for score in scored] == [0.0, 1.0, 1.0]
    assert len({tuple(score) for score in scored}) == 1, (
        "EasyR1 wants the same keys of every sample"
    )
    assert {type(value) for score in scored for value in score.values()} == {float}


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        (["4"], TypeError, "input 0 must be a mapping, not a str"),
        ([{"response": "4", "ground_truth": "4"}, {}], ValueError, "1 has no response, ground_tr"),
        ({"response": "4"}, ValueError, "input 0 has no ground_truth"),
    ],
)
def test_easyr1_inputs_that_are_none_are_named(inputs, error, said):
    with pytest.raises(error, match=said):
        easyr1.compute_score(inputs)


@pytest.mark.parametrize("module", [easyr1, openrlhf, mm_eureka])
def test_adapters_that_hosts_load_by_path_say_where_they_are_and_load(module):
    done = subprocess.run(
        [sys.executable, "-m", module.__name__], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == module.__file__
    spec = importlib.util.spec_from_file_location("custom", done.stdout.strip())
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert callable(getattr(loaded, "reward_func", None) or loaded.compute_score)


def test_openrlhf_logs_every_outcome_as_a_tensor():
    import torch

    scored = openrlhf.reward_func(["Q\\boxed{4}", "Q"], ["Q", "Q"], ["4", None])
    assert set(scored) == {"rewards", "scores", "extra_logs"}
    assert scored["extra_logs"]["bad_reference"].tolist() == [0.0, 1.0]
    assert set(scored["extra_logs"]) == {outcome.value for outcome in Outcome}
    eureka = mm_eureka.reward_func(["Q\\boxed{4}", "Q"], ["Q", "Q"], ["4", None])
    for tensor in (*eureka.values(), scored["rewards"], *scored["extra_logs"].values()):
        assert (tensor.shape, tensor.dtype) == ((2,), torch.float32)
    assert eureka["accuracy_rewards"].tolist() == [1.0, 0.0]


def test_end_tokens_are_no_part_of_an_answer_without_a_box():
    response = "The answer is 42<｜end▁of▁sentence｜>" + 3 * "<pad>"  # noqa: RUF001 (DeepSeek's own)
    query = PROMPT + response
    assert openrlhf.score([query], [PROMPT], ["42"], unboxed=True)["rewards"].tolist() == [1.0]
    reward = areal.CorrectnessReward(unboxed=True)
    assert reward("?", response, answer="42") == 1.0
    inputs = {"response": response, "ground_truth": "42"}
    assert easyr1.compute_score(inputs, unboxed=True)["overall"] == 1.0


def test_openrlhf_columns_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="2 queries have 1 prompts and 2 labels"):
        openrlhf.reward_func(["Qa", "Qb"], ["Q"], ["4", "4"])


@pytest.mark.parametrize("status", ["truncated", "aborted"])
def test_slime_says_which_were_cut_off(status):
    score = partial(slime.reward, SimpleNamespace(reward_key="score"))
    scored = asyncio.run(score(sample_of(Case(r"\boxed{4}", "4"), status)))
    assert (scored["score"], scored["outcome"]) == (0.0, "truncated")
    failed = asyncio.run(score(sample_of(Case(r"\boxed{4}", "4"), "failed")))
    assert failed["score"] == 1.0


def test_slime_metadata_may_be_missing_or_json():
    sample = sample_of(Case(r"\boxed{4}", "4"))
    for metadata in (None, "", "{", [1]):
        sample.metadata = metadata
        assert asyncio.run(slime.reward(SimpleNamespace(), sample)) == 1.0
    sample.metadata = json.dumps({"truncated": True})
    assert asyncio.run(slime.reward(SimpleNamespace(), sample)) == 0.0


def test_areal_knows_cut_off_responses_by_their_last_token():
    reward = areal.CorrectnessReward(eos_token_id=2, max_new_tokens=2)
    scores = [
        reward("?", r"\boxed{4}<|im_end|>", [1], ids, answer="4") for ids in ([5, 2], [5, 5], [5])
    ]
    assert scores == [1.0, 0.0, 1.0]


def test_verifiers_say_which_were_cut_off():
    reward = verifiers.RubricReward()
    state = {"is_truncated": True}
    call = reward(completion=chat(r"\boxed{4}"), answer="4", state=state)
    assert asyncio.run(call) == 0.0
    task = SimpleNamespace(answer="4")
    trace = SimpleNamespace(last_reply=r"\boxed{4}", is_truncated=True)
    assert asyncio.run(verifiers.reward(task, trace)) == 0.0
    outcome = asyncio.run(verifiers.outcome(task, trace))
    assert {name for name, flag in outcome.items() if flag} == {"ovr/truncated"}


def test_a_task_without_a_reference_is_an_error():
    trace = SimpleNamespace(last_reply=r"\boxed{4}", is_truncated=False)
    with pytest.raises(ValueError, match="no reference: there is no column"):
        asyncio.run(verifiers.reward(SimpleNamespace(prompt="?"), trace))


def test_nemo_rl_has_no_other_lazy_names():
    with pytest.raises(AttributeError, match="has no attribute 'OVR'"):
        nemo_rl.OVR  # noqa: B018 (it has to raise)


def test_open_r1_runs_its_script_with_our_reward(tmp_path, run_python):
    """`python -m ovr_plugin.adapters.open_r1 ARGV` is Open R1's own script, but for the reward."""
    package = tmp_path / "open_r1"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "rewards.py").write_text(
        "def accuracy_reward(completions, solution, **kwargs): return [0.0] * len(completions)\n"
        "def get_reward_funcs(names): return [{'accuracy': accuracy_reward}[n] for n in names]\n"
    )
    (package / "grpo.py").write_text(
        "import sys\nfrom open_r1.rewards import get_reward_funcs\n"
        "if __name__ == '__main__':\n"
        "    [reward] = get_reward_funcs(['accuracy'])\n"
        "    text = [{'role': 'assistant', 'content': chr(92) + 'boxed{4}'}]\n"
        "    print(sys.argv[1:], reward(completions=[text], solution=['4']))\n"
    )
    code = (
        "import runpy, sys; sys.argv = ['open_r1', '--config', 'c.yaml']; "
        "runpy.run_module('ovr_plugin.adapters.open_r1', run_name='__main__', alter_sys=True)"
    )
    done = run_python(code, PYTHONPATH=str(tmp_path))
    assert done.stdout.strip() == "['--config', 'c.yaml'] [1.0]", done.stderr
