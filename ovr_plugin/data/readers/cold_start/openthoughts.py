"""OpenThoughts-114k and OpenThoughts3 (text; Apache-2.0): R1's, later QwQ's traces.

Layouts: ``conversations`` in Sky-T1's or ``<think>`` tags, and the ``metadata`` config with
thinking and solution in fields of their own. Code, science and puzzle rows have no boxed answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._conversations import conversation
from ovr_plugin.data.readers.cold_start._traces import prompt_of, trace
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "openthoughts"
ABOUT = About(
    "OpenThoughts-114k",
    "text",
    "Apache-2.0",
    113_957,
    "cold start",
    "open-thoughts/OpenThoughts-114k",
)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every trace under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    if "deepseek_reasoning" not in raw.data:
        return conversation(raw, NAME)
    response = trace(raw.field("deepseek_reasoning"), raw.field("deepseek_solution"))
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(raw.field("problem"), response),
        response=response,
        id=raw.id(NAME),
    )
