"""An iteration's responses: numbers worked out by hand, rows as the transfer queue has them."""

from __future__ import annotations

import re
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transformers import AutoTokenizer
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from ovr_plugin.data.files import read_jsonl
from ovr_plugin.trainer.ppo_trainer import OVRTrainer
from ovr_plugin.trainer.rollout_rows import TOKENS, fetch_rows, kept_tokens, tq, write_dump
from ovr_plugin.trainer.rollouts import Rollout, rollout_metrics


def read_rollouts(batch, tokenizer, step):
    """What the trainer dumps of a batch, read back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dump.jsonl"
        write_dump(path, fetch_rows(batch, with_pictures=True), tokenizer, step)
        return [Rollout(**record) for record in read_jsonl(path)]


def rollout(modality, source, outcome, n_tokens, truncated=False, score=None, key="p_0_0"):
    return Rollout(
        step=1,
        key=key,
        data_source=source,
        modality=modality,
        row_id="",
        prompt="",
        response="",
        reference="",
        answer="",
        outcome=outcome,
        score=float(outcome == "correct") if score is None else score,
        truncated=truncated,
        n_prompt_tokens=3,
        n_response_tokens=n_tokens,
    )


MIXED = [
    rollout("text", "orz", "correct", 10, key="a_0_0"),
    rollout("text", "orz", "wrong", 20, key="a_1_0"),
    rollout("text", "toy_text", "correct", 60, key="b_c_0_0"),
    rollout("image", "puzzlevqa", "truncated", 100, truncated=True, key="d_0_0"),
]
PER_GROUP = ("no_answer", "pass_at_n", "all_right", "repetition", "reflection_words")


def test_means_by_modality_source_and_outcome():
    metrics = rollout_metrics(MIXED, n_padding=3)
    metrics = {key: v for key, v in metrics.items() if key.split("/")[1] not in PER_GROUP}
    assert metrics == pytest.approx(
        {
            "ovr/rows/padding": 3,
            "ovr/rows/all": 4,
            "ovr/rows/text": 3,
            "ovr/rows/image": 1,
            "ovr/rows/source/orz": 2,
            "ovr/rows/source/toy_text": 1,
            "ovr/rows/source/puzzlevqa": 1,
            "ovr/reward/all": 0.5,
            "ovr/reward/text": 2 / 3,
            "ovr/reward/image": 0.0,
            "ovr/reward/source/orz": 0.5,
            "ovr/reward/source/toy_text": 1.0,
            "ovr/reward/source/puzzlevqa": 0.0,
            "ovr/response_length/all": 47.5,
            "ovr/response_length/text": 30.0,
            "ovr/response_length/image": 100.0,
            "ovr/response_length/source/orz": 15.0,
            "ovr/response_length/source/toy_text": 60.0,
            "ovr/response_length/source/puzzlevqa": 100.0,
            "ovr/response_length/right": 35.0,
            "ovr/response_length/wrong": 60.0,
            "ovr/response_length/right/text": 35.0,
            "ovr/response_length/wrong/text": 20.0,
            "ovr/response_length/wrong/image": 100.0,
            "ovr/response_length/right/source/orz": 10.0,
            "ovr/response_length/wrong/source/orz": 20.0,
            "ovr/response_length/right/source/toy_text": 60.0,
            "ovr/response_length/wrong/source/puzzlevqa": 100.0,
            "ovr/truncated/all": 0.25,
            "ovr/truncated/text": 0.0,
            "ovr/truncated/image": 1.0,
            "ovr/truncated/source/orz": 0.0,
            "ovr/truncated/source/toy_text": 0.0,
            "ovr/truncated/source/puzzlevqa": 1.0,
            "ovr/outcome/correct": 2,
            "ovr/outcome/wrong": 1,
            "ovr/outcome/truncated": 1,
            "ovr/outcome_of/text/correct": 2,
            "ovr/outcome_of/text/wrong": 1,
            "ovr/outcome_of/image/truncated": 1,
            "ovr/outcome_of/source/orz/correct": 1,
            "ovr/outcome_of/source/orz/wrong": 1,
            "ovr/outcome_of/source/toy_text/correct": 1,
            "ovr/outcome_of/source/puzzlevqa/truncated": 1,
        }
    )


def test_prompts_are_counted_apart_from_their_samples():
    """Two prompts of four samples and one of two: right 4, 1 and 0 times."""
    outcomes = ["correct"] * 4 + ["wrong"] * 3 + ["correct"] + ["no_answer", "wrong"]
    prompts = ["a"] * 4 + ["b"] * 4 + ["c_d"] * 2
    group = [
        rollout("image", "orz", outcome, 5, key=f"{prompt}_{number}_0")
        for number, (prompt, outcome) in enumerate(zip(prompts, outcomes, strict=True))
    ]
    metrics = rollout_metrics(group)
    for name in ("all", "image", "source/orz"):
        assert metrics[f"ovr/pass_at_n/{name}"] == pytest.approx(2 / 3)
        assert metrics[f"ovr/all_right/{name}"] == pytest.approx(1 / 3)
        assert metrics[f"ovr/no_answer/{name}"] == pytest.approx(0.1)
        assert metrics[f"ovr/reward/{name}"] == pytest.approx(0.5)


def test_scores_of_the_text_are_means_of_each_group():
    group = [
        replace(MIXED[0], repetition=0.5, reflection_words=4),
        replace(MIXED[1], repetition=0.1, reflection_words=0),
        replace(MIXED[3], repetition=0.9, reflection_words=1),
    ]
    metrics = rollout_metrics(group)
    for name, repetition, words in (("all", 0.5, 5 / 3), ("text", 0.3, 2), ("image", 0.9, 1)):
        assert metrics[f"ovr/repetition/{name}"] == pytest.approx(repetition)
        assert metrics[f"ovr/reflection_words/{name}"] == pytest.approx(words)


def test_every_tracker_can_take_the_metrics():
    """Plain numbers; names as MLflow, the strictest, has them (others take any text)."""
    for name, value in rollout_metrics(MIXED, n_padding=1).items():
        assert type(value) in (int, float), name
        assert re.fullmatch(r"[/\w.\- :]+", name), name


def test_nothing_is_said_of_empty_groups():
    metrics = rollout_metrics(MIXED[:1])
    assert metrics["ovr/response_length/right"] == 10
    names = set(metrics)
    assert not {name for name in names if "image" in name or "wrong" in name}
    assert rollout_metrics([], n_padding=8) == {"ovr/rows/padding": 8, "ovr/rows/all": 0}


def test_rows_without_a_modality_are_counted_too():
    metrics = rollout_metrics([rollout("", "theirs", "wrong", 5)])
    assert metrics["ovr/rows/unknown"] == metrics["ovr/rows/all"] == 1


class Queue:
    """The transfer queue's storage: rows by key, given out as its own manager packs them."""

    def __init__(self):
        self.rows = {}
        self.asked = []
        self.fields = []

    def kv_batch_get(self, keys, partition_id, select_fields):
        assert partition_id == "train"
        self.asked += keys
        self.fields += select_fields
        pack = AsyncSimpleStorageManager._pack_field_values
        columns = {name: pack([self.rows[key][name] for key in keys]) for name in select_fields}
        return TensorDict(columns, batch_size=len(keys))


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir):
    return AutoTokenizer.from_pretrained(tiny_model_dir)


