"""The part of preparation that needs no other row: raw rows in, files of good ones out.

A chunk's rows are checked and filtered, and the good ones are kept with the few bytes that the
later, global part works on (`mark_type`). A chunk is done once its last file is there, so an
interrupted run does only the others again. What is written depends on the chunk's rows and the plan
alone, never on who did the work when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ovr_plugin.data.control_tokens import ControlTokens
from ovr_plugin.data.curation.duplicates import FINGERPRINT, fingerprint
from ovr_plugin.data.curation.picture_hash import THUMBNAIL
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.strata import Measure, Stratification
from ovr_plugin.data.curation.text import id_key
from ovr_plugin.data.files import read_jsonl, replacing, save_array, write_jsonl
from ovr_plugin.data.images import error_text
from ovr_plugin.data.readers import file_at
from ovr_plugin.data.sample import (
    BadRow,
    ColdStartSample,
    Sample,
    cold_start_problems,
    problems,
)

ROWS_PER_CHUNK = 1000
FOR_EVALUATION = "for evaluation only: of the test split"
CONTROL_TOKENS = ControlTokens()


@dataclass(frozen=True)
class Plan:
    """What happens to every row.

    Attributes:
        kind: the record class of the stage.
        predicates: (name, predicate) of the filters, in order.
        strata: (stratification, measure) pairs.
        hash_rows: whether fingerprints are needed.
    """

    kind: type[Sample] | type[ColdStartSample]
    predicates: list[tuple[str, Callable[[Row], str | None]]]
    strata: list[tuple[Stratification, Measure]]
    hash_rows: bool = True


@dataclass(frozen=True)
class Chunk:
    """Rows ``first`` to ``first + len(rows)`` of a source; its files begin with ``stem``."""

    source: str
    place: str
    first: int
    rows: list[Any]
    stem: Path

    @property
    def good(self) -> Path:
        """Good rows, an Arrow file."""
        return self.stem.with_suffix(".arrow")

    @property
    def marks(self) -> Path:
        """An array of `mark_type`, one element per good row."""
        return self.stem.with_suffix(".npy")

    @property
    def thumbnails(self) -> Path:
        """(n_pictures, 3 * 24 * 24) uint8, of the good rows with pictures."""
        return self.stem.with_suffix(".thumbnails.npy")

    @property
    def dropped(self) -> Path:
        """JSON Lines: the rows that went, and why. Written last: with it the chunk is done."""
        return self.stem.with_suffix(".jsonl")

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.dropped.exists()


def mark_type(n_strata: int) -> np.dtype:
    """What is kept of a row for the global part.

    ``id``: a hash of its id; ``is_image``; ``strata``: its value for each stratification.
    """
    return np.dtype(
        [
            *[(name, FINGERPRINT[name]) for name in FINGERPRINT.names or ()],
            ("id", "<u8"),
            ("is_image", "?"),
            ("strata", "<f8", (n_strata,)),
        ]
    )


def do_chunk(plan: Plan, chunk: Chunk) -> None:
    """Check, filter and mark a chunk's rows, and write its files.

    Raises:
        OSError: they cannot be written.
    """
    good: list[Any] = []
    marks = np.zeros(len(chunk.rows), dtype=mark_type(len(plan.strata)))
    thumbnails: list[np.ndarray] = []
    dropped: list[dict[str, Any]] = []
    for raw in chunk.rows:
        if isinstance(raw, BadRow):
            dropped.append(_dropped(chunk, raw, "reader"))
            continue
        row = Row(raw)
        step, reason = first_reason(plan, row)
        if reason is None:
            step, reason = _mark(plan, row, marks[len(good) : len(good) + 1], thumbnails)
        if reason is None:
            good.append(raw)
        else:
            dropped.append(_dropped(chunk, _bad_row(raw, chunk.place, reason), step))
    _write_rows(chunk.good, good, plan.kind)
    save_array(chunk.marks, marks[: len(good)])
    empty = np.zeros((0, 3 * THUMBNAIL**2), dtype=np.uint8)
    save_array(chunk.thumbnails, np.stack(thumbnails) if thumbnails else empty)
    write_jsonl(chunk.dropped, dropped)


def first_reason(plan: Plan, row: Row) -> tuple[str, str | None]:
    """The step at which a row goes, and why; None if it stays."""
    sample = row.sample
    if not isinstance(sample, plan.kind):
        return "well_formed", f"not of this stage: a {type(sample).__name__}"
    if sample.split == "test":
        return "split", FOR_EVALUATION
    found = problems(sample) if isinstance(sample, Sample) else cold_start_problems(sample)
    if found:
        return "well_formed", "; ".join(found)
    found = CONTROL_TOKENS.problems(sample.texts())
    if found:
        return "control_tokens", found[0]
    for name, predicate in plan.predicates:
        try:
            reason = predicate(row)
        except Exception as error:  # hostile rows meet all steps here: what they raise is data
            reason = _failed(name, error)
        if reason is not None:
            return name, reason
    return "", None


def _mark(
    plan: Plan, row: Row, mark: np.ndarray, thumbnails: list[np.ndarray]
) -> tuple[str, str | None]:
    mark["id"] = id_key(row.sample.id)
    mark["is_image"] = bool(getattr(row.sample, "images", []))
    for place, (stratification, measure) in enumerate(plan.strata):
        mark["strata"][0, place] = stratification.number(measure(row))
    if not plan.hash_rows:
        return "", None
    try:
        made, thumbnail = fingerprint(row)
    except Exception as error:  # a picture's file that goes away or is no picture
        return "duplicates", _failed("duplicates", error)
    for name in made.dtype.names or ():
        mark[name] = made[name]
    if thumbnail is not None:
        mark["thumbnail"] = len(thumbnails)
        thumbnails.append(thumbnail)
    return "", None


def _failed(step: str, error: Exception) -> str:
    return f"the step failed: {step}: {type(error).__name__}: {error_text(error)}"


def _dropped(chunk: Chunk, bad: BadRow, step: str) -> dict[str, Any]:
    return {
        "source": chunk.source,
        "file": bad.file,
        "row": bad.row,
        "step": step,
        "reason": bad.reason,
    }


def place_of(sample_id: str, place: str) -> tuple[str, int | None]:
    """The file and row that an id ``corpus/file#row`` names, under the corpus's ``place``."""
    file, _, row = sample_id.partition("/")[2].rpartition("#")
    number = int(row) if row.isdecimal() else None
    if not place or place.endswith(".parquet"):
        return place or file, number
    return str(file_at(Path(place), file)), number


def _bad_row(sample: Any, place: str, reason: str) -> BadRow:
    file, row = place_of(str(getattr(sample, "id", "")), place)
    return BadRow(file, row, reason)


def _write_rows(path: Path, samples: list[Any], kind: type[Sample] | type[ColdStartSample]) -> None:
    table = pa.Table.from_pylist([sample.to_row() for sample in samples], schema=kind.schema)
    with replacing(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, kind.schema) as writer:
            writer.write_table(table)


def read_rows(path: Path) -> pa.Table:
    """The good rows of a chunk."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def read_dropped(path: Path) -> Iterator[dict[str, Any]]:
    """What a chunk dropped."""
    return read_jsonl(path)
