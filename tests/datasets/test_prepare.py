"""Preparation: nothing lost, nothing in both files, the same bytes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from prepared import contents, read, sums, write_orz
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data import source_chunks
from ovr_plugin.data.control_tokens import ControlTokens
from ovr_plugin.data.curation.strata import Stratification
from ovr_plugin.data.files import read_json, read_jsonl, write_jsonl, write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.manifest import load_manifest
from ovr_plugin.data.prepare import Manifest, Source, Stopped, content_key, prepare
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.models.tiny import SPECIAL_TOKENS


def test_every_row_is_in_a_file_or_in_the_report(sources, tmp_path):
    report = prepare(Manifest(sources, val_fraction=0.2), tmp_path)
    assert report == read_json(tmp_path / "report.json")
    samples = read(tmp_path, "train") + read(tmp_path, "val")
    bad = list(read_jsonl(tmp_path / "bad_rows.jsonl"))
    assert len(samples) + len(bad) == 12 + 7
    assert len({sample.id for sample in samples}) == len(samples)
    orz = report["sources"]["orz"]
    assert (orz["read"], orz["good"], orz["bad"]) == (12, 12 - len(bad), len(bad))
    assert sum(reason["count"] for reason in orz["reasons"].values()) == len(bad)
    assert not (tmp_path / "work").exists()


def test_rows_know_their_place_and_both_modalities_are_in_both_files(sources, tmp_path):
    prepare(Manifest(sources, val_fraction=0.2), tmp_path)
    for split in ("train", "val"):
        samples = read(tmp_path, split)
        assert [sample.index for sample in samples] == list(range(len(samples)))
        assert {sample.split for sample in samples} == {split}
        assert {sample.modality for sample in samples} == {"text", "image"}


def test_same_seed_same_bytes_and_another_seed_another_split(sources, make, tmp_path):
    broken = make("<image>?", images=[ImageRef(data=b"xx")], id="own/x#0")
    write_parquet(tmp_path / "own.parquet", [broken], Sample)
    sources = [*sources, Source(parquet=tmp_path / "own.parquet")]
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(Manifest(sources, seed=seed, val_fraction=0.3), tmp_path / out)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert b"unreadable image: (bytes)" in contents(tmp_path / "a")["bad_rows.jsonl"]
    ids = {out: {sample.id for sample in read(tmp_path / out, "val")} for out in "ac"}
    assert ids["a"] != ids["c"]


def test_size_of_chunks_and_number_of_workers_change_no_byte(tmp_path, monkeypatch):
    root = write_orz(tmp_path / "raw", sums(60) + sums(20))
    manifest = Manifest([Source("orz", root, limit=50)], val_fraction=0.2)
    prepare(manifest, tmp_path / "whole")
    monkeypatch.setattr(source_chunks, "ROWS_PER_CHUNK", 7)
    prepare(manifest, tmp_path / "pieces")
    prepare(manifest, tmp_path / "workers", n_workers=2)
    assert contents(tmp_path / "whole") == contents(tmp_path / "pieces")
    assert contents(tmp_path / "whole") == contents(tmp_path / "workers")


def test_size_of_buckets_changes_no_byte(tmp_path, monkeypatch, small_chunks):
    from ovr_plugin.data import shuffle

    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(100)))])
    prepare(manifest, tmp_path / "one")
    monkeypatch.setattr(shuffle, "BUCKET_BYTES", 1 << 12)
    prepare(manifest, tmp_path / "many")
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_the_order_is_mixed(tmp_path):
    prepare(Manifest([Source("orz", write_orz(tmp_path / "raw", sums(100)))]), tmp_path / "out")
    rows = [int(sample.id.rpartition("#")[2]) for sample in read(tmp_path / "out", "train")]
    assert sorted(rows) != rows
    assert abs(sum(rows[:49]) / 49 - sum(rows[49:]) / 49) < 25


@pytest.mark.parametrize("filters", [{}, None])
def test_a_question_asked_twice_is_never_in_both_files(tmp_path, filters):
    questions = [(f"What is {n % 20} + 1?", str(n % 20 + 1)) for n in range(60)]
    root = write_orz(tmp_path / "raw", questions)
    for seed in range(4):
        manifest = Manifest([Source("orz", root)], seed=seed, val_fraction=0.3, filters=filters)
        prepare(manifest, tmp_path / "out")
        keys = {
            name: [content_key(sample) for sample in read(tmp_path / "out", name)]
            for name in ("train", "val")
        }
        assert not set(keys["train"]) & set(keys["val"])
        assert len({*keys["train"], *keys["val"]}) == 20
        assert len(keys["train"] + keys["val"]) == (60 if filters == {} else 20)


def test_of_a_question_in_two_corpora_the_first_stays(tmp_path):
    a = write_orz(tmp_path / "a", sums(10))
    b = write_orz(tmp_path / "b", sums(10, start=5))
    manifest = Manifest([Source("orz", a), Source("orz", b, name="again")], val_fraction=0.2)
    report = prepare(manifest, tmp_path / "out")
    assert report["sources"]["again"]["reasons"]["exact duplicate"]["count"] == 5
    first = next(read_jsonl(tmp_path / "out" / "bad_rows.jsonl"))
    assert first["source"] == "again"
    assert first["file"] == str(b / "data" / "orz_math_x.json")
    assert first["row"] == 0
    assert first["reason"] == "exact duplicate: of orz/data/orz_math_x.json#5"
    samples = read(tmp_path / "out", "train") + read(tmp_path / "out", "val")
    assert sum(sample.id.startswith("again/data/") for sample in samples) == 5


def test_the_same_picture_under_two_names_is_the_same_row(make, png, tmp_path):
    first = png()
    shutil.copy(first.path, tmp_path / "copy.png")
    second = type(first)(path=str(tmp_path / "copy.png"))
    embedded = type(first)(data=(tmp_path / "copy.png").read_bytes())
    keys = {content_key(make("<image>?", images=[image])) for image in (first, second, embedded)}
    assert len(keys) == 1
    assert content_key(make("<image>?", images=[png(57, 56)])) not in keys


def test_a_sources_pixel_limits_are_its_pictures_where_a_row_has_none(make, png, tmp_path):
    rows = [
        make("<image>?", images=[png()], id="a/f#0"),
        make("<image>!", images=[png()], id="a/f#1", min_pixels=3136, max_pixels=7840),
        make("What is 1 + 1?", id="a/f#2"),
    ]
    write_parquet(tmp_path / "a.parquet", rows, Sample)
    source = Source(parquet=tmp_path / "a.parquet", max_pixels=15680)
    prepare(Manifest([source], val_fraction=0, filters={}), tmp_path / "out")
    found = {s.id: (s.min_pixels, s.max_pixels) for s in read(tmp_path / "out", "train")}
    assert found == {"a/f#0": (None, 15680), "a/f#1": (3136, 7840), "a/f#2": (None, None)}


def test_limit_takes_a_seeded_choice_and_counts_the_rest(tmp_path):
    root = write_orz(tmp_path / "raw", sums(100))
    chosen = []
    for seed in (0, 1):
        report = prepare(Manifest([Source("orz", root, limit=10)], seed=seed), tmp_path / "out")
        counts = report["sources"]["orz"]
        assert (counts["read"], counts["good"], counts["unused"]) == (100, 10, 90)
        samples = read(tmp_path / "out", "train") + read(tmp_path / "out", "val")
        chosen.append({sample.id for sample in samples})
    assert len(chosen[0]) == len(chosen[1]) == 10
    assert chosen[0] != chosen[1]


def test_weights_repeat_and_thin_out_training_rows_only(tmp_path):
    a = write_orz(tmp_path / "a", sums(200))
    b = write_orz(tmp_path / "b", sums(200, start=1000))
    manifest = Manifest(
        [Source("orz", a, weight=2.5), Source("orz", b, name="b", weight=0.25)], val_fraction=0.1
    )
    report = prepare(manifest, tmp_path / "out")
    train = Counter(sample.id for sample in read(tmp_path / "out", "train"))
    repeats = Counter(n for name, n in train.items() if name.startswith("orz/"))
    assert set(repeats) == {2, 3}
    assert 60 < repeats[2] < 120
    assert repeats[2] + repeats[3] == 180
    assert 25 < sum(name.startswith("b/") for name in train) < 65
    assert max(n for name, n in train.items() if name.startswith("b/")) == 1
    assert len(read(tmp_path / "out", "val")) == 40
    assert report["sources"]["orz"]["train"] == sum(k * n for k, n in repeats.items())


def test_strata_weigh_rows_and_are_reported(tmp_path):
    questions = [(f"What is {x} + 1? {'Think. ' * (50 * (x % 2))}", str(x + 1)) for x in range(100)]
    manifest = Manifest(
        [Source("orz", write_orz(tmp_path / "raw", questions))],
        val_fraction=0,
        strata=[Stratification("prompt_chars", [0, 2], edges=[100])],
    )
    report = prepare(manifest, tmp_path / "out")
    rows = Counter(sample.id for sample in read(tmp_path / "out", "train"))
    assert set(rows.values()) == {2}
    assert {int(name.rpartition("#")[2]) % 2 for name in rows} == {1}
    assert report["strata"] == [
        {
            "by": "prompt_chars",
            "parts": [
                {"part": "x < 100", "rows": 50, "weight": 0.0},
                {"part": "100 <= x", "rows": 50, "weight": 2.0},
                {"part": "unknown", "rows": 0, "weight": 1.0},
            ],
        }
    ]
    assert not (tmp_path / "out" / "val.parquet").exists()


def test_rows_that_a_filter_keeps_without_knowing_them_are_counted(tmp_path):
    """Rates of another name of the source pass for measured otherwise: all rows stay."""
    write_orz(tmp_path / "raw", sums(40))
    rates = [{"id": f"orz/data/orz_math_x.json#{n}", "pass_rate": 0.5} for n in range(30)]
    write_jsonl(tmp_path / "rates.jsonl", [*rates, {"id": "orz/elsewhere#0", "pass_rate": 0.5}])
    (tmp_path / "m.yaml").write_text(
        "sources: [{reader: orz, root: raw}]\nfilters: {pass_rate: {file: rates.jsonl}}\n"
    )
    ended = CliRunner().invoke(app, ["prepare", f"{tmp_path}/m.yaml", "--out", f"{tmp_path}/out"])
    assert ended.exit_code == 0, ended.output
    assert read_json(tmp_path / "out" / "report.json")["unmeasured"] == {"pass_rate": 10}
    assert "its file knows nothing of 10 of the 40 rows" in " ".join(ended.output.split())


def test_bad_pictures_are_reported_with_their_row(rows, tmp_path):
    shutil.copytree(rows / "puzzlevqa", tmp_path / "raw")
    pictures = sorted((tmp_path / "raw").rglob("*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:4000])
    report = prepare(Manifest([Source("puzzlevqa", tmp_path / "raw")]), tmp_path / "out")
    reasons = report["sources"]["puzzlevqa"]["reasons"]
    assert {kind: entry["count"] for kind, entry in reasons.items()} == {
        "the picture is not there": 1,
        "unreadable image": 1,
    }
    example = reasons["the picture is not there"]["examples"][0]
    row = json.loads(open(example["file"]).read().splitlines()[example["row"]])
    assert pictures[0].as_posix().endswith(row["image"])


def test_links_to_nothing_and_to_themselves_cost_their_rows_only(make, png, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "loop.png").symlink_to("loop.png")
    (tmp_path / "raw" / "gone.png").symlink_to("nowhere.png")
    shutil.copy(png().path, tmp_path / "raw" / "good.png")
    rows = [{"q": f"{n}?", "a": n, "p": f"{n}.png"} for n in ("loop", "gone", "good")]
    write_jsonl(tmp_path / "raw" / "rows.jsonl", rows)
    columns = {"question": "q", "answer": "a", "images": "p"}
    source = Source("columns", tmp_path / "raw", columns=columns)
    prepare(Manifest([source], val_fraction=0), tmp_path / "out")
    assert [sample.ground_truth for sample in read(tmp_path / "out", "train")] == ["good"]
    reasons = {bad["reason"] for bad in read_jsonl(tmp_path / "out" / "bad_rows.jsonl")}
    assert reasons == {f"the picture is not there: {name}.png" for name in ("loop", "gone")}


@pytest.mark.parametrize("location", ["raw", "raw/data/t.jsonl", "raw.zip"])
def test_the_file_that_a_bad_row_names_is_there(tmp_path, monkeypatch, location):
    monkeypatch.delenv("OVR_CACHE", raising=False)
    table = tmp_path / "raw" / "data" / "t.jsonl"
    table.parent.mkdir(parents=True)
    given = [("1 + 1?", "2"), ("1 + 1?", "2"), ("A picture <image>?", "3"), ("", "4")]
    write_jsonl(table, [{"q": question, "a": answer} for question, answer in given])
    shutil.make_archive(str(tmp_path / "raw"), "zip", tmp_path / "raw")
    columns = {"question": "q", "answer": "a"}
    source = Source("columns", tmp_path / location, columns=columns)
    prepare(Manifest([source], val_fraction=0), tmp_path / "out")
    bad = list(read_jsonl(tmp_path / "out" / "bad_rows.jsonl"))
    assert sorted((line["row"], line["step"]) for line in bad) == [
        (1, "duplicates"),
        (2, "well_formed"),
        (3, "reader"),
    ]
    for line in bad:
        row = open(line["file"]).read().splitlines()[line["row"]]
        assert tuple(json.loads(row).values()) == given[line["row"]]


def test_embedded_pictures_are_the_files_bytes(sources, tmp_path):
    prepare(Manifest(sources), tmp_path / "paths")
    prepare(Manifest(sources, embed_images=True), tmp_path / "bytes")
    for by_path, by_bytes in zip(
        read(tmp_path / "paths", "train"), read(tmp_path / "bytes", "train"), strict=True
    ):
        assert by_path.id == by_bytes.id
        for path, data in zip(by_path.images, by_bytes.images, strict=True):
            assert open(path.path, "rb").read() == data.data
            assert data.path is None


def test_cold_start_rows_from_our_own_parquet(tmp_path, pair):
    good = [
        replace(pair(f"What is {n} + 1?", f"It is \\boxed{{{n + 1}}}"), id=f"x/f#{n}")
        for n in range(30)
    ]
    loop = replace(pair("And then?", "Wait, let me see. " * 20), id="x/f#30")
    write_parquet(tmp_path / "pairs.parquet", [*good, loop], ColdStartSample)
    write_jsonl(
        tmp_path / "loss.jsonl",
        [{"id": f"x/f#{n}", "loss": 9.0 if n == 3 else 0.5} for n in range(31)],
    )
    manifest = Manifest(
        [Source(parquet="pairs.parquet")],
        stage="cold_start",
        filters={"responses": {}, "loss": {"file": "loss.jsonl", "max": 2}, "duplicates": {}},
        folder=tmp_path,
    )
    report = prepare(manifest, tmp_path / "out")
    kinds = {kind: entry["step"] for kind, entry in report["sources"]["pairs"]["reasons"].items()}
    assert kinds == {"loss too high": "loss", "undesirable, endless repetition": "responses"}
    samples = read(tmp_path / "out", "train", ColdStartSample)
    assert len(samples) + len(read(tmp_path / "out", "val", ColdStartSample)) == 29


def test_corpora_of_the_cold_start_and_a_table_of_ones_own_in_a_manifest(tmp_path):
    trace = {"question": "1 + 1?", "solution": "So it is \\boxed{2}.", "answer": "2"}
    own = {"task": "What is 2 + 2?", "gold": 4}
    for folder, row in (("limo", trace), ("own", own)):
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / "rows.jsonl", [row])
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "{stage: cold_start, val_fraction: 0, filters: {}, sources: [{reader: limo, root: limo}]}"
    )
    prepare(load_manifest(manifest), tmp_path / "out")
    (pair,) = read(tmp_path / "out", "train", ColdStartSample)
    assert (pair.data_source, pair.id) == ("limo", "limo/rows.jsonl#0")
    manifest.write_text(
        "{stage: cold_start, val_fraction: 0, filters: {}, sources: [{reader: columns, root: own, "
        "name: mine, columns: {question: task, response: gold}}]}"
    )
    prepare(load_manifest(manifest), tmp_path / "out")
    (pair,) = read(tmp_path / "out", "train", ColdStartSample)
    assert (pair.response, pair.id) == ("4", "mine/rows.jsonl#0")
    manifest.write_text(
        "{val_fraction: 0, filters: {}, sources: [{reader: columns, root: own, name: mine, "
        "columns: {question: task, answer: gold}}]}"
    )
    prepare(load_manifest(manifest), tmp_path / "out")
    (sample,) = read(tmp_path / "out", "train")
    assert (sample.ground_truth, sample.id) == ("4", "mine/rows.jsonl#0")


def test_a_source_on_the_hub(tmp_path, monkeypatch):
    """The name reaches the reader as it is; a Hub that cannot be reached stops with its reason."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "m.yaml").write_text("sources: [{reader: geometry3k, root: 'hub:nobody/none'}]")
    manifest = load_manifest(tmp_path / "m.yaml")
    with pytest.raises(Stopped, match="hub:nobody/none cannot be loaded: "):
        prepare(manifest, tmp_path / "out")


