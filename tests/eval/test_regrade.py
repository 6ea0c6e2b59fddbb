"""`ovr score`: files of others and of ours, graded on all cores, compared with their labels."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.files import read_jsonl
from ovr_plugin.eval.importers import label_of
from ovr_plugin.eval.regrade import CHUNK_ROWS, ROWS_AHEAD, TASK_CHUNKS, Regrade, Summary, regrade
from ovr_plugin.reward import Grade, grade_batch


def rows_of(n: int) -> list[dict]:
    """Every third is wrong; the label says so but for every tenth."""
    return [
        {
            "response": f"\\boxed{{{i if i % 3 else i + 1}}}",
            "reference": str(i),
            "data_source": f"source {i % 2}",
            "label": bool(i % 3) == bool(i % 10),
        }
        for i in range(n)
    ]


def write_lines(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_all_cores_give_what_the_grader_gives_in_the_file_s_order(tmp_path):
    rows = rows_of((TASK_CHUNKS + 1) * CHUNK_ROWS)
    file = write_lines(tmp_path / "responses.jsonl", rows)
    found = list(regrade(Regrade(file), n_processes=2))
    expected: list[Grade] = grade_batch(
        [row["response"] for row in rows], [row["reference"] for row in rows]
    )
    assert [verdict.number for verdict in found] == list(range(1, len(rows) + 1))
    assert [verdict.score for verdict in found] == [grade.score for grade in expected]
    assert [verdict.outcome for verdict in found] == [grade.outcome.value for grade in expected]
    assert found == list(regrade(Regrade(file), n_processes=1))


def test_rows_are_read_as_they_are_needed_and_no_response_is_kept(monkeypatch):
    """An endless file: reading is never far ahead, and stops with the reader of verdicts."""

    class Response(str):
        """A text that can be looked for."""

    responses: list[weakref.ref] = []

    def endless(_):
        while True:
            response = Response(r"\boxed{1}")
            responses.append(weakref.ref(response))
            yield len(responses), {"response": response, "reference": "1"}

    monkeypatch.setattr("ovr_plugin.eval.regrade.read_records", endless)
    verdicts = regrade(Regrade(Path("endless")), n_processes=1)
    assert [next(verdicts).number for _ in range(3)] == [1, 2, 3]
    assert next(verdicts).score == 1.0
    assert len(responses) <= ROWS_AHEAD + 8
    assert sum(response() is not None for response in responses) <= 2
    verdicts.close()


def test_score_by_source_outcome_and_label(tmp_path):
    rows = rows_of(60)
    file = write_lines(tmp_path / "responses.jsonl", [*rows, "no row", {"response": "?"}])
    out, differ = tmp_path / "out.jsonl", tmp_path / "differ.jsonl"
    command = ["score", str(file), "--out", str(out), "--disagreements", str(differ)]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 2
    assert "60 labels: 90.00 % agree; 2 right there and not here, 4 right here and not" in (
        " ".join(ran.output.split())
    )
    assert "row 61: a str, not an object" in ran.output
    assert "row 62: no reference" in ran.output
    assert len(list(read_jsonl(out))) == 62
    numbers = [line["number"] for line in read_jsonl(differ)]
    assert numbers == [1, 11, 21, 31, 41, 51]  # every tenth label is the wrong way round
    found = [line.split() for line in ran.output.splitlines() if line.startswith("source ")]
    by_source = [line for line in found if line[1] in ("0", "1")]
    assert [line[2:4] for line in by_source] == [["30", "66.67"], ["30", "66.67"]]


def test_parquet_and_graded_lines_of_our_own(tmp_path):
    rows = rows_of(5)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "responses.parquet")
    assert [v.score for v in regrade(Regrade(tmp_path / "responses.parquet"))] == [0, 1, 1, 0, 1]
    ours = {"response": r"\boxed{B}", "reference": "A", "choices": ["1", "1"], "score": 1.0}
    file = write_lines(tmp_path / "graded.jsonl", [ours, {**ours, "truncated": True}])
    first, second = regrade(Regrade(file))
    assert (first.score, first.disagrees) == (1.0, False)  # options of one text
    assert (second.outcome, second.disagrees) == ("truncated", True)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"label": 1}, True),
        ({"label": 0.0}, False),
        ({"hit": "False"}, False),
        ({"true_false": True}, True),
        ({"acc": None, "correct": "1"}, True),
        ({"label": float("nan")}, None),  # a missing one in parquet
        ({"label": float("nan"), "correct": 1.0}, True),
        ({"label": "", "correct": "incorrect"}, False),
        ({"label": "Correct"}, True),
        ({"score": -1}, False),
        ({}, None),
    ],
)
def test_labels(record, expected):
    assert label_of(record, None) is expected


@pytest.mark.parametrize("value", ["great", 0.5, "0.5", [1]])
def test_a_label_that_says_neither_right_nor_wrong_is_told(tmp_path, value):
    right = {"response": r"\boxed{1}", "reference": "1"}
    rows = [{**right, "score": 1}, {**right, "score": value}, right]
    file = write_lines(tmp_path / "a.jsonl", rows)
    verdicts = list(regrade(Regrade(file)))
    assert [verdict.label for verdict in verdicts] == [True, None, None]
    assert [bool(verdict.label_error) for verdict in verdicts] == [False, True, False]
    ran = CliRunner().invoke(app, ["score", str(file)])
    assert ran.exit_code == 0
    told = " ".join(ran.output.split())
    assert "1 labels: 100.00 % agree" in told
    assert "1 rows have no label that can be read, such as row 2: neither right" in told


def test_a_label_field_that_no_row_has_is_an_error_after_grading(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", rows_of(3))
    ran = CliRunner().invoke(app, ["score", str(file), "--label-field", "nope"])
    told = " ".join(ran.output.split())
    assert ran.exit_code == 2
    assert "3 rows in" in told
    assert "no field nope; there are response, reference, data_source, label" in told
    mixed = write_lines(tmp_path / "b.jsonl", [*rows_of(2), {**rows_of(1)[0], "nope": 0}])
    ran = CliRunner().invoke(app, ["score", str(mixed), "--label-field", "nope"])
    assert ran.exit_code == 0
    assert "2 rows have no label that can be read" in " ".join(ran.output.split())


def test_a_response_that_is_missing_is_no_answer_that_is_empty(tmp_path):
    rows = [{"response": None, "reference": "1"}, {"response": "", "reference": "1"}]
    missing, empty = regrade(Regrade(write_lines(tmp_path / "a.jsonl", rows)))
    assert (missing.error, missing.outcome) == ("the response is missing", "")
    assert (empty.error, empty.outcome) == ("", "no_answer")


def test_a_file_without_rows_or_with_none_that_can_be_read_is_told(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    empty, other = (
        CliRunner().invoke(app, ["score", str(tmp_path / name)])
        for name in ("empty.jsonl", "other.jsonl")
    )
    assert (empty.exit_code, other.exit_code) == (1, 2)
    assert "no rows in" in empty.output
    assert "--response-field" in other.output


@pytest.mark.parametrize("option", ["--out", "--disagreements"])
def test_responses_are_not_overwritten_by_their_verdicts(tmp_path, option):
    file = write_lines(tmp_path / "a.jsonl", rows_of(3))
    before = file.read_bytes()
    same = tmp_path / ".." / tmp_path.name / "a.jsonl"
    ran = CliRunner().invoke(app, ["score", str(file), option, str(same)])
    assert (ran.exit_code, file.read_bytes()) == (1, before)
    assert "a.jsonl is a file of responses" in " ".join(ran.output.split())


def test_half_a_surrogate_pair_costs_no_verdict(tmp_path):
    rows = [{**rows_of(1)[0], "response": "\\boxed{\ud800}"}, *rows_of(2)]
    file = write_lines(tmp_path / "a.jsonl", rows)
    ran = CliRunner().invoke(app, ["score", str(file), "--out", str(tmp_path / "out.jsonl")])
    assert ran.exit_code == 0, ran.output
    answers = [verdict["answer"] for verdict in read_jsonl(tmp_path / "out.jsonl")]
    assert answers == ["\ud800", "1", "1"]


def test_verdicts_that_cannot_be_written_are_told_before_anything_is_graded(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", rows_of(2))
    ran = CliRunner().invoke(app, ["score", str(file), "--out", str(file / "out.jsonl")])
    assert ran.exit_code == 1
    assert "Not graded: " in ran.output


def test_a_source_that_looks_like_markup_is_shown_as_it_is(tmp_path):
    rows = [{**rows_of(1)[0], "data_source": source} for source in ("a[/b]", "[red]")]
    ran = CliRunner().invoke(app, ["score", str(write_lines(tmp_path / "a.jsonl", rows))])
    assert ran.exit_code == 0, ran.output
    assert "a[/b]" in ran.output
    assert "[red]" in ran.output


def test_verdicts_and_disagreements_are_two_files(tmp_path):
    file, out = write_lines(tmp_path / "a.jsonl", rows_of(3)), str(tmp_path / "b.jsonl")
    ran = CliRunner().invoke(app, ["score", str(file), "--out", out, "--disagreements", out])
    assert ran.exit_code == 1
    assert "give two files" in " ".join(ran.output.split())


def test_an_empty_summary_has_no_accuracy():
    assert Summary().accuracy() != Summary().accuracy()
