"""OpenR1-Math-220k's problems (text; Apache-2.0; OVR appendix A), for RL.

Layout: the Hub's parquet files; the problems are NuminaMath-1.5's. Its R1 traces are for the cold
start and have a reader there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ovr_plugin.data.readers._rows import RawRow, convert, existing_files, table
from ovr_plugin.data.readers.numinamath import to_sample
from ovr_plugin.data.sample import BadRow, Sample

NAME = "openr1_math"
FILES = ("**/*.parquet", "**/*.jsonl")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    return replace(to_sample(raw), data_source=NAME, id=raw.id(NAME))
