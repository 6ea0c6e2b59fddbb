"""ScienceQA: school science, about half with a picture (CC BY-NC-SA 4.0; OVR appendix A).

Layouts: ``data/scienceqa/problems.json`` with pictures in ``images/<split>/<id>/image.png``, and
the Hub's parquet files. ``hint`` is context that the question needs; ``lecture`` and ``solution``
give the answer away and are not used. A row without a picture is a text row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    convert,
    existing_files,
    json_values,
    picture_at,
    picture_of,
    split_of,
    table,
    texts,
)
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "scienceqa"
FILES = ("**/problems.json", "**/*.parquet")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    for file in existing_files(root, FILES):
        rows = json_values if file.endswith(".json") else table
        yield from convert(rows(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    choices = texts(raw, "choices")
    index = raw.field("answer", int)
    if not 0 <= index < len(choices):
        raise RowError(f"the answer is not one of the choices: {index} of {len(choices)}")
    hint = raw.data.get("hint")
    context = f"{hint.strip()}\n" if isinstance(hint, str) and hint.strip() else ""
    images = _pictures(raw)
    return Sample(
        data_source=NAME,
        prompt=question_prompt(context + raw.field("question"), choices, n_images=len(images)),
        ground_truth=letters(len(choices))[index],
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
        folder = f"images/{raw.field('split')}/{raw.data['_key']}"
        return [picture_at(raw, str(Path(raw.file).parent / folder / image))]
    return [picture_of(raw)]
