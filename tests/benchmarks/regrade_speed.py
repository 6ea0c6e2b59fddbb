r"""`ovr score` on a large file: rows a second on all cores, beside the grader called directly.

usage: python tests/benchmarks/regrade_speed.py [--rows 100000] [--kb 4] [--rounds 3]

Rows are the labelled cases beside the checkout (``../shared/cases``), each behind so many kilobytes
of reasoning: first each of them once, so that every answer is new, then over and over, so that most
verdicts are remembered and reading text is all that is left. The grader alone is `grade_batch` in
one process with its own workers. Both are measured in turns, from cold, with the processor's time
beside the clock's: on a machine that others use, only the former is steady. The start of the
command (Python's imports, which the grader's process has behind it) is told apart. Exit code 1
where `ovr score` is the slower one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from ovr_plugin.eval.regrade import CHUNK_ROWS, n_cores
from ovr_plugin.reward import grade_batch
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.rows import Fields

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
ORIGINS = ("orz_self", "benchmark_gold_self", "qwen_math_rm", "tora_gsm8k", "mathvision_outputs")


LEAST = 0.95


def read_cases() -> list[dict[str, Any]]:
    cases = []
    for origin in ORIGINS:
        with gzip.open(CASES / f"{origin}.jsonl.gz", "rt", encoding="utf-8") as lines:
            cases += [json.loads(line) for line in lines]
    return cases


def write_rows(path: Path, n_rows: int, kilobytes: float) -> None:
    cases = read_cases()
    thinking = ("Let me think again about what the question asks. " * 400)[: int(kilobytes * 1000)]
    with path.open("w", encoding="utf-8") as file:
        for case in islice(cycle(cases), n_rows):
            row = {**case, "response": f"<think>{thinking}</think>{case['response']}"}
            file.write(
                json.dumps({k: row.get(k) for k in ("response", "gold", "choices", "label")})
            )
            file.write("\n")


def cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def alone(path: Path) -> tuple[float, float]:
    """Seconds, and those on a core, of the grader called by one process, a batch at a time."""
    started, whose = time.perf_counter(), (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = sum(cpu_s(resource.getrusage(each)) for each in whose)
    fields = Fields()
    with path.open(encoding="utf-8") as lines, Pool() as pool:
        for batch in iter(lambda: list(islice(lines, CHUNK_ROWS)), []):
            rows = [fields.read(json.loads(line)) for line in batch]
            grade_batch(
                [row.response for row in rows],
                [row.reference for row in rows],
                [row.extra_info for row in rows],
                pool=pool,
            )
    on_a_core = sum(cpu_s(resource.getrusage(each)) for each in whose) - before
    return time.perf_counter() - started, on_a_core


def ours(path: Path) -> tuple[float, float, float, float]:
    """Seconds as the command tells them, its start, seconds on a core of both, and peak MiB."""
    started = time.perf_counter()
    command = [sys.executable, "-c", "from ovr_plugin.cli import app; app()", "score", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = re.search(r"rows in ([\d.]+) s", process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "ovr score failed"
    assert told is not None, "ovr score says how long it took"
    grading_s = float(told[1])
    start_s = time.perf_counter() - started - grading_s
    return grading_s, start_s, cpu_s(usage), usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kb", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    medians = {}
    for n_rows in (len(read_cases()), args.rows):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "responses.jsonl"
            write_rows(path, n_rows, args.kb)
            medians[n_rows] = statistics.median(ratio(path, n_rows) for _ in range(args.rounds))
        print(f"{n_rows:,} rows: ovr score is {medians[n_rows]:.2f} times as fast", flush=True)
    raise SystemExit(min(medians.values()) < LEAST)


def ratio(path: Path, n_rows: int) -> float:
    """How many times as fast as the grader alone, and a line that says so."""
    alone_s, alone_cpu_s = alone(path)
    ours_s, start_s, ours_cpu_s, peak_mib = ours(path)
    print(
        f"grader in one process {n_rows / alone_s:7,.0f} rows/s ({alone_s:.1f} s); "
        f"ovr score, {n_cores()} cores, {n_rows / ours_s:7,.0f} rows/s ({ours_s:.1f} s "
        f"and {start_s:.1f} s of start), peak {peak_mib:.0f} MiB: {alone_s / ours_s:.2f} times; "
        f"on a core {alone_cpu_s:.1f} and {ours_cpu_s:.1f} s",
        flush=True,
    )
    return alone_s / ours_s


if __name__ == "__main__":
    main()
