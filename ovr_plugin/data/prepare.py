"""Raw corpora in; ``train.parquet``, ``val.parquet`` and a report of every row left out, out.

Corpora are read by their readers, every row is checked (pictures are decoded here, once, so that
training does not have to), and the good rows are mixed and split by a seeded hash: the same sources
and seed give the same bytes. "The same row" is, for the split, the question with its pictures'
content, so no question can be in both files, whichever corpus it came from. ``report.json`` counts
by source and reason, with examples; ``bad_rows.jsonl`` names every bad row.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import write_json, write_jsonl, write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.readers import get_reader
from ovr_plugin.data.sample import BadRow, Sample, at_place, problems, rejects_own_reference

N_EXAMPLES = 3
FOR_EVALUATION = "for evaluation only: of the test split"


@dataclass(frozen=True)
class Source:
    """One corpus of the mixture: its reader, its folder, and how many rows at most."""

    reader: str
    root: str | Path
    limit: int | None = None


@dataclass
class Rows:
    """What became of a source's rows; ``n_unused`` good or unchecked ones lay beyond the limit."""

    source: Source
    good: list[Sample] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    n_unused: int = 0


def prepare(
    sources: Sequence[Source],
    out_dir: str | Path,
    *,
    val_fraction: float = 0.02,
    seed: int = 0,
    embed_images: bool = False,
    compute_score: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """Write the RL files of a mixture of corpora; returns the report.

    Args:
        sources: the corpora, each reader once.
        out_dir: folder for the two parquet files, ``report.json`` and ``bad_rows.jsonl``.
        val_fraction: share of each source's rows for validation; at least one row each.
        seed: of the choice under a limit, the split and the order.
        embed_images: put the pictures' bytes into the files instead of their paths.
        compute_score: grader in veRL's signature; rows whose own reference it rejects are bad.

    Raises:
        ValueError: no source, one twice, a bad fraction, or too few good rows for two files. The
            report and the bad rows are written all the same where they exist.
    """
    _check_arguments(sources, val_fraction)
    out = Path(out_dir)
    collected = [_collect(source, seed, compute_score) for source in sources]
    keys = {sample.id: content_key(sample) for rows in collected for sample in rows.good}
    val_keys = _choose_val(collected, keys, val_fraction, seed)
    splits: dict[str, list[Sample]] = {"train": [], "val": []}
    for sample in _by_hash((sample for rows in collected for sample in rows.good), seed):
        splits["val" if keys[sample.id] in val_keys else "train"].append(sample)

    report = _report(collected, splits, {"seed": seed, "val_fraction": val_fraction})
    write_json(out / "report.json", report)
    write_jsonl(out / "bad_rows.jsonl", (asdict(bad) for rows in collected for bad in rows.bad))
    empty = [name for name, samples in splits.items() if not samples]
    if empty:
        raise ValueError(
            f"no good row for {' and '.join(empty)}: see {out / 'report.json'} for what was wrong"
        )
    for name, samples in splits.items():
        placed = (at_place(sample, index, name) for index, sample in enumerate(samples))
        records = map(_embedded, placed) if embed_images else placed
        write_parquet(out / f"{name}.parquet", records, Sample)
    return report


def _check_arguments(sources: Sequence[Source], val_fraction: float) -> None:
    if not sources:
        raise ValueError("no source given: name at least one corpus")
    twice = [name for name, n in Counter(source.reader for source in sources).items() if n > 1]
    if twice:
        raise ValueError(f"given twice: {', '.join(twice)}; rows could not be told apart")
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}; it must lie between 0 and 1")
    for source in sources:
        if source.limit is not None and source.limit < 1:
            raise ValueError(f"{source.reader}: limit is {source.limit}; it must be at least 1")
        get_reader(source.reader)


