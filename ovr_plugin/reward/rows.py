"""A record of any trainer's log or data set in, what `grade` takes out: `Row`.

The names differ (``response``, verl's ``output``, ...): of each list the first that a record has is
taken. Of a reference that is a worked solution the final answer counts. What is known of the answer
may stand in ``extra_info``, as everywhere, or beside it, and a chat's messages are read to the last
one. JSON Lines come from people and from crashed runs: a line that cannot be read is an item like
any other, so that it stops nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ovr_plugin.reward.extract import final_answer

RESPONSE_FIELDS = ("response", "solution_str", "completion", "output")
# "answer" comes last: logs of graded responses have it beside the reference.
REFERENCE_FIELDS = (
    "reference",
    "ground_truth",
    "gold",
    "gts",
    "reward_model.ground_truth",
    "answer",
)
FACTS = ("choices", "answer_type", "tolerance", "unit", "truncated")
MAX_LINE_BYTES = 2**26  # of JSON Lines: a longer line is no row, and would fill the memory


@dataclass(frozen=True)
class Row:
    """What `ovr_plugin.reward.score.grade` is called with."""

    response: str
    reference: object
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    data_source: str | None = None


@dataclass(frozen=True)
class Fields:
    """Where a record has what: names, the first that is there counts; ``a.b`` is b within a."""

    response: Sequence[str] = RESPONSE_FIELDS
    reference: Sequence[str] = REFERENCE_FIELDS
    extra_info: str = "extra_info"
    data_source: str = "data_source"

    def read(self, record: Mapping[str, Any]) -> Row:
        """Read one record.

        Raises:
            ValueError: naming everything that is wrong with it.
        """
        wrong = []
        response, reference = _first(record, self.response), _first(record, self.reference)
        for name, value in (("response", response), ("reference", reference)):
            if value is MISSING:
                fields = " or ".join(getattr(self, name))
                wrong.append(f"no {name}: there is no field {fields}")
        response = None if response is MISSING else _last_message(response)
        if not (response is None or isinstance(response, str)):
            wrong.append(f"the response is a {type(response).__name__}, not a text")
        extra = _get(record, self.extra_info)
        if not (extra is None or isinstance(extra, Mapping)):
            wrong.append(f"{self.extra_info} is a {type(extra).__name__}, not an object")
        source = _get(record, self.data_source)
        if isinstance(source, int) and not isinstance(source, bool):
            source = str(source)
        if not (source is None or isinstance(source, str)):
            wrong.append(f"{self.data_source} is a {type(source).__name__}, not a text")
        if wrong:
            raise ValueError("; ".join(wrong))
        flat = {key: record[key] for key in FACTS if record.get(key) is not None}
        own = {key: value for key, value in (extra or {}).items() if value is not None}
        return Row(response or "", final_answer(reference), {**flat, **own}, source)

    def lacks_response(self, record: Mapping[str, Any]) -> bool:
        """Whether the response is null: a trainer's is empty, but a log's was never there."""
        return _first(record, self.response) is None


def read_jsonl(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Yield each line's number, from 1, and its object, or what is wrong with it.

    Blank lines are left out. At no time is more than one line held.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield number, ValueError(f"longer than {MAX_LINE_BYTES >> 20} MB")
            continue
        if not line.isspace():
            yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | ValueError:
    try:
        record = json.loads(line)
    except ValueError as error:  # a UnicodeDecodeError too
        return ValueError(f"not JSON: {error}")
    except RecursionError:
        return ValueError("not JSON that can be read: nested too deep")
    if not isinstance(record, dict):
        return ValueError(f"a {type(record).__name__}, not an object: JSON Lines have one a line")
    return record


MISSING = object()


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first field that is there; or `MISSING`."""
    for name in names:
        if (value := find_field(record, name)) is not MISSING:
            return value
    return MISSING


def find_field(record: Any, name: str) -> Any:
    """The value of a field, the name as it stands first, then as a path; or `MISSING`."""
    if not isinstance(record, Mapping):
        return MISSING
    if name in record:
        return record[name]
    if "." not in name:
        return MISSING
    head, _, rest = name.partition(".")
    return find_field(record.get(head), rest)


def _get(record: Mapping[str, Any], name: str) -> Any:
    found = find_field(record, name)
    return None if found is MISSING else found


def _last_message(response: Any) -> Any:
    """The text of a chat's last message; anything else as it is."""
    if isinstance(response, list) and response and isinstance(response[-1], Mapping):
        return response[-1].get("content")
    return response
