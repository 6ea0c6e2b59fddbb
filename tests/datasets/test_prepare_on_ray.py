"""Preparation on Ray: the bytes of a local run, also after the driver was killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ovr_plugin.data import source_chunks
from ovr_plugin.data.prepare import Manifest, Source, prepare

OUTPUTS = ("train.parquet", "val.parquet", "report.json", "bad_rows.jsonl")
N_ROWS, N_CHUNK = 1200, 20
RUN = f"""
import sys
from ovr_plugin.data import source_chunks
from ovr_plugin.data.prepare import Manifest, Source, prepare
source_chunks.ROWS_PER_CHUNK = {N_CHUNK}
report = prepare(Manifest([Source("orz", sys.argv[1])]), sys.argv[2], ray="local")
print("READ", report["sources"]["orz"]["read"])
"""


def start(corpus, out):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(corpus), str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.process
def test_killed_in_the_middle_and_started_again_it_gives_the_bytes_of_a_local_run(
    tmp_path, monkeypatch
):
    corpus, out = tmp_path / "raw", tmp_path / "ray"
    (corpus / "data").mkdir(parents=True)
    rows = [
        [{"value": f"What is {n} + 1? It is a sum of {n} things."}, {"ground_truth": answer}]
        for n in range(N_ROWS)
        for answer in [{"value": "a proof" if n % 50 == 0 else str(n + 1)}]
    ]
    (corpus / "data" / "orz_math_x.json").write_text(json.dumps(rows))

    with start(corpus, out) as process:
        while process.poll() is None and len(list(out.rglob("*.jsonl"))) < 3:
            time.sleep(0.005)
        others = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}
    assert 3 <= len(done) < N_ROWS // N_CHUNK
    for other in others:  # Ray's own end by themselves, some of them after half a minute
        with contextlib.suppress(psutil.NoSuchProcess):
            other.kill()

    with start(corpus, out) as process:
        seen = {}
        while process.poll() is None:
            work = [*done] if not (out / "report.json").exists() else []
            seen |= {path: path.stat().st_mtime_ns for path in work if path.exists()}
            time.sleep(0.02)
        output = process.communicate()[0]
    assert process.returncode == 0, output[-3000:]
    assert f"READ {N_ROWS}" in output
    assert seen == done  # what was done was not done again

    monkeypatch.setattr(source_chunks, "ROWS_PER_CHUNK", N_CHUNK)
    prepare(Manifest([Source("orz", corpus)]), tmp_path / "local")
    for name in OUTPUTS:
        assert (out / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name
