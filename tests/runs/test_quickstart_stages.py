"""Stages that were cut off: a half model, a half evaluation, a half checkpoint is none."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager

import pytest
import torch
import typer
from rich.console import Console

from ovr_plugin.analysis.report.runs import read_run
from ovr_plugin.checkpoint.resume import TRACKER
from ovr_plugin.cli import quickstart, quickstart_results, quickstart_stages
from ovr_plugin.cli.quickstart import SMOKE
from ovr_plugin.cli.quickstart_data import write_data
from ovr_plugin.cli.quickstart_results import count_behaviours, evaluate
from ovr_plugin.cli.quickstart_stages import average_last, make_model
from ovr_plugin.cli.trainer_process import TrainerFailed
from ovr_plugin.data.files import read_json, write_json, write_jsonl
from ovr_plugin.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def console():
    return Console(record=True, width=200)


@pytest.fixture
def ask(monkeypatch):
    """Stands for ``ovr eval``: writes the results it is given and ends as told."""
    results: list = []
    codes: list = []
    models: list = []

    @contextmanager
    def no_server(*_):
        yield "http://nowhere"

    def asked(names, out, model, **_):
        models.append(model)
        write_json(out / "results.json", results[0])
        raise typer.Exit(codes.pop(0))

    monkeypatch.setattr(quickstart_results, "served", no_server)
    monkeypatch.setattr(sys.modules["ovr_plugin.cli.evaluate"], "evaluate", asked)
    return results, codes, models


@pytest.mark.parametrize(
    ("written", "code", "error"),
    [
        ([], 1, TrainerFailed),  # nobody answered at all
        ([{"n_missing": 3}], 1, TrainerFailed),
        ([{"n_missing": 3}], 2, TrainerFailed),
        ([{"n_missing": 3}], 130, KeyboardInterrupt),
    ],
)
def test_an_evaluation_that_was_cut_off_is_gone_on_with(written, code, error, run, console, ask):
    results, codes, _ = ask
    results[:], codes[:] = [written], [code]
    with pytest.raises(error):
        evaluate(run, run.model, "ppo_4", console)
    results[:], codes[:] = [[{"n_missing": 0}]], [0]
    evaluate(run, run.model, "ppo_4", console)
    assert not codes  # it was asked
    evaluate(run, run.model, "ppo_4", console)  # nobody is left to be asked
    assert "there already" in console.export_text()


def test_answers_are_of_the_weights_wherever_the_folder_lies(run, console, ask, tmp_path):
    """Another name would be another model's to ``ovr eval``, which then refuses to go on."""
    results, codes, models = ask
    for folder, weights in (("here", b"1"), ("there", b"1"), ("there", b"2")):
        moved = RunFolder(tmp_path / folder)
        moved.model.mkdir(parents=True, exist_ok=True)
        (moved.model / "model.safetensors").write_bytes(weights)
        results[:], codes[:] = [[{"n_missing": 1}]], [0]
        evaluate(moved, moved.model, "ppo_4", console)
    assert models[0] == models[1] != models[2]
    assert all(model.startswith("ppo_4-") for model in models)


