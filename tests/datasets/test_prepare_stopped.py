"""Files that break, runs that are stopped or killed, sources that change: nothing else is lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prepared import contents, read, sums, write_orz

from ovr_plugin.data import chunks, source_chunks
from ovr_plugin.data import prepare as prepare_module
from ovr_plugin.data.executors import WorkerKilled, run_tasks
from ovr_plugin.data.files import read_json, read_jsonl, write_jsonl
from ovr_plugin.data.prepare import Manifest, Source, Stopped, prepare
from ovr_plugin.data.readers import _tables


def test_a_step_that_a_row_breaks_costs_that_row(tmp_path, monkeypatch):
    from ovr_plugin.data.curation import filters

    def breaks(row):
        return 1 / 0 if "What is 3 " in row.question else None

    monkeypatch.setattr(filters, "not_verifiable", breaks)
    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(10)))])
    report = prepare(manifest, tmp_path / "out")
    [(kind, entry)] = report["sources"]["orz"]["reasons"].items()
    assert (kind, entry["step"], entry["count"]) == ("the step failed", "verifiable", 1)
    assert "ZeroDivisionError" in entry["examples"][0]["reason"]


def test_broken_rows_in_the_middle_of_a_file_lose_nothing_else(tmp_path, small_chunks):
    root = write_orz(tmp_path / "raw", [*sums(15), ("Empty?", ""), *sums(15, start=100)])
    path = root / "data" / "orz_math_x.json"
    rows = json.loads(path.read_text())
    rows[7] = "not a row"
    rows[20] = [{"value": 5}, None]
    path.write_text(json.dumps(rows))
    report = prepare(Manifest([Source("orz", root)]), tmp_path / "out")
    bad = list(read_jsonl(tmp_path / "out" / "bad_rows.jsonl"))
    assert [(line["row"]) for line in bad] == [7, 15, 20]
    assert report["sources"]["orz"]["good"] == 28


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def test_a_file_that_breaks_off_stops_the_run_and_loses_nothing_else(
    tmp_path, monkeypatch, small_chunks
):
    """The rest of the source and the other sources are done; mended, only what was lost is."""
    root = write_orz(tmp_path / "raw", sums(35), name="a")
    write_orz(tmp_path / "raw", sums(35, start=100), name="b")
    other = write_orz(tmp_path / "other", sums(25, start=200))
    manifest = Manifest([Source("orz", root), Source("orz", other, name="other")])
    prepare(manifest, tmp_path / "whole")
    file = root / "data" / "orz_math_a.json"
    whole = file.read_bytes()
    cut(file, 0.6)
    with pytest.raises(Stopped) as stopped:
        prepare(manifest, tmp_path / "out")
    message = str(stopped.value)
    n_read = int(message.partition("row ")[2].partition(":")[0])
    assert 15 < n_read < 25
    for said in (f"orz: {file}, row {n_read}: not valid JSON: ", "character ", "mend the source"):
        assert said in message
    assert f"{n_read + 35 + 25} rows, is done" in message
    assert not (tmp_path / "out" / "train.parquet").exists()
    with monkeypatch.context() as patch:
        counted = Counted(patch)
        with pytest.raises(Stopped, match=r"orz_math_a\.json, row"):
            prepare(manifest, tmp_path / "out")  # the same again, without any work
        assert counted.n_done == 0
    file.write_bytes(whole)
    counted = Counted(monkeypatch)
    prepare(manifest, tmp_path / "out")
    assert counted.n_done == 7  # none of the other source
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_can_be_read_of_a_broken_file_is_kept_on_request(tmp_path, monkeypatch, small_chunks):
    root = write_orz(tmp_path / "raw", sums(35), name="a")
    write_orz(tmp_path / "raw", sums(35, start=100), name="b")
    cut(root / "data" / "orz_math_a.json")
    sources = [Source("orz", root)]
    with pytest.raises(Stopped, match="broken_files: keep"):
        prepare(Manifest(sources), tmp_path / "out")
    counted = Counted(monkeypatch)
    report = prepare(Manifest([replace(sources[0], broken_files="keep")]), tmp_path / "out")
    assert counted.n_done == 0  # all that was done is used
    orz = report["sources"]["orz"]
    assert (orz["broken_files"], orz["bad"], orz["read"]) == (1, 1, orz["good"] + 1)
    assert 35 + 10 < orz["good"] < 70
    with pytest.raises(ValueError, match="broken_files: must be stop or keep, not 'x'"):
        prepare(Manifest([replace(sources[0], broken_files="x")]), tmp_path / "out")


def test_a_file_that_could_not_be_read_for_a_while(tmp_path, monkeypatch, small_chunks):
    """A disk that comes back leaves no change in the file: its rows must not be left out."""
    root = tmp_path / "raw"
    root.mkdir()
    write_jsonl(
        root / "a.jsonl", [{"problem": f"{n} + {n} + 1?", "answer": 2 * n + 1} for n in range(40)]
    )
    names = {"question": "problem", "answer": "answer"}
    manifest = Manifest([Source("columns", root, columns=names)], filters={})
    prepare(manifest, tmp_path / "whole")
    real = _tables.json.loads

    def fails(line):
        if b"33 + 33" in line:
            raise OSError(errno.EIO, "Input/output error")
        return real(line)

    with monkeypatch.context() as patch:
        patch.setattr(_tables.json, "loads", fails)
        with pytest.raises(
            Stopped, match=r"a\.jsonl, row 3[34]: cannot be read to its end: .*Input"
        ):
            prepare(manifest, tmp_path / "out")
    counted = Counted(monkeypatch)
    prepare(manifest, tmp_path / "out")
    assert counted.n_done == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_source_without_a_row_is_no_source(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "orz_math_x.jsonl").touch()
    sources = [Source("orz", tmp_path / "empty"), Source(logic=["maze"], n=5)]
    with pytest.raises(Stopped, match=r"orz: there is not one row in .*empty"):
        prepare(Manifest(sources), tmp_path / "out")


def test_many_broken_files_are_counted(tmp_path):
    for name in range(13):
        cut(write_orz(tmp_path / "raw", sums(9), name) / "data" / f"orz_math_{name}.json")
    with pytest.raises(Stopped, match=r"orz: \.\.\. and 3 files more") as stopped:
        prepare(Manifest([Source("orz", tmp_path / "raw")]), tmp_path / "out")
    assert str(stopped.value).count("not valid JSON") == 10


class Counted:
    """`do_chunk`, counting; raises ``error`` instead at the chunk of number ``at``."""

    def __init__(self, monkeypatch, at=None, error=None):
        self.n_done, self.at, self.error = 0, at, error
        self.real = chunks.do_chunk
        monkeypatch.setattr(source_chunks, "do_chunk", self)

    def __call__(self, plan, chunk):
        if self.n_done == self.at:
            raise self.error
        self.n_done += 1
        self.real(plan, chunk)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Stopped),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_stopped_in_the_middle_it_goes_on_and_gives_the_same_bytes(
    tmp_path, monkeypatch, small_chunks, error, raised
):
    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(95)))], val_fraction=0.1)
    prepare(manifest, tmp_path / "whole")
    with monkeypatch.context() as patch:
        Counted(patch, at=6, error=error)
        with pytest.raises(raised) as stopped:
            prepare(manifest, tmp_path / "out")
        if raised is Stopped:
            for said in ("in orz, row 60", "No space left", "0 of 1 sources", "make room"):
                assert said in str(stopped.value)
    assert not (tmp_path / "out" / "train.parquet").exists()
    counted = Counted(monkeypatch)
    prepare(manifest, tmp_path / "out")
    assert counted.n_done == 10 - 6
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_no_space_at_the_end_keeps_all_chunks(tmp_path, monkeypatch, small_chunks):
    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(95)))])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "write_parquet", full)
        with pytest.raises(Stopped, match=r"while writing the result: .*No space left"):
            prepare(manifest, tmp_path / "out")
    counted = Counted(monkeypatch)
    prepare(manifest, tmp_path / "out")
    assert counted.n_done == 0


def test_a_source_that_disappears_does_not_hold_up_the_others(tmp_path, monkeypatch, small_chunks):
    a = write_orz(tmp_path / "a", sums(45))
    b = write_orz(tmp_path / "b", sums(45, start=100))
    manifest = Manifest([Source("orz", a), Source("orz", b, name="b")])
    prepare(manifest, tmp_path / "whole")
    real = Source.rows

    def goes_away(self, *arguments):
        for place, row in enumerate(real(self, *arguments)):
            if self.label == "orz" and place == 25:
                raise OSError(errno.ENOENT, "No such file or directory", "share.json")
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(Source, "rows", goes_away)
        with pytest.raises(Stopped, match=r"orz: after row 20: FileNotFoundError.*share.json"):
            prepare(manifest, tmp_path / "out")
    counted = Counted(monkeypatch)
    prepare(manifest, tmp_path / "out")
    assert counted.n_done == 5 - 2  # the first two of a are kept, and all of b
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_changed_corpus_or_filter_is_not_mixed_with_what_was_done(
    tmp_path, monkeypatch, small_chunks
):
    root = write_orz(tmp_path / "raw", sums(40))
    with monkeypatch.context() as patch:
        Counted(patch, at=3, error=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            prepare(Manifest([Source("orz", root)]), tmp_path / "out")
    write_orz(tmp_path / "raw", sums(40, start=7000))
    counted = Counted(monkeypatch)
    prepare(Manifest([Source("orz", root)]), tmp_path / "out")
    assert counted.n_done == 4
    texts = [sample.prompt[0]["content"] for sample in read(tmp_path / "out", "train")]
    assert all("What is 70" in text for text in texts)


def test_an_evaluation_set_that_grew_meanwhile_holds_for_what_was_done(
    tmp_path, monkeypatch, small_chunks
):
    root = write_orz(tmp_path / "raw", sums(40))
    filters = {"contamination": {"against": [{"files": ["set.jsonl"], "question": "q"}]}}
    manifest = Manifest([Source("orz", root)], filters=filters, folder=tmp_path)
    write_jsonl(tmp_path / "set.jsonl", [{"q": "Is it?"}])
    with monkeypatch.context() as patch:
        Counted(patch, at=3, error=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            prepare(manifest, tmp_path / "out")
    write_jsonl(tmp_path / "set.jsonl", [{"q": "Is it?"}, {"q": sums(1)[0][0]}])
    report = prepare(manifest, tmp_path / "out")
    assert report["sources"]["orz"]["bad"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": []}, "no source given"),
        ({"sources": [Source("orz", "a"), Source("orz", "b")]}, "given twice: orz"),
        ({"sources": [Source("nothing", "a")]}, "no 'nothing'"),
        ({"sources": [Source("orz", "a", limit=0)]}, "limit: must be at least 1, not 0"),
        (
            {"sources": [Source("orz", "a", weight=0)]},
            "weight: must be positive and at most 1000, not 0",
        ),
        ({"sources": [Source("orz")]}, "root: is missing"),
        ({"sources": [Source()]}, "exactly one of reader, parquet and logic"),
        ({"sources": [Source("orz", "a")], "val_fraction": 1.0}, "val_fraction: must be 0 or"),
        ({"sources": [Source("orz", "a")], "stage": "sft"}, "stage: must be rl or cold_start"),
        ({"sources": [Source("orz", "a")], "filters": {"loss": {}}}, "is not for stage rl"),
        ({"sources": [Source("orz", "a")], "filters": {"magic": {}}}, "filters: no 'magic'"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        prepare(Manifest(**arguments), tmp_path)


def test_two_runs_in_one_folder(tmp_path, monkeypatch):
    """The second is told, and harms nothing; a lock that a dead process left holds nobody up."""
    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(30)))])
    told = []

    def second(_):
        with pytest.raises(Stopped, match=r"another run is at work in .*out: wait"):
            prepare(Manifest([Source(logic=["maze"], n=9)]), tmp_path / "out")
        told.append(True)

    prepare(manifest, tmp_path / "out", on_progress=second)
    assert told
    prepare(manifest, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    (tmp_path / "next" / "work").mkdir(parents=True)
    (tmp_path / "next" / "work" / "lock").touch()
    prepare(manifest, tmp_path / "next")
    assert contents(tmp_path / "next") == contents(tmp_path / "whole")


def test_too_few_rows_for_two_files_still_gives_the_report(tmp_path):
    root = write_orz(tmp_path / "raw", [("What is 1 + 1?", "2"), ("Empty?", " ")])
    with pytest.raises(ValueError, match=r"no good row for val: see .*report\.json"):
        prepare(Manifest([Source("orz", root)]), tmp_path / "out")
    assert (
        "no reference answer"
        in read_json(tmp_path / "out" / "report.json")["sources"]["orz"]["reasons"]
    )


KILLED = """
import os, sys, time
from pathlib import Path
from ovr_plugin.data.executors import run_tasks

