"""What files of responses are written in: each gives the rows it holds, or says what is wrong."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


def score(*paths: Path) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["score", *map(str, paths)])
    return ran.exit_code, " ".join(ran.output.split())


@pytest.fixture
def whole(tmp_path) -> Path:
    (tmp_path / "whole.jsonl").write_text('{"response": "\\\\boxed{1}", "reference": "1"}\n')
    return tmp_path / "whole.jsonl"


def test_a_file_of_which_nothing_can_be_read_is_told_and_the_others_go_on(packed, whole):
    packed.write_bytes(b"no gzip")
    code, told = score(packed)
    assert code == 1
    assert "the packed file is damaged" in told
    code, told = score(packed, whole)
    assert code == 2
    assert "the packed file is damaged" in told
    assert "1 rows in" in told


def test_a_packed_file_that_breaks_off_is_read_up_to_there(packed, whole):
    with gzip.open(packed, "wt") as lines:
        for i in range(5000):
            lines.write(
                json.dumps({"response": f"{i * 7919} \\boxed{{1}}", "reference": "1"}) + "\n"
            )
    packed.write_bytes(packed.read_bytes()[:-2000])
    *rows, (number, error) = rows_of(packed)
    assert 1000 < len(rows) == number - 1 < 5000
    assert [n for n, _ in rows] == list(range(1, number))
    assert "breaks off" in str(error)
    code, told = score(packed, whole)
    assert code == 2
    assert f"{len(rows) + 1:,} rows in" in told
    assert f"row {number}: the file breaks off" in told


def test_a_parquet_file_that_breaks_is_read_up_to_there(tmp_path):
    rows = [{"response": f"{i} \\boxed{{1}}", "reference": "1"} for i in range(4000)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    start = pq.read_metadata(path).row_group(2).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 3000] = b"\xff" * 3000
    path.write_bytes(content)
    *read, (number, error) = rows_of(path)
    assert [row for _, row in read] == rows[: len(read)]
    assert 1000 <= len(read) == number - 1 <= 2000
    assert "breaks off" in str(error)


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
    book = pytest.importorskip("openpyxl", reason="of the extra eval").Workbook()
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
