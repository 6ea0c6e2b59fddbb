"""Readers: a corpus in its authors' layout in, records and `BadRow`s out, one file per corpus.

The file's name is the corpus's name. Each has ``read(root)``, a generator that yields for every raw
row either a record (`Sample`; in ``cold_start/`` a `ColdStartSample`) or a `BadRow` and never drops
one, and ``ABOUT``. ``root`` is the folder as published, one file of it, an archive of it, or
``hub:NAME`` (`ovr_plugin.data.readers._corpus`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from ovr_plugin.data.readers._about import BENCHMARKS, About
from ovr_plugin.data.readers._corpus import HUB, Location, file_at, resolved
from ovr_plugin.data.sample import BadRow, ColdStartSample, Sample

__all__ = [
    "HUB",
    "About",
    "ColdStartReader",
    "Location",
    "Reader",
    "cold_start_reader_names",
    "columns_class",
    "file_at",
    "get_cold_start_reader",
    "get_reader",
    "reader_names",
    "resolved",
    "sources",
]

Reader = Callable[[Location], Iterator[Sample | BadRow]]
ColdStartReader = Callable[[Location], Iterator[ColdStartSample | BadRow]]
COLD_START = f"{__name__}.cold_start"


def reader_names() -> list[str]:
    """The corpora of questions, for RL."""
    return _names(__name__)


def cold_start_reader_names() -> list[str]:
    """The corpora of responses to learn from, for the cold start."""
    return _names(COLD_START)


def get_reader(name: str, columns: Mapping[str, Any] | None = None) -> Reader:
    """The ``read`` function of a corpus of questions.

    Args:
        name: of the corpus; ``columns`` for a table of one's own.
        columns: of ``columns`` alone: where that table has what
            (`ovr_plugin.data.readers.columns.Columns`).

    Raises:
        ValueError: no such reader, the message lists those there are; or columns wrongly named.
    """
    return _with_columns(_module(__name__, name), name, columns)


def get_cold_start_reader(name: str, columns: Mapping[str, Any] | None = None) -> ColdStartReader:
    """The ``read`` function of a corpus of responses.

    Args:
        name: of the corpus; ``columns`` for a table of one's own.
        columns: of ``columns`` alone (`ovr_plugin.data.readers.cold_start.columns.PairColumns`).

    Raises:
        ValueError: no such reader, the message lists those there are; or columns wrongly named.
    """
    return _with_columns(_module(COLD_START, name), name, columns)


def columns_class(stage: str) -> type:
    """The dataclass of the columns that the reader ``columns`` of a stage takes."""
    names: type = _module(__name__ if stage == "rl" else COLD_START, "columns").NAMES
    return names


def _with_columns(module: ModuleType, name: str, columns: Mapping[str, Any] | None) -> Any:
    if name != "columns" and columns is not None:
        raise ValueError(f"{name} knows its columns; only the reader 'columns' takes them")
    if name != "columns":
        return module.read
    from ovr_plugin.data.readers._own_table import read_names

    return partial(module.read, columns=read_names(module.NAMES, columns or {}))


def sources() -> dict[str, About]:
    """What is known of every corpus: those with a reader, then the benchmarks.

    The reader ``columns`` is there for both stages; the one of the cold start is listed as
    ``cold_start/columns``.
    """
    found = {name: _module(__name__, name).ABOUT for name in reader_names()}
    for name in cold_start_reader_names():
        key = f"cold_start/{name}" if name in found else name
        found[key] = _module(COLD_START, name).ABOUT
    return {**found, **BENCHMARKS}


def _names(package: str) -> list[str]:
    modules = iter_modules(import_module(package).__path__)
    return sorted(module.name for module in modules if module.name[0] != "_" and not module.ispkg)


def _module(package: str, name: str) -> ModuleType:
    if name not in _names(package):
        raise ValueError(f"no reader named {name!r}; there are: {', '.join(_names(package))}")
    return import_module(f"{package}.{name}")