def test_behaviours_are_counted_for_the_report(run, console, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = {"cold_start_8": "Let me check.", "ppo_4": "Let me look again.", "average_4": "Red."}
    evaluations = {name: run.root / "eval" / name for name in said}
    for name, response in said.items():
        rows = [{"item": n, "prompt": "Which?", "response": response} for n in (1, 2)]
        write_jsonl(evaluations[name] / "val" / "graded.jsonl", rows)
    run.logs.mkdir()
    count_behaviours(run, evaluations, console)
    printed = console.export_text()
    assert f"$ ovr behaviours {evaluations['cold_start_8']}/val/graded.jsonl" in printed
    shares = {
        line.split("│")[1].strip(): re.findall(r"\d+%", line)
        for line in printed.splitlines()
        if "%" in line
    }
    assert shares == {
        "verification": ["100%", "0%", "0%"],
        "visual reflection": ["0%", "100%", "0%"],
    }
    drawn = read_run(run.root, "run").behaviours["checkpoints"]
    assert {each["name"] for each in drawn} == said.keys()
    assert "backward chaining" in (run.logs / "behaviours.log").read_text()

    count_behaviours(run, evaluations, console)  # again, as a run that was extended does
    assert "there already" not in console.export_text()


@pytest.mark.parametrize(
    "study",
    [
        {"judge": {"models": ["x"]}, "checkpoints": [{"name": "ppo_4"}]},
        {"judge": None, "checkpoints": [{"name": "PPO 300"}]},
        ["of another program"],
    ],
)
def test_a_study_of_another_kind_is_left(study, run, console):
    write_jsonl(run.root / "eval" / "ppo_4" / "val" / "graded.jsonl", [])
    summary = run.root / "behaviours" / "summary.json"
    write_json(summary, study)
    count_behaviours(run, {"ppo_4": run.root / "eval" / "ppo_4"}, console)
    assert read_json(summary) == study
    assert "there already, a study of another kind" in console.export_text()


def test_without_an_answer_behaviours_are_none(run, console, capsys):
    run.logs.mkdir()
    write_jsonl(run.root / "eval" / "ppo_4" / "val" / "graded.jsonl", [])
    count_behaviours(run, {"ppo_4": run.root / "eval" / "ppo_4"}, console)
    assert "no responses in" in capsys.readouterr().err


def test_an_interrupt_while_counting_ends_the_quickstart(run, console, monkeypatch):
    run.logs.mkdir()
    write_jsonl(run.root / "eval" / "ppo_4" / "val" / "graded.jsonl", [])
    monkeypatch.setattr("ovr_plugin.analysis.behaviours.responses.read_responses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        count_behaviours(run, {"ppo_4": run.root / "eval" / "ppo_4"}, console)


@pytest.fixture
def averaged(monkeypatch):
    taken = []
    average = sys.modules["ovr_plugin.cli.average"]
    monkeypatch.setattr(average, "average", lambda _, folders, **__: taken.append(folders))
    return taken


def checkpoints(run, tracked, *names):
    """Whole ones as veRL's FSDP engines save them, and its tracker."""
    for name in names:
        folder = run.checkpoints("ppo") / name
        for role in ("actor", "critic"):
            write_json(folder / role / "fsdp_config.json", {"world_size": 1})
            for kind in ("model", "optim", "extra_state"):
                torch.save({}, folder / role / f"{kind}_world_size_1_rank_0.pt")
        torch.save({}, folder / "data.pt")
    (run.checkpoints("ppo") / TRACKER).write_text(str(tracked))


def test_a_checkpoint_that_the_tracker_has_not_come_to_is_not_averaged(run, console, averaged):
    steps = (4, 8, 12, 14, 16, 20)  # the last one was being written
    checkpoints(run, 16, *(f"global_step_{step}" for step in steps), "global_step_8_old")
    # So was this one, and the run went on with another interval.
    (run.checkpoints("ppo") / "global_step_14" / "critic" / "optim_world_size_1_rank_0.pt").unlink()
    assert average_last(run, console) == run.root / "average_16"
    assert [[path.name for path in folders] for folders in averaged] == [
        ["global_step_8", "global_step_12", "global_step_16"]
    ]


def test_of_one_checkpoint_there_is_no_average(run, console, averaged):
    checkpoints(run, 1, "global_step_1")
    assert average_last(run, console) is None
    assert not averaged


@pytest.mark.parametrize(
    ("saved", "tracked", "recorded", "left"),  # saved: negative ones are cut short
    [
        ((2, 4, 6), 6, (1, 2, 3, 4, 5, 6), 6),
        ((2, 4, 6), 4, (1, 2, 3, 4, 5), 4),  # killed while it saved
        ((2, 4, 6), 6, (1, 2, 3, 4, 5), 4),  # killed between the save and its record
        ((2,), 2, (1,), 0),
        ((2,), 2, None, 2),  # somebody deleted the logs: no reason to delete what is left
        ((2, 4), 4, None, 4),
        ((2, 4, 6), "", (1, 2, 3, 4, 5, 6), 6),  # killed while it wrote the tracker
        ((2, 4, 6), "", (1, 2, 3, 4, 5), 4),
        ((2, 4, -6), 6, (1, 2, 3, 4, 5, 6), 4),  # the machine crashed
        ((-2,), "", (1,), 0),
        ((-2, -4), 4, (1, 2, 3, 4), 4),  # veRL is to say so: nothing is thrown away
    ],
)
def test_an_iteration_that_no_log_tells_of_is_made_again(
    saved, tracked, recorded, left, run, console, monkeypatch
):
    checkpoints(run, tracked, *(f"global_step_{abs(step)}" for step in saved))
    for step in saved:
        if step < 0:
            (run.checkpoints("ppo") / f"global_step_{-step}" / "data.pt").write_bytes(b"PK")
    if recorded:
        records = [{"step": step, "data": {"actor/lr": 0.0}} for step in recorded]
        write_jsonl(run.next_start("ppo")[0], records)
    started = []
    monkeypatch.setattr(quickstart_stages, "python", lambda: "python")
    monkeypatch.setattr(quickstart_stages, "run_trainer", lambda words, *_: started.append(words))
    size = quickstart.replace(SMOKE, n_cold_start=8, n_toy=4, n_val=2, n_steps=6)
    list(write_data(run.data, size, 0, None))
    quickstart_stages.ppo(run, size, 0, console)
    assert run.latest_step("ppo") == left
    assert bool(started) == (left < 6)
    assert (f"going on after iteration {left}" in console.export_text()) == (0 < left < 6)


def test_a_model_that_was_cut_off_is_made_again(run, console, monkeypatch):
    size = quickstart.replace(SMOKE, n_cold_start=8, n_toy=4, n_val=2)
    list(write_data(run.data, size, 0, None))
    with monkeypatch.context() as broken:
        broken.setattr("ovr_plugin.models.tiny.make_processor", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_model(run, 0, console)
    make_model(run, 0, console)
    assert (run.model / "tokenizer_config.json").is_file()
    assert [path.name for path in run.root.glob("model*")] == ["model"]


def interrupted(*_):
    raise KeyboardInterrupt
