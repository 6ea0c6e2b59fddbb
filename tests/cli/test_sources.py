"""``ovr sources``: every reader is listed, with what a user must know before training on it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.manifest import load_manifest
from ovr_plugin.data.readers import cold_start_reader_names, reader_names, sources


def run(*arguments, columns=200):
    result = CliRunner().invoke(app, ["sources", *arguments], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_reader_and_every_benchmark_is_listed_once():
    found = json.loads(run("--json"))
    of_cold_start = {
        n if n != "columns" else "cold_start/columns" for n in cold_start_reader_names()
    }
    assert not of_cold_start & set(reader_names())
    by_purpose = {
        purpose: {name for name, about in found.items() if about["purpose"] == purpose}
        for purpose in ("training", "cold start")
    }
    assert by_purpose == {"training": set(reader_names()), "cold start": of_cold_start}
    for name, about in found.items():
        assert about["license"], name
        assert about["modality"] in ("text", "image", "both"), name
        assert about["n_rows"] > 0 or name.endswith("columns")


def test_the_index_of_raw_corpora_agrees_on_what_is_for_evaluation_only(shared):
    """Every folder that INDEX.md calls evaluation-only is listed as such; none has a reader."""
    line = next(
        line
        for line in (shared / "raw" / "INDEX.md").read_text().splitlines()
        if line.startswith("Evaluation-only corpora")
    )
    listed = line.partition(": ")[2].partition(";")[0].split(", ")
    assert {name for name, a in sources().items() if a.purpose == "evaluation only"} == set(listed)


def test_what_was_not_seen_is_marked(shared):
    """A license that INDEX.md has, and the reader repeats, carries no mark; another one does."""
    found = sources()
    assert all(set(about.unverified) <= {"license", "n_rows", "hub"} for about in found.values())
    table = (shared / "raw" / "INDEX.md").read_text().splitlines()
    listed = {cells[1].strip(): cells[5].strip() for r in table if len(cells := r.split("|")) == 7}
    for name in ("puzzlevqa", "orz", "geometry3k", "iconqa", "mmk12", "formalgeo7k"):
        assert found[name].license == listed[name]
        assert "license" not in found[name].unverified
    for name in ("chartqa", "clevr"):  # "not checked" and "none stated" there
        assert "license" in found[name].unverified
    shown = run()
    (row,) = [line for line in shown.splitlines() if line.strip().startswith("chartqa")]
    assert "GPL-3.0 (unchecked)" in row
    assert "(unchecked) from memory: unknown until you see the corpus's own card." in shown
    assert "?" not in shown


def test_it_says_how_a_table_of_ones_own_is_named(tmp_path):
    """The lines that it shows are right ones, for the stage that they name."""
    shown = [line for line in run().splitlines() if line.startswith("  {reader: columns")]
    (tmp_path / "my.csv").touch()
    (tmp_path / "my.jsonl").touch()
    assert len(shown) == 2
    for line in shown:
        source, _, stage = line.partition("#")
        manifest = tmp_path / "m.yaml"
        manifest.write_text(f"stage: {stage.split()[-1]}\nsources: [{source.strip()}]\n")
        assert load_manifest(manifest).sources[0].reader == "columns"


def test_the_table_names_license_and_size():
    shown = run()
    (row,) = [line for line in shown.splitlines() if line.strip().startswith("iconqa")]
    for fact in ("IconQA", "image", "CC BY-NC-SA 4.0", "107,439"):
        assert fact in row
    assert shown.index("training") < shown.index("cold start") < shown.index("evaluation only")


def test_names_are_whole_in_a_narrow_terminal():
    shown = run(columns=80)
    assert "…" not in shown
    names, hub, start = [], "", None
    for line in shown.splitlines():
        if "on the Hub" in line:
            start = line.index("on the Hub")
        elif start is not None:
            names.append(line[: line.find("  ", 2)].strip())
            hub += line[start:].strip()
    assert {name.removeprefix("cold_start/") for name in sources()} <= set(names)
    for name, about in sources().items():
        assert about.hub in hub, name
