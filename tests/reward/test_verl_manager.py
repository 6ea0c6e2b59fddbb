"""The trainer's side: loaded by verl's own loader, on rows as the agent loop makes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

from ovr_plugin.reward.verl_manager import OVRRewardManager, Settings

KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason", "modality"]


def config(model_dir: Path, **reward: Any) -> Any:
    return OmegaConf.create(
        {
            "actor_rollout_ref": {"model": {"path": str(model_dir)}},
            "reward": {
                "reward_manager": {
                    "source": "importlib",
                    "name": "OVRRewardManager",
                    "module": {"path": "pkg://ovr_plugin.reward.verl_manager"},
                }
            },
            "ovr": {"reward": reward},
        }
    )


@pytest.fixture(scope="module")
def manager(tiny_model_dir: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    manager = load_reward_manager(config(tiny_model_dir, timeout_s=20), tokenizer)
    assert type(manager) is OVRRewardManager
    yield manager
    manager.pool.close()


def row(
    manager: Any, text: str, end: str = "<|im_end|>", n_padding: int = 0, **fields: Any
) -> DataProto:
    ids = manager.tokenizer.encode(text) + manager.tokenizer.convert_tokens_to_ids(
        [end] if end else []
    )
    prompts = torch.tensor([[0, 0, 7, 8]])
    responses = torch.tensor([ids + [0] * n_padding])
    mask = torch.tensor([[0, 0, 1, 1] + [1] * len(ids) + [0] * n_padding])
    batch = {"prompts": prompts, "responses": responses, "attention_mask": mask}
    fields = {"reward_model": {"ground_truth": "x+1"}, "extra_info": None, **fields}
    return DataProto(
        batch=TensorDict(batch, batch_size=1),
        non_tensor_batch={key: np.array([value], dtype=object) for key, value in fields.items()},
    )


def graded(manager: Any, data: DataProto) -> dict[str, Any]:
    result = asyncio.run(manager.run_single(data))
    assert set(result) == {"reward_score", "reward_extra_info"}
    assert list(result["reward_extra_info"]) == KEYS
    assert result["reward_score"] == result["reward_extra_info"]["score"]
    return result["reward_extra_info"]


@pytest.mark.parametrize(
    ("text", "options", "outcome"),
    [
        (r"<think>2</think> \boxed{1+x}", {}, "correct"),
        (r"<think>2</think> \boxed{1+x}", {"n_padding": 5}, "correct"),
        (r"\boxed{1+x}", {"end": "<|endoftext|>"}, "correct"),  # generation_config's second end
        (r"\boxed{2+x}", {}, "wrong"),
        (r"\boxed{1+x}", {"end": ""}, "truncated"),
        (r"\boxed{1+x}", {"end": "", "n_padding": 3}, "truncated"),
        ("", {"end": ""}, "truncated"),
        (r"\boxed{1+x}", {"tool_extra_fields": {"truncated": True}}, "truncated"),
        (r"\boxed{1+x}", {"end": "", "tool_extra_fields": {"truncated": False}}, "correct"),
        (r"\boxed{1+x}", {"end": "", "tool_extra_fields": {}}, "truncated"),
        (r"\boxed{1+x}", {"extra_info": {"truncated": True}}, "truncated"),
        (
            r"\boxed{B}",
            {"extra_info": {"choices": np.array(["x", "x+1"], dtype=object)}},
            "correct",
        ),
        (r"\boxed{1+x}", {"reward_model": {"ground_truth": None}}, "bad_reference"),
        (r"\boxed{1+x}", {"reward_model": None}, "bad_reference"),
        (r"\boxed{1<|im_end|>+x}", {}, "correct"),
    ],
)
def test_rows(manager: Any, text: str, options: dict[str, Any], outcome: str) -> None:
    assert graded(manager, row(manager, text, **options))["outcome"] == outcome


def test_the_modality_goes_through(manager: Any) -> None:
    assert graded(manager, row(manager, "a"))["modality"] == ""
    assert (
        graded(manager, row(manager, "a", extra_info={"modality": "image"}))["modality"] == "image"
    )


def test_rows_are_graded_concurrently_on_one_loop(manager: Any) -> None:
    rows = [row(manager, rf"\boxed{{{1 + i % 2}+x+{i}-{i}}}") for i in range(16)]

    async def all_rows() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(manager.run_single(data) for data in rows)))

    assert [result["reward_score"] for result in asyncio.run(all_rows())] == [1.0, 0.0] * 8


def test_settings_reach_the_pool(tiny_model_dir: Path) -> None:
    block = config(tiny_model_dir, timeout_s=2.5, n_workers=3, max_answer_chars=10)
    manager = OVRRewardManager(block, AutoTokenizer.from_pretrained(tiny_model_dir))
    assert (manager.pool.timeout_s, manager.pool.n_workers) == (2.5, 3)
    assert graded(manager, row(manager, r"\boxed{1+x+0+0+0+0}"))["outcome"] == "too_long"
    manager.pool.close()


@pytest.mark.parametrize("block", [{}, {"ovr": None}, {"ovr": {}}, {"ovr": {"reward": None}}])
def test_settings_are_optional(block: dict[str, Any]) -> None:
    assert Settings.of(OmegaConf.create(block)) == Settings()


def test_a_wrong_setting_is_named() -> None:
    wrong = OmegaConf.create({"ovr": {"reward": {"time_out": 3, "timeout_s": 3}}})
    with pytest.raises(
        ValueError, match="no key time_out; it has timeout_s, max_answer_chars, n_w"
    ):
        Settings.of(wrong)
    with pytest.raises(ValueError, match=r"ovr\.reward\.timeout_s must be positive"):
        Settings.of(OmegaConf.create({"ovr": {"reward": {"timeout_s": 0}}}))
