"""Where a manifest's rows come from: a corpus, our own files, or generated puzzles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovr_plugin.data.curation.settings import read_settings
from ovr_plugin.data.curation.strata import MAX_WEIGHT
from ovr_plugin.data.files import read_parquet
from ovr_plugin.data.images import PixelLimits
from ovr_plugin.data.readers import (
    HUB,
    cold_start_reader_names,
    columns_class,
    get_cold_start_reader,
    get_reader,
    reader_names,
    resolved,
)
from ovr_plugin.data.sample import BadRow, ColdStartSample, Sample

KINDS: dict[str, type[Sample] | type[ColdStartSample]] = {
    "rl": Sample,
    "cold_start": ColdStartSample,
}
NAME = re.compile(r"[\w+-][\w.+-]{0,99}")  # it begins ids, which are paths, and a folder's name
BROKEN_FILES = ("stop", "keep")
READERS = {"rl": reader_names, "cold_start": cold_start_reader_names}


@dataclass(frozen=True)
class Source:
    """Where rows come from: a corpus with its ``reader``, our own ``parquet`` files, or ``logic``.

    Attributes:
        reader, root: a corpus by its reader's name (of the stage), and its folder, file, archive
            or ``hub:NAME``.
        columns: of the reader ``columns``, where its table has what
            (`ovr_plugin.data.readers.columns.Columns`, in the cold start
            `ovr_plugin.data.readers.cold_start.columns.PairColumns`).
        limit: rows at most, a seeded choice of the good ones.
        weight: of the source's rows in the training file: 0.5 keeps half, 2 has each twice.
        min_pixels, max_pixels: of its pictures, where a row has none of its own; they win over
            the run's ``data.min_pixels`` and ``data.max_pixels``.
        broken_files: ``stop`` where a file cannot be read to its end, or ``keep`` what can be read
            of it; a broken row in the middle is only that row.
        name: in ids and report; by default the reader's, or that of the other kinds of source.
        parquet: a file of `Sample` or `ColdStartSample` rows.
        logic: families of generated puzzles (``[all]``), ``n`` rows of each, of ``difficulty``.
    """

    reader: str | None = None
    root: str | Path | None = None
    columns: dict[str, Any] | None = None
    limit: int | None = None
    weight: float = 1.0
    name: str = ""
    parquet: str | Path | None = None
    logic: list[str] | None = None
    n: int = 100
    difficulty: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    min_pixels: int | None = None
    max_pixels: int | None = None
    broken_files: str = "stop"

    def problems(self, stage: str) -> list[str]:
        """What is wrong with the settings."""
        found = []
        if len(self.kinds) != 1:
            has = self.kinds or "none"
            found.append(f": must have exactly one of reader, parquet and logic, not {has}")
        stages = [stage] if stage in READERS else list(READERS)
        names = sorted({name for each in stages for name in READERS[each]()})
        if self.reader is not None and self.reader not in names:
            found.append(f".reader: no {self.reader!r}; there are {', '.join(names)}")
        found += self._column_problems(stage)
        if self.reader is not None and not str(self.root or "").strip():
            found.append(".root: is missing; it must be the corpus's folder")
        if self.reader is None and self.root is not None:
            found.append(": root goes with a reader, and there is none")
        if self.parquet is not None and not str(self.parquet).strip():
            found.append(".parquet: is empty; it must be a file")
        if self.limit is not None and self.limit < 1:
            found.append(f".limit: must be at least 1, not {self.limit}")
        on_hub = str(self.root).startswith(HUB)
        if on_hub and not str(self.root).removeprefix(HUB).partition(":")[0].strip():
            found.append(f".root: {self.root!r} names no data set; it must be hub:ORG/NAME")
        if not 0 < self.weight <= MAX_WEIGHT:
            found.append(f".weight: must be positive and at most {MAX_WEIGHT}, not {self.weight}")
        if self.name and not NAME.fullmatch(self.name):
            found.append(f".name: must be letters, digits and ._+-, not {self.name!r}")
        if self.broken_files not in BROKEN_FILES:
            either = " or ".join(BROKEN_FILES)
            found.append(f".broken_files: must be {either}, not {self.broken_files!r}")
        if self.logic is not None:
            found += self._logic_problems()
        limits = self.pixel_limits.problem()
        return [*found, f": {limits}"] if limits else found

    def _column_problems(self, stage: str) -> list[str]:
        if self.reader != "columns":
            wrong = ".columns: only the reader 'columns' takes them"
            return [] if self.columns is None else [wrong]
        if self.columns is None:
            return [".columns: is missing; it must name the table's columns"]
        found: list[str] = []
        if stage in KINDS:
            read_settings(columns_class(stage), self.columns, ".columns", found)
        return found

    def _logic_problems(self) -> list[str]:
        from ovr_plugin.data.logic import family_names

        names = ["all", *family_names()]
        unknown = [name for name in self.logic or [] if name not in names]
        found = [f".logic: no {name!r}; there are {', '.join(names)}" for name in unknown]
        if self.n < 1:
            found.append(f".n: must be at least 1, not {self.n}")
        if not self.difficulty or not all(1 <= each <= 5 for each in self.difficulty):
            found.append(f".difficulty: must be levels from 1 to 5, not {self.difficulty}")
        return found

    @property
    def kinds(self) -> list[str]:
        """Which of the three kinds of source are named; of a right one, one is."""
        return [key for key in ("reader", "parquet", "logic") if getattr(self, key) is not None]

    @property
    def pixel_limits(self) -> PixelLimits:
        """Of the pictures of rows that have none of their own."""
        return PixelLimits(self.min_pixels, self.max_pixels)

    @property
    def label(self) -> str:
        """The name in ids and report."""
        return self.name or self.reader or ("logic" if self.logic else Path(str(self.parquet)).stem)

    def place(self, folder: Path) -> Path | str | None:
        """The corpus's folder or file, or ``hub:NAME``; None for generated rows."""
        given = self.root if self.reader is not None else self.parquet
        if str(given).startswith(HUB):
            return str(given)
        return None if given is None else resolved(folder / given)

    def rows(self, folder: Path, seed: int, stage: str) -> Iterator[Any]:
        """All rows, in the same order every time: samples and `BadRow`s."""
        if self.logic is not None:
            from ovr_plugin.data.logic import generate

            for sample in generate(self.logic, self.n, self.difficulty, seed):
                yield self._named(sample, "logic")
            return
        place = self.place(folder)
        assert place is not None  # noqa: S101 - checked at the entrance
        if self.reader is not None:
            for row in self._reader(stage)(place):
                yield row if isinstance(row, BadRow) else self._named(row, row.id.partition("/")[0])
            return
        kind: Any = KINDS[stage]
        for sample in read_parquet(Path(place), kind):
            yield self._named(sample, sample.id.partition("/")[0])

    def _reader(self, stage: str) -> Any:
        if stage == "rl":
            return get_reader(str(self.reader), self.columns)
        return get_cold_start_reader(str(self.reader), self.columns)

    def _named(self, sample: Any, known_as: str) -> Any:
        if self.pixel_limits.as_dict() and getattr(sample, "images", []):
            sample = replace(sample, **vars(sample.pixel_limits.over(self.pixel_limits)))
        if not self.name:
            return sample
        return replace(sample, id=f"{self.name}/{sample.id.removeprefix(f'{known_as}/')}")
