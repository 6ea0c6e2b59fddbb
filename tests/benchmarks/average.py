"""Averaging checkpoints against reading and writing the same bytes: time and peak memory.

``python tests/benchmarks/average.py [--gib 0.5] [--n 8] [--runs 5] [--dtype bfloat16]``

Both sides run in turn in processes of their own, on the same files; the ratio is that of medians.
The bytes lie in the page cache, which is the hard case: from a disk, reading would hide the rest.
The plain side reads in blocks of 8 MiB and writes in blocks of 256 KiB, the quicker of those tried:
Linux may take ten times as long for a write of 8 MiB into the page cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

READ_AND_WRITE = """
import os, sys, time
*sources, target = sys.argv[1:]
start = time.perf_counter()
block = memoryview(bytearray(8 * 2**20))
for source in sources:
    with open(source + "/model.safetensors", "rb", buffering=0) as file:
        while file.readinto(block):
            pass
size = os.path.getsize(sources[0] + "/model.safetensors")
with open(target, "wb", buffering=0) as file:
    while size:
        size -= file.write(block[:min(size, 2**18)])
print(time.perf_counter() - start, 0)
os.remove(target)
"""
AVERAGE = r"""
import re, shutil, sys, time
import torch
from ovr_plugin.checkpoint.average import average
*sources, target = sys.argv[1:]
start = time.perf_counter()
average(sources, target)
seconds = time.perf_counter() - start
print(seconds, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024)
shutil.rmtree(target)
"""


def make(folder: Path, gib: float, dtype_name: str, seed: int) -> None:
    """A checkpoint of ``gib``: one tensor with half of the bytes, as an embedding is, and rows."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    dtype = getattr(torch, dtype_name)
    width = 4096
    n_rows = int(gib * 2**30 / dtype.itemsize / width)
    generator = torch.Generator().manual_seed(seed)
    sizes = [n_rows // 2, *[n_rows // 40] * 20]
    tensors = {
        f"layers.{i}.weight": torch.randn(rows, width, generator=generator).to(dtype)
        for i, rows in enumerate(sizes)
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"dtype": dtype_name}))


def timed(code: str, *argv: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True
    )
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=0.5, help="size of one checkpoint")
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ovr-average-"))
    try:
        sources = [str(root / f"c{i}") for i in range(args.n)]
        for seed, source in enumerate(sources):
            make(Path(source), args.gib, args.dtype, seed)
        plain, ours = [], []
        for _ in range(args.runs):
            plain.append(timed(READ_AND_WRITE, *sources, str(root / "copy"))[0])
            ours.append(timed(AVERAGE, *sources, str(root / "out")))
        seconds = [run[0] for run in ours]
        print(f"{args.n} checkpoints of {args.gib} GiB {args.dtype}, {args.runs} runs each")
        print(f"read and write  {statistics.median(plain):6.2f} s  (least {min(plain):.2f})")
        print(f"ovr average     {statistics.median(seconds):6.2f} s  (least {min(seconds):.2f})")
        print(f"ratio of medians {statistics.median(seconds) / statistics.median(plain):.2f}")
        print(f"peak memory     {max(run[1] for run in ours) / 2**30:6.2f} GiB, torch included")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
