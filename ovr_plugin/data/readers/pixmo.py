"""PixMo count and points (image; ODC-BY; OVR appendix A): "how many X are there?".

Layout: the Hub's tables image_url, image_sha256, count or points, label. The pictures are only
named by URL: download them to ``images/<image_sha256>`` (any suffix) beside the tables. A picture
that is not there or not the one that was labelled (its sha256) is a bad row. Points become counting
questions. The parts with free answers (ask-model-anything, cap-qa) cannot be verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "pixmo"
ABOUT = About(
    "PixMo count and points",
    "image",
    "ODC-BY",
    37_996,
    hub="allenai/pixmo-count",
    note="pictures by URL: download them first",
)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every row under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if isinstance(raw.data, dict) and "question" in raw.data and "label" not in raw.data:
        raise RowError("the answer is not verifiable: free text")
    label = raw.field("label").strip()
    if not label:
        raise RowError("no label: what is to be counted is not known")
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
        if count < 0:
            raise RowError(f"not a count: {count}")
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
        path = _pictures_in(folder).get(digest)
        if path is None:
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise RowError(f"not the picture that was labelled: {path.name}")
        return ImageRef(path=str(path.absolute()))
    raise RowError(f"the picture was not downloaded: images/{digest}")


@lru_cache(maxsize=2)
def _pictures_in(folder: Path) -> dict[str, Path]:
    """The files of a folder by name without suffix; listed once, for there are many."""
    return {path.stem: path for path in folder.iterdir()} if folder.is_dir() else {}
