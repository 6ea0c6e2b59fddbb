"""OVR's own cold-start data, about two million pairs distilled from DeepSeek-R1 (OVR 3.1, 3.3, A).

Its layout could not be seen by us. Taken are the layouts that such releases have: ``conversations``
or ``messages``; a bare list of turns, as Open-Reasoner-Zero's; ``prompt``, ``question``,
``problem`` or ``instruction`` beside ``response`` or ``output``. Anything else is a bad row that
names the field it lacks. Responses without thinking tags stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, first_of
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_response, turns_of
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "ovr"
ABOUT = About(
    "OVR cold start",
    "text",
    "not stated",
    2_000_000,
    "cold start",
    note="its layout was not seen; read are conversations, messages, lists of turns, and question, "
    "problem, prompt or instruction beside response or output",
)


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every pair under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> ColdStartSample:
    question, text = _pair(raw)
    response = read_response(text)
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(question, response),
        response=response,
        id=raw.id(NAME),
    )


def _pair(raw: RawRow) -> tuple[str, str]:
    if isinstance(raw.data, list):
        data: Any = {"conversations": raw.data}
        return turns_of(RawRow(raw.root, raw.file, raw.row, data), "conversations")
    name = first_of(
        raw, "conversations", "messages", "prompt", "question", "problem", "instruction"
    )
    if name in ("conversations", "messages"):
        return turns_of(raw, name)
    response = raw.field(first_of(raw, "response", "output"))
    if name == "prompt" and isinstance(raw.data["prompt"], list):
        turns = [*raw.data["prompt"], {"role": "assistant", "content": response}]
        return turns_of(RawRow(raw.root, raw.file, raw.row, {"messages": turns}), "messages")
    return raw.field(name), response
