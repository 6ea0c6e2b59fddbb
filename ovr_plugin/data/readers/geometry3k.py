"""Geometry3K: school geometry with a diagram (image, multiple choice; MIT; OVR appendix A).

Layout: ``{train,val,test}/<id>/{data.json,img_diagram.png}`` as in InterGPS's archives.
``annotat_text`` is the question in clean TeX; without the picture it is often incomplete ("Find
x.").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import RawRow, RowError, convert, existing_files, json_object
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "geometry3k"
FILES = ("**/train/*/data.json", "**/val/*/data.json", "**/test/*/data.json")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(json_object(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    choices = [str(choice) for choice in raw.field("choices", list)]
    letter = raw.field("answer").strip()
    if letter not in letters(len(choices)):
        raise RowError(f"the answer is not a choice's letter: {letter!r} of {len(choices)}")
    picture = (raw.root / raw.file).with_name("img_diagram.png")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("annotat_text"), choices, n_images=1),
        ground_truth=letter,
        images=[ImageRef(path=str(picture.absolute()))],
        ability="geometry",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )
