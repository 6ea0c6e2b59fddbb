"""A manifest in; ``train.parquet``, ``val.parquet``, a report and every row left out, out.

Two parts. First every chunk of every source by itself (`ovr_plugin.data.chunks`): checks, filters,
fingerprints; in processes or on a cluster, and resumable, because each chunk leaves its files under
``<out>/work``. Then, from a few bytes per row, all rows together: duplicates, limits, the split,
weights and the order; and the good rows are written. The same manifest on the same files gives the
same bytes, however many workers did it and however often it was interrupted: every choice is a
hash of the seed with a row's id or content.

"The same row" is, for the split, the question with its pictures' content, so no question can be in
both files, whichever corpus it came from. ``report.json`` counts by source and reason, with
examples; ``bad_rows.jsonl`` names every row that went.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ovr_plugin.data.chunks import (
    FOR_EVALUATION,
    Chunk,
    Plan,
    mark_type,
    place_of,
    read_dropped,
    read_rows,
)
from ovr_plugin.data.curation.duplicates import (
    Duplicates,
    column,
    content_key,
    find_duplicates,
    image_bytes,
)
from ovr_plugin.data.curation.lookup import Band
from ovr_plugin.data.curation.picture_hash import THUMBNAIL
from ovr_plugin.data.curation.report import Report
from ovr_plugin.data.executors import WorkerKilled
from ovr_plugin.data.files import write_json, write_jsonl, write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.lock import alone_in
from ovr_plugin.data.manifest import Manifest
from ovr_plugin.data.sample import Sample, at_place
from ovr_plugin.data.selection import (
    apply_limits,
    choose_val,
    copies_in_order,
    mixed,
    row_weights,
)
from ovr_plugin.data.shuffle import in_order
from ovr_plugin.data.source import KINDS, Source
from ovr_plugin.data.source_chunks import Progress, ReadSource, read_source, source_digest

__all__ = ["FOR_EVALUATION", "Manifest", "Source", "Stopped", "content_key", "prepare"]

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


class Stopped(Exception):
    """Preparation could not go on; the text says where and why, and what to do."""


def prepare(
    manifest: Manifest,
    out_dir: str | Path,
    *,
    n_workers: int | None = 1,
    ray: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the training files of a manifest; returns the report.

    Args:
        manifest: see `ovr_plugin.data.manifest`.
        out_dir: folder for the parquet files, ``report.json`` and ``bad_rows.jsonl``; with ``ray``
            on a file system that all nodes share.
        n_workers: processes for the first part; None for one per core.
        ray: the address of a Ray cluster to use instead.
        on_progress: called after every chunk.

    Raises:
        ValueError: a wrong manifest (all mistakes), or too few good rows for two files. The report
            and the bad rows are written all the same where they exist.
        Stopped: another run is at work in ``out_dir``; no space left; a worker killed; or a source
            that cannot be read to its end, be it a file of it (`Source.broken_files`). The other
            sources, and the rest of this one, were still done; all finished chunks are kept for the
            next start.
    """
    mistakes = manifest.problems()
    if mistakes:
        raise ValueError("; ".join(mistakes))
    out = Path(out_dir)
    work = out / "work"
    try:
        with alone_in(work):
            report = _prepare(manifest, out, work, n_workers, ray, on_progress)
            shutil.rmtree(work)
    except BlockingIOError:
        raise Stopped(
            f"another run is at work in {out}: wait for its end, or choose another folder"
        ) from None
    return report


def _prepare(
    manifest: Manifest,
    out: Path,
    work: Path,
    n_workers: int | None,
    ray: str | None,
    on_progress: Callable[[Progress], None],
) -> dict[str, Any]:
    plan = _plan(manifest)
    sources = [
        ReadSource(source, work / source_digest(manifest, source)) for source in manifest.sources
    ]
    try:
        for read in sources:
            read_source(manifest, plan, read, n_workers, ray, on_progress)
        problems = [f"{read.source.label}: {why}" for read in sources for why in read.problems]
        if problems:
            raise Stopped(_what_broke_off(sources, problems, work))
        return _finish(manifest, plan, sources, out, work)
    except WorkerKilled as error:
        way_out = "start the same command again, with fewer --workers"
        raise Stopped(_where_it_stopped(sources, work, error, way_out)) from error
    except OSError as error:
        if error.errno not in OUT_OF_SPACE:
            raise
        way_out = "make room and start the same command again"
        raise Stopped(_where_it_stopped(sources, work, error, way_out)) from error


