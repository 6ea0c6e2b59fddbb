"""From a checkpoint to ``vllm serve``: what is written into its folder, and the line to run."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ovr_plugin.checkpoint.serving import Serving
from ovr_plugin.cli import app
from ovr_plugin.data.files import read_json, write_json

# Of Qwen2.5-VL-7B-Instruct on the Hub.
QWEN = {
    "bos_token_id": 151643,
    "pad_token_id": 151643,
    "do_sample": True,
    "eos_token_id": [151645, 151643],
    "repetition_penalty": 1.05,
    "temperature": 0.000001,
    "top_k": 1,
}


@pytest.fixture
def checkpoint(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "checkpoint"))


def test_qwen_s_own_sampling_gives_way_to_the_recipe_s(checkpoint):
    config = read_json(checkpoint / "config.json")
    assert config["text_config"]["max_position_embeddings"] == 4096
    ran = CliRunner().invoke(app, ["serving", str(checkpoint)])
    words = shlex.split(ran.stdout.splitlines()[-1])
    assert words[words.index("--max-model-len") + 1] == "4096", "vLLM refuses more"
    config["text_config"]["max_position_embeddings"] = 128000
    write_json(checkpoint / "config.json", config)
    write_json(checkpoint / "generation_config.json", QWEN)
    for _ in range(2):
        ran = CliRunner().invoke(app, ["serving", str(checkpoint), "--recipe", "ppo_7b"])
        assert ran.exit_code == 0, ran.output
    written = read_json(checkpoint / "generation_config.json")
    assert written["eos_token_id"] == [151645, 151643]
    assert (written["temperature"], written["top_p"], written["top_k"]) == (1.0, 1.0, 0)
    assert written["repetition_penalty"] == 1.0
    words = shlex.split(ran.stdout.splitlines()[-1])
    assert words[:3] == ["vllm", "serve", str(checkpoint)]
    assert words[words.index("--max-model-len") + 1] == "51200"
    assert words[words.index("--limit-mm-per-prompt") + 1] == '{"image": 8, "video": 0}'
    assert words[words.index("--mm-processor-kwargs") + 1] == '{"max_pixels": 1003520}'


def test_the_engine_starts_as_the_recipe_starts_its_own(checkpoint):
    """What costs a tiny model a minute: compiling, and gigabytes of cache."""
    tiny, large = (
        shlex.split(
            CliRunner().invoke(app, ["serving", str(checkpoint), "--recipe", recipe]).stdout
        )
        for recipe in ("ppo_tiny", "ppo_7b")
    )
    assert {"--enforce-eager", "--skip-mm-profiling"} <= set(tiny)
    assert tiny[tiny.index("--kv-cache-memory-bytes") + 1] == str(256 * 2**20)
    assert "--gpu-memory-utilization" not in tiny
    assert not {"--enforce-eager", "--skip-mm-profiling", "--kv-cache-memory-bytes"} & set(large)


def test_transformers_reads_what_was_written(checkpoint):
    from transformers import GenerationConfig

    CliRunner().invoke(app, ["serving", str(checkpoint)])
    read = GenerationConfig.from_pretrained(checkpoint)
    assert (read.temperature, read.top_p, read.repetition_penalty) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("recipe", ["ppo_7b", "ppo_tiny"])
def test_a_recipe_is_read_as_veRL_composes_it(recipe):
    from hydra import compose, initialize_config_module

    from ovr_plugin.config.search_path import register_search_path

    register_search_path()
    with initialize_config_module("verl.trainer.config", version_base=None):
        composed = compose("ppo_trainer", overrides=[f"+ovr={recipe}"])
    rollout, serving = composed.actor_rollout_ref.rollout, Serving.of(recipe)
    assert serving.temperature == rollout.temperature
    assert serving.top_p == rollout.top_p
    assert serving.top_k == rollout.top_k
    assert serving.max_pixels == composed.data.max_pixels
    assert serving.max_model_len == (
        rollout.max_model_len or composed.data.max_prompt_length + composed.data.max_response_length
    )


def test_everything_that_is_missing_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    ran = CliRunner().invoke(app, ["serving", str(tmp_path / "empty")])
    assert ran.exit_code == 1
    for name in ("config.json", "preprocessor_config.json", "safetensors", "a chat template"):
        assert name in ran.output
    assert not (tmp_path / "empty/generation_config.json").exists()


@pytest.mark.parametrize("actor", ["", "actor"])
def test_shards_are_exported_first_and_how_is_said(tmp_path, actor):
    folder = tmp_path / "global_step_900"
    (folder / actor / "huggingface").mkdir(parents=True)
    (folder / actor / "fsdp_config.json").write_text('{"world_size": 1}')
    ran = CliRunner().invoke(app, ["serving", str(folder)])
    assert ran.exit_code == 1
    assert f"merge --backend fsdp --local_dir {folder / actor} --target_dir" in ran.output
    assert "ovr serving global_step_900-hf" in ran.output
    (folder / actor / "huggingface/model.safetensors").write_bytes(b"")
    ran = CliRunner().invoke(app, ["serving", str(folder)])
    assert f"ovr serving {folder / actor / 'huggingface'}" in ran.output


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["[1]", '{"a": 1'])
def test_a_broken_configuration_is_named_and_nothing_is_written(checkpoint, name, content):
    (checkpoint / name).write_text(content)
    before = (checkpoint / "generation_config.json").read_bytes()
    ran = CliRunner().invoke(app, ["serving", str(checkpoint)])
    assert ran.exit_code == 1, ran.output
    assert f"{name}: " in ran.output
    assert (checkpoint / "generation_config.json").read_bytes() == before


def test_a_configuration_that_says_no_length_gets_the_recipe_s(checkpoint):
    config = read_json(checkpoint / "config.json")
    write_json(checkpoint / "config.json", {**config, "text_config": None})
    ran = CliRunner().invoke(app, ["serving", str(checkpoint)])
    assert ran.exit_code == 0, ran.output
    assert "--max-model-len 51200" in ran.output


@pytest.mark.parametrize(
    ("recipe", "message"),
    [("ppo_8b", "there are ppo_3b, ppo_7b"), ("sft_7b", "says nothing of generation")],
)
def test_a_recipe_that_is_none(checkpoint, recipe, message):
    ran = CliRunner().invoke(app, ["serving", str(checkpoint), "--recipe", recipe])
    assert ran.exit_code == 1
    assert message in ran.output
