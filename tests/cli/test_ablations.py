"""``ovr ablations``: what each variant changes in the composed recipe, and how it is told."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from threading import Thread

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from rich.console import Console
from typer.testing import CliRunner

from ovr_plugin.checkpoint.resume import TRACKER
from ovr_plugin.cli import app, quickstart, quickstart_results, quickstart_stages
from ovr_plugin.cli.ablation_results import spread, table_of
from ovr_plugin.cli.ablations import VARIANTS
from ovr_plugin.cli.quickstart import SMOKE
from ovr_plugin.cli.quickstart_data import write_data
from ovr_plugin.cli.trainer_process import TrainerFailed
from ovr_plugin.data.files import read_json, read_parquet, write_json
from ovr_plugin.data.sample import Sample
from ovr_plugin.run_folder import RunFolder


def settings(overrides=()):
    import verl  # noqa: F401 (loads the plugin)

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=["+ovr=ppo_tiny", *overrides])
    return flat(OmegaConf.to_container(config))


def flat(tree, path=""):
    if not isinstance(tree, dict):
        return {path: tree}
    return {name: value for key in tree for name, value in flat(tree[key], f"{path}.{key}").items()}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("gae_lambda_0.95", {".algorithm.lam": 0.95}),
        ("head_orz_normal", {".critic.fsdp.value_head_init": "orz_normal"}),
        ("head_uniform", {".critic.fsdp.value_head_init": "uniform"}),
    ],
)
def test_a_variant_changes_one_setting(name, changed):
    plain, varied = settings(), settings(VARIANTS[name].overrides)
    assert {key: varied[key] for key in varied if varied[key] != plain.get(key)} == changed


def test_unknown_variants_are_told_with_what_there_is(tmp_path):
    result = CliRunner().invoke(app, ["ablations", "no_reward", "--out", str(tmp_path / "runs")])
    assert result.exit_code == 2
    assert "no variant no_reward" in result.output
    assert all(name in result.output.replace("\n", "") for name in ("baseline", "text_only"))
    assert not (tmp_path / "runs").exists()


SCORES = {"base": 0, "cold_start_48": 25.5, "ppo_4": 80}


@pytest.fixture
def stages(monkeypatch):
    """Stages that leave a tracker and results; what was done, where."""
    done = []

    def evaluate(run, checkpoint, name, console):
        done.append((run.root.name, name, checkpoint.relative_to(run.root).parts[0]))
        kinds = ("toy_text", "toy_image")
        metrics = {f"accuracy, {kind}": {"value": SCORES[name]} for kind in kinds}
        out = run.root / "eval" / name
        write_json(out / "results.json", [{"n_missing": 0, "metrics": metrics}])
        return out

    def make_folders(run, *_):
        for name in ("data", "model"):
            (run.root / name).mkdir(exist_ok=True)

    def train(stage, step):
        def trained(run, *_):
            run.checkpoints(stage).mkdir(exist_ok=True)
            (run.checkpoints(stage) / TRACKER).write_text(str(step))

        return trained

    monkeypatch.setattr(quickstart, "prepare_data", make_folders)
    monkeypatch.setattr(quickstart, "make_model", lambda *_: None)
    monkeypatch.setattr(quickstart, "cold_start", train("cold_start", 48))
    monkeypatch.setattr(quickstart_stages, "ppo", train("ppo", 4))
    for module in (quickstart, quickstart_results):
        monkeypatch.setattr(module, "evaluate", evaluate)
    return done


def run_ablations(tmp_path, *arguments, seeds=1):
    command = ["ablations", *arguments, "--out", str(tmp_path), "--seeds", str(seeds)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def test_before_is_what_a_variant_starts_from(tmp_path, stages):
    result = run_ablations(tmp_path, "baseline", "no_cold_start")
    assert result.exit_code == 0
    assert stages == [
        ("shared", "cold_start_48", "cold_start"),
        ("baseline", "ppo_4", "ppo"),
        ("shared", "base", "model"),
        ("no_cold_start", "ppo_4", "ppo"),
    ]
    last = {line.split()[1]: line for line in result.output.splitlines() if "│" in line}
    cells = {name: re.findall(r"[\d.]+", line) for name, line in last.items()}
    assert cells["baseline"] == ["1", "4", "25.5", "80", "25.5", "80"]
    assert cells["no_cold_start"] == ["1", "4", "0", "80", "0", "80"]


def test_without_a_cold_start_none_is_made(tmp_path, stages):
    assert run_ablations(tmp_path, "no_cold_start").exit_code == 0
    assert [name for _, name, _ in stages] == ["base", "ppo_4"]
    assert not (tmp_path / "seed_0" / "shared" / "cold_start").exists()
    assert run_ablations(tmp_path, "no_cold_start").exit_code == 0  # nor is one missed


def test_runs_of_other_settings_are_not_in_the_table(tmp_path, stages):
    assert run_ablations(tmp_path, "baseline", seeds=3).exit_code == 0
    of_another_release = tmp_path / "seed_1" / "baseline" / "run.json"
    write_json(of_another_release, read_json(of_another_release) | {"recipes": 1})
    shutil.copytree(tmp_path / "seed_0", tmp_path / "seed_0.bak", symlinks=True)
    (tmp_path / "seed_2" / "baseline" / "run.json").write_text("")
    run_ablations(tmp_path, "image_only")
    assert "| baseline | 1 |" in (tmp_path / "table.md").read_text()


def test_a_run_that_is_trained_on_stays_in_the_table(tmp_path, stages):
    assert run_ablations(tmp_path, "baseline").exit_code == 0
    (tmp_path / "seed_0" / "baseline" / "ppo" / TRACKER).write_text("6")
    run_ablations(tmp_path, "image_only")
    assert "| baseline | 1 | 4 |" in (tmp_path / "table.md").read_text()


def test_the_file_has_the_runs_of_all_commands(tmp_path, stages):
    assert run_ablations(tmp_path, "image_only", seeds=2).exit_code == 0
    result = run_ablations(tmp_path, "baseline")
    assert "image_only" not in result.output
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "| variant | seeds | iterations | text before | text after | image before | image after |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| baseline | 1 | 4 | 25.5 | 80 | 25.5 | 80 |",
        "| image_only | 2 | 4 | 25.5 | 80 | 25.5 | 80 |",
    ]


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, stages, monkeypatch):
    train = quickstart_stages.ppo

    def fail(run, *_):
        raise TrainerFailed(f"no room for [{run.root.name}]")

    with monkeypatch.context() as broken:
        broken.setattr(
            quickstart_stages,
            "ppo",
            lambda run, *_: (fail if run.root.name == "text_only" else train)(run),
        )
        result = run_ablations(tmp_path, "text_only", "baseline", seeds=2)
    assert result.exit_code == 1
    assert "Failed: no room for [text_only]" in result.output
    assert result.output.splitlines()[-1].startswith(
        "Failed: text_only, seed 0; text_only, seed 1."
    )
    table = (tmp_path / "table.md").read_text()
    assert "| baseline | 2 |" in table
    assert "text_only" not in table
    assert run_ablations(tmp_path, "text_only", "baseline", seeds=2).exit_code == 0
    assert "| text_only | 2 |" in (tmp_path / "table.md").read_text()


def test_small_and_large_runs_are_not_mixed(tmp_path, stages):
    assert run_ablations(tmp_path, "baseline", "--smoke").exit_code == 0
    assert run_ablations(tmp_path, "baseline", "--smoke", "--ppo-steps", "9").exit_code == 0
    n_before = len(stages)
    result = run_ablations(tmp_path, "baseline")
    assert result.exit_code == 1
    assert "holds a run with other settings" in result.output
    assert len(stages) == n_before


def test_a_variant_is_not_gone_on_with_beside_another_start_of_its_seed(tmp_path, stages):
    """Its shared part deleted, a variant would train on from a checkpoint of other data."""
    assert run_ablations(tmp_path, "baseline", "--smoke").exit_code == 0
    shutil.rmtree(tmp_path / "seed_0" / "shared")
    result = run_ablations(tmp_path, "baseline")
    assert result.exit_code == 1
    out = result.output.replace("\n", "")
    assert "seed_0/baseline holds a run with other settings" in out
    assert f"choose another --out, or delete {tmp_path}/seed_0" in out


@pytest.mark.parametrize("folder", ["baseline", "shared"])
def test_two_commands_wait_for_each_other(folder, tmp_path, stages):
    held, ended = tmp_path / "seed_0" / folder, []
    with RunFolder(held).in_use():
        second = Thread(target=lambda: ended.append(run_ablations(tmp_path, "baseline")))
        second.start()
        second.join(1)
        assert not ended
        assert ("baseline", "ppo_4", "ppo") not in stages
    second.join(30)
    assert f"waiting for another start, which holds {held}" in ended[0].output.replace("\n", "")
    assert stages[-1] == ("baseline", "ppo_4", "ppo")


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Commands of the trainer, which is not run; a cold start is there."""
    taken = []
    monkeypatch.setattr(quickstart_stages, "run_trainer", lambda words, *_: taken.append(words))
    monkeypatch.setattr(quickstart_stages, "python", lambda: "python")
    run = RunFolder(tmp_path)
    list(write_data(run.data, SMOKE, 0, None))
    run.checkpoints("cold_start").mkdir()
    (run.checkpoints("cold_start") / TRACKER).write_text("48")
    return run, taken


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_trains_from_its_start_on_its_rows_with_its_settings(name, commands):
    run, taken = commands
    quickstart_stages.ppo(run, SMOKE, 3, Console(quiet=True), VARIANTS[name])
    [command] = taken
    given = dict(word.split("=", 1) for word in command if "=" in word)
    start = run.model if name == "no_cold_start" else run.export("cold_start")
    assert given["actor_rollout_ref.model.path"] == str(start)
    modality = {"image_only": {"image"}, "text_only": {"text"}}.get(name, {"image", "text"})
    rows = list(read_parquet(Path(given["data.train_files"]), Sample))
    assert {row.modality for row in rows} == modality
    assert [row.index for row in rows] == list(range(len(rows)))
    assert ("data.mix" in given) == (len(modality) == 2)
    assert given["data.seed"] == given["critic.fsdp.seed"] == "3"
    for setting in VARIANTS[name].overrides:
        assert setting in command


def test_nothing_is_fetched(tmp_path, stages, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    run_ablations(tmp_path, "baseline")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_median_and_range_over_the_seeds():
    assert spread([71.0]) == "71"
    assert spread([60.0, 82.5, 71.0]) == "71 (60 to 82.5)"
    runs = [
        {
            "iterations": after,
            "text before": 100,
            "text after": 99,
            "image before": 25,
            "image after": after,
        }
        for after in (60, 82, 71)
    ]
    console = Console(width=120)
    with console.capture() as printed:
        console.print(table_of({"baseline": runs}))
    assert printed.get().count("71 (60 to 82)") == 2  # pictures, and unequal iterations
    assert "│ 100         │" in printed.get()