def _what_broke_off(sources: list[ReadSource], problems: list[str], work: Path) -> str:
    n_rows = sum(read.n_rows - sum(map(len, read.broken.values())) for read in sources)
    way_out = "mend the source"
    if any(read.broken for read in sources if read.problems):
        way_out += ", or give it `broken_files: keep` to take what can be read,"
    return (
        "not all sources could be read to their end:\n  " + "\n  ".join(problems) + "\n"
        f"All that could be read, {n_rows:,} rows, is done and kept in {work}; {way_out} and start "
        "the same command again."
    )


def _where_it_stopped(sources: list[ReadSource], work: Path, error: Exception, way_out: str) -> str:
    done = [f"{len(read.chunks)} chunks" for read in sources if read.chunks is not None]
    at = next((read for read in sources if read.chunks is None), None)
    where = "while writing the result" if at is None else f"in {at.source.label}, row {at.n_rows}"
    return (
        f"stopped {where}: {error}\n"
        f"{len(done)} of {len(sources)} sources are done. What is done is kept in {work}; "
        f"{way_out}."
    )


def _plan(manifest: Manifest) -> Plan:
    filters = manifest.filter_settings()
    predicates = [(name, each.predicate(manifest.folder)) for name, each in filters.items()]
    strata = [(each, each.measure(manifest.folder)) for each in manifest.strata]
    return Plan(KINDS[manifest.stage], predicates, strata)


def _finish(
    manifest: Manifest, plan: Plan, sources: list[ReadSource], out: Path, work: Path
) -> dict[str, Any]:
    """The global part: from the marks of all good rows to the files."""
    chunks = [(at, chunk) for at, read in enumerate(sources) for chunk in read.chunks or []]
    n_good = [len(np.load(chunk.marks, mmap_mode="r")) for _, chunk in chunks]
    starts = np.concatenate([[0], np.cumsum(n_good)]).astype(np.int64)
    marks = _joined_marks(plan, [chunk for _, chunk in chunks], n_good, work)
    source_of = np.repeat([at for at, _ in chunks], n_good).astype(np.int16)
    report = Report(
        {"stage": manifest.stage, "seed": manifest.seed, "val_fraction": manifest.val_fraction}
    )

    keep = np.ones(len(source_of), dtype=bool)
    found = _find_duplicates(manifest, marks, work)
    keep[found.later] = False
    order = mixed(column(marks, "id"), manifest.seed)
    n_unused = apply_limits(manifest, keep, source_of, order)
    in_val = choose_val(manifest, keep, source_of, column(marks, "content"))
    weights = row_weights(manifest, marks, keep & ~in_val, source_of, report)

    report.unmeasured = _unmeasured(plan, column(marks, "id")[keep])
    duplicates = _told(found, chunks, starts)
    write_jsonl(out / "bad_rows.jsonl", _all_dropped(chunks, duplicates, report))
    is_image = column(marks, "is_image")
    splits = {
        "train": copies_in_order(keep & ~in_val, weights, order),
        "val": copies_in_order(keep & in_val, np.ones(len(keep)), order),
    }
    for name, copies in splits.items():
        rows, n_images = len(copies), int(is_image[copies].sum())
        report.rows[name] = {"text": rows - n_images, "image": n_images}
    for at, read in enumerate(sources):
        report.sources[read.source.label] = {
            "root": str(read.source.root or read.source.parquet or ""),
            "limit": read.source.limit,
            "weight": read.source.weight,
            "read": read.n_rows,
            "good": int((keep & (source_of == at)).sum()),
            "bad": report.n_dropped(read.source.label),
            "unused": int(n_unused[at]),
            "broken_files": sum(map(len, read.broken.values())),
            **{name: int((source_of[copies] == at).sum()) for name, copies in splits.items()},
        }
    write_json(out / "report.json", report.as_dict())
    del order, weights, keep, in_val, is_image, source_of, marks  # as long as rows are many
    _write_splits(manifest, plan, splits, [chunk for _, chunk in chunks], starts, out, work)
    return report.as_dict()


def _joined_marks(plan: Plan, chunks: list[Chunk], n_good: list[int], work: Path) -> np.ndarray:
    """All chunks' marks and thumbnails in one mapped file each."""
    kind = mark_type(len(plan.strata))
    n_thumbnails = 0
    with (
        (work / "marks.bin").open("wb") as all_marks,
        (work / "thumbnails.bin").open("wb") as all_t,
    ):
        for chunk in chunks:
            marks, thumbnails = np.load(chunk.marks), np.load(chunk.thumbnails)
            marks["thumbnail"][marks["thumbnail"] >= 0] += n_thumbnails
            n_thumbnails += len(thumbnails)
            all_marks.write(marks.tobytes())
            all_t.write(thumbnails.tobytes())
    if not sum(n_good):
        return np.zeros(0, dtype=kind)
    return np.memmap(work / "marks.bin", dtype=kind, mode="r")


