"""Bodies of requests in, rows out; grades in, bodies of replies out: the two forms of the server.

``/get_reward`` is OpenRLHF's remote reward (seen with 0.11.2; lmm-r1's is the same without labels,
which are needed here)::

    {"query": [prompt and response, ...], "prompts": [prompt, ...], "labels": [reference, ...]}
    {"rewards": [1.0, ...], "scores": [1.0, ...], "extra_logs": {"correct": [1.0, ...], ...}}

Queries and labels are read as by `ovr_plugin.adapters.openrlhf`, so that one data set gets one
reward: a label may be a record with all that the row knows. ``/grade`` is our own::

    {"rows": [{"response": ..., "reference": ..., "extra_info": {...}, "data_source": ...}, ...]}
    {"grades": [{"score": 1.0, "outcome": "correct", ...}, ...]}

Nothing but JSON is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ovr_plugin.adapters.columns import read_row
from ovr_plugin.adapters.grading import flags
from ovr_plugin.adapters.messages import response_in, without_end_tokens
from ovr_plugin.adapters.openrlhf import RESPONSE_START
from ovr_plugin.reward.rows import Fields, Row
from ovr_plugin.reward.score import Grade, as_row

MAX_PROBLEMS = 20  # that one reply lists
LABEL = "label"


class BadRequest(ValueError):
    """A body that asks for nothing that can be done; ``problems`` lists all that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems[:MAX_PROBLEMS])
        if len(problems) > MAX_PROBLEMS:
            self.problems.append(f"and {len(problems) - MAX_PROBLEMS} more")


@dataclass(frozen=True)
class QueryFormat:
    """How OpenRLHF's queries are read.

    Attributes:
        response_start: what opens the model's turn, for queries in which the prompt is not found.
        ends: texts of the tokens that end a response: one without any at its end was cut off.
            Empty: nobody knows.
    """

    response_start: str = RESPONSE_START
    ends: Sequence[str] = ()

    def read(self, query: str, prompt: str, label: Any) -> Row:
        """Read one response, as the adapter for OpenRLHF does.

        Raises:
            TypeError: if the query is no text.
            ValueError: if it cannot be told where the response begins.
        """
        response = response_in(query, prompt, self.response_start)
        text = without_end_tokens(response)
        behind = response[len(text) :]  # an end may have padding behind it
        ended = response.rstrip().endswith(tuple(self.ends)) or any(
            end in behind for end in self.ends
        )
        return read_row(text, {LABEL: label}, LABEL, truncated=bool(self.ends) and not ended)


def parse_json(body: bytes) -> Any:
    """Read a body.

    Raises:
        BadRequest: if it is no JSON, or nested too deep.
    """
    try:
        return json.loads(body)
    except ValueError as error:  # a UnicodeDecodeError too
        raise BadRequest([f"the body is not JSON: {error}"]) from None
    except RecursionError:
        raise BadRequest(["the body is nested too deep"]) from None


def read_rows(body: Any) -> list[Row]:
    """Read the rows of ``/grade``.

    Raises:
        BadRequest: listing everything that is wrong.
    """
    rows = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadRequest(['the body must be {"rows": [...]} with at least one row'])
    fields, read, wrong = Fields(("response",), ("reference",)), [], []
    known = ("response", "reference", "extra_info", "data_source")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            wrong.append(f"rows[{i}] is a {type(row).__name__}, not an object")
            continue
        if unknown := sorted(set(row) - set(known)):
            wrong.append(f"rows[{i}] has {', '.join(unknown)}, but may have {', '.join(known)}")
        try:
            read.append(fields.read(row))
        except ValueError as error:
            wrong.append(f"rows[{i}]: {error}")
    if wrong:
        raise BadRequest(wrong)
    return read


def write_grades(grades: Sequence[Grade]) -> dict[str, Any]:
    """Return the reply of ``/grade``."""
    return {"grades": [as_row(graded) for graded in grades]}


def read_queries(body: Any, query_format: QueryFormat) -> list[Row]:
    """Read the rows of OpenRLHF's ``/get_reward``.

    Raises:
        BadRequest: listing everything that is wrong.
    """
    if not isinstance(body, dict):
        raise BadRequest(["the body must be an object with query, prompts and labels"])
    names = ("query", "prompts", "labels")
    wrong = [f"{name} must be a list" for name in names if not isinstance(body.get(name), list)]
    if wrong:
        if body.get("labels") is None:
            wrong[-1] = "no labels: OpenRLHF sends them with --data.label_key"
        raise BadRequest(wrong)
    if len({len(body[name]) for name in names}) != 1 or not body["query"]:
        lengths = ", ".join(f"{len(body[name])} {name}" for name in names)
        raise BadRequest([f"there must be one of each for every response, not {lengths}"])
    rows = []
    for i, row in enumerate(zip(*(body[name] for name in names), strict=True)):
        try:
            rows.append(query_format.read(*row))
        except (TypeError, ValueError) as error:
            wrong.append(f"query[{i}]: {error}")
    if wrong:
        raise BadRequest(wrong)
    return rows


def write_rewards(grades: Sequence[Grade]) -> dict[str, Any]:
    """Return the reply of ``/get_reward``; its logs have the same keys for every request."""
    rewards = [graded.score for graded in grades]
    logs = [flags(graded) for graded in grades]
    return {
        "rewards": rewards,
        "scores": rewards,
        "extra_logs": {name: [row[name] for row in logs] for name in logs[0]},
    }
