r"""GEOS: SAT geometry with a diagram (image, multiple choice; Apache-2.0; OVR appendix A).

Layouts: the release's ``{aaai,official,practice}/<n>.json`` and ``<n>.png``, and the demo's
``demo/<id>/{question.json,diagram.png}``. ``choices`` maps "1" to "5"; ``answer`` is such a number,
as text or as 4.0, and missing from some. Options are in the solver's spelling ("15*\degree").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.sample import BadRow, Sample, letters

NAME = "geos"
ABOUT = About("GEOS", "image", "Apache-2.0 (questions: SAT)", 186, unverified=("n_rows",))
FILES = (
    *(f"**/{folder}/*.json" for folder in ("aaai", "official", "practice")),
    "**/question.json",
)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every question under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    choices = _choices(raw)
    try:
        number = float(raw.field("answer", (str, int, float)))
    except ValueError as error:
        raise RowError(f"the answer is not a choice's number: {raw.data['answer']!r}") from error
    if number not in range(1, len(choices) + 1):
        raise RowError(f"the answer is not a choice's number: {number} of {len(choices)}")
    name = Path(raw.file)
    diagram = "diagram.png" if name.name == "question.json" else f"{name.stem}.png"
    return Sample(
        data_source=NAME,
        prompt=question_prompt(raw.field("text"), choices, n_images=1),
        ground_truth=letters(len(choices))[int(number) - 1],
        images=[picture_at(raw, str(name.parent / diagram))],
        ability="geometry",
        id=raw.id(NAME),
        choices=choices,
        answer_type="choice",
    )


def _choices(raw: RawRow) -> list[str]:
    given = raw.field("choices", dict)
    wanted = [str(number) for number in range(1, len(given) + 1)]
    if not given or sorted(given) != wanted or not all(isinstance(c, str) for c in given.values()):
        raise RowError(f"the choices are not texts numbered from 1: {given!r:.80}")
    return [given[number].replace("*\\degree", "\u00b0").strip() for number in wanted]
