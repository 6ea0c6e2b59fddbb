"""AM-DeepSeek-R1-Distilled: 1.4 million traces of many corpora, most by DeepSeek-R1 (text).

Layout, as others describe the data set's card; no row was seen by us: JSON Lines with ``messages``;
the assistant's turn is ``<think>..</think><answer>..</answer>``, and ``info``, of a turn or of the
row, may hold ``reference_answer``, ``think_content`` and ``answer_content``. The two parts are
taken from ``info`` where they are, else from the tags. Any other row is a bad one that names what
it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_trace, trace, turns_of
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "am_deepseek_r1"
ABOUT = About(
    "AM-DeepSeek-R1-Distilled",
    "text",
    "CC BY-NC 4.0",
    1_400_000,
    "cold start",
    "a-m-team/AM-DeepSeek-R1-Distilled-1.4M",
    note="its layout was not seen; read are messages of a user and an assistant",
    unverified=("license",),
)
ANSWER = re.compile(r"<answer>(.*?)</answer>\s*\Z", re.DOTALL)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every trace under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    question, text = turns_of(raw, "messages")
    facts = _facts(raw)
    thinking, answer = facts.get("think_content"), facts.get("answer_content")
    if isinstance(thinking, str) and isinstance(answer, str) and thinking.strip():
        response = trace(thinking, answer)
    else:
        response = read_trace(ANSWER.sub(lambda found: found[1], text))
    reference = facts.get("reference_answer")
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(question, response),
        response=response,
        id=raw.id(NAME),
        ground_truth=reference.strip() or None if isinstance(reference, str) else None,
    )


def _facts(raw: RawRow) -> dict[str, Any]:
    """What the row's and its turns' ``info`` say, the last one that says something."""
    rows = (raw.data, *raw.field("messages", list))
    told = [each.get("info") for each in rows if isinstance(each, dict)]
    found = [info for info in told if isinstance(info, dict)]
    return {key: value for info in found for key, value in info.items() if value}
