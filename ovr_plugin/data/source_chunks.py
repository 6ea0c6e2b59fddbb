"""A source in, its chunks done: read in order, worked on anywhere, skipped where done before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import ovr_plugin
from ovr_plugin.data.chunks import ROWS_PER_CHUNK, Chunk, Plan, do_chunk
from ovr_plugin.data.curation.filters import Contamination
from ovr_plugin.data.curation.text import hash64
from ovr_plugin.data.executors import run_tasks
from ovr_plugin.data.files import read_json, write_json
from ovr_plugin.data.manifest import Manifest
from ovr_plugin.data.sample import BrokenFile
from ovr_plugin.data.source import Source

N_SHOWN = 10


@dataclass
class Progress:
    """How far the first part is."""

    source: str = ""
    n_rows: int = 0


@dataclass
class ReadSource:
    """A source that was read: how many rows, in which chunks, and why it broke off, if so.

    Attributes:
        failed: why the source could not be read to its end.
        broken: number of a chunk -> the files of which it holds the last row that can be read.
    """

    source: Source
    folder: Path
    n_rows: int = 0
    chunks: list[Chunk] | None = None
    failed: str = ""
    broken: dict[int, list[str]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Why not all that the source has was read."""
        files = [file for each in self.broken.values() for file in each]
        told = [] if self.source.broken_files == "keep" else files
        more = [f"... and {len(told) - N_SHOWN} files more"] if len(told) > N_SHOWN else []
        return [*told[:N_SHOWN], *more, *([self.failed] if self.failed else [])]


def source_digest(manifest: Manifest, source: Source) -> str:
    """The name of a source's chunks: another one once anything that they depend on changes."""
    told = {
        "version": ovr_plugin.__version__,
        "stage": manifest.stage,
        "seed": manifest.seed if source.logic else None,
        "source": {**asdict(source), "limit": None, "weight": None, "broken_files": None},
        "files": _listing(source.place(manifest.folder)),
        "filters": repr(manifest.filter_settings()),
        "strata": repr(manifest.strata),
        "measured": [_listing(path) for path in _measured(manifest)],
        "rows_per_chunk": ROWS_PER_CHUNK,
    }
    return f"{source.label}-{hash64(repr(told).encode()):016x}"


def _measured(manifest: Manifest) -> list[Path]:
    """The files beside the source's own on which it depends which rows stay."""
    filters = manifest.filter_settings().values()
    files = [getattr(each, "file", None) for each in [*filters, *manifest.strata]]
    measured = [manifest.folder / file for file in files if file]
    sets = [each.files(manifest.folder) for each in filters if isinstance(each, Contamination)]
    return measured + [file for files in sets for file in files]


def _listing(place: Path | str | None) -> int:
    """A hash of the names, sizes and times of all files; on the Hub of the name alone."""
    if not isinstance(place, Path):
        return hash64(place.encode()) if place else 0
    names = [place] if place.is_file() else sorted(path for path in place.rglob("*"))
    facts = [(str(path), s.st_size, s.st_mtime_ns) for path in names if (s := _facts(path))]
    return hash64(repr(facts).encode())


def _facts(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # a link to nothing, or to itself: the rows that name it will be told
        return path.lstat()


def read_source(
    manifest: Manifest,
    plan: Plan,
    read: ReadSource,
    n_workers: int | None,
    ray: str | None,
    on_progress: Callable[[Progress], None],
) -> None:
    """Do all chunks of a source that are not done; an error of the source is kept in ``read``."""
    end, broken = read.folder / "end.json", read.folder / "broken.json"
    if end.exists():
        read.n_rows = read_json(end)["n_rows"]
        read.broken = _read_broken(broken)
        read.chunks = [
            _chunk(manifest, read, n, []) for n in range(-(-read.n_rows // ROWS_PER_CHUNK))
        ]
        on_progress(Progress(read.source.label, read.n_rows))
        return
    chunks: list[Chunk] = []
    progress = Progress(read.source.label)

    def open_chunks() -> Iterator[Chunk]:
        known, is_same = _read_broken(broken), True
        for number, chunk in enumerate(_chunks(manifest, read)):
            # What could not be read, and now can: all rows after it have other places.
            is_same &= known.get(number) == read.broken.get(number)
            if not is_same:
                chunk.dropped.unlink(missing_ok=True)
            if number in read.broken:
                write_json(broken, {**known, **read.broken})
            chunks.append(replace(chunk, rows=[]))
            if chunk.is_done:
                finished(chunk)
            else:
                yield chunk

    def finished(chunk: Chunk) -> None:
        progress.n_rows += len(chunk.rows)
        read.n_rows = progress.n_rows
        on_progress(progress)

    read.folder.mkdir(parents=True, exist_ok=True)
    run_tasks(do_chunk, plan, open_chunks(), n_workers=n_workers, ray=ray, on_done=finished)
    if not progress.n_rows and not read.failed:
        read.failed = f"there is not one row in {read.source.place(manifest.folder)}"
    if read.broken or broken.exists():
        write_json(broken, read.broken)
    if not read.problems:
        read.chunks = chunks
        write_json(end, {"n_rows": read.n_rows})


def _read_broken(path: Path) -> dict[int, list[str]]:
    found = read_json(path) if path.exists() else {}
    return {int(number): files for number, files in found.items()}


def _chunks(manifest: Manifest, read: ReadSource) -> Iterator[Chunk]:
    rows = read.source.rows(manifest.folder, manifest.seed, manifest.stage)
    for number in range(1 << 40):
        try:
            piece = list(islice(rows, ROWS_PER_CHUNK))
        except Exception as error:  # a corpus that goes away, or that its reader cannot stand
            read.failed = f"after row {number * ROWS_PER_CHUNK}: {type(error).__name__}: {error}"
            return
        if not piece:
            return
        files = [str(row) for row in piece if isinstance(row, BrokenFile)]
        if files:
            read.broken[number] = files
        yield _chunk(manifest, read, number, piece)


def _chunk(manifest: Manifest, read: ReadSource, number: int, rows: list[Any]) -> Chunk:
    place = read.source.place(manifest.folder)
    stem = read.folder / f"{number:06d}"
    first = number * ROWS_PER_CHUNK
    return Chunk(read.source.label, "" if place is None else str(place), first, rows, stem)
