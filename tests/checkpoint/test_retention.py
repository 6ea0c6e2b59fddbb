"""What stays of a run's checkpoints, and that a killed removal leaves nothing to be mistaken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ovr_plugin.checkpoint.average import average
from ovr_plugin.checkpoint.layout import open_checkpoint
from ovr_plugin.checkpoint.resume import TRACKER, last_complete, steps_in
from ovr_plugin.checkpoint.retention import Retention, apply_retention

SAVED = {"actor": ["model", "optimizer", "extra"], "critic": ["model"]}


def save(run: Path, step: int) -> None:
    folder = run / f"global_step_{step}"
    for role, kinds in (("actor", ("model", "optim", "extra_state")), ("critic", ("model",))):
        (folder / role / "huggingface").mkdir(parents=True)
        for kind in kinds:
            weights = {"model.norm.weight": torch.full((4,), float(step))}
            torch.save(weights, folder / role / f"{kind}_world_size_1_rank_0.pt")
        (folder / role / "fsdp_config.json").write_text(json.dumps({"world_size": 1}))
        (folder / role / "huggingface" / "config.json").write_text("{}")
    torch.save({}, folder / "data.pt")
    (folder / "ovr_state.json").write_text("{}")
    (run / TRACKER).write_text(str(step))


def files(run: Path, step: int) -> set[str]:
    folder = run / f"global_step_{step}"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def train(run: Path, retention: Retention, last: int, every: int = 10) -> None:
    for step in range(every, last + 1, every):
        save(run, step)
        apply_retention(run, step, retention)


def test_the_last_stay_whole_and_the_averages_weights_stay(tmp_path):
    train(tmp_path, Retention(keep_last=2, average_every=30, average_from=60), 130)
    assert steps_in(tmp_path) == [60, 90, 120, 130]
    whole = files(tmp_path, 130)
    assert files(tmp_path, 120) == whole
    weights = {
        "actor/model_world_size_1_rank_0.pt",
        "actor/fsdp_config.json",
        "actor/huggingface/config.json",
    }
    assert weights < whole
    assert files(tmp_path, 60) == files(tmp_path, 90) == weights
    assert last_complete(tmp_path, SAVED) == tmp_path / "global_step_130"
    # ... and are what the average reads.
    steps = [tmp_path / f"global_step_{step}" for step in (60, 90, 120)]
    found = open_checkpoint(average(steps, tmp_path / "mean", dtype="float32"))
    [tensor] = found.tensors.values()
    [piece] = tensor.pieces
    data = piece.path.read_bytes()[piece.offset :][: piece.n_bytes]
    assert torch.frombuffer(bytearray(data), dtype=torch.float32).tolist() == [90.0] * 4


def test_weights_alone_are_never_resumed_from(tmp_path):
    train(tmp_path, Retention(keep_last=1, average_every=10), 30)
    shutil.rmtree(tmp_path / "global_step_30")
    (tmp_path / TRACKER).unlink()
    assert steps_in(tmp_path) == [10, 20]
    assert last_complete(tmp_path, SAVED) is None


def test_everything_stays_by_default(tmp_path):
    train(tmp_path, Retention(), 50)
    assert steps_in(tmp_path) == [10, 20, 30, 40, 50]
    assert len({frozenset(files(tmp_path, step)) for step in steps_in(tmp_path)}) == 1


def test_what_a_killed_run_left_goes_too(tmp_path):
    """An unfinished save that was never resumed into, and an unfinished removal."""
    train(tmp_path, Retention(), 30)
    (tmp_path / "global_step_25" / "actor").mkdir(parents=True)
    (tmp_path / "global_step_10").rename(tmp_path / ".removed_global_step_10")
    save(tmp_path, 40)
    apply_retention(tmp_path, 40, Retention(keep_last=2))
    assert steps_in(tmp_path) == [30, 40]
    assert not list(tmp_path.glob(".removed*"))


def test_later_folders_are_not_touched(tmp_path):
    """After going back to an earlier checkpoint: they are overwritten when their step comes."""
    train(tmp_path, Retention(), 50)
    shutil.rmtree(tmp_path / "global_step_20")
    save(tmp_path, 20)
    apply_retention(tmp_path, 20, Retention(keep_last=1))
    assert steps_in(tmp_path) == [20, 30, 40, 50]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep_last": 0}, "keep_last=0 must be"),
        ({"keep_last": True}, "keep_last=True must be"),
        ({"average_from": None}, "average_from=None must be"),
        ({"keep": 3}, "keep is not a setting"),
        ({"average_every": 25}, "average_every=25 is no multiple of trainer.save_freq=10"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Retention.parse(settings, 10, None)


def test_two_rotations_are_refused():
    with pytest.raises(ValueError, match=r"max_actor_ckpt_to_keep .* must be null"):
        Retention.parse({"keep_last": 2}, 10, 3)
    assert Retention.parse(None, -1, 3) == Retention()
    with pytest.raises(ValueError, match="never be saved"):
        Retention.parse({"average_every": 50}, -1, None)
