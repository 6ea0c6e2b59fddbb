"""Rows a second and core of the readers, and their memory from ten thousand rows to a million.

``python tests/benchmarks/readers.py [--rows 20000] [--memory-rows 1000000]``. Text: ORZ's JSON
list, NuminaMath's parquet and JSON Lines. Pictures: PuzzleVQA's folder with headers read. Rows are
generated in the corpora's layouts. Seconds are of this process's CPU; each figure is the median of
three. Memory is the peak of a process of its own for each size, so that none sees another's.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ovr_plugin.data.images import header_problem
from ovr_plugin.data.readers import get_reader
from ovr_plugin.data.sample import BadRow

QUESTION = (
    "Let $x_{%d}$ be the number of ways in which a board of $2 \\times %d$ squares can be " * 4
)


def write_orz(folder: Path, n_rows: int) -> None:
    with (folder / "orz_math_57k.json").open("w") as file:
        for row in range(n_rows):
            turns = [
                {"from": "human", "value": QUESTION % ((row, row) * 4)},
                {"from": "assistant", "ground_truth": {"value": str(row), "pass_at_n": 0.5}},
            ]
            file.write(("," if row else "[") + json.dumps(turns, indent=2))
        file.write("]")


def numina(row: int) -> dict[str, str]:
    question = QUESTION % ((row, row) * 4)
    return {"problem": question, "solution": question * 3, "answer": str(row), "source": "x"}


def write_parquet(folder: Path, n_rows: int) -> None:
    for start in range(0, n_rows, 50_000):
        rows = [numina(row) for row in range(start, min(start + 50_000, n_rows))]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"train-{start:07d}.parquet")


def write_lines(folder: Path, n_rows: int) -> None:
    with (folder / "train.jsonl").open("w") as file:
        file.writelines(json.dumps(numina(row)) + "\n" for row in range(n_rows))


def write_puzzles(folder: Path, n_rows: int) -> None:
    (folder / "data" / "images").mkdir(parents=True)
    rows = []
    for row in range(n_rows):
        Image.new("RGB", (64 + row % 64, 64)).save(folder / "data" / "images" / f"{row}.png")
        options = ["1", "2", str(row + 3)]
        facts = {"image": f"images/{row}.png", "question": "What comes next?", "options": options}
        rows.append(json.dumps({**facts, "answer": options[row % 3]}) + "\n")
    (folder / "data" / "x.json").write_text("".join(rows))


CASES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "orz, JSON list": ("orz", write_orz),
    "numinamath, parquet": ("numinamath", write_parquet),
    "numinamath, JSON Lines": ("numinamath", write_lines),
    "puzzlevqa, headers": ("puzzlevqa", write_puzzles),
}


def read(name: str, folder: Path) -> int:
    n_rows = 0
    for item in get_reader(name)(folder):
        if isinstance(item, BadRow) or any(header_problem(image) for image in item.images):
            raise AssertionError(f"a generated row is bad: {item}")
        n_rows += 1
    return n_rows


def rows_a_second(name: str, folder: Path) -> float:
    start = time.process_time()
    return read(name, folder) / (time.process_time() - start)


def peak_mb(name: str, folder: str) -> float:
    code = f"import readers; readers.show_peak({name!r}, {folder!r})"
    root = Path(__file__).resolve().parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


def show_peak(name: str, folder: str) -> None:
    read(name, Path(folder))
    # Not getrusage's peak: a process begins with that of the one which started it.
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    for title, (name, write) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            n_rows = arguments.rows // (10 if "headers" in title else 1)
            write(Path(folder), n_rows)
            read(name, Path(folder))  # imports, and the disk's cache
            speed = statistics.median(rows_a_second(name, Path(folder)) for _ in range(3))
            print(f"{title:25} {speed:10,.0f} rows a second and core", flush=True)
    for title, (name, write) in list(CASES.items())[:3]:
        for n_rows in (10_000, arguments.memory_rows):
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), n_rows)
                print(
                    f"{title:25} {n_rows:10,} rows: peak {peak_mb(name, folder):,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
