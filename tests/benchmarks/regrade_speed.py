r"""`ovr score` on a large file: rows a second on all cores, beside the grader called directly.

usage: flock /tmp/heavy.lock python tests/benchmarks/regrade_speed.py [--rows 100000] [--kb 4]

Rows are the labelled cases beside the checkout (``../shared/cases``), over and over, each behind so
many kilobytes of reasoning. The grader alone is `grade_batch` in one process with its own workers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from ovr_plugin.eval.regrade import CHUNK_ROWS, Regrade, Summary, n_cores, regrade
from ovr_plugin.reward import grade_batch
from ovr_plugin.reward.rows import Fields

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
ORIGINS = ("orz_self", "benchmark_gold_self", "qwen_math_rm", "tora_gsm8k", "mathvision_outputs")


def write_rows(path: Path, n_rows: int, kilobytes: float) -> None:
    cases = []
    for origin in ORIGINS:
        with gzip.open(CASES / f"{origin}.jsonl.gz", "rt", encoding="utf-8") as lines:
            cases += [json.loads(line) for line in lines]
    thinking = ("Let me think again about what the question asks. " * 400)[: int(kilobytes * 1000)]
    with path.open("w", encoding="utf-8") as file:
        for case in islice(cycle(cases), n_rows):
            row = {**case, "response": f"<think>{thinking}</think>{case['response']}"}
            file.write(
                json.dumps({k: row.get(k) for k in ("response", "gold", "choices", "label")})
            )
            file.write("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kb", type=float, default=4.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "responses.jsonl"
        write_rows(path, args.rows, args.kb)
        started = time.perf_counter()
        fields = Fields()
        with path.open(encoding="utf-8") as lines:
            for batch in iter(lambda: list(islice(lines, CHUNK_ROWS)), []):
                rows = [fields.read(json.loads(line)) for line in batch]
                grade_batch(
                    [row.response for row in rows],
                    [row.reference for row in rows],
                    [row.extra_info for row in rows],
                )
        alone_s = time.perf_counter() - started
        summary = Summary()
        started = time.perf_counter()
        for verdict in regrade(Regrade(path)):
            summary.add(verdict)
        ours_s = time.perf_counter() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"grader in one process {args.rows / alone_s:8,.0f} rows/s ({alone_s:.1f} s)")
    print(
        f"ovr score, {n_cores()} cores    {args.rows / ours_s:8,.0f} rows/s ({ours_s:.1f} s), "
        f"{alone_s / ours_s:.2f} times; peak memory {peak_mib:.0f} MiB"
    )
    print(dict(summary.total()), dict(summary.labels))


if __name__ == "__main__":
    main()
