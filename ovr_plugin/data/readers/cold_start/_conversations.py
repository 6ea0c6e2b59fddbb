"""Corpora of conversations: Bespoke-Stratos, OpenThoughts and Sky-T1 share this layout."""

from __future__ import annotations

from ovr_plugin.data.readers._rows import RawRow, first_of
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_trace, turns_of
from ovr_plugin.data.sample import ColdStartSample


def conversation(raw: RawRow, corpus: str) -> ColdStartSample:
    """The pair of a row with ``conversations`` (from, value) or ``messages`` (role, content)."""
    question, text = turns_of(raw, first_of(raw, "conversations", "messages"))
    response = read_trace(text)
    return ColdStartSample(
        data_source=corpus,
        prompt=prompt_of(question, response),
        response=response,
        id=raw.id(corpus),
    )
