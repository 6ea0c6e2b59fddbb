"""OpenR1-Math-220k's problems (text; Apache-2.0; OVR appendix A), for RL.

Layout: the Hub's parquet files; the problems are NuminaMath-1.5's. Its R1 traces are for the cold
start and have a reader there (`cold_start/openr1.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.numinamath import rows, to_sample
from ovr_plugin.data.sample import BadRow, Sample

NAME = "openr1_math"
ABOUT = About(
    "OpenR1-Math-220k, problems", "text", "Apache-2.0", 225_129, hub="open-r1/OpenR1-Math-220k"
)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, TABLES, _to_sample, rows)


def _to_sample(raw: RawRow) -> Sample:
    return replace(to_sample(raw), data_source=NAME, id=raw.id(NAME))