@pytest.fixture
def queue(monkeypatch):
    queue = Queue()
    monkeypatch.setattr(tq, "kv_batch_get", queue.kv_batch_get)
    return queue


@pytest.fixture
def put(queue, tokenizer):
    """Store one row as veRL's agent-loop worker does; gives its key."""

    def store(key, prompt, response, modality="text", reward=None, **row):
        extra = {"turn_scores": [], "tool_rewards": []}
        extra |= {"truncated": row.pop("truncated", False)}
        extra |= {} if reward is None else {"reward_extra_info": reward}
        extra |= row.pop("scores", {})
        output = AgentLoopOutput(
            prompt_ids=tokenizer.encode(prompt),
            response_ids=[*tokenizer.encode(response), tokenizer.eos_token_id],
            response_mask=[1] * (len(tokenizer.encode(response)) + 1),
            metrics=AgentLoopMetrics(),
            extra_fields=extra,
            reward_score=row.pop("score", (reward or {}).get("score", 0.0)),
        )
        fields = {
            "data_source": "toy",
            "reward_model": {"style": "rule", "ground_truth": "2"},
            "extra_info": {"modality": modality, "id": f"toy/0#{key}", "choices": None},
            "raw_prompt": [{"role": "user", "content": prompt}],
        }
        queue.rows[key] = {**output.as_dict(), **fields, **row}
        return key

    return store


def batch_of(*keys, padding=()):
    tags = [{"is_padding": True} if key in padding else {"status": "success"} for key in keys]
    return KVBatchMeta(keys=list(keys), tags=tags, partition_id="train")


