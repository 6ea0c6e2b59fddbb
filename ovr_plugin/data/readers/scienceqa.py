"""ScienceQA: school science, about half with a picture (CC BY-NC-SA 4.0; OVR appendix A).

Layouts: ``data/scienceqa/problems.json`` with pictures in ``images/<split>/<id>/image.png``, and
the Hub's tables. ``hint`` is context that the question needs; ``lecture`` and ``solution`` give the
answer away and are not used. A row without a picture is a text row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at, picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, choice_at, split_of, texts
from ovr_plugin.data.readers._tables import RawRows, json_values, table
from ovr_plugin.data.sample import BadRow, Sample

NAME = "scienceqa"
ABOUT = About("ScienceQA", "both", "CC BY-NC-SA 4.0", 21_208, hub="derek-thomas/ScienceQA")
FILES = ("**/problems.json", "**/*.parquet", "**/*.arrow", "**/*.jsonl")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    return read_files(root, FILES, _to_sample, _rows)


def _rows(root: Path, file: str) -> RawRows:
    return json_values(root, file) if file.endswith(".json") else table(root, file)


def _to_sample(raw: RawRow) -> Sample:
    choices = texts(raw, "choices")
    letter = choice_at(raw.field("answer", int), choices)
    hint = raw.data.get("hint")
    context = f"{hint.strip()}\n" if isinstance(hint, str) and hint.strip() else ""
    images = _pictures(raw)
    return Sample(
        data_source=NAME,
        prompt=question_prompt(context + raw.field("question"), choices, n_images=len(images)),
        ground_truth=letter,
        images=images,
        ability="science",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
        split=split_of(str(raw.data.get("split") or raw.file)),
    )


def _pictures(raw: RawRow) -> list[ImageRef]:
    image = raw.data.get("image")
    if image is None:
        return []
    if "_key" in raw.data and isinstance(image, str):
        folder = PurePosixPath(raw.file).parent / "images" / raw.field("split") / raw.data["_key"]
        return [picture_at(raw, (folder / image).as_posix())]
    return [picture_of(raw)]
