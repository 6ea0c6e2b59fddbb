"""The quickstart's own steps; where it would start a trainer, the test takes the command."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from typer.testing import CliRunner

from ovr_plugin.cli import app, quickstart, quickstart_settings, quickstart_stages
from ovr_plugin.cli.quickstart import FULL, MAX_SEED, SMOKE
from ovr_plugin.cli.quickstart_data import fingerprint, texts_of, write_data
from ovr_plugin.cli.quickstart_settings import settings
from ovr_plugin.cli.trainer_process import TrainerFailed
from ovr_plugin.data.files import read_json, read_parquet, write_json
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import ColdStartSample, Sample, problems
from ovr_plugin.models.tiny import TOWER

ROWS = Path(__file__).parent.parent / "data" / "rows"


@pytest.fixture
def commands(monkeypatch):
    """Trainers that fail at once, as one does whose log ends in brackets."""
    taken = []

    def take(command, *_):
        taken.append(list(command))
        raise TrainerFailed("no trainer here: [rank0]: see [/usr/lib/x.py]")

    monkeypatch.setattr(quickstart_stages, "run_trainer", take)
    return taken


def start(*arguments):
    return CliRunner().invoke(app, ["quickstart", *map(str, arguments)], env={"COLUMNS": "200"})


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text).split())


def test_help_says_what_it_does_and_how_to_change_it():
    result = start("--help")
    assert result.exit_code == 0
    text = plain(result.output)
    for words in (
        "text-only cold start, then PPO on text and images",
        "Needs no GPU and downloads nothing",
        "sft_tiny and ppo_tiny",
        "--out",
        "--smoke",
        "--corpora",
        "--ppo-steps",
        "--seed",
        "--fresh",
        "runs/quickstart",
    ):
        assert words in text


def test_data_and_model_are_made_then_the_cold_start_begins(tmp_path, commands):
    out = tmp_path / "it's a run, 1=x"
    first = start("--smoke", "--out", out)
    assert first.exit_code == 1
    assert "Stopped: no trainer here: [rank0]: see [/usr/lib/x.py]" in plain(first.output)
    assert str(out) in first.output
    [command] = commands
    assert "+ovr=sft_tiny" in command
    overrides = OverridesParser.create().parse_overrides(command[command.index("+ovr=sft_tiny") :])
    given = {each.key_or_group: each.value() for each in overrides}
    assert Path(given["model.path"], "model.safetensors").is_file()
    assert Path(given["data.train_files"]).is_file()
    assert Path(given["hydra.run.dir"]).is_relative_to(out)  # and nothing where one stands
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    again = start("--smoke", "--out", out, "--ppo-steps", 9)
    assert plain(again.output).count("there already") == 2
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {path.name for path in kept if kept[path] != before[path]} == {"run.json"}
    assert commands[1] == command
    assert read_json(out / "run.json")["n_steps"] == 9


@pytest.mark.parametrize(
    ("arguments", "held", "difference"),
    [
        (["--smoke", "--seed", 1], {}, "seed 0 -> 1"),
        ([], {}, f"n_cold_start {SMOKE.n_cold_start} -> {FULL.n_cold_start}"),
        (["--smoke", "--corpora", ROWS], {}, f"corpora None -> {ROWS.resolve()}"),
        (["--smoke"], {"recipes": 1}, f"recipes 1 -> {settings(SMOKE, 0, None)['recipes']}"),
        (["--smoke"], {"tower": None}, f"tower None -> {TOWER}"),
        (["--smoke"], {"rows": 1}, f"rows 1 -> {fingerprint(0)}"),
        (["--smoke"], {"variant": {"modality": "image"}}, "variant {'modality': 'image'} -> None"),
    ],
)
def test_runs_of_other_settings_are_not_mixed(arguments, held, difference, tmp_path, commands):
    found = settings(SMOKE, 0, None) | held
    write_json(tmp_path / "run.json", found)
    result = start("--out", tmp_path, *arguments)
    assert result.exit_code == 1
    assert difference in plain(result.output)
    assert "choose another --out, or --fresh to delete it" in plain(result.output)
    assert read_json(tmp_path / "run.json") == found
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert commands == []


def test_what_is_set_beside_the_recipes_is_a_setting_too(tmp_path, commands, monkeypatch):
    write_json(tmp_path / "run.json", settings(SMOKE, 0, None))
    monkeypatch.setattr(quickstart_stages, "IMAGE_FRACTION", 0.5)
    assert "other settings (recipes " in plain(start("--smoke", "--out", tmp_path).output)


def test_fresh_deletes_an_earlier_run(tmp_path, commands, monkeypatch):
    out = tmp_path / "run"
    write_json(out / "run.json", {**vars(SMOKE), "seed": 5, "corpora": False})
    (out / "ppo").mkdir()
    monkeypatch.setattr(quickstart, "SMOKE", quickstart.replace(SMOKE, n_cold_start=32))
    result = start("--smoke", "--out", out, "--fresh")
    assert "no trainer here" in result.output
    assert not (out / "ppo").exists()
    assert read_json(out / "run.json")["seed"] == 0


@pytest.mark.parametrize("arguments", [(), ("--fresh",)])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thesis.tex", "years of work"),
        (".bashrc", "years of work"),
        ("run.json", '["of another program"]'),
        ("run.json", '{"seed": 1}'),
        ("run.json", "not JSON"),
        ("model/my_net.py", "years of work"),
    ],
)
def test_a_folder_that_is_no_run_is_left_as_it_is(name, text, arguments, tmp_path, commands):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    (tmp_path / "data").mkdir()
    result = start("--smoke", "--out", tmp_path, *arguments)
    assert result.exit_code == 1
    assert "is no run of the quickstart (it has no run.json that tells its settings)" in plain(
        result.output
    )
    assert file.read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {name.partition("/")[0], "data"}
    assert commands == []


@pytest.mark.parametrize("name", ["run [1]", "what?", "*"])
def test_a_path_that_readers_take_for_a_pattern_is_refused(name, tmp_path, commands):
    result = start("--smoke", "--out", tmp_path / name)
    assert result.exit_code == 1
    assert "in its path, which vLLM and datasets read as a pattern" in plain(result.output)
    assert str(tmp_path / name) in result.output  # Rich would take brackets for its own markup
    assert not any(tmp_path.iterdir())


def test_a_deletion_that_was_cut_off_leaves_a_run_that_can_be_deleted(
    tmp_path, commands, monkeypatch
):
    """Without its settings, what is left would be taken for a part of the next run."""
    out = tmp_path / "run"
    write_json(out / "run.json", settings(SMOKE, 5, None))
    (out / "ppo").mkdir()
    listed = Path.iterdir

    def settings_first(path):
        return iter(sorted(listed(path), key=lambda each: each.name != "run.json"))

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", settings_first)
        patched.setattr(quickstart_settings.shutil, "rmtree", interrupted)
        assert start("--smoke", "--out", out, "--fresh").exit_code == 130
    assert "other settings" in plain(start("--smoke", "--out", out).output)
    monkeypatch.setattr(quickstart, "SMOKE", quickstart.replace(SMOKE, n_cold_start=32))
    start("--smoke", "--out", out, "--fresh")
    assert not (out / "ppo").exists()


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((), "no orz/ and puzzlevqa/ there; leave it out"),
        (("orz",), "no puzzlevqa/ there; leave it out"),
        (("orz", "puzzlevqa"), "/orz: none of **/*orz_math_*.json"),
        (("orz/orz_math_1.json", "puzzlevqa"), "orz/ has no row to use; leave it out"),
    ],
)
def test_corpora_without_rows_are_told_before_anything_is_deleted(there, told, tmp_path, commands):
    out, raw = tmp_path / "run", tmp_path / "raw"
    write_json(out / "run.json", settings(SMOKE, 0, None))
    for name in there:
        (raw / name.partition("/")[0]).mkdir(parents=True)
        if "/" in name:
            (raw / name).write_text("garbage")
    result = start("--smoke", "--out", out, "--fresh", "--corpora", raw)
    assert result.exit_code == 1
    assert f"Stopped: --corpora {raw}: " in plain(result.output)
    assert told in plain(result.output)
    assert "leave it out to generate all rows" in plain(result.output)
    assert (out / "run.json").is_file()


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_that_is_none_is_told_before_anything_is_made(seed, tmp_path, commands):
    assert start("--smoke", "--out", tmp_path / "run", "--seed", seed).exit_code == 2
    assert not (tmp_path / "run").exists()


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart, "prepare_data", interrupted)
    result = start("--smoke", "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert "the same command goes on" in result.output


SIZE = quickstart.replace(SMOKE, n_cold_start=64, n_toy=12, n_val=6)


def read(folder):
    return {name: list(read_parquet(folder / f"{name}.parquet", Sample)) for name in SPLITS}


SPLITS = ("train", "val")


def test_generated_rows_alone(tmp_path):
    lines = list(write_data(tmp_path, SIZE, 0, None))
    data = read(tmp_path)
    assert [len(data[name]) for name in SPLITS] == [12, 6]
    for name in SPLITS:
        assert {row.modality for row in data[name]} == {"text", "image"}
        assert [(row.index, row.split) for row in data[name]] == [
            (index, name) for index in range(len(data[name]))
        ]
        assert not [problem for row in data[name] for problem in problems(row, decode_images=True)]
    assert len(list(read_parquet(tmp_path / "cold_start.parquet", ColdStartSample))) == 64
    assert any("train: 12 rows, 6 with pictures" in line for line in lines)
    assert not (tmp_path / "corpora").exists()


def test_real_rows_are_mixed_in(tmp_path):
    """Rows of the two corpora in their authors' own layouts."""
    lines = list(write_data(tmp_path, SIZE, 0, ROWS))
    data = read(tmp_path)
    for name in SPLITS:
        real = [row for row in data[name] if not row.data_source.startswith("toy")]
        assert {row.modality for row in real} == {"text", "image"}, name
        assert {row.id.partition("/")[0] for row in real} == {"orz", "puzzlevqa"}
        assert not [problem for row in data[name] for problem in problems(row, decode_images=True)]
    assert len(data["train"]) == SIZE.n_toy + SIZE.n_real
    ids = {name: {row.id for row in data[name]} for name in SPLITS}
    assert not ids["train"] & ids["val"]
    assert any(f"real rows of orz and puzzlevqa from {ROWS}" in line for line in lines)
    assert (tmp_path / "corpora" / "report.json").is_file()


def test_a_picture_of_a_real_row_is_that_of_the_corpus(tmp_path):
    list(write_data(tmp_path, SIZE, 0, ROWS))
    [row, *_] = [row for row in read(tmp_path)["train"] if row.id.startswith("puzzlevqa/")]
    pictures = {path.read_bytes() for path in ROWS.rglob("*.png")}
    assert _bytes(row.images[0]) in pictures


def _bytes(image: ImageRef) -> bytes:
    if image.data is not None:
        Image.open(BytesIO(image.data)).verify()
        return image.data
    return Path(image.path).read_bytes()


def test_the_tokenizer_learns_from_both_stages(tmp_path):
    list(write_data(tmp_path, SIZE, 0, ROWS))
    text = "\n".join(texts_of(tmp_path))
    pairs = list(read_parquet(tmp_path / "cold_start.parquet", ColdStartSample))
    rows = read(tmp_path)["train"]
    assert all(pair.response in text for pair in pairs)
    assert all(row.prompt[-1]["content"] in text for row in rows)
    assert "You are a helpful assistant." in text