def test_rows_are_read_as_the_queue_gives_them(put, tokenizer):
    graded = {"score": 1.0, "pred": "2", "outcome": "correct", "truncated": False}
    keys = [
        put("a_0_0", "How many?", "There are \\boxed{2}", reward=graded),
        put(
            "b_0_0",
            "The box is red",
            "red",
            "image",
            {"score": 0.0, "pred": "", "outcome": "truncated", "truncated": True},
            data_source="puzzlevqa",
            reward_model={"style": "rule", "ground_truth": "red"},
            truncated=True,
        ),
    ]
    text, image = read_rollouts(batch_of(*keys), tokenizer, step=7)
    assert text == Rollout(
        step=7,
        key="a_0_0",
        data_source="toy",
        modality="text",
        row_id="toy/0#a_0_0",
        prompt="How many?",
        response="There are \\boxed{2}",
        reference="2",
        answer="2",
        outcome="correct",
        score=1.0,
        truncated=False,
        n_prompt_tokens=len(tokenizer.encode("How many?")),
        n_response_tokens=len(tokenizer.encode("There are \\boxed{2}")) + 1,
    )
    assert (image.data_source, image.modality, image.reference) == ("puzzlevqa", "image", "red")
    assert (image.outcome, image.score, image.truncated) == ("truncated", 0.0, True)


def test_pictures_and_scores_of_the_text_are_in_the_record(put, tokenizer):
    parts = [
        {"type": "image", "image": "pictures/1.png", "max_pixels": 9},
        {"type": "text", "text": "x"},
        {"type": "image", "image": b"png"},
    ]
    put(
        *("a_0_0", "x", "red", "image", {"score": 1.0}),
        raw_prompt=[{"role": "system", "content": "s"}, {"role": "user", "content": parts}],
        scores={"repetition": 0.25, "reflection_words": 2},
    )
    [row] = read_rollouts(batch_of("a_0_0"), tokenizer, 1)
    assert row.images == ["pictures/1.png", "embedded"]
    assert (row.repetition, row.reflection_words) == (0.25, 2)


def test_a_single_row_and_rows_of_equal_length(put, tokenizer):
    put("a_0_0", "The box is red", "red", reward={"score": 1.0})
    put("a_1_0", "The box is red", "red", reward={"score": 0.0})
    [alone] = read_rollouts(batch_of("a_0_0"), tokenizer, 1)
    both = read_rollouts(batch_of("a_0_0", "a_1_0"), tokenizer, 1)
    assert both[0] == alone
    assert [each.response for each in both] == ["red", "red"]
    assert [each.score for each in both] == [1.0, 0.0]


def test_padding_is_neither_fetched_nor_counted(put, queue, tokenizer):
    put("a_0_0", "The box is red", "red", reward={"score": 1.0})
    put("pad_0_0", "The box is red", "red", reward={"score": 1.0})
    batch = batch_of("pad_0_0", "a_0_0", padding=["pad_0_0"])
    [only] = read_rollouts(batch, tokenizer, 1)
    assert only.key == "a_0_0"
    assert queue.asked == ["a_0_0"]
    assert read_rollouts(batch_of("pad_0_0", padding=["pad_0_0"]), tokenizer, 1) == []
    assert queue.asked == ["a_0_0"], "the queue raises when it is asked for nothing"


def test_tokens_that_verl_has_fetched_are_not_fetched_again(put, queue, tokenizer):
    keys = [
        put("a_0_0", "How many?", "red or blue", reward={"score": 1.0}),
        put("pad_0_0", "x", "y", reward={"score": 0.0}),
        put("b_0_0", "The box is red", "red", reward={"score": 0.0}),
    ]
    batch = batch_of(*keys, padding=["pad_0_0"])
    fetched = fetch_rows(batch, with_pictures=True)
    queue.fields.clear()
    with kept_tokens() as tokens:
        tq.kv_batch_get(keys=keys, partition_id="train", select_fields=[*TOKENS, "response_mask"])
        tq.kv_batch_get(keys=keys[:1], partition_id="train", select_fields=["extra_fields"])
    assert tq.kv_batch_get == queue.kv_batch_get
    queue.fields.clear()
    from_kept = fetch_rows(batch, with_pictures=True, tokens=tokens)
    assert not {*TOKENS} & {*queue.fields}
    assert [row[0] for row in from_kept] == ["a_0_0", "b_0_0"]
    for kept, plain in zip(from_kept, fetched, strict=True):
        assert [torch.equal(a, b) for a, b in zip(kept[1:4], plain[1:4], strict=True)] == [True] * 3
        assert kept[4:] == plain[4:]


def test_the_score_is_what_verl_trains_on(put, tokenizer):
    """veRL's naive manager keeps nothing but ``acc`` of a reward function that gives a float."""
    put("a_0_0", "x", "red", reward={"acc": 1.0}, score=1.0)
    [row] = read_rollouts(batch_of("a_0_0"), tokenizer, 1)
    assert row.score == 1.0


