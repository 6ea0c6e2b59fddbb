"""A user's own table by its columns: all formats alike, every mistake named."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ovr_plugin.data.files import write_jsonl
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers import get_cold_start_reader, get_reader
from ovr_plugin.data.sample import BadRow, cold_start_problems, problems

CONVERT = "; CSV must be in UTF-8: convert the file"
COLUMNS = {
    "question": "task",
    "answer": "gold",
    "images": "pics",
    "choices": "options",
    "split": "part",
    "data_source": "mine",
}
ROWS = [
    {"task": "What is 1 + 1?", "gold": "2", "pics": None, "options": None, "part": "train"},
    {"task": "Which?", "gold": "red", "pics": ["a.png"], "options": ["blue", "red"], "part": "val"},
    {"task": "<image> or <image>?", "gold": "x", "pics": ["a.png", "a.png"], "part": "test"},
]


def write_csv(path, rows):
    with (path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["task", "gold", "pics", "options", "part"])
        writer.writeheader()
        lists = ("pics", "options")
        for row in rows:
            encoded = {name: json.dumps(row[name]) for name in lists if row.get(name)}
            writer.writerow({**row, **dict.fromkeys(lists), **encoded})


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path / "rows.parquet")


def write_lines(path, rows):
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def corpus(tmp_path, png):
    png().path  # noqa: B018
    next(tmp_path.glob("*.png")).rename(tmp_path / "a.png")
    return tmp_path


def test_pixel_limits_of_rows(tmp_path):
    rows = [{**ROWS[0], "most": 7840}, {**ROWS[0], "most": None}, {**ROWS[0], "most": "4k"}]
    write_lines(tmp_path, rows)
    names = {"question": COLUMNS["question"], "answer": COLUMNS["answer"], "max_pixels": "most"}
    own, none, wrong = get_reader("columns", names)(tmp_path)
    assert (own.max_pixels, none.max_pixels) == (7840, None)
    assert wrong.reason == "not a number of pixels: 'most' is '4k'"


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_lines])
def test_every_format_gives_the_same_samples(corpus, write):
    write(corpus, ROWS)
    first, second, third = get_reader("columns", COLUMNS)(corpus)
    assert (first.ground_truth, first.answer_type, first.data_source) == ("2", "number", "mine")
    assert (second.ground_truth, second.choices) == ("B", ["blue", "red"])
    assert (second.answer_type, second.split) == ("choice", "val")
    assert second.prompt[0]["content"].startswith("<image>Which?\nChoices:\n(A) blue")
    assert (third.split, len(third.images)) == ("test", 2)
    assert [problems(sample) for sample in (first, second, third)] == [[], [], []]


def test_nested_columns_and_facts_for_the_grader(tmp_path):
    row = {"prompt": {"text": "How long?"}, "reward": {"truth": 3.5}, "kind": "quantity", "u": "cm"}
    write_lines(tmp_path, [row])
    names = {"question": "prompt.text", "answer": "reward.truth", "answer_type": "kind"}
    (sample,) = get_reader("columns", {**names, "unit": "u", "tolerance": 0.01})(tmp_path)
    assert (sample.ground_truth, sample.answer_type, sample.unit) == ("3.5", "quantity", "cm")
    assert sample.tolerance == 0.01
    assert problems(sample) == []


def test_the_reference_of_a_worked_solution_is_its_final_answer(tmp_path):
    """GSM8K's rows as they are published, and MATH's solutions."""
    gsm8k = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n#### 72"
    golds = (gsm8k, r"We halve it: $\boxed{\frac{1}{2}}$.")
    write_jsonl(tmp_path / "x.jsonl", [{"question": "q", "answer": gold} for gold in golds])
    first, second = get_reader("columns", {"question": "question", "answer": "answer"})(tmp_path)
    assert (first.ground_truth, first.answer_type) == ("72", "number")
    assert second.ground_truth == r"\frac{1}{2}"


@pytest.mark.parametrize(
    ("gold", "letter"),
    [
        ("red", "B"),
        ("B", "B"),
        ("(b)", "B"),
        (1, "B"),
        (0, "A"),
        ("1", None),
        (2, None),
        ("x", None),
    ],
)
def test_an_answer_is_a_choice_by_text_letter_or_number(tmp_path, gold, letter):
    write_lines(tmp_path, [{"task": "q", "gold": gold, "options": ["blue", "red"]}])
    names = {"question": "task", "answer": "gold", "choices": "options"}
    (item,) = get_reader("columns", names)(tmp_path)
    assert (None if isinstance(item, BadRow) else item.ground_truth) == letter


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"task": " ", "gold": "2"}, "empty: 'task'"),
        ({"task": "q", "gold": None}, "empty: 'gold'"),
        ({"task": "q", "gold": float("nan")}, "empty: 'gold'"),
        ({"task": "q", "gold": [2, 3]}, "neither text nor number: 'gold' is [2, 3]"),
        ({"task": "q", "gold": []}, "neither text nor number: 'gold' is []"),
        ({"task": "q", "gold": [[2]]}, "neither text nor number: 'gold' is [2]"),
        ({"task": "q", "gold": [True]}, "neither text nor number: 'gold' is True"),
        ({"task": "q", "gold": [None]}, "empty: 'gold'"),
        ({"task": "q", "gold": True}, "neither text nor number: 'gold' is True"),
        ({"task": "q", "gold": "2", "pics": "../x.png"}, "the picture is not there: ../x.png"),
        (
            {"task": "q", "gold": "2", "pics": "data:image/png;base64," + "iVBORw0KGgo" * 99_999},
            "the picture is not there: data:image/png;base64," + ("iVBORw0KGgo" * 99)[:178],
        ),
        ({"task": "q", "gold": "2", "pics": "../../x.png"}, "the picture lies outside"),
        ({"task": "q", "gold": "2", "pics": "[1"}, "not a list in JSON: 'pics'"),
        ({"task": "q", "gold": "2", "pics": [3]}, "no picture: 'pics' has neither bytes nor path"),
        ({"task": "q", "gold": "2", "part": "dev"}, "unknown split: 'dev'"),
        (
            {"task": "q", "gold": "2", "kind": "odd"},
            "not for the grader: unknown answer_type 'odd'",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, reason):
    folder = tmp_path / "data"
    folder.mkdir()
    write_lines(folder, [{"task": "q", "gold": "1"}, row])
    good, bad = get_reader("columns", {**COLUMNS, "answer_type": "kind"})(tmp_path)
    assert good.ground_truth == "1"
    assert bad.reason.startswith(reason)
    assert bad.row == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (None, "columns.question: is missing; .*; columns.answer: is missing"),
        ({"question": "task"}, "columns.answer: is missing; it must be text"),
        (
            {"question": "task", "answer": "gold", "picture": "p"},
            "columns: no setting 'picture'; there are question, answer, images",
        ),
        (
            {"question": 5, "answer": ["gold"]},
            "question: must be text, not 5; columns.answer: must",
        ),
        ({"question": " ", "answer": "gold"}, "columns.question: is empty"),
        ("task", "columns: must be a mapping of settings, not 'task'"),
        ({"question": "task", "answer": "truth"}, "no column 'truth'; there are 'task', 'gold'"),
    ],
)
def test_wrong_names_stop_at_once(tmp_path, columns, message):
    write_lines(tmp_path, [{"task": "q", "gold": "1"}])
    with pytest.raises(ValueError, match=message):
        list(get_reader("columns", columns)(tmp_path))


def test_only_the_own_table_takes_columns():
    with pytest.raises(ValueError, match="orz knows its columns"):
        get_reader("orz", COLUMNS)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (
            b'q,a\n0,0\n1,1\n2,2\n"unclosed,3\n4,4\n5,5\n',
            ["0", "1", "2"],
            [
                (
                    3,
                    "a quote is never closed: it opens in the row that begins in line 5; "
                    "the rest of the file was not read",
                )
            ],
        ),
        (
            b'q,a\n0,0\n"unclosed,1\n2,2\n"three",3\n4,4\n',
            ["0", "4"],
            [(1, "not a readable CSV row: lines 3-5: ',' expected after '\"'")],
        ),
        (
            b"q,a\n0,0\n1,1,000\n2,2\n",
            ["0", "2"],
            [(1, "more cells than the header: 3, not 2")],
        ),
        (
            b"q,a\n0,0\ncaf\xe9,1\n2,2\n",
            ["0", "2"],
            [(1, "not valid UTF-8: byte 0xe9 in cell 0" + CONVERT)],
        ),
        (b"q,a\n0,0\none\0,1\n2,2\n", ["0", "2"], [(1, "a NUL character in the text: cell 0")]),
        (
            "q,a\n0,0\n".encode("utf-16"),
            [],
            [(None, "not valid UTF-8: the file is in UTF-16" + CONVERT)],
        ),
        (
            b"q,caf\xe9\n0,0\n",
            [],
            [(None, "not a readable header: not valid UTF-8: byte 0xe9 in cell 1" + CONVERT)],
        ),
        ("\ufeffq,a\n\ncafé\n\n0,0\n".encode(), ["0"], [(0, "empty: 'a'")]),
    ],
    ids=["open", "late", "cells", "latin", "nul", "utf-16", "header", "short"],
)
def test_what_is_wrong_with_a_csv_file_is_told_and_the_rest_kept(tmp_path, text, good, bad):
    (tmp_path / "t.csv").write_bytes(text)
    found = list(get_reader("columns", {"question": "q", "answer": "a"})(tmp_path))
    assert [item.ground_truth for item in found if not isinstance(item, BadRow)] == good
    assert [(item.row, item.reason) for item in found if isinstance(item, BadRow)] == bad


DIFFER = "placeholders and images differ: "
ALL = "; question and choices must place every picture, or none"


@pytest.mark.parametrize(
    ("question", "options", "found"),
    [
        ("two pictures", None, []),
        ("first <image> then <image>", None, []),
        ("two pictures <image> one place", None, [DIFFER + "1 <image>, 2 images" + ALL]),
        ("<image><image><image>", None, [DIFFER + "3 <image>, 2 images" + ALL]),
        ("Which?", ["<image>", "<image> too"], []),
        ("Which?", ["<image>", "none"], [DIFFER + "1 <image>, 2 images" + ALL]),
    ],
)
def test_pictures_come_first_or_where_the_row_says_all_of_them(corpus, question, options, found):
    row = {"task": question, "gold": "B" if options else "2", "options": options}
    write_lines(corpus, [{**row, "pics": ["a.png", "a.png"]}])
    names = {name: COLUMNS[name] for name in ("question", "answer", "images", "choices")}
    (sample,) = get_reader("columns", names)(corpus)
    assert problems(sample) == found
    in_front = sample.prompt[0]["content"].startswith("<image><image>two")
    assert in_front == (question == "two pictures")


@pytest.mark.parametrize(
    ("gold", "kind", "truth"),
    [
        (Decimal("3.50"), pa.decimal128(5, 2), "3.50"),
        (Decimal("100"), pa.decimal128(5, 0), "100"),
        (Decimal("0.0000001"), pa.decimal128(9, 7), "0.0000001"),
        (["7"], pa.list_(pa.string()), "7"),
        ([Decimal("-2")], pa.list_(pa.decimal128(3, 0)), "-2"),
    ],
)
def test_any_number_or_a_list_of_one_is_an_answer(tmp_path, gold, kind, truth):
    table = pa.table({"task": ["How many?"], "gold": pa.array([gold], kind)})
    pq.write_table(table, tmp_path / "rows.parquet")
    (sample,) = get_reader("columns", {"question": "task", "answer": "gold"})(tmp_path)
    assert (sample.ground_truth, sample.answer_type) == (truth, "number")


def test_a_list_of_one_number_is_a_choice(tmp_path):
    write_lines(tmp_path, [{"task": "q", "gold": [1], "options": ["blue", "red"]}])
    names = {"question": "task", "answer": "gold", "choices": "options"}
    (sample,) = get_reader("columns", names)(tmp_path)
    assert sample.ground_truth == "B"


PAIR = {"question": "task.text", "response": "said", "answer": "gold", "split": "part"}
PAIR_ROWS = [
    {"task": {"text": "1 + 1?"}, "said": "<think>add</think>It is \\boxed{2}", "gold": 2},
    {"task": {"text": "2 + 2?"}, "said": "It is 4.", "gold": None, "part": "val"},
    {"task": {"text": "3 + 3?"}, "said": "It is \\boxed{6}", "part": "test"},
]
THOUGHT = "<think>\nadd\n</think>\n\nIt is \\boxed{2}"


def test_pairs_of_the_cold_start(tmp_path):
    write_lines(tmp_path, PAIR_ROWS)
    first, second, third = get_cold_start_reader("columns", PAIR)(tmp_path / "rows.jsonl")
    assert (first.response, first.ground_truth, first.split) == (THOUGHT, "2", "train")
    assert first.prompt == question_prompt("1 + 1?")  # asked for a box, where the response has one
    assert second.prompt == [{"role": "user", "content": "2 + 2?"}]
    assert (second.response, second.ground_truth, second.split) == ("It is 4.", None, "val")
    assert (third.split, third.id, third.data_source) == ("test", "own/rows.jsonl#2", "own")
    assert [cold_start_problems(pair) for pair in (first, second, third)] == [[], [], []]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_pairs_with_the_thinking_apart(tmp_path, kind):
    table = pa.table({"q": ["1 + 1?", "2?"], "t": ["add", None], "r": ["It is \\boxed{2}", "2"]})
    if kind == "csv":
        text = 'q,t,r\n1 + 1?,add,It is \\boxed{2}\n2?,,"2"\n'
        (tmp_path / "rows.csv").write_text(text)
    else:
        pq.write_table(table, tmp_path / "rows.parquet")
    names = {"question": "q", "response": "r", "thinking": "t", "data_source": "mine"}
    first, second = get_cold_start_reader("columns", names)(tmp_path)
    assert (first.response, first.id) == (THOUGHT, f"mine/rows.{kind}#0")
    assert second.response == "2"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"said": ""}, "empty: 'said'"),
        ({"said": None}, "empty: 'said'"),
        ({"said": ["a", "b"]}, "neither text nor number: 'said'"),
        ({"said": "<think>add"}, "the thinking never ends"),
        ({"said": "<think>add</think>"}, "no solution after the thinking"),
        ({"task": {}}, "empty: 'task.text'"),
        ({"part": "dev"}, "unknown split: 'dev'"),
    ],
)
def test_a_pair_that_cannot_be_learnt_from_is_named(tmp_path, change, reason):
    write_lines(tmp_path, [PAIR_ROWS[1], {**PAIR_ROWS[0], **change}])
    good, bad = get_cold_start_reader("columns", PAIR)(tmp_path)
    assert (good.response, bad.row) == ("It is 4.", 1)
    assert bad.reason.startswith(reason)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (None, "columns.question: is missing; .*; columns.response: is missing"),
        ({"question": "task", "answer": "gold"}, "columns.response: is missing; it must be text"),
        ({"question": "task", "response": "said", "images": "p"}, "no setting 'images'; there are"),
        ({"question": "task", "response": "told"}, "no column 'told'; there are 'task', 'said'"),
    ],
)
def test_wrong_names_of_pairs_stop_at_once(tmp_path, columns, message):
    write_lines(tmp_path, PAIR_ROWS)
    with pytest.raises(ValueError, match=message):
        list(get_cold_start_reader("columns", columns)(tmp_path))
    with pytest.raises(ValueError, match="limo knows its columns"):
        get_cold_start_reader("limo", PAIR)
