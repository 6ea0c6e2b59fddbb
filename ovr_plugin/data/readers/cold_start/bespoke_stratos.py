"""Bespoke-Stratos-17k: DeepSeek-R1's traces in Sky-T1's tags (text; Apache-2.0).

Layouts: the Hub's ``system`` and ``conversations``, and HuggingFaceH4's ``messages``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._conversations import conversation
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "bespoke_stratos"
ABOUT = About(
    "Bespoke-Stratos-17k",
    "text",
    "Apache-2.0",
    16_710,
    "cold start",
    hub="bespokelabs/Bespoke-Stratos-17k",
    unverified=("n_rows", "hub"),
)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every conversation under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    return conversation(raw, NAME)