def test_rows_of_the_other_stage_are_reported(tmp_path):
    with pytest.raises(ValueError, match="no good row for train and val"):
        prepare(Manifest([Source(logic=["maze"], n=7)], stage="cold_start"), tmp_path)
    report = read_json(tmp_path / "report.json")
    assert report["sources"]["logic"]["reasons"]["not of this stage"]["count"] == 7


def test_a_reader_of_the_other_stage_is_refused(sources, tmp_path):
    with pytest.raises(ValueError, match="no 'orz'; there are am_deepseek_r1, bespoke_stratos"):
        prepare(Manifest(sources, stage="cold_start"), tmp_path)


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|im_end|>"])
@pytest.mark.parametrize("place", ["question", "choice", "prompt", "response"])
def test_what_training_would_refuse_goes_at_curation(tmp_path, make, pair, tokenizer, token, place):
    """A chat template's token, in every text that is tokenised; no filter needs to be named."""
    text = f"What does {token} mean?"
    if place == "choice":
        choices = ["2", token]
        prompt = question_prompt("1 + 1?", choices)
        row = make(prompt=prompt, choices=choices, ground_truth="A")
    else:
        row = make(text) if place == "question" else pair()
        row = {"prompt": pair(text), "response": pair(response=text)}.get(place, row)
    stage = "rl" if isinstance(row, Sample) else "cold_start"
    good = make("2 + 2?") if stage == "rl" else pair("2 + 2?")
    rows = [replace(each, id=f"x/f#{n}") for n, each in enumerate((row, good))]
    write_parquet(tmp_path / "rows.parquet", rows, type(row))
    sources = [Source(parquet=tmp_path / "rows.parquet")]
    manifest = Manifest(sources, stage=stage, val_fraction=0, filters={})
    report = prepare(manifest, tmp_path / "out")
    [(kind, entry)] = report["sources"]["rows"]["reasons"].items()
    assert (kind, entry["step"], entry["count"]) == (
        "control token in the text",
        "control_tokens",
        1,
    )
    assert ControlTokens(tokenizer).problems(row.texts()) == [entry["examples"][0]["reason"]]


def test_every_special_token_of_the_model_has_the_shape_that_curation_looks_for(tokenizer):
    assert set(SPECIAL_TOKENS) <= set(ControlTokens(tokenizer).tokens)
    for token in ControlTokens(tokenizer).tokens:
        assert ControlTokens().problems([f"a{token}b"]) == [f"control token in the text: {token}"]


def test_absolute_values_and_tags_are_no_control_tokens():
    good = ["0 <|x|> 1", "a<|b + c|>d", "<|psi|phi|>", "<tool_call>", "x <|> y", "<image>"]
    assert ControlTokens().problems(good) == []
