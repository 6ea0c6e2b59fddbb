"""``ovr doctor --model`` on a tiny checkpoint, whole and broken as downloads and exports are."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app

Break = Callable[[Path], Any]
NAMES = [
    *("config.json", "weight files", "weights", "tokenizer", "processor", "image token ids"),
    "generation_config.json",
]


def look_at(model: str | Path) -> dict[str, dict[str, str]]:
    """Run ``ovr doctor --model``, not waiting for veRL; the model's checks by name."""
    argv = ["doctor", "--json", "--timeout", "0.1", "--model", str(model)]
    result = CliRunner().invoke(app, argv)
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    return {name: check for name, check in checks.items() if name in [*NAMES, "model"]}


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


@pytest.fixture
def sharded(copy: Path) -> Path:
    """The copy in three files with an index, as the hub's checkpoints come."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(copy)
    (copy / "model.safetensors").unlink()
    model.save_pretrained(copy, max_shard_size="6500KB")
    assert len(list(copy.glob("model-*.safetensors"))) == 3
    return copy


def remove(*names: str) -> Break:
    return lambda folder: [(folder / name).unlink() for name in names]


def write(name: str, text: str) -> Break:
    return lambda folder: (folder / name).write_text(text)


def put(file: str, *, drop: tuple[str, ...] = (), **values: Any) -> Break:
    def edit(folder: Path) -> None:
        content = json.loads((folder / file).read_text()) | values
        kept = {key: value for key, value in content.items() if key not in drop}
        (folder / file).write_text(json.dumps(kept))

    return edit


def cut(name: str, size: int) -> Break:
    return lambda folder: os.truncate(folder / name, size)


def reshape_weights(folder: Path) -> None:
    """Drop one weight and halve another."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.2.mlp.up_proj.weight"]
    weights["model.norm.weight"] = weights["model.norm.weight"][:64].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def drop_image_marker(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("<|image_pad|>", ""))


