"""What the readers of a user's own table share: the columns' names, and what a row has in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from ovr_plugin.data.curation.settings import read_settings
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, Record, RowError
from ovr_plugin.data.readers._tables import TABLES, RawRows, table
from ovr_plugin.data.sample import SPLITS, BadRow
from ovr_plugin.reward.rows import MISSING, find_field

Names = TypeVar("Names")


def read_names(kind: type[Names], given: Names | Mapping[str, Any] | None) -> Names:
    """The columns' names; ValueError says all that is wrong with them."""
    if isinstance(given, kind):
        return given
    errors: list[str] = []
    names = read_settings(kind, {} if given is None else given, "columns", errors)
    if names is None:
        raise ValueError("; ".join(errors))
    return names


def read_table(
    root: Location,
    kind: type[Names],
    given: Names | Mapping[str, Any] | None,
    columns: Iterable[str],
    needed: Iterable[str],
    convert: Callable[[RawRow, Names], Record],
) -> Iterator[Record | BadRow]:
    """Every row of the tables under ``root``.

    Args:
        root: of the tables.
        kind: the class of the names.
        given: the names, or their settings.
        columns: the fields of ``kind`` that name columns.
        needed: those of them without which there is no row.
        convert: makes a row of the stage.

    Raises:
        ValueError: the columns are not named, or a table has not one of them.
    """
    names = read_names(kind, given)
    named = [getattr(names, field) for field in columns if getattr(names, field)]
    rows = partial(checked_table, names=named, needed=[getattr(names, each) for each in needed])
    return read_files(root, TABLES, lambda raw: convert(raw, names), rows)


def split_of(raw: RawRow, name: str | None) -> str:
    """The split that a column says, ``train`` without; `RowError` for an unknown one."""
    split = optional(raw, name) or "train"
    if split not in SPLITS:
        raise RowError(f"unknown split: {split!r}; there are {', '.join(SPLITS)}")
    return split


def name_problems(names: Any) -> list[str]:
    """What is wrong with the names beyond their types: empty ones, a ``data_source`` with a slash.

    The latter begins ids, in which a slash ends it.
    """
    values = {field.name: getattr(names, field.name) for field in fields(names)}
    found = [
        f".{name}: is empty"
        for name, value in values.items()
        if isinstance(value, str) and not value.strip()
    ]
    if "/" in names.data_source:
        found.append(f".data_source: must have no slash: {names.data_source!r}")
    return found


def checked_table(root: Path, file: str, names: Iterable[str], needed: Iterable[str]) -> RawRows:
    """The rows of a table whose first row has the columns.

    Of JSON the first row may lack an optional column; what is needed, it must have.

    Raises:
        ValueError: it has not; the message lists those that there are.
    """
    for number, raw in enumerate(table(root, file)):
        if number == 0 and isinstance(raw, RawRow):
            _check(raw, needed if "json" in file else names)
        yield raw


def _check(raw: RawRow, needed: Iterable[str]) -> None:
    there = raw.data if isinstance(raw.data, dict) else {}
    missing = [name for name in needed if name.partition(".")[0] not in there and name not in there]
    if missing:
        raise ValueError(
            f"{raw.root / raw.file}: no column {', '.join(map(repr, missing))}; "
            f"there are {', '.join(map(repr, there)) or 'none'}"
        )


def find(data: Any, name: str | None) -> Any:
    """The value of a column, ``a.b`` being b within a; None where it is not there."""
    value = MISSING if name is None else find_field(data, name)
    return None if value is MISSING else value


def single(raw: RawRow, name: str | None) -> Any:
    """The value of a column, or the one element of its list."""
    value = find(raw.data, name)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def text(raw: RawRow, name: str) -> str:
    """The text of a column; `RowError` if there is none."""
    value = single(raw, name)
    found = "" if value is None else as_text(value, name).strip()
    if not found:
        raise RowError(f"empty: {name!r}")
    return found


def as_text(value: Any, name: str | None) -> str:
    """A text or a number as text; empty for NaN."""
    if value != value:  # how pandas writes that there is nothing
        return ""
    if isinstance(value, bool) or not isinstance(value, str | Real | Decimal):
        raise RowError(f"neither text nor number: {name!r} is {value!r:.60}")
    return format(value, "f") if isinstance(value, Decimal) else str(value).strip()


def optional(raw: RawRow, name: str | None) -> str | None:
    """As `text`; None where the column is not named, not there or empty."""
    value = single(raw, name)
    return None if value is None else as_text(value, name) or None
