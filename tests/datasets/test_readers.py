"""Readers: real rows in their authors' layouts, and every way a row or a file can be broken."""

from __future__ import annotations

import json
import shutil

import pytest

from ovr_plugin.data.prompt import INSTRUCTION
from ovr_plugin.data.readers import get_reader, reader_names
from ovr_plugin.data.sample import BadRow, BrokenFile, Sample, problems

N_ROWS = {"orz": 12, "puzzlevqa": 7, "geometry3k": 2}
# Counted in the raw files: questions with a Markdown picture, ![...](...).
N_PICTURE_LINKS = {"orz": 53}


def read(name, root):
    return list(get_reader(name)(root))


def good(items):
    return [item for item in items if isinstance(item, Sample)]


def write_orz(root, content):
    path = root / "data" / "orz_math_57k_collected.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def turns(question="What is 1 + 1?", **truth):
    return [
        {"from": "human", "value": question},
        {"from": "assistant", "ground_truth": {"value": "2", **truth}},
    ]


def test_there_is_a_reader_for_each_folder_of_rows(rows):
    folders = {folder.name for folder in rows.iterdir() if folder.is_dir()}
    assert folders <= set(reader_names())


def test_unknown_reader_lists_the_known():
    with pytest.raises(
        ValueError, match="no reader named 'nothing'; there are: aime, algopuzzlevqa, atomthink"
    ):
        get_reader("nothing")


@pytest.mark.parametrize("name", N_ROWS)
def test_real_rows_are_read_completely(rows, name):
    items = read(name, rows / name)
    assert len(items) == N_ROWS[name]
    for sample in good(items):
        assert problems(sample, decode_images=True) == []
        assert sample.prompt[-1]["content"].endswith(INSTRUCTION)
        assert sample.data_source == name


@pytest.mark.parametrize("name", N_ROWS)
def test_all_shared_rows_are_read(shared, name):
    items = read(name, shared / "raw" / name)
    bad = [item for item in items if isinstance(item, BadRow)]
    assert len(bad) == N_PICTURE_LINKS.get(name, 0)
    assert not [sample for sample in good(items) if problems(sample)]
    assert len({sample.id for sample in good(items)}) == len(good(items))


@pytest.mark.parametrize("name", N_ROWS)
def test_missing_folder_says_what_was_looked_for(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"none of .* is there"):
        read(name, tmp_path)


def test_orz_rows_lead_back_to_their_place(rows):
    for item in good(read("orz", rows / "orz")):
        file, row = item.id.removeprefix("orz/").split("#")
        question, answer = json.loads((rows / "orz" / file).read_text())[int(row)]
        assert question["value"].strip() in item.prompt[0]["content"]
        assert answer["ground_truth"]["value"].strip() == item.ground_truth


def test_orz_answer_types(rows):
    types = {item.ground_truth: item.answer_type for item in good(read("orz", rows / "orz"))}
    assert types["65"] == types["73.5"] == "number"
    assert types["No"] is types[r"995\text{ dollars}"] is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (turns()[:1], "the row is not a list of two turns"),
        ({"question": "?"}, "the row is not a list of two turns"),
        ([*turns(), {"from": "human", "value": "?"}], "the row is not a list of two turns"),
        ([turns()[0], "2"], "the row is not an object: str"),
        ([turns()[0], {"from": "assistant"}], "field missing: 'ground_truth'"),
        ([turns()[0], {"ground_truth": "2"}], "field of the wrong type: 'ground_truth' is '2'"),
        (turns(value=2), "field of the wrong type: 'value' is 2"),
        (turns(value=None), "field of the wrong type: 'value' is None"),
        (turns(7), "field of the wrong type: 'value' is 7"),
        (
            turns("![](https://cdn/a.png) Find x."),
            "the question shows a picture that the corpus does not hold",
        ),
        (turns("<image> Find x."), "the question shows a picture that the corpus does not hold"),
    ],
)
def test_broken_orz_row_is_reported_in_its_place(tmp_path, row, reason):
    path = write_orz(tmp_path, [turns(), row, turns()])
    before, bad, after = read("orz", tmp_path)
    assert bad == BadRow(str(path), 1, reason)
    assert isinstance(before, Sample)
    assert isinstance(after, Sample)


