"""The reward loop's manager, from a shipped recipe through veRL's own worker and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.trainer.ppo.metric_utils import process_validation_metrics

from ovr_plugin.reward.verl_manager import OVRRewardManager, read_settings

KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason", "modality", "row_id"]
LONG = "and so we look at it once more " * 200


def worker_of(model: Path, *overrides: str) -> RewardLoopWorker:
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(
            "ppo_trainer",
            overrides=["+ovr=ppo_tiny", f"actor_rollout_ref.model.path={model}", *overrides],
        )
    return RewardLoopWorker(config)


@pytest.fixture(scope="module")
def worker(tiny_model_dir: Path) -> Iterator[RewardLoopWorker]:
    worker = worker_of(tiny_model_dir, "ovr.reward.timeout_s=20")
    yield worker
    worker.reward_manager.pool.close()


def row(
    worker: RewardLoopWorker, text: str, end: str = "<|im_end|>", n_padding: int = 0, **fields: Any
) -> DataProto:
    """A row as veRL's agent loop makes it; a field that is None is there, `...` leaves it out."""
    tokenizer = worker.input_tokenizer
    ids = tokenizer.encode(text) + tokenizer.convert_tokens_to_ids([end] if end else [])
    batch = {
        "prompts": torch.tensor([[0, 0, 7, 8]]),
        "responses": torch.tensor([ids + [0] * n_padding]),
        "attention_mask": torch.tensor([[0, 0, 1, 1] + [1] * len(ids) + [0] * n_padding]),
    }
    given = {
        "data_source": "orz",
        "reward_model": {"ground_truth": "x+1", "style": "rule"},
        "extra_info": None,
        "response_len": len(ids),
        **fields,
    }
    columns = {key: np.array([value]) for key, value in given.items() if value is not ...}
    return DataProto(batch=TensorDict(batch, batch_size=1), non_tensor_batch=columns)


def graded(worker: RewardLoopWorker, data: DataProto) -> dict[str, Any]:
    result = asyncio.run(worker.compute_score(data))
    assert set(result) == {"reward_score", "reward_extra_info"}
    info = result["reward_extra_info"]
    assert list(info) == KEYS
    assert result["reward_score"] == info["score"] == info["acc"] in (0.0, 1.0)
    json.dumps(result)
    return info


def test_the_recipe_names_our_manager(worker: RewardLoopWorker) -> None:
    assert type(worker.reward_manager) is OVRRewardManager
    assert worker.reward_manager.pool.timeout_s == 20


@pytest.mark.parametrize("without_length", [{}, {"response_len": ...}])
@pytest.mark.parametrize(
    ("text", "fields", "outcome"),
    [
        (r"<think>2</think> \boxed{1+x}", {}, "correct"),
        (r"<think>2</think> \boxed{1+x}", {"n_padding": 5}, "correct"),
        (LONG + r"\boxed{1+x}", {"n_padding": 5}, "correct"),
        ("<think>" + LONG + r"\boxed{1+x}", {}, "no_answer"),
        (r"\boxed{1+x}", {"end": "<|endoftext|>"}, "correct"),  # generation_config's second end
        (r"\boxed{2+x}", {}, "wrong"),
        (r"\boxed{1<|im_end|>+x}", {}, "correct"),  # special tokens are text
        (r"\boxed{1+x}", {"reward_model": {"ground_truth": None}}, "bad_reference"),
        (r"\boxed{1+x}", {"reward_model": {}}, "bad_reference"),
        (r"\boxed{1+x}", {"reward_model": None}, "bad_reference"),
        (r"\boxed{1+x}", {"reward_model": ...}, "bad_reference"),
    ],
)
def test_responses(
    worker: RewardLoopWorker,
    text: str,
    fields: dict[str, Any],
    outcome: str,
    without_length: dict[str, Any],
) -> None:
    assert graded(worker, row(worker, text, **fields, **without_length))["outcome"] == outcome


