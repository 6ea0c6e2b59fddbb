"""What the trainer adds to veRL's: order of rows, state of the curriculum, data after a resume."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from ovr_plugin.checkpoint.layout import CheckpointError
from ovr_plugin.checkpoint.resume import TRACKER
from ovr_plugin.trainer.length_schedule import schedule_of
from ovr_plugin.trainer.ppo_trainer import STATE, OVRTrainer, in_dispatch_order


def config(folder=None, **ovr):
    checkpoint = {"load_contents": ["model"]}
    return OmegaConf.create(
        {
            "data": {
                "max_response_length": 64,
                "max_prompt_length": 8,
                "train_batch_size": 8,
                "shuffle": True,
                "seed": 42,
                "dataloader_num_workers": 0,
                "val_batch_size": None,
                "train_files": "train",
                "val_files": "val",
            },
            "trainer": {
                "v1": {"trainer_mode": "ovr", "sampler": {}},
                "default_local_dir": str(folder),
                "resume_mode": "auto",
                "resume_from_path": None,
                "del_local_ckpt_after_load": False,
                "default_hdfs_dir": None,
                "total_epochs": 9,
                "total_training_steps": 99,
            },
            "actor_rollout_ref": {"actor": {"checkpoint": checkpoint}, "rollout": {}},
            "critic": {"checkpoint": checkpoint},
            "algorithm": {},
            "ovr": ovr,
        }
    )


PLATEAU = {"length_schedule": [[1, 8], [2, 64]], "length_plateau": {"window": 1, "min_growth": 0}}


class Workers:
    """Where the worker groups would be: writes what a checkpoint holds, notes what is loaded."""

    def __init__(self):
        self.loaded = []

    def save_checkpoint(self, path, *_, **__):
        Path(path).mkdir(parents=True)
        torch.save({}, f"{path}/model_world_size_1_rank_0.pt")
        Path(path, "fsdp_config.json").write_text(json.dumps({"world_size": 1}))

    def load_checkpoint(self, local_path, **_):
        self.loaded.append(local_path)


class Loader:
    def __init__(self):
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def trainer_in(folder, **ovr) -> OVRTrainer:
    trainer = object.__new__(OVRTrainer)
    trainer.config = config(folder, **ovr)
    trainer.length_schedule = schedule_of(trainer.config)
    trainer.actor_rollout_wg, trainer.critic_wg = Workers(), Workers()
    trainer.train_dataloader, trainer.use_critic, trainer.trainer_mode = Loader(), True, "sync"
    trainer.checkpoint_callback = SimpleNamespace(on_save=lambda **_: None)
    return trainer


def save(trainer, step):
    trainer.global_steps = trainer.train_dataloader.position = step
    trainer._save_checkpoint()


def test_what_was_saved_is_what_is_resumed(tmp_path):
    trainer = trainer_in(tmp_path, **PLATEAU)
    for step, length in ((1, 5), (2, 6), (3, 6)):
        trainer.length_schedule.observe(step, length)
        save(trainer, step)
    # From the growth at step 2 (6 after 5) to the plateau at step 3 (6 after 6, not below).
    trainer.length_schedule.observe(4, 5)
    save(trainer, 4)
    assert trainer.length_schedule.limit_at(5) == 64

    resumed = trainer_in(tmp_path, **PLATEAU)
    resumed._load_checkpoint()
    assert resumed.global_steps == resumed.train_dataloader.position == 4
    assert resumed.length_schedule.state() == trainer.length_schedule.state()
    assert [resumed.length_schedule.limit_at(step) for step in (4, 5)] == [8, 64]
    assert resumed.actor_rollout_wg.loaded == [str(tmp_path / "global_step_4" / "actor")]
    assert resumed.critic_wg.loaded == [str(tmp_path / "global_step_4" / "critic")]
    assert resumed.config.trainer.resume_mode == "auto", "the settings stay as they were given"


def test_an_incomplete_checkpoint_is_not_loaded(tmp_path):
    trainer = trainer_in(tmp_path)
    save(trainer, 1)
    save(trainer, 2)
    (tmp_path / "global_step_2" / "critic" / "model_world_size_1_rank_0.pt").write_bytes(b"PK")
    resumed = trainer_in(tmp_path)
    resumed._load_checkpoint()
    assert resumed.global_steps == 1
    assert resumed.critic_wg.loaded == [str(tmp_path / "global_step_1" / "critic")]
    resumed.config.trainer.resume_mode = "resume_path"
    resumed.config.trainer.resume_from_path = str(tmp_path / "global_step_2")
    with pytest.raises(CheckpointError, match=r"critic/model_world_size_1_rank_0.pt is cut off"):
        resumed._load_checkpoint()


def test_the_state_is_there_before_the_tracker_says_so(tmp_path, monkeypatch):
    """Killed at any moment, a checkpoint that counts has its state."""

    def killed(self):
        assert (tmp_path / "global_step_7" / STATE).is_file()
        assert not (tmp_path / TRACKER).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        save(trainer_in(tmp_path, **PLATEAU), 7)


def test_a_run_from_scratch_loads_nothing(tmp_path):
    trainer = trainer_in(tmp_path / "new", **PLATEAU)
    trainer._load_checkpoint()
    assert trainer.global_steps == 0
    assert trainer.actor_rollout_wg.loaded == []


def test_rows_come_as_prompts_were_sent_out_whenever_they_were_done(monkeypatch):
    trainer = object.__new__(OVRTrainer)
    trainer._prompt_order = {}
    monkeypatch.setattr(PPOTrainerSync, "_submit_batch_to_rollout", lambda self, batch: 0)
    monkeypatch.setattr(PPOTrainerSync, "_balance_batch", lambda self, batch, *_: batch)
    uids = ["c-1", "a_b-2", "b-3"]
    trainer._submit_batch_to_rollout({"uid": uids[:2]})
    trainer._submit_batch_to_rollout({"uid": uids[2:]})  # a refill in the same iteration
    expected = [f"{uid}_{session}_0" for uid in uids for session in range(11)]
    shuffled = random.Random(0).sample(expected, len(expected))
    assert [shuffled[place] for place in in_dispatch_order(shuffled, trainer._prompt_order)] == (
        expected
    )
    tags = [{"key": key} for key in shuffled]
    batch = KVBatchMeta(keys=shuffled, tags=tags, partition_id="train")
    ordered = trainer._balance_batch(batch, {})
    assert ordered.keys == expected
    assert [tag["key"] for tag in ordered.tags] == expected


def test_the_schedule_learns_of_rows_that_are_no_padding(monkeypatch):
    trainer = trainer_in(None, **PLATEAU)
    tags = [{"response_len": 4}, {"response_len": 8}, {"response_len": 99, "is_padding": True}]
    batch = KVBatchMeta(keys=list("abc"), tags=tags, partition_id="train")
    monkeypatch.setattr(PPOTrainerSync, "step", lambda self, *_: batch)
    trainer.global_steps, metrics = 1, {}
    trainer.step(metrics, {})
    assert trainer.length_schedule.observed == [6]
    assert metrics == {"ovr/response_limit": 8}


def test_the_rollout_follows_the_trainers_schedule(monkeypatch):
    trainer, manager = trainer_in(None, **PLATEAU), SimpleNamespace(length_schedule=None)
    monkeypatch.setattr(PPOTrainerSync, "fit", lambda self, _: None)
    trainer.fit(manager)
    assert manager.length_schedule is trainer.length_schedule


@pytest.mark.parametrize(
    ("ovr", "message"),
    [
        ({"length_schedule": [[1, 65]]}, "exceeds data.max_response_length=64"),
        ({"length_plateau": {}}, "needs the lengths"),
        ({"validation_response_length": 65}, "validation_response_length=65"),
        ({"stop_strings": [""]}, "stop_strings"),
    ],
)
def test_bad_settings_stop_the_run_before_any_model_is_loaded(ovr, message):
    with pytest.raises(ValueError, match=message):
        OVRTrainer(config(**ovr))


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        return {"index": index, "raw_prompt": [], "dummy_tensor": torch.zeros(1)}


@pytest.fixture
def loader_of(monkeypatch):
    """The data loader and the fetching of veRL's trainer, over 32 rows."""
    monkeypatch.setattr(trainer_base, "create_rl_dataset", lambda *_, **__: Rows())

    def make() -> OVRTrainer:
        trainer = object.__new__(OVRTrainer)
        trainer.config = config()
        with open_dict(trainer.config):
            trainer.config.trainer.v1.sampler = {}
        trainer.trainer_mode, trainer.parameter_sync_step = "sync", 1
        trainer.tokenizer = trainer.processor = None
        trainer._init_dataloader()
        trainer.global_steps = 0
        return trainer

    return make


