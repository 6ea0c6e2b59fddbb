"""Preparation: nothing lost, nothing in both files, the same bytes twice."""

from __future__ import annotations

import json
import shutil

import pytest

from ovr_plugin.data.files import read_json, read_jsonl, read_parquet
from ovr_plugin.data.prepare import Source, content_key, prepare
from ovr_plugin.data.sample import Sample


def write_orz(root, questions):
    rows = [
        [{"value": question}, {"ground_truth": {"value": answer}}] for question, answer in questions
    ]
    path = root / "data" / "orz_math_x.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return root


def read(out, name):
    return list(read_parquet(out / f"{name}.parquet", Sample))


@pytest.fixture
def sources(rows):
    return [Source(name, rows / name) for name in ("orz", "puzzlevqa")]


def test_every_row_is_in_a_file_or_in_the_report(sources, tmp_path):
    report = prepare(sources, tmp_path, val_fraction=0.2)
    assert report == read_json(tmp_path / "report.json")
    samples = read(tmp_path, "train") + read(tmp_path, "val")
    bad = list(read_jsonl(tmp_path / "bad_rows.jsonl"))
    assert len(samples) + len(bad) == 12 + 7
    assert len({sample.id for sample in samples}) == len(samples)
    orz = report["sources"]["orz"]
    assert (orz["read"], orz["good"], orz["bad"]) == (12, 12 - len(bad), len(bad))
    (reason,) = orz["reasons"].values()
    assert reason["count"] == len(bad)
    assert reason["examples"] == bad[:3]


def test_rows_know_their_place_and_both_modalities_are_in_both_files(sources, tmp_path):
    prepare(sources, tmp_path, val_fraction=0.2)
    for split in ("train", "val"):
        samples = read(tmp_path, split)
        assert [sample.index for sample in samples] == list(range(len(samples)))
        assert {sample.split for sample in samples} == {split}
        assert {sample.modality for sample in samples} == {"text", "image"}


def test_same_seed_same_bytes_and_another_seed_another_split(sources, tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(sources, tmp_path / out, seed=seed, val_fraction=0.3)
    content = {out: (tmp_path / out / "val.parquet").read_bytes() for out in "abc"}
    assert content["a"] == content["b"]
    ids = {out: {sample.id for sample in read(tmp_path / out, "val")} for out in "ac"}
    assert ids["a"] != ids["c"]


def test_a_question_asked_twice_is_never_in_both_files(tmp_path):
    questions = [(f"What is {n % 20} + 1?", str(n % 20 + 1)) for n in range(60)]
    root = write_orz(tmp_path / "raw", questions)
    for seed in range(5):
        prepare([Source("orz", root)], tmp_path / "out", seed=seed, val_fraction=0.3)
        keys = {
            name: set(map(content_key, read(tmp_path / "out", name))) for name in ("train", "val")
        }
        assert not keys["train"] & keys["val"]
        assert len(keys["train"] | keys["val"]) == 20


def test_the_same_picture_under_two_names_is_the_same_row(make, png, tmp_path):
    first = png()
    shutil.copy(first.path, tmp_path / "copy.png")
    second = type(first)(path=str(tmp_path / "copy.png"))
    embedded = type(first)(data=(tmp_path / "copy.png").read_bytes())
    keys = {content_key(make("<image>?", images=[image])) for image in (first, second, embedded)}
    assert len(keys) == 1
    assert content_key(make("<image>?", images=[png(57, 56)])) not in keys


def test_limit_takes_a_seeded_choice_and_counts_the_rest(tmp_path):
    root = write_orz(tmp_path / "raw", [(f"What is {n} + 1?", str(n + 1)) for n in range(100)])
    chosen = []
    for seed in (0, 1):
        report = prepare([Source("orz", root, limit=10)], tmp_path / "out", seed=seed)
        counts = report["sources"]["orz"]
        assert (counts["read"], counts["good"], counts["unused"]) == (100, 10, 90)
        samples = read(tmp_path / "out", "train") + read(tmp_path / "out", "val")
        chosen.append({sample.id for sample in samples})
    assert len(chosen[0]) == len(chosen[1]) == 10
    assert chosen[0] != chosen[1]


def test_bad_pictures_are_reported_with_their_row(rows, tmp_path):
    shutil.copytree(rows / "puzzlevqa", tmp_path / "raw")
    pictures = sorted((tmp_path / "raw").rglob("*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:4000])
    report = prepare([Source("puzzlevqa", tmp_path / "raw")], tmp_path / "out")
    reasons = report["sources"]["puzzlevqa"]["reasons"]
    assert {kind: entry["count"] for kind, entry in reasons.items()} == {
        "the picture is not there": 1,
        "unreadable image": 1,
    }
    example = reasons["the picture is not there"]["examples"][0]
    row = json.loads(open(example["file"]).read().splitlines()[example["row"]])
    assert pictures[0].as_posix().endswith(row["image"])


def test_embedded_pictures_are_the_files_bytes(sources, tmp_path):
    prepare(sources, tmp_path / "paths")
    prepare(sources, tmp_path / "bytes", embed_images=True)
    for by_path, by_bytes in zip(
        read(tmp_path / "paths", "train"), read(tmp_path / "bytes", "train"), strict=True
    ):
        assert by_path.id == by_bytes.id
        for path, data in zip(by_path.images, by_bytes.images, strict=True):
            assert open(path.path, "rb").read() == data.data
            assert data.path is None


def test_row_whose_reference_the_grader_rejects_is_bad(sources, tmp_path):
    def compute_score(data_source, solution_str, ground_truth, extra_info):
        return float(ground_truth != "65" and solution_str == f"\\boxed{{{ground_truth}}}")

    report = prepare(sources, tmp_path, compute_score=compute_score)
    reasons = report["sources"]["orz"]["reasons"]
    assert reasons["the grader does not accept the reference"]["count"] == 1
    assert "65" not in {sample.ground_truth for sample in read(tmp_path, "train")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": []}, "no source given"),
        ({"sources": [Source("orz", "a"), Source("orz", "b")]}, "given twice: orz"),
        ({"sources": [Source("nothing", "a")]}, "no reader named 'nothing'"),
        ({"sources": [Source("orz", "a", limit=0)]}, "orz: limit is 0"),
        ({"sources": [Source("orz", "a")], "val_fraction": 1.0}, "val_fraction is 1.0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        prepare(out_dir=tmp_path, **arguments)


def test_too_few_rows_for_two_files_still_gives_the_report(tmp_path):
    root = write_orz(tmp_path / "raw", [("What is 1 + 1?", "2"), ("Empty?", " ")])
    with pytest.raises(ValueError, match=r"no good row for val: see .*report\.json"):
        prepare([Source("orz", root)], tmp_path / "out")
    assert (
        "no reference answer"
        in read_json(tmp_path / "out" / "report.json")["sources"]["orz"]["reasons"]
    )
