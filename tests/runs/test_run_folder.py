"""The run folder: one metrics file over stages and restarts, checkpoints where verl puts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import pytest
import torch

from ovr_plugin.checkpoint.resume import TRACKER
from ovr_plugin.data.files import read_jsonl
from ovr_plugin.run_folder import RunFolder, read_metrics


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def log(run, stage, steps):
    """One start of a trainer that logs ``steps`` with verl's own file logger."""
    from verl.utils.tracking import FileLogger

    path, console = run.next_start(stage)
    old = os.environ.get("VERL_FILE_LOGGER_PATH")
    os.environ["VERL_FILE_LOGGER_PATH"] = str(path)
    try:
        logger = FileLogger("project", "experiment")
        for step, metrics in steps:
            logger.log(metrics, step)
        logger.finish()
    finally:
        os.environ.pop("VERL_FILE_LOGGER_PATH")
        if old is not None:
            os.environ["VERL_FILE_LOGGER_PATH"] = old
    console.write_text("output\n")
    return path


def test_starts_and_stages_become_one_file(run):
    log(run, "ppo", [(1, {"reward": 0.1}), (2, {"reward": 0.2}), (3, {"reward": 0.3, "old": 1})])
    log(run, "ppo", [(3, {"reward": 0.9}), (4, {"reward": 0.4})])  # step 3 again, after a crash
    log(run, "cold_start", [(1, {"loss": 5.0}), (10, {"loss": 4.0})])
    records = run.merge_metrics()
    assert [(r["stage"], r["step"]) for r in records] == [
        ("cold_start", 1),
        ("cold_start", 10),
        ("ppo", 1),
        ("ppo", 2),
        ("ppo", 3),
        ("ppo", 4),
    ]
    assert [r.get("reward") for r in records[2:]] == [0.1, 0.2, 0.9, 0.4]
    assert records[0]["loss"] == 5.0
    assert list(read_jsonl(run.metrics)) == records
    assert run.merge_metrics() == records


def test_a_step_logged_in_parts_is_one_record(run):
    """verl logs validation before training under step 0, and the step's own metrics after."""
    log(run, "ppo", [(0, {"val": 0.5}), (1, {"reward": 0.1}), (1, {"val": 0.7})])
    assert run.merge_metrics() == [
        {"stage": "ppo", "step": 0, "val": 0.5},
        {"stage": "ppo", "step": 1, "reward": 0.1, "val": 0.7},
    ]


def test_every_start_has_files_of_its_own(run):
    first, second = log(run, "ppo", [(1, {"a": 1})]), log(run, "ppo", [(1, {"a": 2})])
    assert first != second
    assert [step for step, _ in read_metrics(first)] == [1]
    other, _ = run.next_start("cold_start")
    assert other.name == "cold_start_001.jsonl"


def test_a_start_that_logged_nothing_loses_nothing(run):
    """The trainer died before its first step: its console output is there, its metrics are not."""
    log(run, "ppo", [(1, {"a": 1})])
    _, console = run.next_start("ppo")
    console.write_text("it died\n")
    metrics, again = run.next_start("ppo")
    assert again != console, "the output of the start that died would be overwritten"
    assert not metrics.exists()
    assert run.merge_metrics() == [{"stage": "ppo", "step": 1, "a": 1}]


def test_a_deleted_log_frees_no_number(run):
    first, second = log(run, "ppo", [(1, {"a": 1})]), log(run, "ppo", [(2, {"a": 2})])
    first.unlink()
    first.with_suffix(".log").unlink()
    third, _ = run.next_start("ppo")
    assert third not in (first, second)


def test_many_starts_stay_in_order(run):
    for number in range(12):
        log(run, "ppo", [(1, {"start": number})])
    assert run.merge_metrics() == [{"stage": "ppo", "step": 1, "start": 11}]