def fetch(trainer, n: int) -> list[list[int]]:
    return [[int(i) for i in trainer._next_train_batch()["index"]] for _ in range(n)]


@pytest.mark.parametrize("done", range(1, 11))
def test_a_resumed_run_sees_the_same_rows_in_the_same_order(loader_of, done):
    """Two and a half epochs of four iterations; also where one ends exactly at the checkpoint."""
    expected = fetch(loader_of(), 10)
    for epoch in (expected[:4], expected[4:8]):
        assert sorted(row for batch in epoch for row in batch) == list(range(32))
    assert expected[:4] != expected[4:8]
    killed = loader_of()
    assert fetch(killed, done) == expected[:done]
    state = killed.train_dataloader.state_dict()
    resumed = loader_of()
    resumed.train_dataloader.load_state_dict(state)
    assert fetch(resumed, 10 - done) == expected[done:]


def built(**ovr):
    given = config(**ovr)
    with open_dict(given):
        given.trainer.v1.sampler = {
            "max_off_policy_threshold": None,
            "max_off_policy_strategy": "drop",
            "sampler_kwargs": {},
        }
    trainer = OVRTrainer.__new__(OVRTrainer)
    trainer.config, trainer.trainer_mode = given, "sync"
    trainer._add_prompts_to_generate = None
    return trainer._build_replay_buffer()


def test_the_trainer_looks_for_the_rollout_as_often_as_asked():
    assert built().poll_interval == 2.0  # veRL's; changed: see whether a key sets it now
    assert built(poll_interval_s=0.25).poll_interval == 0.25


@pytest.mark.parametrize("interval_s", [0, -1, "often", True])
def test_a_poll_interval_that_is_none_stops_the_run(interval_s):
    with pytest.raises(ValueError, match=r"poll_interval_s=.* above 0"):
        OVRTrainer(config(poll_interval_s=interval_s))
