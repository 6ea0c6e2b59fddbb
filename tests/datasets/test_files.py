"""Disk formats: round trips, equal bytes, crashes in mid-write, errors that name the row."""

from __future__ import annotations

import errno
import json
import os
import resource
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ovr_plugin.data.files import (
    MappedRows,
    append_jsonl,
    read_json,
    read_jsonl,
    read_parquet,
    replacing,
    save_array,
    write_json,
    write_jsonl,
    write_parquet,
)
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.data.toy import toy_cold_start_rows, toy_rows


@pytest.mark.parametrize(
    ("records", "kind"),
    [(toy_rows(300), Sample), (toy_cold_start_rows(10), ColdStartSample)],
    ids=["rl", "cold_start"],
)
def test_parquet_gives_back_what_was_written(tmp_path, records, kind):
    path = tmp_path / "deep" / "rows.parquet"
    assert write_parquet(path, iter(records), kind) == len(records)
    assert list(read_parquet(path, kind)) == records


def test_every_field_survives_parquet(tmp_path, make, png):
    sample = make(
        "<image><image> ?",
        images=[png(), ImageRef(data=b"bytes")],
        choices=["1", "2"],
        ground_truth="B",
        ability="puzzle",
        id="corpus/file#7",
        index=7,
        split="val",
        answer_type="choice",
        tolerance=0.5,
        unit="cm",
    )
    write_parquet(tmp_path / "a.parquet", [sample], Sample)
    assert list(read_parquet(tmp_path / "a.parquet", Sample)) == [sample]


def test_same_records_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_parquet(tmp_path / name, toy_rows(50), Sample)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, make):
    path = tmp_path / "a.parquet"
    write_parquet(path, [make()], Sample)
    before = path.read_bytes()

    def broken():
        yield make()
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        write_parquet(path, broken(), Sample)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.parquet"]


def test_written_file_has_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    write_json(tmp_path / "ours", 1)
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_row_that_does_not_fit_the_schema_is_named(tmp_path, make):
    records = [make() for _ in range(300)] + [make(tolerance="narrow")]
    with pytest.raises(ValueError, match=r"a\.parquet: row 300 does not fit the schema: .*narrow"):
        write_parquet(tmp_path / "a.parquet", records, Sample)


def test_other_columns_are_all_named(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"prompt": ["text"], "answer": ["4"]}), path)
    with pytest.raises(ValueError, match=r"other\.parquet") as raised:
        list(read_parquet(path, ColdStartSample))
    message = str(raised.value)
    assert "extra column 'answer'" in message
    assert "column 'prompt' is string, expected list<" in message
    assert "column 'response' is missing" in message


def test_not_a_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_text("hello")
    with pytest.raises(ValueError, match=r"a\.parquet: not a readable parquet file"):
        list(read_parquet(tmp_path / "a.parquet", Sample))


def test_missing_parquet_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet: no such file"):
        list(read_parquet(tmp_path / "none.parquet", Sample))


def test_mapped_rows_are_the_rows_and_know_their_place(tmp_path):
    first, second = toy_rows(300), toy_rows(7, seed=1)
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    write_parquet(paths[0], first, Sample)
    write_parquet(paths[1], second, Sample)
    mapped = MappedRows(paths, Sample, str(tmp_path / "cache"))
    assert len(mapped) == 307
    assert list(mapped) == first + second
    assert [mapped[i] for i in (0, 299, 300, 306)] == [first[0], first[299], second[0], second[6]]
    assert [mapped.place(i) for i in (299, 300)] == [(paths[0], 299), (paths[1], 0)]


def test_jsonl_appends_and_reads(tmp_path):
    path = tmp_path / "deep" / "log.jsonl"
    append_jsonl(path, {"a": 1}, {"b": "é\n"})
    append_jsonl(path, [1, 2])
    assert list(read_jsonl(path)) == [{"a": 1}, {"b": "é\n"}, [1, 2]]


@pytest.mark.parametrize("torn", [b'{"a": 2', b'{"text": "\xc3', b"nonsense" * 20_000])
def test_torn_last_line_is_left_out_with_a_warning(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n' + torn)
    with pytest.warns(UserWarning, match=r"log\.jsonl: line 2, the last, is torn"):
        assert list(read_jsonl(path)) == [{"a": 1}]


@pytest.mark.parametrize("torn", [b'{"a": 2', b"nonsense" * 20_000])
def test_append_after_a_crash_loses_only_the_torn_line(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n' + torn)
    with pytest.warns(UserWarning, match=rf"log\.jsonl: the torn last line \({len(torn)} bytes\)"):
        append_jsonl(path, {"a": 3})
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 3}]


def test_a_whole_last_line_without_newline_is_kept(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}]
        append_jsonl(path, {"a": 3})
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_broken_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n\n{"a"\n{"a": 3}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl: line 3 is not JSON"):
        list(read_jsonl(path))


def test_json_round_trip_and_error(tmp_path):
    data = {"b": [1, None], "a": "é"}
    write_json(tmp_path / "a.json", data)
    assert read_json(tmp_path / "a.json") == data
    assert list(read_json(tmp_path / "a.json")) == ["b", "a"]
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json: not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_write_jsonl_replaces_the_file(tmp_path):
    for records in ([{"a": 1}, {"a": 2}], [{"a": 3}]):
        write_jsonl(tmp_path / "a.jsonl", records)
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [{"a": 3}]


def test_interrupt_while_writing_leaves_nothing(tmp_path):
    def interrupted():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("n_bytes", "sizes"), [(0, [600]), (100_000, [256, 256, 88])])
def test_row_groups_hold_many_texts_or_few_pictures(tmp_path, n_bytes, sizes):
    rows = toy_rows(600, modality="image" if n_bytes else "text")
    for row in rows if n_bytes else ():
        row.images[0] = ImageRef(data=bytes(n_bytes))
    write_parquet(tmp_path / "a.parquet", rows, Sample)
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    groups = range(metadata.num_row_groups)
    assert [metadata.row_group(group).num_rows for group in groups] == sizes


def test_schema_tells_datasets_that_images_are_images(tmp_path):
    described = json.loads(Sample.schema.metadata[b"huggingface"])["info"]["features"]
    assert described["images"] == {"feature": {"_type": "Image"}, "_type": "List"}
    assert set(described) == set(Sample.schema.names)


def test_an_array_that_finds_no_room_says_so(tmp_path):
    """numpy's own writing raises an OSError without a number; a full disk must be told as one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            save_array(tmp_path / "a.npy", np.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())
    save_array(tmp_path / "a.npy", np.arange(10_000))
    assert np.load(tmp_path / "a.npy", mmap_mode="r")[-1] == 9_999