@pytest.mark.parametrize(
    ("end", "fields", "truncated"),
    [
        ("", {}, True),
        ("", {"n_padding": 3}, True),
        ("", {"tool_extra_fields": {}}, True),
        ("", {"tool_extra_fields": {"truncated": False}}, False),  # ended by a stop string, say
        ("", {"extra_info": {"truncated": np.bool_(False)}}, False),
        ("<|im_end|>", {}, False),
        ("<|im_end|>", {"extra_info": {"truncated": True}}, True),
        ("<|im_end|>", {"tool_extra_fields": {"truncated": True}}, True),
        (
            "<|im_end|>",
            {"tool_extra_fields": {"truncated": True}, "extra_info": {"truncated": False}},
            True,  # the agent loop knows this response, the row does not
        ),
        ("<|im_end|>", {"extra_info": {"truncated": None}, "tool_extra_fields": None}, False),
    ],
)
def test_truncated_responses_score_nothing(
    worker: RewardLoopWorker, end: str, fields: dict[str, Any], truncated: bool
) -> None:
    info = graded(worker, row(worker, r"\boxed{1+x}", end=end, **fields))
    expected = ("truncated", 1.0, "", 0.0) if truncated else ("correct", 0.0, "1+x", 1.0)
    assert (info["outcome"], info["truncated"], info["pred"], info["score"]) == expected


def test_an_empty_response_is_a_truncated_one(worker: RewardLoopWorker) -> None:
    assert graded(worker, row(worker, "", end=""))["outcome"] == "truncated"


@pytest.mark.parametrize(
    ("answer", "reference", "extra", "outcome"),
    [
        ("B", "x+1", {"choices": np.array(["x", "x+1"], dtype=object)}, "correct"),
        ("A", "x+1", {"choices": np.array(["x", "x+1"], dtype=object)}, "wrong"),
        ("102", "100", {"tolerance": np.float64(0.05)}, "correct"),
        ("102", "100", {"tolerance": {"relative": None, "absolute": 1.0}}, "wrong"),
        ("102", "100", {"tolerance": None, "choices": None, "answer_type": None}, "wrong"),
        ("yes", "yes", {"answer_type": np.str_("yes_no")}, "correct"),
        ("yes", "yes", {"answer_type": "vibes"}, "bad_reference"),
        ("5 cm", "5", {"unit": "cm"}, "correct"),
        ("7", np.int64(7), {"index": np.int64(3)}, "correct"),
        ("7", np.array(["7"]), {}, "correct"),
    ],
)
def test_what_a_row_knows_reaches_the_grader(
    worker: RewardLoopWorker, answer: str, reference: Any, extra: dict[str, Any], outcome: str
) -> None:
    data = row(
        worker,
        rf"\boxed{{{answer}}}",
        reward_model={"ground_truth": reference},
        extra_info=extra,
    )
    assert graded(worker, data)["outcome"] == outcome


def test_sources_have_defaults(tiny_model_dir: Path) -> None:
    overrides = (
        "+ovr.reward.sources.chartqa.tolerance=0.05",
        "ovr.reward.answer_tags=true",
        "ovr.reward.max_answer_chars=10",
        "ovr.reward.n_workers=3",
    )
    worker = worker_of(tiny_model_dir, *overrides)
    assert worker.reward_manager.pool.n_workers == 3
    hundred = {"reward_model": {"ground_truth": "100"}}
    for text, source, outcome in (
        (r"\boxed{103}", "chartqa", "correct"),
        (r"\boxed{103}", "orz", "wrong"),
        ("<answer>100</answer>", "orz", "correct"),
        (r"\boxed{100+0+0+0+0}", "orz", "too_long"),
    ):
        data = row(worker, text, data_source=source, **hundred)
        assert graded(worker, data)["outcome"] == outcome
    worker.reward_manager.pool.close()


def test_mixed_rows_are_graded_together_and_have_the_same_keys(worker: RewardLoopWorker) -> None:
    """veRL takes the keys of a batch from its first row."""
    text = {"extra_info": {"modality": "text", "choices": None, "unit": None}}
    image = {"extra_info": {"modality": "image", "choices": ["x", "x+1"]}}
    rows = [
        row(worker, rf"\boxed{{{1 + i % 2}+x+{i}-{i}}}", **(image if i % 4 > 1 else text))
        for i in range(8)
    ]
    rows.append(row(worker, LONG, end=""))
    rows = [*rows, row(worker, r"\boxed{1}", reward_model=None, extra_info={})]

    async def all_rows() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(worker.compute_score(data) for data in rows)))

    results = asyncio.run(all_rows())
    assert [result["reward_score"] for result in results] == [1.0, 0.0] * 4 + [0.0, 0.0]
    infos = [result["reward_extra_info"] for result in results]
    assert [info["modality"] for info in infos] == ["text", "text", "image", "image"] * 2 + ["", ""]
    assert {tuple(info) for info in infos} == {tuple(KEYS)}
    for key in KEYS:
        column = np.array([info[key] for info in infos])
        assert column.dtype.kind in "fU"
        assert column.shape == (10,)


