"""``ovr ablations``: what each variant changes in the composed recipe, and how it is told."""

from __future__ import annotations

import os
import re

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from rich.console import Console
from typer.testing import CliRunner

from ovr_plugin.cli import app, quickstart_stages
from ovr_plugin.cli.ablations import VARIANTS, spread, table_of


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
        ("baseline", {}),
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
        return name

    def make_folders(run, *_):
        for name in ("data", "model", "cold_start"):
            (run.root / name).mkdir(exist_ok=True)

    monkeypatch.setattr(quickstart_stages, "prepare_data", make_folders)
    for name in ("make_model", "cold_start", "ppo"):
        monkeypatch.setattr(quickstart_stages, name, lambda *_: None)
    monkeypatch.setattr(quickstart_stages, "evaluate", evaluate)
    scores = {"base": 0, "cold_start_0": 25, "ppo_0": 80}
    found = {name: {"text": score, "image": score} for name, score in scores.items()}
    monkeypatch.setattr(quickstart_stages, "scores_of", found.__getitem__)
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
