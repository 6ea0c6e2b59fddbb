"""PixMo count and points (image; ODC-BY; OVR appendix A): "how many X are there?".

Layout: the Hub's tables image_url, image_sha256, count or points, label. The pictures are only
named by URL: download them to ``images/<image_sha256>`` (any suffix) beside the tables. A picture
that is not there or not the one that was labelled (its sha256) is a bad row. Points become counting
questions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import RawRow, RowError, convert, existing_files, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "pixmo"
FILES = ("**/train*.parquet", "**/train*.jsonl")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every training row under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    label = raw.field("label").strip()
    return Sample(
        data_source=NAME,
        prompt=question_prompt(f"How many {label} are there in the image?", n_images=1),
        ground_truth=str(_count(raw)),
        images=[_picture(raw)],
        ability="counting",
        id=raw.id(NAME),
        answer_type="number",
    )


def _count(raw: RawRow) -> int:
    points = raw.data.get("points")
    if raw.data.get("count") is not None:
        count: int = raw.field("count", int)
        return count
    if isinstance(points, dict) and isinstance(points.get("x"), list):
        return len(points["x"])
    if isinstance(points, list):
        return len(points)
    raise RowError("neither 'count' nor 'points'")


def _picture(raw: RawRow) -> ImageRef:
    digest = raw.field("image_sha256")
    if not digest.isalnum():
        raise RowError(f"not a sha256: {digest!r:.80}")
    for folder in (raw.root / "images", (raw.root / raw.file).parent / "images"):
        for path in sorted(folder.glob(f"{digest}*")):
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise RowError(f"not the picture that was labelled: {path.name}")
            return ImageRef(path=str(path.resolve()))
    raise RowError(f"the picture was not downloaded: images/{digest}")
