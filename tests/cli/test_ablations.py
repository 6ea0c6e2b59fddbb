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
from ovr_plugin.cli.ablations import VARIANTS, spread, table_of
from ovr_plugin.cli.quickstart import SMOKE
from ovr_plugin.cli.quickstart_data import write_data
from ovr_plugin.data.files import read_parquet
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


@pytest.fixture
def stages(monkeypatch):
    """Stages that do nothing; what was evaluated, by its name."""
    evaluated = []

    def evaluate(run, checkpoint, name, console):
        evaluated.append((run.root.name, name, checkpoint.relative_to(run.root).parts[0]))
        return run.root / "eval" / name

    def make_folders(run, *_):
        for name in ("data", "model", "cold_start"):
            (run.root / name).mkdir(exist_ok=True)

    monkeypatch.setattr(quickstart, "prepare_data", make_folders)
    for module, name in (
        (quickstart, "make_model"),
        (quickstart, "cold_start"),
        (quickstart_stages, "ppo"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    for module in (quickstart, quickstart_results):
        monkeypatch.setattr(module, "evaluate", evaluate)
    scores = {"base": 0, "cold_start_0": 25, "ppo_0": 80}
    found = {name: {"text": score, "image": score} for name, score in scores.items()}
    monkeypatch.setattr(quickstart_results, "scores_of", lambda out: found[out.name])
    return evaluated


def run_ablations(tmp_path, *arguments):
    command = ["ablations", *arguments, "--out", str(tmp_path), "--seeds", "1"]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def test_before_is_what_a_variant_starts_from(tmp_path, stages):
    result = run_ablations(tmp_path, "baseline", "no_cold_start")
    assert result.exit_code == 0
    assert stages == [
        ("shared", "cold_start_0", "cold_start"),
        ("baseline", "ppo_0", "ppo"),
        ("shared", "cold_start_0", "cold_start"),  # in its folder there already
        ("shared", "base", "model"),
        ("no_cold_start", "ppo_0", "ppo"),
    ]
    last = {line.split()[1]: line for line in result.output.splitlines() if "│" in line}
    cells = {name: re.findall(r"\d+", line) for name, line in last.items()}
    assert cells["baseline"] == ["1", "0", "25", "80", "25", "80"]
    assert cells["no_cold_start"] == ["1", "0", "0", "80", "0", "80"]


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
        assert ("baseline", "ppo_0", "ppo") not in stages
    second.join(30)
    assert f"waiting for another start, which holds {held}" in ended[0].output.replace("\n", "")
    assert stages[-1] == ("baseline", "ppo_0", "ppo")


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
    assert spread([60.0, 82.0, 71.0]) == "71 (60 to 82)"
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
