"""Which checkpoint a run goes on from: folders as a killed run leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ovr_plugin.checkpoint.layout import CheckpointError
from ovr_plugin.checkpoint.resume import (
    TRACKER,
    choose_checkpoint,
    last_complete,
    missing_parts,
    steps_in,
    tracked_step,
)

SAVED = {"actor": ["model", "optimizer", "extra", "hf_model"], "critic": ["model"]}


def save(run: Path, step: int, n_ranks: int = 2) -> Path:
    """A checkpoint as veRL's FSDP checkpoint manager and trainer write it."""
    folder = run / f"global_step_{step}"
    for role, kinds in (("actor", ("model", "optim", "extra_state")), ("critic", ("model",))):
        (folder / role).mkdir(parents=True)
        for kind in kinds:
            for rank in range(n_ranks):
                name = f"{kind}_world_size_{n_ranks}_rank_{rank}.pt"
                torch.save({"weight": torch.zeros(300)}, folder / role / name)
        (folder / role / "fsdp_config.json").write_text(json.dumps({"world_size": n_ranks}))
    torch.save({}, folder / "data.pt")
    (run / TRACKER).write_text(str(step))
    return folder


@pytest.fixture
def run(tmp_path):
    for step in (9, 10, 20):
        save(tmp_path, step)
    return tmp_path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def test_the_one_that_the_tracker_names_is_taken(run):
    assert last_complete(run, SAVED) == run / "global_step_20"
    (run / TRACKER).write_text("10")  # somebody wants to go back
    assert last_complete(run, SAVED) == run / "global_step_10"
    assert steps_in(run) == [9, 10, 20]


def test_a_save_that_was_killed_is_not_loaded(run):
    """The tracker is not there yet, whatever the folder holds."""
    later = save(run, 30)
    (run / TRACKER).write_text("20")
    assert missing_parts(later, SAVED) == []
    assert last_complete(run, SAVED) == run / "global_step_20"


@pytest.mark.parametrize("text", ["", "2x"])
def test_a_tracker_killed_in_the_middle_does_not_stop_the_resume(run, text):
    (run / TRACKER).write_text(text)
    assert tracked_step(run) is None
    assert last_complete(run, SAVED) == run / "global_step_20"
    (run / TRACKER).unlink()
    assert last_complete(run, SAVED) == run / "global_step_20"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda at: cut(at / "actor/model_world_size_2_rank_1.pt"), "rank_1.pt is cut off"),
        (lambda at: (at / "actor/optim_world_size_2_rank_0.pt").unlink(), "optim.* not there"),
        (lambda at: (at / "actor/extra_state_world_size_2_rank_0.pt").write_bytes(b""), "cut off"),
        (lambda at: (at / "critic/fsdp_config.json").unlink(), "critic/fsdp_config.json not"),
        (lambda at: (at / "critic/fsdp_config.json").write_text('{"wor'), "critic/fsdp_config"),
        (lambda at: (at / "data.pt").unlink(), "data.pt not there"),
        (lambda at: cut(at / "data.pt"), "data.pt is cut off"),
    ],
)
def test_what_a_crash_of_the_machine_left_is_skipped_and_named(run, damage, named, caplog):
    damage(run / "global_step_20")
    assert last_complete(run, SAVED) == run / "global_step_10"
    assert "global_step_20 is not complete" in caplog.text
    with pytest.raises(CheckpointError, match=named):
        choose_checkpoint("resume_path", run, str(run / "global_step_20"), SAVED)


def test_a_run_whose_checkpoints_are_all_broken_does_not_begin_anew(run):
    for step in (9, 10, 20):
        cut(run / f"global_step_{step}" / "data.pt")
    with pytest.raises(CheckpointError, match=r"names step 20, but no .*resume_mode=dis"):
        last_complete(run, SAVED)


def test_a_run_killed_in_its_first_save_begins_anew(tmp_path):
    assert last_complete(tmp_path / "absent", SAVED) is None
    folder = save(tmp_path, 1)
    (tmp_path / TRACKER).unlink()
    cut(folder / "actor" / "model_world_size_2_rank_0.pt")
    assert last_complete(tmp_path, SAVED) is None


def test_only_what_would_be_loaded_has_to_be_there(run):
    (run / "global_step_20/actor/optim_world_size_2_rank_0.pt").unlink()
    assert last_complete(run, {"actor": ["model"]}) == run / "global_step_20"


def test_modes(run):
    asked = str(run / "global_step_9")
    assert choose_checkpoint("disable", run, None, SAVED) is None
    assert choose_checkpoint("auto", run, None, SAVED) == run / "global_step_20"
    assert choose_checkpoint("resume_path", run, asked, SAVED) == Path(asked)
    with pytest.raises(ValueError, match="resume_mode='latest' must be auto, disable or"):
        choose_checkpoint("latest", run, None, SAVED)
