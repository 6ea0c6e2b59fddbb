"""Readers of the corpora: real rows where there are, else rows in the published layout."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ovr_plugin.data.prepare import FOR_EVALUATION, Manifest, Source, prepare
from ovr_plugin.data.readers import get_reader
from ovr_plugin.data.sample import BadRow, Sample, problems

NO_PICTURE = "the picture is not there"
# reader -> folder of real rows, good rows by split, bad rows by kind. Counted by hand in the files.
REAL = {
    "aime": ("aime_1983_2023", {"train": 200}, {}),
    "math": ("math_hendrycks", {"test": 200}, {}),
    "algopuzzlevqa": ("algopuzzlevqa", {"train": 44}, {}),
    "puzzlevqa": ("puzzlevqa", {"train": 169}, {}),
    "geometry3k": ("geometry3k", {"train": 6}, {}),
    "geos": ("geos", {"train": 3}, {}),
    "iconqa": ("iconqa", {"test": 99}, {}),
    "mmk12": ("mmk12", {"test": 200}, {}),
    "scienceqa": ("scienceqa", {"train": 55, "val": 17, "test": 23}, {NO_PICTURE: 105}),
    "chartqa": ("chartqa", {}, {NO_PICTURE: 60}),
    "clevr": ("clevr", {}, {NO_PICTURE: 130}),
    "geoqa": ("geoqa", {}, {NO_PICTURE: 200, "not a question with an answer": 120}),
    "deepscaler": ("deepscaler_verl", {"train": 200}, {}),
    "formalgeo7k": ("formalgeo7k", {"train": 194}, {"the answer is not verifiable": 6}),
    "orz": (
        "orz",
        {"train": 2947},
        {"the question shows a picture that the corpus does not hold": 53},
    ),
}


def read(name: str, root: Path) -> list[Sample | BadRow]:
    return list(get_reader(name)(root))


def png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def put(tmp_path):
    """Write a file of the corpus: bytes, JSON, JSON Lines or parquet by its name."""

    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(content), path)
        elif name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        else:
            path.write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_samples_or_named(shared, name):
    folder, splits, kinds = REAL[name]
    items = read(name, shared / "raw" / folder)
    good = [item for item in items if isinstance(item, Sample)]
    bad = [item for item in items if isinstance(item, BadRow)]
    assert Counter(sample.split for sample in good) == splits
    assert Counter(row.kind for row in bad) == kinds
    assert len({sample.id for sample in good}) == len(good)
    for sample in good:
        assert problems(sample) == []
        assert sample.data_source == name


def test_later_aime_problems_are_for_evaluation(shared):
    items = read("aime", shared / "raw" / "aimo_validation_aime")
    bad = [item.reason for item in items if isinstance(item, BadRow)]
    assert set(bad) == {"for evaluation only: AIME 2024 is later than 2023"}
    assert (len(items), len(bad)) == (60, 18)


def test_prepare_keeps_the_test_split_out_of_training(put, tmp_path):
    problem = {"problem": "1 + 1?", "solution": "So $\\boxed{2}$.", "level": "1", "type": "Algebra"}
    for split, n in (("train", 4), ("test", 3)):
        for row in range(n):
            put(f"raw/MATH/{split}/algebra/{row}.json", {**problem, "problem": f"{split} {row}?"})
    report = prepare(
        Manifest([Source("math", tmp_path / "raw")], val_fraction=0.5), tmp_path / "out"
    )
    reasons = report["sources"]["math"]["reasons"]
    assert {kind: entry["count"] for kind, entry in reasons.items()} == {"for evaluation only": 3}
    assert FOR_EVALUATION in reasons["for evaluation only"]["examples"][0]["reason"]
    assert report["sources"]["math"]["good"] == 4


TEXT_ROWS = {
    "numinamath": [
        ({"problem": "p", "solution": "so \\boxed{\\frac{1}{2}}"}, "\\frac{1}{2}"),
        ({"problem": "p", "solution": "x", "answer": " 7 ", "problem_is_valid": "Yes"}, "7"),
        ({"problem": "p", "solution": "none"}, "the solution has no boxed answer"),
        ({"problem": "p", "solution": "\\boxed{1} \\boxed{2}"}, "the solution has several boxes"),
        (
            {"problem": "p", "solution": "", "answer": "proof"},
            "the answer is not verifiable: proof",
        ),
        ({"problem": "p", "solution": "", "answer": "notfound"}, "the answer is not verifiable"),
        ({"problem": "p", "answer": "1", "question_type": "proof"}, "the answer is not verifiable"),
        ({"problem": "p", "answer": "1", "solution_is_valid": "No"}, "marked as not valid"),
    ],
    "math": [
        ({"problem": "p", "solution": "So it is $\\boxed 3$ or so."}, "3"),
        ({"problem": "p", "solution": "So $x = \\boxed \\frac12$."}, "\\frac12"),
        ({"problem": "p", "solution": "$\\boxed{7}$, not $\\boxed{x_{3}}$"}, "x_{3}"),
        ({"problem": "p", "solution": "So it is 3."}, "the solution has no boxed answer"),
    ],
    "openr1_math": [
        ({"problem": "p", "solution": "", "answer": "3", "generations": ["<think>"]}, "3"),
        ({"problem": None, "solution": "", "answer": "3"}, "field of the wrong type: 'problem'"),
    ],
    "tulu3_math": [
        (
            {
                "messages": [
                    {"role": "user", "content": "Question: a?\nAnswer: 1\n\nQuestion: b?\nAnswer:"}
                ],
                "ground_truth": "3",
                "dataset": "MATH",
            },
            "3",
        ),
        ({"messages": [], "ground_truth": "3", "dataset": "MATH"}, "the row has not one user turn"),
        ({"messages": [], "ground_truth": "3", "dataset": "GSM8K"}, "not of the MATH part"),
    ],
    "aime": [
        ({"problem": "p", "answer": "025", "year": 1999}, "25"),
        ({"ID": "1999-1", "Year": 1999, "Question": "p", "Answer": "25", "Part": None}, "25"),
        ({"ID": "x", "Year": "2024", "Question": "p", "Answer": "25"}, "for evaluation only"),
        ({"problem": "p", "answer": 25, "year": "1999"}, "25"),
        ({"question": "p", "answer": "1", "url": "wiki/index.php/2022_AIME_I_Problems/"}, "1"),
        ({"problem": "p", "answer": "1", "url": "elsewhere"}, "no year"),
        ({"problem": "p", "answer": "1/2", "year": 1999}, "the answer is not a whole number"),
        ({"problem": "p", "answer": "1", "year": 2024}, "for evaluation only"),
    ],
}


@pytest.mark.parametrize(
    ("name", "row", "wanted"),
    [(name, row, wanted) for name, rows in TEXT_ROWS.items() for row, wanted in rows],
)
def test_text_rows(put, name, row, wanted):
    [item] = read(name, put("train-aime.jsonl", [row]))
    if isinstance(item, BadRow):
        assert item.reason.startswith(wanted)
    else:
        assert item.ground_truth == wanted
        assert problems(item) == []


def test_worked_examples_are_cut_off(put):
    [row] = [row for row, wanted in TEXT_ROWS["tulu3_math"] if wanted == "3"]
    [sample] = read("tulu3_math", put("data/train.jsonl", [row]))
    assert sample.prompt[0]["content"].startswith("b?\n")


HUB_PICTURE = {"bytes": png(), "path": "a.png"}


@pytest.mark.parametrize(
    ("name", "row", "answer", "kind"),
    [
        (
            "chartqa",
            {"query": "How many?", "label": ["0.57"], "image": HUB_PICTURE},
            "0.57",
            "number",
        ),
        ("chartqa", {"query": "Which??", "label": ["Iran"], "image": HUB_PICTURE}, "Iran", None),
        ("chartqa", {"query": "Which?", "label": ["Iran"], "image": HUB_PICTURE}, "Iran", None),
        (
            "clevr",
            {"problem": "How many?", "solution": "<answer> 3 </answer>", "image": HUB_PICTURE},
            "3",
            "number",
        ),
        (
            "geoqa",
            {"problem": "Angle?", "solution": "<answer> 145° </answer>", "image": HUB_PICTURE},
            "145°",
            None,
        ),
        ("mmk12", {"question": "q", "answer": "$$6$$.", "image": HUB_PICTURE}, "6", "number"),
        (
            "scienceqa",
            {"question": "q", "choices": ["a", "b"], "answer": 1, "hint": "", "image": HUB_PICTURE},
            "B",
            "choice",
        ),
    ],
)
def test_tables_of_the_hub_with_the_picture_inside(put, name, row, answer, kind):
    [sample] = read(name, put("data/train-00000-of-00001.parquet", [row]))
    assert (sample.ground_truth, sample.answer_type) == (answer, kind)
    assert sample.images[0].data == png()
    assert problems(sample, decode_images=True) == []
    assert sample.tolerance == (0.05 if name == "chartqa" and kind else None)


def test_chartqa_folder(put):
    put("ChartQA Dataset/val/png/1.png", png())
    root = put(
        "ChartQA Dataset/val/val_human.json",
        [
            {"imgname": "1.png", "query": "How many?", "label": "14"},
            {"imgname": "2.png", "query": "How many?", "label": "14"},
            {"imgname": "../../../../x.png", "query": "How many?", "label": "14"},
            {"imgname": "1.png", "query": "How many caf\ufffds?", "label": "14"},
            {"imgname": "1.png", "query": "How many ??? people?", "label": "14"},
        ],
    )
    good, missing, outside, *damaged = read("chartqa", root)
    assert [item.kind for item in damaged] == ["the question is damaged"] * 2
    assert (good.split, good.ground_truth) == ("val", "14")
    assert missing.reason == "the picture is not there: png/2.png"
    assert outside.reason.startswith("the picture lies outside the corpus: ")


def test_clevr_folder(put):
    put("CLEVR_v1.0/images/train/CLEVR_train_000000.png", png())
    question = {"image_filename": "CLEVR_train_000000.png", "question": "Are there more?"}
    root = put(
        "CLEVR_v1.0/questions/CLEVR_train_questions.json",
        {"questions": [{**question, "answer": "yes"}, {**question, "answer": "4"}, question]},
    )
    yes, four, none = read("clevr", root)
    assert (yes.answer_type, four.answer_type) == ("yes_no", "number")
    assert problems(yes, decode_images=True) == []
    assert none.reason.startswith("field missing: 'answer'")
    put("CLEVR_v1.0/questions/CLEVR_train_questions.json", [])
    assert "'{' expected, found '['" in read("clevr", root)[0].reason


def test_geoqa_folder(put):
    put("GeoQA3/image/204.png", png())
    row = {"id": 204, "subject": "∠C?", "choices": ["100°", "110°"]}
    put("GeoQA3/json/train/204.json", {**row, "label": 1})
    put("GeoQA3/json/train/205.json", {**row, "lable": 0})
    root = put("GeoQA3/json/train/206.json", {**row, "label": 2})
    first, second, third = read("geoqa", root)
    assert (first.ground_truth, second.ground_truth) == ("B", "A")
    assert first.choices == ["100°", "110°"]
    assert third.reason == "the answer is not one of the choices: 2 of 2"


def test_geos_release(put):
    choices = {"1": "15*\\degree", "2": "30*\\degree"}
    for number, answer in enumerate(["2", 1.0, "6", None, "x"]):
        put(f"official/{number}.json", {"text": "q", "choices": choices, "answer": answer})
        put(f"official/{number}.png", png())
    root = put("official/9.json", {"text": "q", "choices": {"a": "1"}, "answer": "1"})
    items = read("geos", root)
    assert [item.ground_truth for item in items[:2]] == ["B", "A"]
    assert items[0].choices == ["15°", "30°"]
    assert [item.reason.partition(":")[0] for item in items[2:]] == [
        "the answer is not a choice's number",
        "field of the wrong type",
        "the answer is not a choice's number",
        "the choices are not texts numbered from 1",
    ]


def test_iconqa_options_that_are_pictures_stand_behind_their_letters(put):
    folder = "iconqa_data/iconqa/train/choose_img/7"
    for name in ("image.png", "choice_0.png", "choice_1.png"):
        put(f"{folder}/{name}", png())
    row = {"question": "Which is round?", "choices": ["choice_0.png", "choice_1.png"], "answer": 1}
    put(f"{folder}/data.json", {**row, "ques_type": "choose_img"})
    put("iconqa_data/iconqa/train/fill_in_blank/8/image.png", png())
    root = put(
        "iconqa_data/iconqa/train/fill_in_blank/8/data.json",
        {"question": "How long?", "answer": "10", "unit": "inches", "ques_type": "fill_in_blank"},
    )
    blank, choice = sorted(read("iconqa", root), key=lambda sample: len(sample.images))
    assert choice.prompt[0]["content"].count("<image>") == len(choice.images) == 3
    assert "(B) <image>" in choice.prompt[0]["content"]
    assert (choice.ground_truth, blank.ground_truth, blank.unit) == ("B", "10", "inches")
    assert problems(choice, decode_images=True) == problems(blank) == []
    put("iconqa_data/iconqa/train/fill_in_blank/8/data.json", {"ques_type": "draw"})
    assert "unknown kind of question: 'draw'" in {
        item.reason for item in read("iconqa", root) if isinstance(item, BadRow)
    }


def test_iconqa_all_in_one_file(put):
    """problems.json counts only where the folders have no data.json of their own."""
    for place in ("train/choose_img/7", "val/fill_in_blank/8"):
        put(f"iconqa_data/iconqa/{place}/image.png", png())
    for name in ("choice_0.png", "choice_1.png"):
        put(f"iconqa_data/iconqa/train/choose_img/7/{name}", png())
    image = {"question": "Which is round?", "choices": ["choice_0.png", "choice_1.png"]}
    blank = {"question": "How long?", "answer": "10", "unit": "inches"}
    problems_by_id = {
        "7": {**image, "answer": 1, "ques_type": "choose_img", "split": "train"},
        "8": {**blank, "ques_type": "fill_in_blank"},
        "9": {**blank, "ques_type": "fill_in_blank", "split": "train"},
        "../8": {**blank, "ques_type": "fill_in_blank"},
    }
    root = put("iconqa_data/problems.json", problems_by_id)
    choice, blank, gone, outside = read("iconqa", root)
    assert (choice.ground_truth, choice.split, len(choice.images)) == ("B", "train", 3)
    assert (blank.ground_truth, blank.split, blank.unit) == ("10", "val", "inches")
    assert (choice.id, blank.id) == tuple(f"iconqa/iconqa_data/problems.json#{n}" for n in (0, 1))
    assert problems(choice, decode_images=True) == problems(blank) == []
    assert gone.reason.startswith("the picture is not there: iconqa_data/iconqa/train/")
    assert outside.reason == "not an id: '../8'"
    put("iconqa_data/iconqa/val/fill_in_blank/8/data.json", problems_by_id["8"])
    assert len(read("iconqa", root)) == 1


def test_mmk12_messages(put):
    put("images/1.png", png())
    parts = [{"type": "image", "image": "file://images/1.png"}, {"type": "text", "text": "q"}]
    message = json.dumps([{"role": "user", "content": parts}])
    rows = [{"message": message, "answer": "$x$"}, {"message": "[]", "answer": "x"}]
    good, empty = read("mmk12", put("train.jsonl", [*rows[:1], rows[1]]))
    assert (good.ground_truth, problems(good)) == ("x", [])
    assert empty.reason == "not exactly one picture: 0"
    [broken] = read("mmk12", put("train.jsonl", [{"message": "{", "answer": "x"}]))
    assert broken.reason.startswith("'message' is not a list of turns with parts")


def test_tqa_lessons(put):
    options = {
        key: {"idStructural": f"{key}.", "processedText": text, "rawText": text}
        for key, text in (("a", "true"), ("b", "false"))
    }
    asked = {"processedText": "Is it?", "rawText": "Is it?"}
    question = {"answerChoices": options, "beingAsked": asked}
    answers = {"NDQ_1": "b", "NDQ_2": "true", "NDQ_3": "maybe"}
    plain = {
        key: {**question, "correctAnswer": {"processedText": answer}}
        for key, answer in answers.items()
    }
    diagram = {"DQ_1": {**plain["NDQ_1"], "imagePath": "question_images/1.png"}}
    put("train/question_images/1.png", png())
    lesson = {"questions": {"nonDiagramQuestions": plain, "diagramQuestions": diagram}}
    b, true, maybe, picture = read("tqa", put("train/tqa_v1_train.json", [lesson, {}]))
    assert [sample.ground_truth for sample in (b, true, picture)] == ["B", "A", "B"]
    assert "not exactly one of the choices" in maybe.reason
    assert (len(picture.images), problems(picture)) == (1, [])


def test_pixmo_needs_the_picture_that_was_labelled(put):
    digest = hashlib.sha256(png()).hexdigest()
    put(f"images/{digest}.png", png())
    put("images/0000.png", png())
    row = {"image_url": "https://example.org/a.jpg", "label": "people"}
    rows = [
        {**row, "image_sha256": digest, "count": 3},
        {**row, "image_sha256": digest, "points": {"x": [1.0, 2.0], "y": [1.0, 2.0]}},
        {**row, "image_sha256": digest, "points": [{"x": 1.0, "y": 2.0}]},
        {**row, "image_sha256": "0000", "count": 3},
        {**row, "image_sha256": "1111", "count": 3},
        {**row, "image_sha256": "../x", "count": 3},
        {**row, "image_sha256": digest},
    ]
    items = read("pixmo", put("data/train.jsonl", rows))
    assert [item.ground_truth for item in items[:3]] == ["3", "2", "1"]
    assert items[0].prompt[0]["content"].startswith("<image>How many people are there")
    assert [item.reason.partition(":")[0] for item in items[3:]] == [
        "not the picture that was labelled",
        "the picture was not downloaded",
        "not a sha256",
        "neither 'count' nor 'points'",
    ]


def test_atomthink_takes_the_final_answer_of_the_last_turn(put):
    put("images/1.png", png())
    turns = [
        {"from": "human", "value": "<image>\nWhich?"},
        {"from": "gpt", "value": "Step 1: look.\nTo sum up, the final answer is: C."},
    ]
    rows = [
        {"image": "images/1.png", "conversations": turns},
        {"conversations": [turns[0], {"from": "gpt", "value": "I do not know"}]},
        {"conversations": [{"from": "system", "value": ""}]},
        {"conversations": turns[:1]},
    ]
    good, unknown, system, half = read("atomthink", put("AtomMATH/AMATH-SFT.json", rows))
    assert (good.ground_truth, problems(good)) == ("C", [])
    assert unknown.reason == "the last turn gives no final answer"
    assert system.reason.startswith("unknown turn")
    assert half.reason == "no question or no answer"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("train.parquet", b"PAR1 cut off", "not a readable parquet file, from row 0"),
        ("train.jsonl", b"{", "not valid JSON"),
    ],
)
def test_broken_tables_are_bad_rows(put, name, content, reason):
    [item] = read("numinamath", put(name, content))
    assert item.reason.startswith(reason)
