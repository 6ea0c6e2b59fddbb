"""Where a corpus may lie and how its files may be written: the same rows come out of all of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovr_plugin.data.readers import _json_stream, get_reader
from ovr_plugin.data.readers._corpus import corpus_files, unpacked
from ovr_plugin.data.sample import BadRow, BrokenFile, Sample, problems

GOOD = '{"problem": "p", "answer": "1"}'
ROWS = [
    {"problem": f"What is {n} + 1?", "solution": f"So $\\boxed{{{n + 1}}}$.", "answer": str(n + 1)}
    for n in range(600)
]


def read(name, location):
    return list(get_reader(name)(location))


def facts(items):
    return [(item.prompt, item.ground_truth, item.split) for item in items]


@pytest.fixture(scope="module")
def wanted():
    from ovr_plugin.data.prompt import question_prompt

    return [(question_prompt(row["problem"]), row["answer"], "train") for row in ROWS]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_parquet(path):
    for shard in range(3):
        part = ROWS[shard * 200 : (shard + 1) * 200]
        file = path / "data" / f"train-0000{shard}-of-00003.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part), file)


def write_saved(path):
    import datasets

    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(path / "saved")


def write_zip(path):
    with zipfile.ZipFile(path / "corpus.zip", "w") as archive:
        archive.writestr("numina/train.jsonl", lines(ROWS))


def write_tar(path):
    (path / "train.json").write_text(json.dumps(ROWS))
    with tarfile.open(path / "corpus.tar.gz", "w:gz") as archive:
        archive.add(path / "train.json", "numina/train.json")
    (path / "train.json").unlink()


LAYOUTS = {
    "parquet shards": write_parquet,
    "JSON list": lambda path: (path / "train.json").write_text(json.dumps(ROWS, indent=2)),
    "JSON list on a line": lambda path: (path / "train.json").write_text(json.dumps(ROWS)),
    "JSON Lines": lambda path: (path / "train.jsonl").write_text(lines(ROWS)),
    "JSON Lines called .json": lambda path: (path / "train.json").write_text(lines(ROWS)),
    "JSON Lines, compressed": lambda path: (path / "train.jsonl.gz").write_bytes(
        gzip.compress(lines(ROWS).encode())
    ),
    "JSON list, compressed": lambda path: (path / "train.json.gz").write_bytes(
        gzip.compress(json.dumps(ROWS).encode())
    ),
    "byte order mark": lambda path: (path / "train.json").write_text(
        json.dumps(ROWS), encoding="utf-8-sig"
    ),
    "saved by datasets": write_saved,
    "an Arrow file": lambda path: pa.feather.write_feather(
        pa.Table.from_pylist(ROWS), path / "train.arrow", compression="uncompressed"
    ),
    "zip": write_zip,
    "tar": write_tar,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_samples(tmp_path, wanted, layout):
    LAYOUTS[layout](tmp_path)
    assert facts(read("numinamath", tmp_path)) == wanted


@pytest.mark.parametrize("layout", ["JSON list", "JSON Lines", "zip", "tar"])
def test_a_single_file_is_a_location_too(tmp_path, wanted, layout):
    LAYOUTS[layout](tmp_path)
    (file,) = [path for path in tmp_path.iterdir() if path.is_file()]
    assert facts(read("numinamath", file)) == wanted
    shutil.copy(file, tmp_path / f"any-{file.name}")
    assert facts(read("numinamath", str(tmp_path / f"any-{file.name}"))) == wanted


def test_the_hub_through_datasets(tmp_path, wanted, monkeypatch):
    """Offline: a folder without a script stands for a repository of the Hub."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "train.jsonl").write_text(lines(ROWS))
    (repository / "test.jsonl").write_text(lines(ROWS[:5]))
    items = read("numinamath", f"hub:{repository}")
    assert facts(item for item in items if item.split == "train") == wanted
    assert sum(item.split == "test" for item in items) == 5
    with pytest.raises(ValueError, match=r"hub:no/such-name cannot be loaded: "):
        read("numinamath", "hub:no/such-name")


def test_a_file_of_a_picture_corpus_finds_its_pictures(shared):
    folder = shared / "raw" / "puzzlevqa" / "PuzzleVQA" / "data"
    items = read("puzzlevqa", folder / "venn.json")
    assert items
    assert all(isinstance(item, Sample) and problems(item) == [] for item in items)
    whole = {item.id: item for item in read("puzzlevqa", shared / "raw" / "puzzlevqa")}
    assert all(whole[item.id].ground_truth == item.ground_truth for item in items)
    problem = shared / "raw" / "geometry3k" / "train" / "13" / "data.json"
    (sample,) = read("geometry3k", problem)
    assert (sample.split, problems(sample)) == ("train", [])


