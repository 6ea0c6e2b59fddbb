"""What the benchmark files share: fields, pictures, options, a tolerance, and an item."""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers import _pictures
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Sample, letters
from ovr_plugin.eval.benchmark import PictureError
from ovr_plugin.eval.scoring import Item

MAX_PATH_CHARS = 512  # a longer text in a picture's field is the picture itself, in base64
IMAGE_MARK = re.compile(r"<image\s*(\d+)>")


def item(
    raw: RawRow,
    name: str,
    question: str,
    reference: str,
    *,
    choices: list[str] | None = None,
    images: list[ImageRef] | None = None,
    answer_type: str | None = None,
    tolerance: float | None = None,
    alternatives: tuple[str, ...] = (),
    ability: str = "reasoning",
    facts: dict[str, Any] | None = None,
    part: object = "",
) -> Item:
    """An item with the recipe's prompt.

    Args:
        raw: the raw row, for the item's id.
        name: the benchmark's.
        question: without its options; pictures stand first unless it places them itself.
        reference: the right answer, a letter where there are choices.
        choices: option texts, shown with letters.
        images: the pictures, in the order of their places.
        answer_type: see `ovr_plugin.reward.spec`.
        tolerance: relative.
        alternatives: other references that are as right.
        ability: reasoning or perception.
        facts: what the protocol groups by.
        part: tells items of one raw row apart.

    Raises:
        PictureError: a picture could not be had.
    """
    images, choices = images or [], choices or []
    n_in_choices = sum(choice.count(IMAGE_PLACEHOLDER) for choice in choices)
    sample = Sample(
        data_source=name,
        prompt=question_prompt(question, choices, len(images) - n_in_choices),
        ground_truth=reference.strip(),
        images=images,
        ability=ability,
        id=raw.id(name) + (f"/{part}" if part != "" else ""),
        split="test",
        choices=choices,
        answer_type="choice" if choices and answer_type is None else answer_type,
        tolerance=tolerance,
    )
    made = Item(sample, facts or {}, alternatives)
    if absent := [image.why for image in images if isinstance(image, AbsentPicture)]:
        raise PictureError("; ".join(absent), made)
    return made


@dataclass(frozen=True)
class AbsentPicture(ImageRef):
    """In place of a picture that could not be had: the row's other facts are still wanted."""

    why: str = ""


def yes_or_no(question: str) -> str:
    """The question, with the kind of answer that it asks for said."""
    return question if "yes or no" in question.lower() else f"{question} Answer yes or no."


def text(raw: RawRow, *names: str) -> str:
    """The first of these fields that the row has, as text; numbers too."""
    for name in names:
        if isinstance(raw.data, dict) and raw.data.get(name) is not None:
            return str(raw.field(name, (str, int, float))).strip()
    return str(raw.field(names[0], (str, int, float))).strip()


def optional(raw: RawRow, *names: str) -> str:
    """`text`, or '' where the row has none of the fields; TSV files write nan for that."""
    found = [raw.data.get(name) for name in names if isinstance(raw.data, dict)]
    value = next((each for each in found if each not in (None, "")), "")
    return "" if str(value).lower() == "nan" else str(value).strip()


def picture(raw: RawRow, *names: str) -> ImageRef:
    """The picture in the first of these fields that the row has: bytes, a path or base64.

    One that is not there is an `AbsentPicture`, over which `item` raises.
    """
    name = next((each for each in names if raw.data.get(each)), names[0])
    value = raw.data.get(name)
    if isinstance(value, str) and len(value) > MAX_PATH_CHARS:
        try:
            return ImageRef(data=base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            return AbsentPicture(why=f"not a picture in base64: {name!r} is {value!r:.60}")
    return _or_absent(lambda: _pictures.picture_of(raw, name))


def picture_at(raw: RawRow, path: str) -> ImageRef:
    """The picture of this path below the benchmark's folder, or an `AbsentPicture`."""
    return _or_absent(lambda: _pictures.picture_at(raw, path))


def _or_absent(find: Callable[[], ImageRef]) -> ImageRef:
    try:
        return find()
    except RowError as error:
        return AbsentPicture(why=str(error))


def lettered_options(raw: RawRow, labels: str = "ABCDEFGHIJ") -> list[str]:
    """The options of columns A, B, ..., up to the first that is empty."""
    options: list[str] = []
    for label in labels:
        option = optional(raw, label)
        if not option:
            break
        options.append(option)
    if len(options) < 2:
        raise RowError(f"fewer than two options: {options}")
    return options


def literal_list(raw: RawRow, name: str) -> list[str]:
    """A list of texts, also one written as Python writes it, as the Hub's MMMU has it."""
    value = raw.field(name, (str, list))
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise RowError(f"not a list: {name!r} is {value!r:.60}") from None
    if not isinstance(value, list | tuple):
        raise RowError(f"not a list: {name!r} is {value!r:.60}")
    return [str(each).strip() for each in value]


def letter(position: object, n_choices: int) -> str:
    """The letter of an option given by its position from 0, or as a letter in any dress."""
    if isinstance(position, int) and 0 <= position < n_choices:
        return letters(n_choices)[position]
    found = re.fullmatch(r"\(?([A-Za-z])\)?\.?", str(position).strip())
    if found and found[1].upper() in letters(n_choices):
        return found[1].upper()
    raise RowError(f"the answer is none of the {n_choices} options: {position!r}")


def within(reference: str, absolute: float) -> float | None:
    """The relative tolerance that is this absolute one at the reference; None at 0 or for text."""
    try:
        value = abs(float(reference))
    except ValueError:
        return None
    return absolute / value if value else None


def placed(raw: RawRow, *texts: str) -> tuple[list[str], list[ImageRef]]:
    """Texts with ``<image 1>`` marks -> the same with our placeholders, pictures in their order.

    A picture that no text places stands first.
    """
    names = [f"image_{number}" for number in range(1, 8) if raw.data.get(f"image_{number}")]
    order = [f"image_{mark}" for text_ in texts for mark in IMAGE_MARK.findall(text_)]
    if missing := sorted(set(order) - set(names)):
        raise RowError(f"the text places pictures that are not there: {', '.join(missing)}")
    unplaced = [name for name in names if name not in order]
    marked = [IMAGE_MARK.sub(IMAGE_PLACEHOLDER, text_) for text_ in texts]
    marked[0] = IMAGE_PLACEHOLDER * len(unplaced) + marked[0]
    return marked, [picture(raw, name) for name in unplaced + order]
