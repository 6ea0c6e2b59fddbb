"""Benchmarks: every real row becomes an item that its own reference answers; published layouts."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_rows import base64_png, draw, png, write_hub, write_tsv

from ovr_plugin.data.sample import rejects_own_reference
from ovr_plugin.eval.benchmarks import PERCEPTION, SUITES, TEXT, all_benchmarks, get_benchmarks
from ovr_plugin.reward import compute_score

# Items in ../shared/raw; of what is a bad row there, the kind.
REAL_ROWS = {
    "aime24": 19,
    "aime25": 17,
    "math500": 200,
    "mmlu": 204,
    "mathvista": 200,
    "mathvision": 200,
    "mathvision_mini": 17,
    "mathverse_all": 200,
    "dynamath": 200,
    "wemath": 207,
    "logicvista": 161,
    "mmmu_pro": 65,
    "charxiv_reasoning": 200,
    "charxiv_descriptive": 800,
    "pope": 600,
    "hallusionbench": 206,
}
KNOWN_BAD = {"mmmu_pro": {"a part is missing"}}  # the screenshots could not be had


@pytest.mark.parametrize("name", REAL_ROWS)
def test_every_real_row_is_an_item_that_its_reference_answers(name, real_data, read):
    items, bad = read(name, real_data)
    assert len(items) == REAL_ROWS[name]
    assert {row.kind for row in bad} == KNOWN_BAD.get(name, set())
    assert len({item.id for item in items}) == len(items)
    assert {item.sample.data_source for item in items} == {name.removesuffix("_all")}
    assert [
        found for item in items if (found := rejects_own_reference(item.sample, compute_score))
    ] == []


@pytest.mark.parametrize("name", ["mathvista", "mathvision", "wemath", "mmmu_pro", "mmlu"])
def test_another_option_is_wrong(name, real_data, read):
    """The reference is the right letter and not any: the next one, and its text, score nothing."""
    items, _ = read(name, real_data)
    asked = [item.sample for item in items if len(set(item.sample.choices)) > 1]
    assert len(asked) > 50 or name == "mathvision"
    for sample in asked:
        others = [
            text
            for text, letter in zip(sample.choices, "ABCDEFGHIJ", strict=False)
            if letter != sample.ground_truth
            and text != sample.choices["ABCDEFGHIJ".index(sample.ground_truth)]
        ]
        other = "ABCDEFGHIJ"[sample.choices.index(others[0])]
        wrong = compute_score(name, f"\\boxed{{{other}}}", sample.ground_truth, sample.extra_info())
        assert wrong["score"] == 0.0, sample.id


def test_mathvista_allows_half_a_unit_of_the_last_decimal(real_data, read):
    """The official script rounds 131253.46 to 131253.5, and 131253.56 to 131253.6."""
    items, _ = read("mathvista", real_data)
    [item] = [item for item in items if item.sample.ground_truth == "131253.5"]
    answers = {"131253.46": 1.0, "131253.54": 1.0, "131253.56": 0.0, "131253.44": 0.0}
    for answer, score in answers.items():
        row = compute_score("", f"\\boxed{{{answer}}}", "131253.5", item.sample.extra_info())
        assert row["score"] == score, answer


def test_dynamath_allows_a_thousandth(real_data, read):
    items, _ = read("dynamath", real_data)
    [item] = [item for item in items if item.sample.ground_truth == "24.9356"]
    for answer, score in {"24.936": 1.0, "24.9349": 1.0, "24.94": 0.0, "24.93": 0.0}.items():
        row = compute_score("", f"\\boxed{{{answer}}}", "24.9356", item.sample.extra_info())
        assert row["score"] == score, answer


def test_wemath_shows_odd_options_as_they_are(real_data, read):
    items, _ = read("wemath", real_data)
    odd = [item.sample for item in items if not item.sample.choices]
    assert len(odd) == 3
    assert all("No correct answe" in sample.prompt[0]["content"] for sample in odd)


def test_pictures_stand_where_the_text_has_them(tmp_path, read):
    """MMMU-Pro: marks in question and options; a picture that no text places comes first."""
    for number in (1, 2, 3):
        draw(tmp_path / f"mmmu_pro/images/{number}.png")
    row = {
        "id": "x",
        "question": "Which continues <image 2>?",
        "shuffled_options": ["<image 1>", "none"],
        "shuffled_options_answer": "A",
        **{f"image_{number}": f"images/{number}.png" for number in (1, 2, 3)},
    }
    path = tmp_path / "mmmu_pro/mix_data.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "question": "<image 7>"}) + "\n")
    [item], bad = read("mmmu_pro", tmp_path)
    content = item.sample.prompt[0]["content"]
    assert content.startswith("<image>Which continues <image>?\nChoices:\n(A) <image>\n(B) none")
    names = [Path(image.path).name for image in item.sample.images]
    assert names == ["3.png", "2.png", "1.png"]
    assert "places pictures that are not there: image_7" in bad[0].reason


PICTURE = {"bytes": png(), "path": "a.png"}
OPTIONS = {"A": "red", "B": "blue", "C": "green", "D": "nan"}
# benchmark -> file in its folder, a good row, its reference, a broken row
MADE = {
    "gpqa_diamond": (
        "gpqa_diamond.csv",
        {
            "Question": "Which?",
            "Correct Answer": "the right one",
            **{f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)},
            "High-level domain": "Physics",
        },
        None,
        {"Correct Answer": ""},
    ),
    "mmlu_pro": (
        "data/test-0.parquet",
        {"question": "Q?", "options": ["a", "b", "N/A"], "answer": "B", "category": "law"},
        "B",
        {"answer": "C"},
    ),
    "blink": (
        "Counting/val-0.parquet",
        {
            "question": "How many?",
            "choices": ["1", "2"],
            "answer": "(B)",
            "sub_task": "Counting",
            "image_1": PICTURE,
            "image_2": PICTURE,
        },
        "B",
        {"answer": "hidden"},
    ),
    "mmstar": (
        "val.parquet",
        {
            "question": "Q?\nOptions: A: x, B: y, C: z, D: w",
            "answer": "C",
            "image": PICTURE,
            "category": "math",
        },
        "C",
        {"answer": "E"},
    ),
    "realworldqa": (
        "test-0.parquet",
        {
            "question": "Where?\n\nA. left\nB. right\nPlease answer directly with only the letter.",
            "answer": "B",
            "image": PICTURE,
        },
        "B",
        {"answer": "G"},
    ),
    "phyx": (
        "PhyX_mini_MC.tsv",
        {
            "index": 1,
            "question": "Q? A: 1 N, B: 2 N, C: 3 N, D: 4 N",
            "answer": "D",
            "image": base64_png(),
            "category": "Optics",
        },
        "D",
        {"image": "!" * 600},
    ),
    "mmvet": (
        "mm-vet.json",
        {
            "imagename": "v1_0.png",
            "question": "What is x?",
            "answer": "-1<AND>-5",
            "capability": ["math"],
        },
        "-1, -5",
        {"answer": "a long description of what makes the picture funny"},
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_rows_in_the_published_layout(name, tmp_path, read):
    file, good, reference, broken = MADE[name]
    path = tmp_path / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [good, {**good, **broken}]
    if path.suffix == ".csv":
        with path.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, list(good))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".tsv":
        write_tsv(path, rows)
    elif path.suffix == ".json":
        draw(path.parent / "images/v1_0.png")
        path.write_text(json.dumps({f"v1_{i}": row for i, row in enumerate(rows)}))
    else:
        write_hub(path, rows)
    items, bad = read(name, tmp_path)
    missing_tasks = 13 if name == "blink" else 0
    if name == "gpqa_diamond":  # an empty option is still an option; the reference must be found
        assert len(items) + len(bad) == 2
    else:
        assert (len(items), len(bad)) == (1, 1 + missing_tasks), bad
    sample = items[0].sample
    assert reference in (None, sample.ground_truth)
    assert rejects_own_reference(sample, compute_score) is None
    assert len(sample.images) == {"blink": 2}.get(name, 0 if name in TEXT else 1)


def test_gpqa_options_have_a_fixed_order_that_is_not_the_files(tmp_path, read):
    _, row, _, _ = MADE["gpqa_diamond"]
    rows = [{**row, "Question": f"Question {i}?"} for i in range(40)]
    for copy in ("one", "two"):
        path = tmp_path / copy / "gpqa_diamond" / "gpqa_diamond.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, list(row))
            writer.writeheader()
            writer.writerows(rows if copy == "one" else rows[::-1])
    first, _ = read("gpqa_diamond", tmp_path / "one")
    second, _ = read("gpqa_diamond", tmp_path / "two")
    letters = [item.sample.ground_truth for item in first]
    assert letters == [item.sample.ground_truth for item in second][::-1]
    assert set(letters) == set("ABCD")
    for item in first:
        assert item.sample.choices["ABCD".index(item.sample.ground_truth)] == "the right one"


def test_mmbench_asks_every_rotation_of_the_options(tmp_path, read):
    row = {"index": 7, "question": "Colour?", "hint": "Look.", **OPTIONS, "answer": "B"}
    write_tsv(tmp_path / "mmbench/mmbench_dev_en_20231003.tsv", [{**row, "image": base64_png()}])
    items, bad = read("mmbench_en", tmp_path)
    assert bad == []
    assert len(items) == 3
    assert [item.sample.ground_truth for item in items] == ["B", "A", "C"]
    assert all(i.sample.choices["ABC".index(i.sample.ground_truth)] == "blue" for i in items)


def test_mme_reads_both_kinds_of_folders(tmp_path, read):
    for task, questions, pictures in (
        ("color", "color", "color"),
        ("artwork", "artwork/questions_answers_YN", "artwork/images"),
    ):
        draw(tmp_path / "mme" / pictures / "7.png")
        path = tmp_path / "mme" / questions / "7.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Is it {task}? Please answer yes or no.\tYes\nIs it not?\tNo\n")
    items, bad = read("mme", tmp_path)
    assert bad == []
    assert [item.sample.ground_truth for item in items] == ["yes", "no"] * 2
    assert {item.facts["picture"] for item in items} == {"color/7", "artwork/7"}
    assert all(item.sample.images[0].path.endswith("7.png") for item in items)


def test_the_hub_gives_the_same_items_as_its_files(tmp_path, read, monkeypatch):
    """``datasets`` on a local repository in the Hub's layout: pictures stay the bytes they are."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    _, good, _, _ = MADE["realworldqa"]
    write_hub(tmp_path / "realworldqa/data/test-00000-of-00001.parquet", [good, good])
    benchmark = all_benchmarks()["realworldqa"]
    [source] = benchmark.sources
    local = replace(benchmark, sources=[replace(source, hub=str(tmp_path / "realworldqa"))])
    from_hub = list(local.items())
    from_files, _ = read("realworldqa", tmp_path)
    assert [replace(i.sample, id="") for i in from_hub] == [
        replace(i.sample, id="") for i in from_files
    ]
    assert from_hub[0].sample.images[0].data == png()
    assert len({item.id for item in from_hub}) == 2


