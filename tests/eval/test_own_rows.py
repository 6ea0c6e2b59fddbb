"""A user's parquet as a benchmark: every row once, by modality and source, through `ovr eval`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.files import write_parquet
from ovr_plugin.data.sample import BadRow, Sample
from ovr_plugin.data.toy import toy_rows
from ovr_plugin.eval.benchmarks import get_benchmarks
from ovr_plugin.eval.grading import Graded
from ovr_plugin.eval.own_rows import own_rows
from ovr_plugin.eval.paper_table import markdown
from ovr_plugin.eval.results import result
from ovr_plugin.eval.scoring import Item, Scored
from ovr_plugin.reward import grade

sys.path.insert(0, str(Path(__file__).parent.parent / "endpoint"))
from fake_server import completion, fake_server


@pytest.fixture
def file(tmp_path):
    def write(rows, name="val.parquet"):
        write_parquet(tmp_path / name, rows, Sample)
        return tmp_path / name

    return write


def test_rows_are_items_with_the_facts_that_scores_are_split_by(file):
    rows = toy_rows(4)
    benchmark = own_rows(file(rows))
    items = list(benchmark.items())
    assert [item.sample for item in items] == rows
    assert benchmark.name == "val"
    scored = [Scored(item, float(item.sample.modality == "text")) for item in items]
    sums = [benchmark.scoring.parts([each]) for each in scored]
    by_modality = {
        name: sum(each.get(f"accuracy, {name}", (0, 0))[0] for each in sums)
        for name in ("text", "image", "toy_text", "toy_image")
    }
    assert by_modality == {"text": 2, "image": 0, "toy_text": 2, "toy_image": 0}


def test_its_table_has_a_line_for_each_modality_there_is(file):
    both, text = toy_rows(4), toy_rows(4, modality="text")
    assert [paper.metric for paper in own_rows(file(both)).paper] == [
        "accuracy",
        "accuracy, image",
        "accuracy, text",
    ]
    assert [paper.metric for paper in own_rows(file(text)).paper] == ["accuracy", "accuracy, text"]


def test_a_name_with_a_bar_keeps_the_page_s_columns(file):
    path = file([replace(row, data_source="a|b") for row in toy_rows(2)], "my|set.parquet")
    benchmark = own_rows(path)
    items = list(benchmark.items())
    made = result(benchmark, [Graded(item, 0, grade("", "1"), 1, 1.0) for item in items], items, 1)
    page = markdown([made | {"throughput": {}}], "")
    assert r"| my\|set | accuracy, a\|b | 0.0 |" in page


def test_names_that_look_like_markup_are_shown_as_they_are(file, tmp_path):
    path = file([replace(row, data_source="a[/b]") for row in toy_rows(2)], "v[/red].parquet")
    with fake_server([(200, completion("no"))]) as server:
        options = ["--url", server.url, "--model", "m[/c]", "--out", str(tmp_path / "o[/d]")]
        ran = CliRunner().invoke(app, ["eval", str(path), *options], env={"COLUMNS": "200"})
    assert ran.exit_code == 0, ran.output
    for name in ("accuracy, a[/b]", "model m[/c]", "o[/d]/table.md"):
        assert name in ran.output


def test_a_table_of_something_else_is_refused(tmp_path):
    pq.write_table(pa.table({"question": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet"):
        own_rows(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match=r"text\.parquet"):
        own_rows(tmp_path / "text.parquet")


def test_rows_without_a_name_and_of_the_same_name_are_told_apart(file):
    row = toy_rows(1)[0]
    names = [item.id for item in own_rows(file([replace(row, id=""), row, row])).items()]
    assert names == ["val#0", row.id, f"{row.id}#2"]


def test_a_row_that_cannot_be_asked_is_named(file):
    good, bad = toy_rows(2)
    path = file([good, replace(bad, ground_truth="")])
    [item, named] = own_rows(path).items()
    assert isinstance(item, Item)
    assert isinstance(named, BadRow)
    assert (named.file, named.row) == (str(path), 1)


def test_results_of_another_file_are_not_gone_on_with(file):
    first = own_rows(file(toy_rows(4)))
    assert own_rows(first.path).version == first.version
    assert own_rows(file(toy_rows(5))).version != first.version


def test_files_and_names_are_chosen_together(file, tmp_path):
    path = str(file(toy_rows(2)))
    assert [each.name for each in get_benchmarks([path, "math500", path])] == ["val", "math500"]
    (tmp_path / "other").mkdir()
    twin = str(file(toy_rows(2), "other/val.parquet"))
    with pytest.raises(ValueError, match="two files have one name"):
        get_benchmarks([path, twin])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.parquet: no such file of rows"):
        get_benchmarks(["nowhere.parquet"])
