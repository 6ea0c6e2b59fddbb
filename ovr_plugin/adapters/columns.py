r"""A row as a host passes it, in; response, reference and facts as they are graded, out.

Hosts pass a row's columns under their data sets' own names. The reference is the first of
`REFERENCES` that is not null: MATH-500, Open R1's and others have the worked text in ``solution``
and the final answer in ``answer``. A host that passes one label alone may have the whole record in
it, as a mapping or as JSON: ``{"answer": "B", "choices": ["red", "blue"]}``.

The facts (`ovr_plugin.reward.spec`) stand in columns of their own or in ``extra_info``, ``info`` or
``metadata``; like everywhere, what ``extra_info`` says wins over a column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ovr_plugin.reward.extract import final_answer
from ovr_plugin.reward.rows import FACTS, Row

REFERENCES = ("reference", "ground_truth", "reward_model.ground_truth", "answer", "solution")
EXTRAS = ("metadata", "info", "extra_info")  # the later wins
SOURCE = "data_source"
_MISSING = object()


def read_row(
    response: str,
    record: Mapping[str, Any],
    reference: str | None = None,
    truncated: bool = False,
) -> Row:
    """Return what is graded.

    Args:
        response: the model's text.
        record: the row's columns; those that nobody asks for are ignored.
        reference: the column of the reference; ``a.b`` is b within a. None tries `REFERENCES`.
        truncated: whether the host says that the response was cut off at its limit.

    Raises:
        ValueError: if the row has no such column. A null in it is a bad reference instead, which
            `ovr_plugin.reward.grade` says.
    """
    value = _reference(record, (reference,) if reference else REFERENCES)
    if value is _MISSING:
        raise _no_reference(record, reference)
    facts = _facts(record)
    label = as_mapping(value)
    if label is not None and (inner := _reference(label, REFERENCES)) is not _MISSING:
        value, facts = inner, {**facts, **_facts(label)}
    if truncated:
        facts["truncated"] = True
    source = record.get(SOURCE)
    return Row(response, final_answer(value), facts, source if isinstance(source, str) else None)


def split_columns(
    columns: Mapping[str, Any], n_rows: int, reference: str | None = None
) -> list[dict[str, Any]]:
    """Turn columns (name -> one value per row) into rows; columns nobody asks for are left out.

    Raises:
        ValueError: naming every wanted column that is no list of ``n_rows`` values; or if none of
            the columns holds references.
    """
    wanted = wanted_columns(reference)
    found: dict[str, Sequence[Any]] = {}
    wrong = []
    for name, column in columns.items():
        if name not in wanted or column is None:
            continue
        column = column.tolist() if hasattr(column, "tolist") else column
        if isinstance(column, str | bytes) or not isinstance(column, Sequence):
            wrong.append(f"{name} is a {type(column).__name__}")
        elif len(column) != n_rows:
            wrong.append(f"{name} has {len(column)}")
        else:
            found[name] = column
    if wrong:
        raise ValueError(f"{n_rows} completions need {n_rows} values a column: {'; '.join(wrong)}")
    if not found.keys() & _heads(reference):
        raise _no_reference(columns, reference)
    return [{name: column[i] for name, column in found.items()} for i in range(n_rows)]


def wanted_columns(reference: str | None = None) -> set[str]:
    """The names of all columns that a row may use."""
    return _heads(reference) | {*EXTRAS, *FACTS, SOURCE}


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """Return a mapping, or the one that a text holds as JSON; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    try:
        loaded = json.loads(value)
    except (ValueError, RecursionError):  # LaTeX's set {1, 2}, say
        return None
    return loaded if isinstance(loaded, dict) else None


def _heads(reference: str | None) -> set[str]:
    return {name.partition(".")[0] for name in ((reference,) if reference else REFERENCES)}


def _no_reference(columns: Iterable[Any], reference: str | None) -> ValueError:
    return ValueError(
        f"no reference: there is no column {reference or ' or '.join(REFERENCES)} among "
        f"{', '.join(map(str, columns)) or 'none at all'}; name yours with reference=..."
    )


def _reference(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first that is not null; null if all that are there are."""
    found: Any = _MISSING
    for name in names:
        value = _find(record, name)
        if value is not _MISSING and value is not None:
            return value
        found = None if value is None else found
    return found


def _find(record: Mapping[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    inner = as_mapping(record.get(head)) if dot else None
    return _MISSING if inner is None else _find(inner, rest)


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for holder in (record, *(as_mapping(record.get(name)) for name in EXTRAS)):
        if holder is not None:
            facts |= {key: holder[key] for key in FACTS if holder.get(key) is not None}
    return facts
