"""MATH (Hendrycks et al., text; MIT; OVR appendix A).

Layouts: the authors' ``MATH/train/<subject>/<n>.json``, one problem a file, or a table with the
same fields. The answer is the last box of the solution. The test half holds MATH-500.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._options import answer_facts
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, last_box
from ovr_plugin.data.readers._tables import TABLES
from ovr_plugin.data.sample import BadRow, Sample

NAME = "math"
ABOUT = About(
    "MATH", "text", "MIT", 12_500, hub="EleutherAI/hendrycks_math", note="test: no training"
)
FILES = ("**/train/*/*.json", "**/test/*/*.json", *TABLES)


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    problem = raw.field("problem")
    return Sample(
        data_source=NAME,
        prompt=question_prompt(problem),
        id=raw.id(NAME),
        **answer_facts(problem, last_box(raw.field("solution"))),
    )
