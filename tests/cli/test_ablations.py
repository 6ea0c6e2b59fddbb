"""``ovr ablations``: what each variant changes in the composed recipe, and how it is told."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from rich.console import Console
from typer.testing import CliRunner

from ovr_plugin.cli import app
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


def test_median_and_range_over_the_seeds():
    assert spread([71.0]) == "71"
    assert spread([60.0, 82.0, 71.0]) == "71 (60 to 82)"
    runs = [
        {"text before": 100, "text after": 99, "image before": 25, "image after": after}
        for after in (60, 82, 71)
    ]
    console = Console(width=120)
    with console.capture() as printed:
        console.print(table_of({"baseline": runs}))
    assert "71 (60 to 82)" in printed.get()