@pytest.mark.parametrize(
    ("content", "row"),
    [('[["cut', 0), ("[" * 100_000, 0), ("\x00\xff", None)],
    ids=["cut", "deep", "binary"],
)
def test_broken_orz_file_is_reported(tmp_path, content, row):
    path = write_orz(tmp_path, content)
    (bad,) = read("orz", tmp_path)
    assert isinstance(bad, BrokenFile)
    assert (bad.file, bad.row, bad.kind) == (str(path), row, "not valid JSON")


@pytest.fixture
def puzzles(tmp_path, rows):
    shutil.copytree(rows / "puzzlevqa", tmp_path, dirs_exist_ok=True)
    return tmp_path / "PuzzleVQA" / "data" / "triangle.json"


def test_puzzlevqa_letter_names_the_answer(rows):
    for item in read("puzzlevqa", rows / "puzzlevqa"):
        file, row = item.id.removeprefix("puzzlevqa/").split("#")
        raw = json.loads((rows / "puzzlevqa" / file).read_text().splitlines()[int(row)])
        assert item.choices[ord(item.ground_truth) - ord("A")] == str(raw["answer"])
        assert f"({item.ground_truth}) {raw['answer']}\n" in item.prompt[0]["content"]
        assert item.answer_type == "choice"
        assert raw["explanation"] not in item.prompt[0]["content"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "red"}, "the answer is not exactly one of the choices: 'red' among ["),
        ({"options": []}, "the answer is not exactly one of the choices: "),
        ({"options": [[1], 2]}, "not a list of texts: 'options' is [[1], 2]"),
        ({"options": "ABC"}, "field of the wrong type: 'options' is 'ABC'"),
        ({"answer": None}, "field of the wrong type: 'answer' is None"),
        ({"answer": True}, "field of the wrong type: 'answer' is True"),
        ({"question": 3}, "field of the wrong type: 'question' is 3"),
    ],
)
def test_broken_puzzle_is_reported_in_its_place(puzzles, change, reason):
    row = json.loads(puzzles.read_text())
    puzzles.write_text(f"\n{json.dumps({**row, **change})}\n{json.dumps(row)}\n")
    items = read("puzzlevqa", puzzles.parents[2])
    (bad,) = (item for item in items if isinstance(item, BadRow))
    assert (bad.file, bad.row) == (str(puzzles), 1)
    assert bad.reason.startswith(reason)
    assert len(items) == N_ROWS["puzzlevqa"] + 1


def test_doubled_option_cannot_be_lettered(puzzles):
    row = json.loads(puzzles.read_text())
    puzzles.write_text(json.dumps({**row, "options": [row["answer"], str(row["answer"])]}) + "\n")
    kinds = [
        item.kind for item in read("puzzlevqa", puzzles.parents[2]) if isinstance(item, BadRow)
    ]
    assert kinds == ["the answer is not exactly one of the choices"]


def test_broken_line_is_reported(puzzles):
    puzzles.write_text('{"image": "cut\n')
    bad = [item for item in read("puzzlevqa", puzzles.parents[2]) if isinstance(item, BadRow)]
    assert [(b.row, b.kind) for b in bad] == [(0, "not valid JSON")]


def test_geometry3k_row(rows):
    items = {item.id: item for item in read("geometry3k", rows / "geometry3k")}
    item = items["geometry3k/train/13/data.json#0"]
    raw = json.loads((rows / "geometry3k" / "train" / "13" / "data.json").read_text())
    assert (item.ground_truth, item.choices) == (raw["answer"], raw["choices"])
    assert item.images[0].path.endswith("train/13/img_diagram.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON: "),
        ('{"choices": ["1"], "answer": "B"}', "the answer is not a choice's letter: 'B' of 1"),
        ('{"answer": "B"}', "field missing: 'choices'"),
    ],
)
def test_broken_geometry3k_problem_is_reported(tmp_path, content, reason):
    path = tmp_path / "train" / "0" / "data.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    (bad,) = read("geometry3k", tmp_path)
    assert bad.file == str(path)
    assert bad.reason.startswith(reason)


def test_the_test_split_is_marked_as_such(tmp_path, rows):
    shutil.copytree(rows / "geometry3k" / "train", tmp_path / "test")
    assert {sample.split for sample in read("geometry3k", tmp_path)} == {"test"}
