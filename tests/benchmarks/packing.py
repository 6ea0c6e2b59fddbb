"""Packing a million lengths at 64k against trl's best-fit decreasing: time and how full they are.

``PYTHONPATH=FOLDER python tests/benchmarks/packing.py [--n 1000000]``, where FOLDER holds trl
(``pip install --no-deps --target FOLDER trl==1.16.0``). trl packs tables of tokens: here its table
holds as many nulls, which take no memory, and it is stopped where it would copy them, so that only
the choice of packs is timed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ovr_plugin.data.packing import pack

CAPACITY = 65536


def r1_like(n: int) -> np.ndarray:
    """Lengths as of long chains of thought: median 6k, a tail up to 64k."""
    return np.clip(np.random.default_rng(0).lognormal(np.log(6000), 0.9, n), 50, CAPACITY).astype(
        np.int64
    )


class Binned(Exception):
    """Raised where trl begins to copy tokens: its packs are known."""


class _Compute:
    def __getattr__(self, name: str) -> Any:
        return getattr(pc, name)

    def take(self, *_args: Any) -> None:
        raise Binned


def trl_packs(lengths: np.ndarray) -> tuple[float, int]:
    """Seconds and packs of trl's ``bfd``, without the copying of tokens that follows."""
    from trl import data_utils

    offsets = np.concatenate(([0], np.cumsum(lengths)))
    column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.nulls(offsets[-1]))
    data_utils.pc = _Compute()
    data_utils._check_if_columns_can_be_packed = lambda columns: None
    data_utils.pc.list_slice = lambda column, *_: column  # none is too long
    data_utils.pc.filter = lambda column, _: column  # none is empty
    start = time.perf_counter()
    try:
        data_utils._pack_bfd(pa.table({"input_ids": column}), CAPACITY)
    except Binned as binned:
        seconds = time.perf_counter() - start
        frame = binned.__traceback__.tb_next.tb_frame
        return seconds, len(frame.f_locals["bins"])
    raise AssertionError("trl's packing has changed: it never came to copying tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    n = parser.parse_args().n
    lengths = r1_like(n)
    start = time.perf_counter()
    packs = pack(lengths, CAPACITY)
    ours_s = time.perf_counter() - start
    print(f"{n:,} lengths, {lengths.sum() / 1e9:.1f}e9 tokens, packs of {CAPACITY:,}")
    print(f"ours  {ours_s:7.2f} s  {len(packs):,} packs, {_filled(lengths, len(packs)):.3%} filled")
    try:
        theirs_s, n_packs = trl_packs(lengths)
    except ImportError as error:
        print(f"trl is not there: {error}")
        return
    print(f"trl   {theirs_s:7.2f} s  {n_packs:,} packs, {_filled(lengths, n_packs):.3%} filled")
    print(f"ratio {theirs_s / ours_s:7.1f}")


def _filled(lengths: np.ndarray, n_packs: int) -> float:
    return float(lengths.sum() / (n_packs * CAPACITY))


if __name__ == "__main__":
    main()