def test_a_torn_last_line_is_left_out_with_a_warning(run):
    path = log(run, "ppo", [(1, {"reward": 0.1}), (2, {"reward": 0.2})])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.warns(UserWarning, match=r"ppo_001\.jsonl: line 2 is torn"):
        records = run.merge_metrics()
    assert [r["step"] for r in records] == [1]


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["its own line", "glued"])
@pytest.mark.parametrize("n_cut", [1, 4, 25])
def test_a_start_behind_a_torn_record_loses_only_that(run, newline, n_cut):
    """One file that is appended to: killed while it wrote step 2, then started again, twice."""
    path = log(run, "ppo", [(1, {"reward": 0.1}), (2, {"reward": 0.2})])
    second = log(run, "ppo", [(3, {"reward": 0.3}), (4, {"reward": 0.4})])
    torn = path.read_bytes().removesuffix(b"\n")
    path.write_bytes((torn if n_cut == 1 else torn[:-n_cut]) + newline + second.read_bytes() * 2)
    second.unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steps = [step for step, _ in read_metrics(path)]
    said = [str(warning.message) for warning in caught]
    if n_cut == 1:  # it lacks its newline only
        assert (steps, said) == ([1, 2, 3, 4, 3, 4], [])
    else:
        assert steps == [1, 3, 4, 3, 4]
        assert said == [f"{path}: line 2 is torn or no metrics; left out"]


def test_an_empty_folder_has_no_metrics(run):
    assert run.merge_metrics() == []
    assert run.metrics.read_text() == ""


def test_no_checkpoint_yet(run):
    assert run.latest_step("cold_start") == run.latest_step("ppo") == 0


def test_cold_start_checkpoints_are_found_where_verl_saves_them(run, monkeypatch):
    """Saved by verl's own handler; the engine in it is replaced by what it writes."""
    from verl.utils.checkpoint.checkpoint_handler import CheckpointHandler, OrchestrationMode

    class Engine:
        def save_checkpoint(self, local_path, **_):
            os.makedirs(os.path.join(local_path, "huggingface"))

    handler = CheckpointHandler(
        engine=Engine(),
        train_dataloader=SimpleNamespace(state_dict=dict),
        default_local_dir=str(run.checkpoints("cold_start")),
        mode=OrchestrationMode.RAY,  # as one rank, without a process group
    )
    monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
    for step in (5, 10):
        handler.save_checkpoint(step)
    assert run.latest_step("cold_start") == 10
    assert run.export("cold_start").is_dir()
    assert run.export("cold_start").parent.name == "global_step_10"


def test_ppo_checkpoints_are_found_where_verl_looks_for_them(run):
    from verl.utils.checkpoint.checkpoint_manager import (
        find_latest_ckpt_path,
        get_checkpoint_tracker_filename,
    )

    folder = run.checkpoints("ppo")
    (folder / "global_step_20" / "actor" / "huggingface").mkdir(parents=True)
    (folder / "global_step_30").mkdir()  # torn: the tracker is written last
    tracker = get_checkpoint_tracker_filename(str(folder))
    assert os.path.basename(tracker) == TRACKER
    with open(tracker, "w") as file:
        file.write("20")
    assert run.latest_step("ppo") == 20
    assert run.export("ppo").is_dir()
    assert str(run.export("ppo").parent.parent) == find_latest_ckpt_path(str(folder))


def test_every_path_lies_in_the_folder(run):
    paths = [run.data, run.model, run.rollouts, run.plots, run.logs, run.metrics]
    paths += [run.checkpoints(stage) for stage in ("cold_start", "ppo")]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == run.root for path in paths)


def test_two_starts_at_once_are_refused(run):
    with (
        run.in_use(),
        pytest.raises(ValueError, match="in use by another start"),
        RunFolder(run.root).in_use(),
    ):
        pass
    with run.in_use():
        assert run.root.is_dir()


def hold(run, seconds):
    """A process that holds the run's folder."""
    code = (
        "import pathlib, sys, time\n"
        "from ovr_plugin.run_folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).in_use():\n"
        "    print('held', flush=True); time.sleep(float(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(run.root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_start_holds_nothing(run):
    with hold(run, 60) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="in use"), run.in_use():
            pass
        holder.kill()
    with run.in_use():
        pass


def test_who_waits_is_told_and_comes_next(run):
    told = []
    with hold(run, 0.5) as holder:
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with run.in_use(lambda: told.append(time.monotonic())):
            assert time.monotonic() - began > 0.3
    assert len(told) == 1
    with run.in_use(lambda: told.append(0)):
        assert len(told) == 1  # nobody to wait for