def _find_duplicates(manifest: Manifest, marks: np.ndarray, work: Path) -> Duplicates:
    settings = manifest.duplicates()
    if settings is None or not len(marks):
        none = np.zeros(0, dtype=np.int64)
        return Duplicates(none, none, none)
    thumbnails: Any = np.zeros((0, 3 * THUMBNAIL**2), dtype=np.uint8)
    if (work / "thumbnails.bin").stat().st_size:
        thumbnails = np.memmap(work / "thumbnails.bin", np.uint8, "r").reshape(-1, 3 * THUMBNAIL**2)
    return find_duplicates(marks, thumbnails, near=settings.near, similarity=settings.similarity)


def _unmeasured(plan: Plan, keys: np.ndarray) -> dict[str, int]:
    """Filter by measurements -> how many of the rows that stay it knows nothing of."""
    bands = [(name, each) for name, each in plan.predicates if isinstance(each, Band)]
    return {name: each.values.n_unknown(keys) for name, each in bands}


def _told(
    found: Duplicates, chunks: list[tuple[int, Chunk]], starts: np.ndarray
) -> dict[int, list[dict[str, Any]]]:
    """Chunk -> what to say of its duplicates."""
    ids: dict[int, str] = {}
    wanted = np.unique(np.concatenate([found.later, found.earlier]))
    home = np.searchsorted(starts, wanted, side="right") - 1
    for at in np.unique(home).tolist():
        rows = wanted[home == at]
        infos = read_rows(chunks[at][1].good).column("extra_info").combine_chunks().field("id")
        ids.update((int(row), infos[int(row - starts[at])].as_py()) for row in rows)
    told: dict[int, list[dict[str, Any]]] = {}
    for later, earlier, kind in zip(found.later, found.earlier, found.kind, strict=True):
        at = int(np.searchsorted(starts, later, side="right") - 1)
        chunk = chunks[at][1]
        file, row = place_of(ids[int(later)], chunk.place)
        reason = f"{Duplicates.KINDS[kind]}: of {ids[int(earlier)]}"
        line = {"source": chunk.source, "file": file, "row": row, "step": "duplicates"}
        told.setdefault(at, []).append({**line, "reason": reason})
    return told


def _all_dropped(
    chunks: list[tuple[int, Chunk]], duplicates: dict[int, list[dict[str, Any]]], report: Report
) -> Iterator[dict[str, Any]]:
    for at, (_, chunk) in enumerate(chunks):
        for line in [*read_dropped(chunk.dropped), *duplicates.get(at, [])]:
            report.drop(line)
            yield line


def _write_splits(
    manifest: Manifest,
    plan: Plan,
    splits: dict[str, np.ndarray],
    chunks: list[Chunk],
    starts: np.ndarray,
    out: Path,
    work: Path,
) -> None:
    empty = [name for name, rows in splits.items() if not len(rows)]
    if not manifest.val_fraction and "val" in empty:
        empty.remove("val")
        (out / "val.parquet").unlink(missing_ok=True)
        splits = {"train": splits["train"]}
    if empty:
        raise ValueError(
            f"no good row for {' and '.join(empty)}: see {out / 'report.json'} for what was wrong"
        )
    for name, copies in splits.items():
        by_row = np.argsort(copies, kind="stable")  # ranks, in the order of the rows
        n_bytes = sum(chunk.good.stat().st_size for chunk in chunks)
        size = n_bytes * len(copies) // max(int(starts[-1]), 1)
        pieces = _pieces(copies[by_row], by_row, chunks, starts)
        rows = in_order(pieces, len(copies), size, work / name)
        records = (
            _placed(plan, row, index, name, manifest.embed_images) for index, row in enumerate(rows)
        )
        write_parquet(out / f"{name}.parquet", records, plan.kind)


def _pieces(
    rows: np.ndarray, ranks: np.ndarray, chunks: list[Chunk], starts: np.ndarray
) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    for at, chunk in enumerate(chunks):
        low, high = np.searchsorted(rows, [starts[at], starts[at + 1]])
        if high > low:
            yield read_rows(chunk.good), rows[low:high] - starts[at], ranks[low:high]


def _placed(plan: Plan, row: dict[str, Any], index: int, split: str, embed: bool) -> Any:
    sample: Any = at_place(plan.kind.from_row(row), index, split)  # type: ignore[arg-type]
    if embed and isinstance(sample, Sample):
        images = [ImageRef(data=image_bytes(image)) for image in sample.images]
        sample = replace(sample, images=images)
    return sample
