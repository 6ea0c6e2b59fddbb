"""IconQA: abstract diagrams for children (image; CC BY-NC-SA 4.0; OVR appendix A).

Layout: ``iconqa_data/iconqa/<split>/{choose_txt,choose_img,fill_in_blank}/<id>/data.json``
with ``image.png``. Where the options are pictures, each follows the question's own. A blank's unit
is a field of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, choice_at, number_or_none, texts
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample, letters

NAME = "iconqa"
ABOUT = About("IconQA", "image", "CC BY-NC-SA 4.0", 107_439)
FILES = tuple(f"**/{kind}/*/data.json" for kind in ("choose_txt", "choose_img", "fill_in_blank"))


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    kind, images = raw.field("ques_type"), [_picture(raw, "image.png")]
    if kind == "fill_in_blank":
        return _blank(raw, images)
    if kind not in ("choose_txt", "choose_img"):
        raise RowError(f"unknown kind of question: {kind!r}")
    choices = texts(raw, "choices")
    letter = choice_at(raw.field("answer", int), choices)
    if kind == "choose_img":
        images += [_picture(raw, choice) for choice in choices]
        choices = [f"picture {letter}" for letter in letters(len(choices))]
    prompt = question_prompt(raw.field("question"), choices, n_images=1)
    if kind == "choose_img":  # the options' pictures stand behind their letters
        content = prompt[0]["content"]
        for choice in choices:
            content = content.replace(f" {choice}", f" {IMAGE_PLACEHOLDER}", 1)
        prompt = [{**prompt[0], "content": content}]
    return Sample(
        data_source=NAME,
        prompt=prompt,
        ground_truth=letter,
        images=images,
        ability="diagram",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )


def _blank(raw: RawRow, images: list[ImageRef]) -> Sample:
    answer = str(raw.field("answer", (str, int))).strip()
    unit = raw.data.get("unit")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("question"), n_images=1),
        ground_truth=answer,
        images=images,
        ability="diagram",
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
        unit=unit.strip() if isinstance(unit, str) and unit.strip() else None,
    )


def _picture(raw: RawRow, name: str) -> ImageRef:
    return picture_at(raw, str(Path(raw.file).parent / name))