def test_what_is_not_there_is_said(tmp_path):
    benchmark = all_benchmarks()["math500"]
    with pytest.raises(FileNotFoundError, match="math500: no such folder"):
        list(benchmark.items(tmp_path))
    (tmp_path / "math500").mkdir()
    with pytest.raises(FileNotFoundError, match=r"math500: none of .*jsonl.* is there"):
        list(benchmark.items(tmp_path))
    nowhere = replace(benchmark, sources=[replace(benchmark.sources[0], hub="")])
    with pytest.raises(ValueError, match="not on the Hub: give the folder"):
        list(nowhere.items())
    with pytest.raises(
        ValueError, match=r"no benchmark named aime23, xy \(.*\?\); there are .*the suites"
    ):
        get_benchmarks(["xy", "math500", "aime23"])


def test_two_items_of_one_name_are_refused(tmp_path):
    path = tmp_path / "math500/test.jsonl"
    path.parent.mkdir()
    path.write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    benchmark = all_benchmarks()["math500"]
    twice = replace(benchmark, sources=[benchmark.sources[0]] * 2)
    with pytest.raises(ValueError, match=r"two items are called math500/test.jsonl#0"):
        list(twice.items(tmp_path))


def test_a_picture_that_is_not_there_is_a_bad_row(tmp_path, read):
    path = tmp_path / "logicvista/data/dataset.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"1": {"imagename": "1.png", "question": "?", "answer": "A"}}')
    items, bad = read("logicvista", tmp_path)
    assert items == []
    assert "the picture is not there: images/1.png" in str(bad[0])


def test_the_paper_s_tables_are_complete():
    """Every benchmark of the tables exists, once, with the paper's numbers; names are unique."""
    known = all_benchmarks()
    assert set(SUITES["paper"]) <= set(known)
    assert len(set(SUITES["paper"])) == len(SUITES["paper"])
    for name in SUITES["paper"]:
        assert known[name].paper, name
        assert all(paper.ovr for paper in known[name].paper)
        assert known[name].license
    assert all(known[name].paper[0].cold_start for name in PERCEPTION)