def shards_of_fsdp(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model_world_size_8_rank_0.pt")


@pytest.mark.parametrize("form", ["copy", "sharded"])
def test_whole_checkpoint_is_ok(form: str, request: pytest.FixtureRequest) -> None:
    checks = look_at(request.getfixturevalue(form))
    assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(NAMES, "ok")


@pytest.mark.parametrize(
    ("damage", "name", "status", "found", "way_out"),
    [
        (remove("config.json"), "config.json", "fail", "is missing", "cp BASE/config.json"),
        (
            write("config.json", '{"a": '),
            "config.json",
            "fail",
            "is no JSON",
            "cp BASE/config.json",
        ),
        (write("config.json", "[]"), "config.json", "fail", "no JSON object", "cp BASE/config"),
        (
            put("config.json", model_type="qwen2_vl"),
            *("config.json", "fail", "'qwen2_vl'", "hf download Qwen/Qwen2.5-VL-7B-Instruct"),
        ),
        (remove("model.safetensors"), "weight files", "fail", "no model.saf", "hf download"),
        (cut("model.safetensors", 0), "weight files", "fail", "broken", "rsync -P"),
        (cut("model.safetensors", 10**6), "weight files", "fail", "broken", "rsync -P"),
        (shards_of_fsdp, "weight files", "fail", "FSDP", "verl.model_merger merge --backend fsdp"),
        (reshape_weights, "weights", "fail", "1 missing (model.language_model.layers.2", "rsync"),
        (reshape_weights, "weights", "fail", "1 of another shape", "rsync"),
        (
            put("config.json", text_config={"hidden_size": "x"}),
            *("weights", "fail", "hidden_size", "cp BASE/config.json"),
        ),
        (remove("tokenizer.json"), "tokenizer", "fail", "an empty tokenizer", "BASE/tokenizer*"),
        (write("tokenizer.json", '{"a": '), "tokenizer", "fail", "JSONDecodeError", "cp BASE/tok"),
        (remove("tokenizer_config.json"), "tokenizer", "fail", "not with eos '<|endo", "cp BASE/"),
        (remove("chat_template.jinja"), "tokenizer", "fail", "no chat template", "chat_template*"),
        (write("chat_template.jinja", "{{ a.b.c }}"), "tokenizer", "fail", "UndefinedErr", "cp B"),
        (remove("chat_template.jinja"), "processor", "fail", "no chat template", "chat_template*"),
        (remove("processor_config.json"), "processor", "fail", "image processor", "M-RoPE"),
        (
            put("processor_config.json", processor_class="Qwen2VLProcessor"),
            *("processor", "fail", "it is a Qwen2VLProcessor", "processor_config.json"),
        ),
        (drop_image_marker, "processor", "fail", "marks one image 0 times", "chat_template*"),
        (
            put("config.json", image_token_id=7),
            *("image token ids", "fail", "image_token_id is 7, <|image_pad|> is ", "of two models"),
        ),
        (
            put("config.json", drop=("vision_start_token_id",)),
            *("image token ids", "fail", "vision_start_token_id is None", "cp BASE/config.json"),
        ),
        (
            put("config.json", vocab_size=3, text_config={}),
            *("image token ids", "fail", "vocab_size is 3, the tokenizer has", "of two models"),
        ),
        (
            put("config.json", text_config={"vocab_size": 3}),
            *("image token ids", "fail", "vocab_size is 3, the tokenizer has", "of two models"),
        ),
        (
            remove("generation_config.json"),
            *("generation_config.json", "warn", "is missing", "cp BASE/generation_config.json"),
        ),
        (
            put("generation_config.json", eos_token_id=1),
            *("generation_config.json", "warn", "eos_token_id 1; the tok", "past the end"),
        ),
    ],
)
def test_damage_is_found(
    damage: Break, name: str, status: str, found: str, way_out: str, copy: Path
) -> None:
    damage(copy)
    check = look_at(copy)[name]
    assert check["status"] == status
    assert found in check["found"]
    assert way_out in check["advice"] + check["command"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (remove("model-00002-of-00003.safetensors"), "model-00002-of-00003.safetensors: missing"),
        (cut("model-00003-of-00003.safetensors", 0), "model-00003-of-00003.safetensors: broken"),
        (write("model.safetensors.index.json", "{"), "model.safetensors.index.json is no JSON"),
        (put("model.safetensors.index.json", weight_map={}), "names no file"),
    ],
)
def test_damaged_shards_are_named(damage: Break, found: str, sharded: Path) -> None:
    damage(sharded)
    checks = look_at(sharded)
    assert checks["weight files"]["status"] == "fail"
    assert found in checks["weight files"]["found"]
    assert "weights" not in checks


@pytest.mark.parametrize(
    ("model", "command"),
    [
        (
            "Qwen/Qwen2.5-VL-3B-Instruct",
            "hf download Qwen/Qwen2.5-VL-3B-Instruct --local-dir Qwen2.5-VL-3B-Instruct",
        ),
        (
            "./no/such/folder",
            "hf download Qwen/Qwen2.5-VL-7B-Instruct --local-dir Qwen2.5-VL-7B-Instruct",
        ),
    ],
)
def test_a_hub_name_is_no_folder(model: str, command: str) -> None:
    check = look_at(model)["model"]
    assert (check["status"], check["found"]) == ("fail", f"{model} is not a local folder")
    assert check["command"] == command


def test_commands_take_any_folder_name(copy: Path) -> None:
    folder = copy.rename(copy.with_name("my model's"))
    remove("generation_config.json", "processor_config.json", "model.safetensors")(folder)
    commands = [check["command"] for check in look_at(folder).values() if check["command"]]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command, comments=True)
        assert Path(words[-1]) == folder


def test_a_file_is_no_folder(tiny_model_dir: Path) -> None:
    check = look_at(tiny_model_dir / "config.json")["model"]
    assert "not a file in it" in check["advice"]


def test_without_transformers_the_rest_is_still_checked(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    checks = look_at(copy)
    assert checks.keys() == {"config.json", "model"}
    assert "see transformers above" in checks["model"]["advice"]
