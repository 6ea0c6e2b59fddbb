r"""A user's own table of responses to learn from: a column of questions and one of responses.

``get_cold_start_reader("columns", {"question": "prompt", "response": "output"})``. Formats and
errors are those of the reader ``columns`` for RL. Thinking tags are put into the one spelling of
all readers; a response without any stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._own_table import (
    name_problems,
    optional,
    read_table,
    split_of,
    text,
)
from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.readers.cold_start._traces import prompt_of, read_response, trace
from ovr_plugin.data.sample import BadRow, ColdStartSample
from ovr_plugin.reward.extract import final_answer

NAME = "columns"
ABOUT = About(
    "a table of your own",
    "text",
    "yours",
    0,
    "cold start",
    note="columns: {question: ..., response: ...}",
)
OF_TABLE = ("question", "response", "thinking", "answer", "split")


@dataclass(frozen=True)
class PairColumns:
    """Where a table has what; only question and response must be named.

    Attributes:
        question: column of the question.
        response: column of the response, with its thinking or without.
        thinking: column of the thinking, where it stands apart from the response.
        answer: column of the reference answer.
        split: column that says train, val or test; by default the file's name does.
        data_source: what the rows are called in metrics, not a column.
    """

    question: str
    response: str
    thinking: str | None = None
    answer: str | None = None
    split: str | None = None
    data_source: str = "own"

    def problems(self) -> list[str]:
        """What is wrong with the names beyond their types."""
        return name_problems(self)


NAMES = PairColumns


def read(
    root: Location, columns: PairColumns | Mapping[str, Any] | None = None
) -> Iterator[ColdStartSample | BadRow]:
    """Every row of the tables under ``root``.

    Raises:
        ValueError: the columns are not named, or a table has not one of them.
    """
    return read_table(root, PairColumns, columns, OF_TABLE, ("question", "response"), _to_sample)


def _to_sample(raw: RawRow, names: PairColumns) -> ColdStartSample:
    response, thinking = text(raw, names.response), optional(raw, names.thinking)
    response = read_response(response) if thinking is None else trace(thinking, response)
    split = split_of(raw, names.split)
    return ColdStartSample(
        data_source=names.data_source,
        prompt=prompt_of(text(raw, names.question), response),
        response=response,
        id=raw.id(names.data_source),
        split=split,
        ground_truth=final_answer(optional(raw, names.answer)),
    )
