"""The function forms, called by veRL's own managers and by its ``main_eval``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_module
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.workers.reward_manager import get_reward_manager_cls

from ovr_plugin.reward import Pool, verl_functions
from ovr_plugin.reward.pool import Verdict
from ovr_plugin.reward.settings import Settings
from ovr_plugin.reward.verl_functions import (
    compute_accuracy,
    compute_score,
    compute_score_async,
    compute_score_batch,
)

PATH = "reward.custom_reward_function.path=pkg://ovr_plugin.reward.verl_functions"
KEYS = ["score", "acc", "outcome", "pred", "truncated", "reason"]
# response, reference, extra_info, outcome
ROWS: list[tuple[str, Any, dict[str, Any], str]] = [
    (r"so \boxed{1+x}", "x+1", {}, "correct"),
    (r"so \boxed{2+x}", "x+1", {}, "wrong"),
    ("so it is", "x+1", {}, "no_answer"),
    (r"so \boxed{1+x}", "x+1", {"truncated": True}, "truncated"),
    (r"so \boxed{B}", "x+1", {"choices": ["x", "x+1"]}, "correct"),
    (r"so \boxed{7}", 7, {"choices": None, "unit": None}, "correct"),
    (r"so \boxed{7}", None, {}, "bad_reference"),
]
OUTCOMES = [row[3] for row in ROWS]
SCORES = [float(outcome == "correct") for outcome in OUTCOMES]


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model_dir)


def config(model: Path, *overrides: str) -> Any:
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            overrides=[
                "+ovr=ppo_tiny",
                f"actor_rollout_ref.model.path={model}",
                "reward.reward_manager.source=register",
                *overrides,
            ],
        )


def batch(tokenizer: Any) -> DataProto:
    """`ROWS` as a padded batch, of a width that no response fills."""
    ids = [[*tokenizer.encode(row[0]), tokenizer.eos_token_id] for row in ROWS]
    width = max(map(len, ids)) + 2
    responses = torch.tensor([each + [0] * (width - len(each)) for each in ids])
    mask = torch.tensor([[1, 1] + [1] * len(each) + [0] * (width - len(each)) for each in ids])
    tensors = {
        "prompts": torch.full((len(ids), 2), 7),
        "responses": responses,
        "attention_mask": mask,
    }

    def column(values: list[Any]) -> np.ndarray:
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made

    return DataProto(
        batch=TensorDict(tensors, batch_size=len(ids)),
        non_tensor_batch={
            "data_source": column(["orz"] * len(ids)),
            "reward_model": column([{"ground_truth": row[1]} for row in ROWS]),
            "extra_info": column([dict(row[2]) for row in ROWS]),
        },
    )


@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
@pytest.mark.parametrize("manager", ["naive", "dapo", "rate_limited"])
def test_managers_of_the_reward_loop(
    tiny_model_dir: Path, tokenizer: Any, manager: str, name: str
) -> None:
    overrides = (
        PATH,
        f"reward.custom_reward_function.name={name}",
        f"reward.reward_manager.name={manager}",
    )
    worker = RewardLoopWorker(config(tiny_model_dir, *overrides))
    results = worker.loop.run_until_complete(worker.compute_score_batch(batch(tokenizer)))
    infos = [result["reward_extra_info"] for result in results]
    assert [info["outcome"] for info in infos] == OUTCOMES
    assert [result["reward_score"] for result in results] == SCORES
    assert [list(info)[: len(KEYS)] for info in infos] == [KEYS] * len(ROWS)


def test_settings_come_from_the_configuration(tiny_model_dir: Path) -> None:
    function = get_custom_reward_fn(
        config(
            tiny_model_dir,
            PATH,
            "+reward.custom_reward_function.reward_kwargs.answer_tags=true",
            "+reward.custom_reward_function.reward_kwargs.sources.quiz.answer_type=yes_no",
        )
    )
    row = ("quiz", "<answer>True</answer>", "yes")
    assert function(*row)["outcome"] == "correct"
    assert function("orz", *row[1:])["outcome"] == "wrong"
    assert compute_score(*row)["outcome"] == "no_answer"


@pytest.mark.parametrize("name", ["naive", "batch", "prime"])
def test_legacy_managers(tokenizer: Any, name: str) -> None:
    functions: dict[str, Callable[..., Any]] = {
        "naive": compute_score,
        "batch": compute_score_batch,
        "prime": compute_accuracy,
    }
    data = batch(tokenizer)
    manager = get_reward_manager_cls(name)(tokenizer, 0, functions[name])
    result = manager(data, return_dict=True)
    assert result["reward_tensor"].sum(dim=1).tolist() == SCORES
    lengths = data.batch["attention_mask"].sum(dim=1) - 2
    for i in (0, 4, 5):
        assert result["reward_tensor"][i, lengths[i] - 1] == 1.0
    if name != "prime":  # which hands on no more than the score
        assert result["reward_extra_info"]["outcome"] == OUTCOMES
        assert list(result["reward_extra_info"])[: len(KEYS)] == KEYS


def test_all_forms_agree() -> None:
    arguments = [("orz", response, reference, extra) for response, reference, extra, _ in ROWS]
    rows = [compute_score(*each) for each in arguments]
    assert [list(row) for row in rows] == [KEYS] * len(ROWS)
    assert [asyncio.run(compute_score_async(*each)) for each in arguments] == rows
    columns = [list(column) for column in zip(*arguments, strict=True)]
    assert compute_score_batch(*columns) == rows
    assert [compute_accuracy(*each) for each in arguments] == SCORES
    assert compute_score_batch([], [], [], []) == []


def test_the_asynchronous_form_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """While algebra is at work on one answer, others are graded on the same loop."""

    class BusyPool(Pool):
        async def check_async(self, *question: Any) -> Verdict:
            await text_is_graded.wait()
            return Verdict("timeout")

    async def both() -> list[str]:
        first = asyncio.create_task(compute_score_async("orz", r"\boxed{1+x}", "x+1", timeout_s=9))
        await asyncio.sleep(0)
        second = await compute_score_async("orz", r"\boxed{7}", "7", timeout_s=9)
        text_is_graded.set()
        return [second["outcome"], (await first)["outcome"]]

    text_is_graded = asyncio.Event()
    settings = Settings(timeout_s=9)
    monkeypatch.setattr(verl_functions, "_checked", [({"timeout_s": 9}, settings, BusyPool())])
    assert asyncio.run(both()) == ["correct", "timeout"]


def test_columns_of_different_lengths_are_named() -> None:
    with pytest.raises(ValueError, match="2 responses have 1 references, 3 data_sources"):
        compute_score_batch(["a"] * 3, ["x", "y"], ["z"])


@pytest.mark.parametrize("form", [compute_score, compute_accuracy, compute_score_batch])
def test_wrong_settings_are_named(form: Callable[..., Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^reward_kwargs: no key answer_tag; .* timeout_s must be"
    ):
        form("orz", "a", "b", answer_tag=True, timeout_s=-1)


def test_settings_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verl_functions, "_checked", [])
    for _ in range(3):
        assert compute_score("a", r"\boxed{1}", "1", timeout_s=7.0, n_workers=1)["acc"] == 1.0
    assert compute_score("a", r"\boxed{1}", "1", unboxed=True)["acc"] == 1.0
    [(_, settings, pool), (_, _, shared)] = verl_functions._checked
    assert pool is not None
    assert (settings.timeout_s, pool.timeout_s, pool.n_workers) == (7.0, 7.0, 1)
    assert shared is None  # the process's own pool serves
    pool.close()


def test_what_verl_adds_is_no_setting() -> None:
    row = compute_score(
        "a", r"\boxed{1}", "1", None, reward_router_address="x:1", reward_model_tokenizer=None
    )
    assert row["outcome"] == "correct"
    row = compute_score("a", r"\boxed{1}", "1", {"truncated": False}, truncated=True)
    assert row["outcome"] == "truncated"


@pytest.mark.process
def test_main_eval(run_python: Callable[..., Any], tmp_path: Path) -> None:
    """veRL's own module on a small file: it calls with three positions and takes the mean."""
    pd.DataFrame(
        {
            "data_source": ["orz", "orz", "quiz"],
            "responses": [
                [r"\boxed{1+x}", r"\boxed{x+2}"],
                [r"\boxed{4}", r"\boxed{5}"],
                ["<answer>B</answer>", r"\boxed{B}"],
            ],
            "reward_model": [{"ground_truth": each} for each in ("x+1", "4", "B")],
        }
    ).to_parquet(tmp_path / "generated.parquet")
    done = run_python(
        "import runpy, sys; sys.argv[0] = 'main_eval';"
        "runpy.run_module('verl.trainer.main_eval', run_name='__main__')",
        f"data.path={tmp_path / 'generated.parquet'}",
        "ray_kwargs.ray_init.num_cpus=1",
        "+ray_kwargs.ray_init.address=local",
        f"+{PATH}",
        "+reward.custom_reward_function.name=compute_accuracy",
        "+reward.custom_reward_function.reward_kwargs.answer_tags=true",
        cwd=tmp_path,
    )
    means = dict(re.findall(r"'test_score/(\w+)': (?:np\.float64\()?([\d.]+)", done.stdout))
    assert {key: float(value) for key, value in means.items()} == {"orz": 0.5, "quiz": 1.0}, (
        done.stderr[-2000:]
    )
