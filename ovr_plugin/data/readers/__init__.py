"""Readers: a corpus in its authors' layout in, `Sample`s and `BadRow`s out, one file per corpus.

The file's name is the corpus's name. Each has ``read(root)``, a generator that yields for every raw
row either a `Sample` or a `BadRow` and never drops one; ``root`` is the folder as published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ovr_plugin.data.sample import BadRow, Sample

Reader = Callable[[Path], Iterator[Sample | BadRow]]


def reader_names() -> list[str]:
    """The corpora that can be read."""
    return sorted(module.name for module in iter_modules(__path__) if module.name[0] != "_")


def get_reader(name: str) -> Reader:
    """The ``read`` function of a corpus.

    Raises:
        ValueError: no such reader; the message lists those there are.
    """
    if name not in reader_names():
        raise ValueError(f"no reader named {name!r}; there are: {', '.join(reader_names())}")
    reader: Reader = import_module(f"{__name__}.{name}").read
    return reader
