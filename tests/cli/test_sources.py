"""``ovr sources``: every reader is listed, with what a user must know before training on it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.readers import cold_start_reader_names, reader_names, sources


def run(*arguments, columns=200):
    result = CliRunner().invoke(app, ["sources", *arguments], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_reader_and_every_benchmark_is_listed_once():
    found = json.loads(run("--json"))
    readers = [*reader_names(), *cold_start_reader_names()]
    assert len(readers) == len(set(readers))
    assert set(readers) == {n for n, a in found.items() if a["purpose"] != "evaluation only"}
    assert {n for n, a in found.items() if a["purpose"] == "cold start"} == set(
        cold_start_reader_names()
    )
    for name, about in found.items():
        assert about["license"], name
        assert about["modality"] in ("text", "image", "both"), name
        assert about["n_rows"] > 0 or name == "columns"


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
    assert "GPL-3.0 ?" in row
    assert "? from memory, not seen by us." in shown


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
    assert set(sources()) <= set(names)
    for name, about in sources().items():
        assert about.hub in hub, name
