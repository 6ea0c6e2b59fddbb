"""What files of responses are written in: each gives the rows it holds, or says what is wrong."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.files import write_json
from ovr_plugin.eval.response_files import read_records

ROWS = [
    {"prediction": "B " * 70_000, "answer": "12", "A": "red"},
    {"prediction": "x", "answer": "", "A": 'x, "y"\tz\n'},
]


def rows_of(path: Path) -> list:
    return list(read_records(path))


@pytest.fixture
def packed(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in ROWS)
    return path


def test_packed_lines_are_read_as_they_are(packed):
    assert rows_of(packed) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("content", [b"no gzip", b""])
def test_a_damaged_packed_file_is_told(packed, content):
    packed.write_bytes(packed.read_bytes()[:-20] if not content else content)
    ran = CliRunner().invoke(app, ["score", str(packed)])
    assert ran.exit_code == 1
    assert "the packed file is damaged" in " ".join(ran.output.split())


def test_a_json_document_or_lines_under_its_name(tmp_path):
    write_json(tmp_path / "a.json", [ROWS[1], "x"])
    first, second = rows_of(tmp_path / "a.json")
    assert first == (1, ROWS[1])
    assert str(second[1]) == "not an object"
    (tmp_path / "b.json").write_text("[1, 2")
    with pytest.raises(ValueError, match=r"b\.json: not valid JSON"):
        rows_of(tmp_path / "b.json")
    (tmp_path / "lines.json").write_text(json.dumps(ROWS[1]) + "\n")
    assert rows_of(tmp_path / "lines.json") == [(1, ROWS[1])]


def test_a_spreadsheet_s_first_sheet_by_its_header(tmp_path):
    """As a kit's pandas writes it; an empty cell is nothing."""
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(list(ROWS[1]))
    book.active.append(["B", 12, None])
    book.create_sheet("other").append(["no row"])
    book.save(tmp_path / "ovr-7b_MMStar.xlsx")
    assert rows_of(tmp_path / "ovr-7b_MMStar.xlsx") == [
        (1, {"prediction": "B", "answer": 12, "A": None})
    ]
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"x\.xlsx: not a readable spreadsheet"):
        rows_of(tmp_path / "x.xlsx")


def test_without_openpyxl_a_spreadsheet_is_refused_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    ran = CliRunner().invoke(app, ["score", str(tmp_path / "x.xlsx")])
    assert ran.exit_code == 1
    assert "pip install openpyxl" in " ".join(ran.output.split())
    assert "PRED_FORMAT=tsv" in ran.output