def test_of_several_sequences_the_last_is_graded(worker: RewardLoopWorker) -> None:
    """veRL pads each tensor of such a trajectory to the right, a mask behind a shorter prompt too.

    The mask then covers other columns than the response stands in: its length is what counts.
    """
    prompts = [[7, 8, 9, 7, 8], [7, 8]]
    responses = [worker.input_tokenizer.encode(text) for text in (LONG, r"so \boxed{1+x}")]
    masks = [[1] * (len(p) + len(r)) for p, r in zip(prompts, responses, strict=True)]

    def padded(rows: list[list[int]]) -> torch.Tensor:
        width = max(map(len, rows))
        return torch.tensor([row + [0] * (width - len(row)) for row in rows])

    columns: dict[str, list[Any]] = {
        "data_source": ["orz"] * 2,
        "reward_model": [{"ground_truth": "x+1"}] * 2,
        "tool_extra_fields": [{"truncated": True}, {"truncated": False}],
        "response_len": [len(ids) for ids in responses],
    }
    batch = {
        "prompts": padded(prompts),
        "responses": padded(responses),
        "attention_mask": padded(masks),
    }
    data = DataProto(
        batch=TensorDict(batch, batch_size=2),
        non_tensor_batch={key: np.array(values) for key, values in columns.items()},
    )
    assert graded(worker, data)["pred"] == "1+x"


def test_validation_gets_mean_and_majority(worker: RewardLoopWorker) -> None:
    """Four responses to one prompt: two right, one wrong and one that was cut at its right answer.

    Of four, mean@4 is 1/2. The right answer has the most votes, wherever the cut one stands.
    """
    texts = [
        (r"\boxed{x+1}", ""),
        (r"\boxed{x+1}", "<|im_end|>"),
        (r"\boxed{x+2}", "<|im_end|>"),
        (r"\boxed{x+1}", "<|im_end|>"),
    ]
    infos = [graded(worker, row(worker, text, end)) for text, end in texts]
    columns = {key: [info[key] for info in infos] for key in KEYS}
    columns["reward"] = columns["score"]
    metrics = process_validation_metrics(["orz"] * 4, ["prompt"] * 4, columns)["orz"]
    assert set(metrics) == {"acc", "score", "truncated", "reward"}  # the numbers
    assert metrics["acc"]["mean@4"] == 0.5
    assert metrics["truncated"]["mean@4"] == 0.25
    assert {"maj@2/mean", "maj@4/mean", "best@4/mean"} <= set(metrics["acc"])
    votes = [info["pred"] for info in infos]
    assert votes == ["", "x+1", "x+2", "x+1"]
    scores_by_vote: dict[str, set[float]] = {}
    for info in infos:
        scores_by_vote.setdefault(info["pred"], set()).add(info["acc"])
    assert all(len(scores) == 1 for scores in scores_by_vote.values())


@pytest.mark.parametrize("block", [{}, {"ovr": None}, {"ovr": {}}, {"ovr": {"reward": None}}])
def test_the_block_is_optional(block: dict[str, Any]) -> None:
    assert read_settings(OmegaConf.create(block)) == read_settings(OmegaConf.create({}))


def test_everything_wrong_is_named_at_the_start(tiny_model_dir: Path) -> None:
    wrong = (
        "ovr.reward.timeout_s=0",
        "+ovr.reward.time_out=3",
        "ovr.reward.answer_tags=maybe",
        "+ovr.reward.sources.chartqa.tolerance=-1",
        "reward.custom_reward_function.path=pkg://ovr_plugin.reward",
    )
    with pytest.raises(ValueError, match=r"ovr\.reward") as caught:
        worker_of(tiny_model_dir, *wrong)
    for part in (
        "no key time_out",
        "timeout_s must be a positive number of seconds, not 0",
        "answer_tags must be true or false, not 'maybe'",
        "sources.chartqa: tolerance must be",
        "reward.custom_reward_function.path is set, but OVRRewardManager grades by itself",
    ):
        assert part in str(caught.value)


def test_a_reward_model_in_our_place_is_refused() -> None:
    config = OmegaConf.create({"reward": {"reward_model": {"enable": True}}})
    with pytest.raises(ValueError, match="never ask OVRRewardManager"):
        read_settings(config)