@pytest.mark.parametrize("name", ["puzzlevqa", "geometry3k", "iconqa", "mmk12"])
def test_an_archive_of_pictures_gives_the_same_as_its_folder(shared, tmp_path, name):
    folder = shared / "raw" / name
    archive = shutil.make_archive(str(tmp_path / "corpus"), "zip", folder)
    ours, theirs = read(name, archive), read(name, folder)
    assert [item.ground_truth for item in ours] == [item.ground_truth for item in theirs]
    assert [item.id for item in ours] == [item.id for item in theirs]
    assert all(problems(item) == [] for item in ours)


def test_archives_in_a_folder_say_which_split_they_are(rows, tmp_path):
    for split in ("train", "test"):
        shutil.make_archive(str(tmp_path / split), "zip", rows / "geometry3k" / "train")
        shutil.make_archive(
            str(tmp_path / split), "zip", rows / "geometry3k", base_dir="train"
        ) if split == "train" else None
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for path in sorted((rows / "geometry3k" / "train" / "13").iterdir()):
            archive.write(path, f"test/13/{path.name}")
    assert sorted(item.split for item in read("geometry3k", tmp_path)) == ["test", "train", "train"]


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path):
    write_zip(tmp_path)
    folder = unpacked(tmp_path / "corpus.zip")
    marker = folder / "numina" / "marker"
    marker.touch()
    assert unpacked(tmp_path / "corpus.zip") == folder
    assert marker.exists()
    os.utime(tmp_path / "corpus.zip", (2**32, 2**32))
    assert not (unpacked(tmp_path / "corpus.zip") / "numina" / "marker").exists()


