"""MMK12, MM-EUREKA's K12 problems (image; Apache-2.0; OVR appendix A: K12).

Layouts: the Hub's parquet files (image, question, answer), MM-EUREKA's JSON Lines (``message`` or
``conversations``, turns or a JSON string of them, and ``answer``), and ``k12.json`` (question,
answer, image_path), its test part. Answers are written for people: several blanks, whole sentences
and worked solutions are for curation to leave out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._pictures import picture, picture_of
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, first_of
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "mmk12"
ABOUT = About("MMK12 (K12)", "image", "Apache-2.0", 17_616, hub="FanqingM/MMK12")
DOLLARS = re.compile(r"\$\$?([^$]*)\$\$?")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    name = first_of(raw, "message", "conversations", "question")
    if name == "question":
        question = raw.field(name)
        image = picture_of(raw, first_of(raw, "image", "image_path"))
    else:
        question, image = _from_turns(raw, name)
    answer = _answer(raw.field("answer"))
    if not answer:
        raise RowError("no reference answer")
    sample = Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        images=[image],
        id=raw.id(NAME),
        **answer_facts(question, answer),
    )
    return replace(sample, split="test") if raw.file.endswith("k12.json") else sample


def _answer(text: str) -> str:
    """Without the dollar signs around the whole of it and a full stop at its end."""
    answer = text.strip().rstrip(".\u3002").strip()
    whole = DOLLARS.fullmatch(answer)
    return whole[1].strip() if whole else answer


def _from_turns(raw: RawRow, name: str) -> tuple[str, ImageRef]:
    try:
        turns = raw.field(name, (str, list))
        turns = json.loads(turns) if isinstance(turns, str) else turns
        parts: list[dict[str, Any]] = [
            part
            for turn in turns
            if turn["role"] == "user"
            for part in (
                turn["content"]
                if isinstance(turn["content"], list)
                else [{"type": "text", "text": turn["content"]}]
            )
        ]
        pictures = [part["image"] for part in parts if part["type"] == "image"]
        question = "\n".join(part["text"] for part in parts if part["type"] == "text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RowError(f"{name!r} is not a list of turns with parts: {error!r}") from error
    if len(pictures) != 1:
        raise RowError(f"not exactly one picture: {len(pictures)}")
    path = pictures[0].removeprefix("file://") if isinstance(pictures[0], str) else pictures[0]
    return question, picture(raw, path)
