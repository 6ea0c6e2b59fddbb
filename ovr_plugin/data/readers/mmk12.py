"""MMK12, MM-EUREKA's K12 problems (image; Apache-2.0; OVR appendix A: K12).

Layouts: the Hub's parquet files (image, question, answer), MM-EUREKA's JSON Lines (``message``, a
JSON string of turns, and ``answer``), and ``k12.json`` (question, answer, image_path), its test
part. Answers are written for people: several blanks, whole
sentences and worked solutions are for curation to leave out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._rows import (
    RawRow,
    RowError,
    convert,
    existing_files,
    picture_at,
    picture_of,
    table,
)
from ovr_plugin.data.sample import BadRow, Sample

NAME = "mmk12"
FILES = ("**/*.parquet", "**/*.jsonl", "**/k12.json")
DOLLARS = re.compile(r"\$\$?([^$]*)\$\$?")


def read(root: Path) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    for file in existing_files(root, FILES):
        yield from convert(table(root, file), _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    if "message" in raw.data:
        question, image = _from_message(raw)
    else:
        question = raw.field("question")
        image = picture_of(raw, "image" if "image" in raw.data else "image_path")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        ground_truth=_answer(raw.field("answer")),
        images=[image],
        id=raw.id(NAME),
        split="test" if raw.file.endswith("k12.json") else "train",
    )


def _answer(text: str) -> str:
    """Without the dollar signs around the whole of it and a full stop at its end."""
    answer = text.strip().rstrip(".\u3002").strip()
    whole = DOLLARS.fullmatch(answer)
    return whole[1].strip() if whole else answer


def _from_message(raw: RawRow) -> tuple[str, ImageRef]:
    try:
        turns = json.loads(raw.field("message"))
        parts: list[dict[str, Any]] = [part for turn in turns for part in turn["content"]]
        pictures = [part["image"] for part in parts if part["type"] == "image"]
        question = "\n".join(part["text"] for part in parts if part["type"] == "text")
    except (ValueError, KeyError, TypeError) as error:
        raise RowError(f"'message' is not a list of turns with parts: {error}") from error
    if len(pictures) != 1:
        raise RowError(f"not exactly one picture: {len(pictures)}")
    return question, picture_at(raw, str(pictures[0]).removeprefix("file://"))
