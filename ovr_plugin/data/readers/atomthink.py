"""AtomMATH, AtomThink's step-wise solutions (image; OVR appendix A).

Layout: ``AtomMATH/AMATH-SFT.json``, conversations of "human" and "gpt" turns with ``image`` (one
path or several). There is no answer field: it is what the last turn gives as the final answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, number_or_none
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, BadRow, Sample

NAME = "atomthink"
ABOUT = About(
    "AtomMATH (AtomThink)",
    "image",
    "Apache-2.0",
    157_000,
    hub="Quinn777/AtomMATH-SFT",
)
FINAL = re.compile(r"(?:final answer|answer) is:?\s*(\S.*?)\s*$", re.IGNORECASE)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every conversation under ``root``."""
    return read_files(root, TABLES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    turns = raw.field("conversations", list)
    said = {"human": [], "gpt": []}  # type: dict[str, list[str]]
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("from") not in said:
            raise RowError(f"unknown turn: {turn!r:.60}")
        said[turn["from"]].append(str(turn.get("value")))
    if not said["human"] or not said["gpt"]:
        raise RowError("no question or no answer")
    answer = _final_answer(said["gpt"][-1])
    paths = raw.data.get("image") or []
    images = [picture_at(raw, str(path)) for path in ([paths] if isinstance(paths, str) else paths)]
    question = said["human"][0]
    if question.count(IMAGE_PLACEHOLDER) > len(images):
        raise RowError(f"the question shows more pictures than the row has: {len(images)}")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=len(images)),
        ground_truth=answer,
        images=images,
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
    )


def _final_answer(text: str) -> str:
    for line in reversed(text.strip().splitlines()):
        if found := FINAL.search(line[-400:]):
            return found[1].rstrip(".").strip()
    raise RowError("the last turn gives no final answer")
