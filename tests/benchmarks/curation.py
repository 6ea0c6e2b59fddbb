"""Curation without model calls: rows per second and core, and memory against the number of rows.

    python tests/benchmarks/curation.py speed CORPORA      # CORPORA: real rows, as in shared/raw
    python tests/benchmarks/curation.py memory 10000       # and 100000, 1000000: generated rows

Speed is that of one process: reference check, n-grams against MATH500, fingerprints for duplicates,
and for pictures decoding and hashing. Memory is the peak of the process over the whole of
``prepare``, in a process of its own for each number of rows.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovr_plugin.data.chunks import Plan, first_reason
from ovr_plugin.data.curation.duplicates import fingerprint
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.manifest import Manifest
from ovr_plugin.data.prepare import prepare
from ovr_plugin.data.readers import get_reader
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.source import Source


def speed(corpora: Path) -> None:
    against = [{"files": [str(corpora / "math500" / "test.jsonl")], "question": "problem"}]
    filters: dict[str, Any] = {"verifiable": {}, "length": {}, "pictures": {}, "reference": {}}
    manifest = Manifest([], filters={**filters, "contamination": {"against": against}})
    made = manifest.filter_settings()
    plan = Plan(Sample, [(name, each.predicate(Path())) for name, each in made.items()], [])
    for reader, target in (("orz", 1500), ("puzzlevqa", 150)):
        samples = [s for s in get_reader(reader)(corpora / reader) if isinstance(s, Sample)]
        best = 0.0
        for _ in range(3):
            started = time.process_time()
            for sample in samples:
                row = Row(sample)
                if first_reason(plan, row)[1] is None:
                    fingerprint(row)
            best = max(best, len(samples) / (time.process_time() - started))
        print(f"{reader}: {best:,.0f} rows/s and core (target {target:,})")


def memory(n_rows: int) -> None:
    def rows(self: Source, *_: Any) -> Iterator[Sample]:
        for n in range(n_rows):
            words = " ".join(f"w{(n * 7919 + k * 104729) % 50021}" for k in range(40))
            prompt = [{"role": "user", "content": f"{words} {n}?"}]
            yield Sample("generated", prompt, str(n), id=f"generated/x#{n}")

    Source.rows = rows  # type: ignore[method-assign]
    manifest = Manifest([Source(logic=["maze"], name="generated")], filters={"duplicates": {}})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        report = prepare(manifest, out)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took_s = time.perf_counter() - started
    print(f"{n_rows:,} rows: peak {peak_mb:,.0f} MB, {took_s:.0f} s, {report['rows']}")


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        speed(Path(sys.argv[2]))
    else:
        memory(int(sys.argv[2]))