def _collect(source: Source, seed: int, compute_score: Callable[..., Any] | None) -> Rows:
    """Read and check one source; under a limit, checked in hash order until it is reached."""
    rows = Rows(source)
    candidates: list[Sample] = []
    for item in get_reader(source.reader)(Path(source.root)):
        if isinstance(item, BadRow):
            rows.bad.append(item)
        else:
            candidates.append(item)
    for n_checked, sample in enumerate(_by_hash(candidates, seed)):
        if len(rows.good) == source.limit:
            rows.n_unused = len(candidates) - n_checked
            break
        reasons = _reasons(sample, compute_score)
        if reasons:
            rows.bad.append(_bad_row(sample, source, reasons))
        else:
            rows.good.append(sample)
    rows.bad.sort(key=lambda bad: (bad.file, -1 if bad.row is None else bad.row))
    return rows


def _reasons(sample: Sample, compute_score: Callable[..., Any] | None) -> list[str]:
    reasons = [FOR_EVALUATION] if sample.split == "test" else []
    reasons += problems(sample, decode_images=True)
    if compute_score is not None and not reasons:
        reason = rejects_own_reference(sample, compute_score)
        reasons = [reason] if reason else []
    return reasons


def _bad_row(sample: Sample, source: Source, reasons: list[str]) -> BadRow:
    file, _, row = sample.id.removeprefix(f"{source.reader}/").rpartition("#")
    return BadRow(str(Path(source.root) / file), int(row), "; ".join(reasons))


def _by_hash(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """The samples in an order that depends on the seed and their ids alone."""
    return sorted(samples, key=lambda sample: _digest(f"{seed}/{sample.id}".encode()))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def content_key(sample: Sample) -> str:
    """A digest of the question and its pictures' bytes: equal for the same row in two corpora."""
    texts = [message["content"].encode() for message in sample.prompt]
    return _digest(*texts, *(_image_bytes(image) for image in sample.images))


def _image_bytes(image: ImageRef) -> bytes:
    return image.data if image.data is not None else Path(str(image.path)).read_bytes()


def _embedded(sample: Sample) -> Sample:
    images = [ImageRef(data=_image_bytes(image)) for image in sample.images]
    return replace(sample, images=images)


def _choose_val(
    collected: list[Rows], keys: dict[str, str], val_fraction: float, seed: int
) -> set[str]:
    """Content keys of the validation rows: of each source its share, in hash order of the key."""
    chosen: set[str] = set()
    for rows in collected:
        rows_of_key = Counter(keys[sample.id] for sample in rows.good)
        if len(rows_of_key) < 2:
            continue  # the only question of a source is for training
        wanted = math.ceil(val_fraction * len(rows.good))
        n_chosen = sum(rows_of_key[key] for key in rows_of_key if key in chosen)
        for key in sorted(rows_of_key, key=lambda key: _digest(f"{seed}/{key}".encode())):
            if n_chosen >= wanted:
                break
            if key not in chosen:
                chosen.add(key)
                n_chosen += rows_of_key[key]
    return chosen


def _report(
    collected: list[Rows], splits: dict[str, list[Sample]], settings: dict[str, Any]
) -> dict[str, Any]:
    in_split = {
        name: Counter(sample.data_source for sample in samples) for name, samples in splits.items()
    }
    sources = {}
    for rows in collected:
        name = rows.source.reader
        sources[name] = {
            "root": str(rows.source.root),
            "limit": rows.source.limit,
            "read": len(rows.good) + len(rows.bad) + rows.n_unused,
            "good": len(rows.good),
            "bad": len(rows.bad),
            "unused": rows.n_unused,
            **{split: counts[name] for split, counts in in_split.items()},
            "reasons": _by_kind(rows.bad),
        }
    totals = {name: Counter(s.modality for s in samples) for name, samples in splits.items()}
    return {**settings, "rows": {k: dict(v) for k, v in totals.items()}, "sources": sources}


def _by_kind(bad_rows: list[BadRow]) -> dict[str, Any]:
    """Counts and the first examples of each kind of defect, the commonest first."""
    counts = Counter(bad.kind for bad in bad_rows)
    return {
        kind: {"count": count, "examples": list(_examples(bad_rows, kind))}
        for kind, count in counts.most_common()
    }


def _examples(bad_rows: list[BadRow], kind: str) -> Iterator[dict[str, Any]]:
    of_kind = [bad for bad in bad_rows if bad.kind == kind]
    yield from (asdict(bad) for bad in of_kind[:N_EXAMPLES])
