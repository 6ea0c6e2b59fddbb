"""prime-rl's scored completions of an R1-distilled model (text; Apache-2.0).

Layout: ``{"samples": [...]}``: ``prompt`` with DeepSeek's chat tokens, ending in ``<think>``; the
``completion`` that goes on from there; ``verification_info``, a JSON string with the reference; and
``task_reward``. Wrong and cut completions are bad rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import RawRows, json_list, table
from ovr_plugin.data.readers.cold_start._traces import THINK_OPEN, prompt_of, read_trace
from ovr_plugin.data.sample import BadRow, ColdStartSample

NAME = "prime_rl"
ABOUT = About("prime-rl's R1-style traces", "text", "Apache-2.0", 112, "cold start")
FILES = ("**/*.json", "**/*.jsonl", "**/*.parquet", "**/*.arrow")
USER, ASSISTANT = "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
END = "<\uff5cend\u2581of\u2581sentence\uff5c>"


def read(root: Location) -> Iterator[ColdStartSample | BadRow]:
    """Every completion under ``root``."""
    return read_files(root, FILES, _to_sample, _rows)


def _rows(root: Path, file: str) -> RawRows:
    return json_list(root, file, within="samples") if file.endswith(".json") else table(root, file)


def _to_sample(raw: RawRow) -> ColdStartSample:
    if raw.field("task_reward", (int, float)) < 1:
        raise RowError(f"the answer is wrong: task_reward is {raw.data['task_reward']}")
    completion = raw.field("completion").removeprefix(THINK_OPEN).rstrip().removesuffix(END)
    response = read_trace(THINK_OPEN + completion)
    return ColdStartSample(
        data_source=NAME,
        prompt=prompt_of(_question(raw), response),
        response=response,
        id=raw.id(NAME),
        ground_truth=_reference(raw),
    )


def _question(raw: RawRow) -> str:
    """The user's words among the chat's tokens."""
    text: str = raw.field("prompt").removesuffix("\n").removesuffix(THINK_OPEN)
    _, user, rest = text.partition(USER)
    question, assistant, after = rest.partition(ASSISTANT)
    if not user or not assistant or after.strip():
        raise RowError("the prompt is not one user turn in DeepSeek's tokens")
    return question


def _reference(raw: RawRow) -> str:
    try:
        return str(json.loads(raw.field("verification_info"))["ground_truth"])
    except (ValueError, KeyError, TypeError) as error:
        raise RowError(f"'verification_info' has no reference: {error!r}") from error
