"""IconQA: abstract diagrams for children (image; CC BY-NC-SA 4.0; OVR appendix A).

Layout: ``iconqa_data/iconqa/<split>/{choose_txt,choose_img,fill_in_blank}/<id>/data.json``
with ``image.png``; where no such file is there, ``iconqa_data/problems.json``, all of them by id,
with the pictures in the same folders. Where the options are pictures, each follows the question's
own. A blank's unit is a field of its own. The Hub's lmms-lab/ICON-QA joins the options to one text
with commas, which stand in options too; it is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, choice_at, number_or_none, texts
from ovr_plugin.data.readers._tables import json_values
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample, letters

NAME = "iconqa"
ABOUT = About("IconQA", "image", "CC BY-NC-SA 4.0", 107_439)
KINDS = ("choose_txt", "choose_img", "fill_in_blank")
SPLITS = ("train", "val", "test")
FILES = tuple(f"**/{kind}/*/data.json" for kind in KINDS)
ALL_IN_ONE = ("**/problems.json",)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    try:
        yield from read_files(root, FILES, _to_sample)
    except FileNotFoundError:
        yield from read_files(root, ALL_IN_ONE, _from_one_file, json_values)


def _from_one_file(raw: RawRow) -> Sample:
    """A member of problems.json, as if it lay in its own folder."""
    kind, key = _kind(raw), str(raw.field("_key"))
    if not key.isalnum():
        raise RowError(f"not an id: {key!r:.60}")
    below, given = Path(raw.file).parent, raw.data.get("split")
    splits = (given,) if given in SPLITS else SPLITS
    places = [below / "iconqa" / split / kind / key / "data.json" for split in splits]
    there = [place for place in places if (raw.root / place).with_name("image.png").is_file()]
    sample = _to_sample(replace(raw, file=str(there[0] if there else places[0])))
    return replace(sample, id=raw.id(NAME), split=(there or places)[0].parts[-4])


def _kind(raw: RawRow) -> str:
    kind: str = raw.field("ques_type")
    if kind not in KINDS:
        raise RowError(f"unknown kind of question: {kind!r}")
    return kind


def _to_sample(raw: RawRow) -> Sample:
    kind, images = _kind(raw), [_picture(raw, "image.png")]
    if kind == "fill_in_blank":
        return _blank(raw, images)
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