def work(folder, task):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    run_tasks(work, sys.argv[1], iter(range(9)), n_workers=2)
"""


@pytest.mark.process
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    """By the kernel, say, for want of memory; nothing then asks them to stop."""
    (tmp_path / "killed.py").write_text(KILLED)
    (tmp_path / "pids").mkdir()
    command = [sys.executable, tmp_path / "killed.py", tmp_path / "pids"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
        wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2, 60)
        run.kill()
    pids = [path.name for path in (tmp_path / "pids").iterdir()]
    try:
        wait_until(lambda: not any(is_alive(pid) for pid in pids), 20)
    finally:
        for pid in filter(is_alive, pids):
            os.kill(int(pid), signal.SIGKILL)


def kills_itself_once(mark, task):
    if task == 5 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.process
def test_a_worker_that_is_killed_stops_the_run_with_a_word(tmp_path, monkeypatch, small_chunks):
    with pytest.raises(WorkerKilled, match="a worker process was killed"):
        run_tasks(kills_itself_once, tmp_path / "mark", iter(range(9)), n_workers=2)
    manifest = Manifest([Source("orz", write_orz(tmp_path / "raw", sums(30)))])

    def killed(*_, **__):
        raise WorkerKilled("a worker process was killed")

    with monkeypatch.context() as patch:
        patch.setattr(source_chunks, "run_tasks", killed)
        with pytest.raises(Stopped, match="in orz, row 0: a worker process was killed") as stopped:
            prepare(manifest, tmp_path / "out")
    assert "with fewer --workers" in str(stopped.value)
    prepare(manifest, tmp_path / "out")


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, timeout_s):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
