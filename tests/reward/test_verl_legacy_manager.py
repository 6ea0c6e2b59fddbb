"""The batch manager of ``verl.workers.reward_manager``, as trainers up to veRL 0.7.0 make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto
from verl.utils.import_utils import load_extern_object
from verl.workers.reward_manager import get_reward_manager_cls

from ovr_plugin.reward.verl_legacy_manager import OVRLegacyRewardManager

KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason"]
LONG = "and so we look at it once more " * 60
Make = Callable[..., OVRLegacyRewardManager]


@pytest.fixture(scope="module")
def make(tiny_model_dir: Path) -> Iterator[Make]:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    made = []

    def make(num_examine: int = 0, **settings: Any) -> OVRLegacyRewardManager:
        manager = get_reward_manager_cls("ovr")(
            tokenizer=tokenizer,
            num_examine=num_examine,
            compute_score=None,
            reward_fn_key="source",
            **settings,
        )
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.pool.close()


def batch(manager: OVRLegacyRewardManager, *rows: dict[str, Any]) -> DataProto:
    """Rows as veRL pads them: prompts to the left, responses to the right."""
    ids = [
        manager.tokenizer.encode(row["text"])
        + ([manager.tokenizer.eos_token_id] if row.get("ends", True) else [])
        for row in rows
    ]
    width = max(map(len, ids))
    tensors = {
        "prompts": torch.tensor([[0, 7]] * len(rows)),
        "responses": torch.tensor([each + [0] * (width - len(each)) for each in ids]),
        "attention_mask": torch.tensor(
            [[0, 1] + [1] * len(each) + [0] * (width - len(each)) for each in ids]
        ),
    }
    columns: dict[str, list[Any]] = {
        "source": [row.get("source", "orz") for row in rows],
        "reward_model": [{"ground_truth": row.get("reference", "x+1")} for row in rows],
        "extra_info": [row.get("extra_info") for row in rows],
    }
    return DataProto(
        batch=TensorDict(tensors, batch_size=len(rows)),
        non_tensor_batch={
            key: np.array([*values, None], dtype=object)[:-1] for key, values in columns.items()
        },
    )


def test_it_is_known_by_name_and_by_path(make: Make) -> None:
    path = "pkg://ovr_plugin.reward.verl_legacy_manager"
    assert load_extern_object(path, "OVRLegacyRewardManager") is OVRLegacyRewardManager
    assert type(make()) is OVRLegacyRewardManager


def test_rewards_stand_on_the_last_token(make: Make) -> None:
    manager = make()
    data = batch(
        manager,
        {"text": r"\boxed{1+x}"},
        {"text": LONG + r"\boxed{1+x}"},
        {"text": LONG + r"\boxed{2+x} so"},
        {"text": "<think>" + LONG},
        {"text": r"\boxed{B}", "extra_info": {"choices": ["x", "x+1"]}},
        {"text": r"\boxed{1}", "reference": None},
    )
    result = manager(data, return_dict=True)
    rewards, info = result["reward_tensor"], result["reward_extra_info"]
    assert list(info) == KEYS
    assert info["outcome"] == [
        *("correct", "correct", "wrong", "no_answer", "correct", "bad_reference"),
    ]
    last = data.batch["attention_mask"].sum(dim=1) - 2
    expected = torch.zeros_like(rewards)
    expected[torch.arange(6), last] = torch.tensor(info["score"])
    assert rewards.dtype == torch.float32
    assert rewards.sum() == 3
    assert torch.equal(rewards, expected)
    assert torch.equal(manager(data), rewards)


def test_truncation(make: Make) -> None:
    """Shorter than the batch's width is not cut, with whatever token it ends."""
    manager = make()
    data = batch(
        manager,
        {"text": LONG + r"\boxed{1+x}"},
        {"text": LONG + r"\boxed{1+x} ", "ends": False},
        {"text": r"\boxed{1+x}", "ends": False},
        {"text": r"\boxed{1+x}", "extra_info": {"truncated": np.bool_(True)}},
        {"text": LONG + r"\boxed{1+x} ", "ends": False, "extra_info": {"truncated": False}},
    )
    width = data.batch["responses"].shape[1]
    assert data.batch["attention_mask"].sum(dim=1).tolist()[:2] == [width + 1, width + 1]
    info = manager(data, return_dict=True)["reward_extra_info"]
    assert info["outcome"] == ["correct", "truncated", "correct", "truncated", "correct"]
    assert info["pred"] == ["1+x", "", "1+x", "", "1+x"]


def test_scores_that_are_there_are_kept(make: Make) -> None:
    manager = make()
    data = batch(manager, {"text": r"\boxed{1+x}"})
    scores = torch.full_like(data.batch["responses"], 0.25, dtype=torch.float32)
    data.batch["rm_scores"] = scores
    assert torch.equal(manager(data), scores)


def test_settings_are_keywords(make: Make) -> None:
    manager = make(answer_tags=True, n_workers=1, sources={"quiz": {"answer_type": "yes_no"}})
    assert manager.pool.n_workers == 1
    rows = [
        {"text": "<answer>True</answer>", "reference": "yes", "source": source}
        for source in ("quiz", "orz")
    ]
    info = manager(batch(manager, *rows), return_dict=True)["reward_extra_info"]
    assert info["outcome"] == ["correct", "wrong"]
    with pytest.raises(ValueError, match=r"^reward_kwargs: no key answer_tag; .*unboxed must"):
        make(answer_tag=True, unboxed=3)


def test_some_of_each_source_are_printed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    manager = make(num_examine=1)
    rows = [{"text": rf"\boxed{{{i}}}", "reference": "1", "source": "ab"[i // 2]} for i in range(4)]
    manager(batch(manager, *rows))
    printed = capsys.readouterr().out
    assert [rf"\boxed{{{i}}}" in printed for i in range(4)] == [True, False, True, False]
    assert "wrong" in printed