def test_rows_of_other_graders_and_datasets(put, tokenizer):
    """A grader that reports nothing, a row without our extras."""
    put("a_0_0", "x", "red", extra_info=None, reward_model=None, truncated=True)
    [bare] = read_rollouts(batch_of("a_0_0"), tokenizer, 1)
    assert (bare.modality, bare.row_id, bare.outcome, bare.score) == ("", "", "", 0.0)
    assert bare.truncated


def test_the_trainer_adds_its_metrics_and_dumps_the_rollouts(put, tokenizer, tmp_path, monkeypatch):
    put("b_0_0", "x", "red", "image", {"score": 1.0, "outcome": "correct"})
    put("a_0_0", "x", "red", "text", {"score": 0.0, "outcome": "wrong"})
    put("pad_0_0", "x", "red")
    trainer = object.__new__(OVRTrainer)
    trainer.tokenizer, trainer.global_steps = tokenizer, 3
    trainer._init_dump_executor()
    trainer.config = OmegaConf.create({"trainer": {"rollout_data_dir": str(tmp_path)}})
    batch = batch_of("b_0_0", "a_0_0", "pad_0_0", padding=["pad_0_0"])
    # veRL's own metrics need a whole trainer.
    monkeypatch.setattr(
        PPOTrainerSync, "_compute_metrics", lambda self, batch, metrics, *_: metrics.update(own=1)
    )
    metrics = {}
    trainer._compute_metrics(batch, metrics, {}, 3, 0)
    assert metrics["own"] == 1
    assert metrics["ovr/rows/padding"] == 1
    assert metrics["ovr/rows/all"] == 2
    assert (metrics["ovr/reward/image"], metrics["ovr/reward/text"]) == (1.0, 0.0)

    trainer._log_rollout_data(batch, {}, str(tmp_path / "rollouts"))
    trainer._shutdown_dump_executor()  # as at the end of training
    [file] = (tmp_path / "rollouts").iterdir()
    assert file.name == "3.jsonl"
    records = list(read_jsonl(file))
    assert [record["key"] for record in records] == ["a_0_0", "b_0_0"]
    assert [Rollout(**record) for record in records] == sorted(
        read_rollouts(batch, tokenizer, 3), key=lambda each: each.key
    )
    assert all(isinstance(record["score"], float) for record in records)

    trainer.config.trainer.rollout_data_dir = None
    without_dump = {}
    trainer._compute_metrics(batch, without_dump, {}, 3, 0)
    assert without_dump == metrics


def test_a_dump_that_failed_is_not_forgotten(put, tokenizer, tmp_path, monkeypatch):
    """It runs in a thread; the next dump, or the end of training, raises what it met."""
    put("a_0_0", "x", "red")
    trainer = object.__new__(OVRTrainer)
    trainer.tokenizer, trainer.global_steps = tokenizer, 1
    trainer.config = OmegaConf.create({"trainer": {"rollout_data_dir": str(tmp_path)}})
    trainer._init_dump_executor()
    monkeypatch.setattr(PPOTrainerSync, "_compute_metrics", lambda *_: None)
    trainer._compute_metrics(batch_of("a_0_0"), {}, {}, 1, 0)
    (tmp_path / "file").touch()
    trainer._log_rollout_data(None, {}, str(tmp_path / "file"))
    wait(trainer._dump_futures)
    with pytest.raises(FileExistsError):
        trainer._log_rollout_data(None, {}, str(tmp_path))


def test_texts_are_left_out_where_nobody_reads_them(put, tokenizer):
    """Decoding an iteration of long responses takes tens of seconds."""
    put("a_0_0", "How many?", "There are \\boxed{2}", reward={"score": 1.0, "pred": "2"})
    [whole] = read_rollouts(batch_of("a_0_0"), tokenizer, 1)
    [bare] = read_rollouts(batch_of("a_0_0"), None, 1)
    assert (bare.prompt, bare.response) == ("", "")
    assert replace(bare, prompt=whole.prompt, response=whole.response) == whole


def test_lengths_are_of_single_rows(put, tokenizer):
    """Not of the padded batch."""
    put("a_0_0", "x", "red")
    put("b_0_0", "x x x x", "red red red red")
    short, long = read_rollouts(batch_of("a_0_0", "b_0_0"), tokenizer, 1)
    assert short.n_response_tokens < long.n_response_tokens
    assert short.n_prompt_tokens < long.n_prompt_tokens
    assert torch.tensor(tokenizer.encode("x")).numel() == short.n_prompt_tokens