def test_a_read_only_folder_can_be_unpacked_elsewhere(tmp_path, monkeypatch):
    write_zip(tmp_path)
    monkeypatch.setenv("OVR_CACHE", str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere") in unpacked(tmp_path / "corpus.zip").parents
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.zip", "elsewhere"]


def _zip_with(name, mode=0):
    def write(path):
        with zipfile.ZipFile(path / "a.zip", "w") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
        return path / "a.zip"

    return write


def _tar_with(name, link=""):
    def write(path):
        with tarfile.open(path / "a.tar", "w") as archive:
            info = tarfile.TarInfo(name)
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info, io.BytesIO())
        return path / "a.tar"

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_zip_with("../outside"), "a member leads outside"),
        (_zip_with("a/../../outside"), "a member leads outside"),
        (_zip_with("..\\outside"), "a member leads outside"),
        (_zip_with("/outside"), "a member leads outside"),
        (_zip_with("link", 0o120777), "a member is a link"),
        (_tar_with("../outside"), "not a readable archive"),
        (_tar_with("link", "../../outside"), "not a readable archive"),
        (_tar_with("link", "/etc/passwd"), "not a readable archive"),
    ],
)
def test_an_archive_that_leads_outside_is_refused(tmp_path, write, message):
    folder = tmp_path / "corpus"
    folder.mkdir()
    with pytest.raises(ValueError, match=message):
        read("numinamath", write(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert len(list(folder.iterdir())) == 1


def test_a_broken_archive_and_too_little_room(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="not a readable archive"):
        read("numinamath", tmp_path / "a.zip")
    write_zip(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(OSError, match=r"unpacked it is [\d,]+ bytes; there are 5 free"):
        read("numinamath", tmp_path / "corpus.zip")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read("numinamath", tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"none of .*parquet"):
        read("numinamath", tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "no rows")
    with pytest.raises(FileNotFoundError, match=r"is there, nor in a\.zip"):
        read("numinamath", tmp_path)


def test_paths_that_a_row_may_and_may_not_name(tmp_path, rows):
    """Out of the corpus: refused however it is spelt. A link on the disk: followed."""
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    shutil.copytree(rows / "puzzlevqa", corpus)
    data = corpus / "PuzzleVQA" / "data"
    row = json.loads((data / "triangle.json").read_text())
    picture = data / row["image"]
    elsewhere.mkdir()
    shutil.copy(picture, elsewhere / "secret.png")
    (data / "link.png").symlink_to(elsewhere / "secret.png")
    (data / "folder").symlink_to(elsewhere)
    (data / "gone.png").symlink_to(elsewhere / "gone.png")
    shutil.copy(picture, os.fsencode(data) + b"/odd\xff.png")
    (tmp_path / "corpus2").mkdir()
    shutil.copy(picture, tmp_path / "corpus2" / "twin.png")
    outside, missing = "the picture lies outside the corpus", "the picture is not there"
    for path, reason in {
        row["image"]: None,
        f"./images/../{row['image']}": None,
        "link.png": None,
        "folder/secret.png": None,
        "gone.png": missing,
        "images": missing,
        "../../../elsewhere/secret.png": outside,
        "images/../../../../elsewhere/secret.png": outside,
        str(elsewhere / "secret.png"): outside,
        "../../../corpus2/twin.png": outside,
        "a\0.png": outside,
        "odd\udcff.png": "the picture's path is not valid Unicode",
        "https://x/a.png": "image given by URL",
    }.items():
        (data / "triangle.json").write_text(json.dumps({**row, "image": path}))
        (item,) = read("puzzlevqa", data / "triangle.json")
        assert (item.kind if isinstance(item, BadRow) else None) == reason, path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=6), st.sampled_from([1, 2, 7, 64, 2**18]), st.booleans())
def test_streamed_json_is_what_json_reads(elements, window, indented):
    def stream(value):
        text = json.dumps(value, indent=2 if indented else None, ensure_ascii=not indented)
        return io.BytesIO(text.encode("utf-8", "surrogatepass"))

    default, _json_stream._WINDOW_CHARS = _json_stream._WINDOW_CHARS, window
    try:
        assert list(_json_stream.list_elements(stream(elements))) == elements
        whole = {"info": {"rows": 1}, "rows": elements, "more": [1]}
        assert list(_json_stream.list_elements(stream(whole), "rows")) == elements
        members = {str(place): element for place, element in enumerate(elements)}
        assert dict(_json_stream.object_members(stream(members))) == members
    finally:
        _json_stream._WINDOW_CHARS = default


@pytest.mark.parametrize(
    ("text", "n_rows", "reason"),
    [
        (f'[{GOOD}, {{"prob', 1, "character 35: Unterminated string starting at: '{\"prob'"),
        (f"[{GOOD} {{}}]", 1, "character 33: ',' expected, found '{'"),
        (f"[{GOOD}, tru]", 1, "character 34: Expecting value: 'tru]'"),
        (f"[{GOOD}", 1, "character 32: ',' expected, found 'the end of the file'"),
        (f'[{GOOD}, {{"problem": "x" y}}, ' + f"{GOOD}, " * 200, 1, "character 50: Expecting ','"),
        (f'[{GOOD}, {{"problem: "x"}}, ' + f"{GOOD}, " * 200, 1, "character 46: Expecting ':'"),
        (f"[{GOOD}]\n[{GOOD}]", 1, "character 34: the end of the file expected, found '[{"),
        ("[" * 100_000, 0, ""),
        (
            '[{"problem": "' + "p" * 3000,
            0,
            "character 1: an element is longer than 2,000 characters",
        ),
        (f"[{GOOD}, " * 2, 1, "character 68: Expecting "),
    ],
)
def test_rows_before_the_fault_are_not_lost(tmp_path, monkeypatch, text, n_rows, reason):
    monkeypatch.setattr(_json_stream, "_WINDOW_CHARS", 64)
    monkeypatch.setattr(_json_stream, "MAX_ELEMENT_CHARS", 2000)
    (tmp_path / "train.json").write_text(text)
    *good, bad = read("numinamath", tmp_path)
    assert len(good) == n_rows
    assert isinstance(bad, BrokenFile)
    assert bad.row == n_rows
    assert bad.reason.startswith(f"not valid JSON: from row {n_rows}: {reason}"), bad.reason
    assert bad.reason.endswith("; the rest of the file was not read")


def test_a_cut_gzip_file_keeps_its_rows(tmp_path):
    data = gzip.compress(lines(ROWS).encode())
    (tmp_path / "train.jsonl.gz").write_bytes(data[: len(data) // 2])
    *good, bad = read("numinamath", tmp_path)
    assert len(good) > 100
    assert isinstance(bad, BrokenFile)
    assert bad.row == len(good)
    assert bad.reason.startswith("cannot be read to its end: ")


def cut_json(path):
    text = json.dumps(NUMBERED)
    path.with_name("t.json").write_text(text[: len(text) // 2])


def cut_json_gz(path):
    data = gzip.compress(json.dumps(NUMBERED).encode())
    path.with_name("t.json.gz").write_bytes(data[: len(data) // 2])


def broken_lines_gz(path):
    data = bytearray(gzip.compress(lines(NUMBERED).encode()))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.with_name("t.jsonl.gz").write_bytes(data)


def cut_parquet(path):
    pq.write_table(pa.Table.from_pylist(NUMBERED), path.with_name("t.parquet"))
    data = path.with_name("t.parquet").read_bytes()
    path.with_name("t.parquet").write_bytes(data[: len(data) // 2])


def broken_row_group(path):
    file = path.with_name("t.parquet")
    pq.write_table(pa.Table.from_pylist(NUMBERED), file, row_group_size=500)
    start = pq.read_metadata(file).row_group(1).column(0).dictionary_page_offset
    data = bytearray(file.read_bytes())
    data[start : start + 200] = b"\xff" * 200
    file.write_bytes(data)


def cut_arrow(path):
    table = pa.Table.from_pylist(NUMBERED)
    with pa.OSFile(str(path.with_name("t.arrow")), "wb") as sink:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=500)
    data = path.with_name("t.arrow").read_bytes()
    path.with_name("t.arrow").write_bytes(data[: len(data) // 2])


NUMBERED = [{"problem": f"{n} + 1?" + " " * (n % 50), "answer": str(n + 1)} for n in range(2000)]


@pytest.mark.parametrize(
    ("write", "least"),
    [
        (cut_json, 900),
        (cut_json_gz, 100),
        (broken_lines_gz, 100),
        (cut_parquet, 0),
        (broken_row_group, 500),
        (cut_arrow, 500),
    ],
)
def test_a_file_that_breaks_off_keeps_its_rows_and_says_where(tmp_path, write, least):
    write(tmp_path / "t")
    *rows, last = read("numinamath", tmp_path)
    good = [row for row in rows if isinstance(row, Sample)]
    assert least <= len(good) < 2000
    assert [sample.ground_truth for sample in good[:least]] == [str(n + 1) for n in range(least)]
    assert isinstance(last, BrokenFile), last
    assert last.row == (len(rows) or None)


def pack_tar(folder, kind):
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text(lines(NUMBERED))
    with tarfile.open(folder / f"t.tar{kind}", f"w:{kind[1:]}") as archive:
        for name in ("a.jsonl", "b.jsonl"):
            archive.add(folder / name, name)
            (folder / name).unlink()
    return folder / f"t.tar{kind}"


@pytest.mark.parametrize("kind", ["", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_cut_tar_is_no_shorter_corpus(tmp_path, kind, share):
    path = pack_tar(tmp_path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises((ValueError, OSError), match=r"t\.tar"):
        read("numinamath", path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", [lambda d, at: d[:at], lambda d, at: d[: at + 100]])
def test_a_tar_cut_or_broken_at_a_members_header(tmp_path, damage):
    """Python's tarfile takes both for the archive's end."""
    path = pack_tar(tmp_path, "")
    with tarfile.open(path) as archive:
        at = archive.getmembers()[1].offset
    whole = path.read_bytes()
    path.write_bytes(damage(whole, at))
    with pytest.raises(ValueError, match="it breaks off after 1 members"):
        read("numinamath", path)
    path.write_bytes(whole[:at] + b"x" * 512 + whole[at + 512 :])
    with pytest.raises(ValueError, match="it breaks off after 1 members"):
        read("numinamath", path)
    path.write_bytes(whole)
    assert len(read("numinamath", path)) == 4000


def test_a_broken_member_of_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", lines(NUMBERED))
    data = bytearray((tmp_path / "t.zip").read_bytes())
    for damaged in (data[: len(data) // 2], data[:2000] + bytes(500) + data[2500:]):
        (tmp_path / "t.zip").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"t\.zip: not a readable archive"):
            read("numinamath", tmp_path)
        assert [each.name for each in tmp_path.iterdir()] == ["t.zip"]


def test_json_lines_called_json_with_broken_lines_first(tmp_path):
    text = "{broken\n[1\n" + lines(ROWS)
    (tmp_path / "train.json").write_text(text)
    bad, also_bad, *good = read("numinamath", tmp_path)
    assert (bad.row, also_bad.row, len(good)) == (0, 1, len(ROWS))


def test_a_file_whose_name_cannot_be_written(tmp_path):
    """The report is UTF-8; the other files are read."""
    for name in (b"a.jsonl", b"b\xff.jsonl"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text(lines(ROWS))
    *good, bad = read("numinamath", tmp_path)
    assert len(good) == len(ROWS)
    assert isinstance(bad, BrokenFile)
    assert bad.file == str(tmp_path / "b\\udcff.jsonl")
    assert bad.reason == "the file's name is not valid UTF-8: rename it"


def test_unknown_kind_of_file(tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_bytes(b"PK")
    (bad,) = read("numinamath", path)
    assert bad.reason.startswith("no table: 'rows.xlsx' is none of .parquet")
    assert list(corpus_files(path, ["*.json"])) == [(Path(tmp_path), "rows.xlsx")]
