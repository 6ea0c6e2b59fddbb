"""SkyThought: Sky-T1_data_17k, and the evaluation outputs of Sky-T1's history (text; Apache-2.0).

Layouts: ``system`` and ``conversations`` as on the Hub; and Qwen2.5-Math's outputs (question,
code: [trace], score: [right or not]). The latter answer evaluation questions (MATH-500, AIME 24,
Minerva): their files are called ``test_*``, so they are of the test split, for trying filters only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._conversations import conversation
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_trace
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "skythought"
ABOUT = About(
    "Sky-T1_data_17k",
    "text",
    "Apache-2.0",
    16_401,
    "cold start",
    "NovaSky-AI/Sky-T1_data_17k",
    unverified=("n_rows", "hub"),
)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every trace under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    if "code" not in raw.data:
        return conversation(raw, NAME)
    response = _right_trace(raw)
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(raw.field("question"), response),
        response=response,
        id=raw.id(NAME),
        ground_truth=str(raw.field("gt", (str, int, float))),
        split="test",
    )


def _right_trace(raw: RawRow) -> str:
    texts, scores = raw.field("code", list), raw.field("score", list)
    right = [text for text, score in zip(texts, scores, strict=False) if score is True]
    if not right:
        raise RowError(f"the answer is wrong: of {len(texts)} traces none was scored right")
    if not isinstance(right[0], str):
        raise RowError(f"field of the wrong type: 'code' holds {right[0]!r:.60}")
    return read_trace(right[0])
