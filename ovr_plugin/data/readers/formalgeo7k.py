r"""FormalGeo7K: problems of Geometry3K and GeoQA with pictures and values (image; MIT).

Layout: ``problems/<n>.json`` beside ``images/<n>.png``. English texts of the GeoQA part often have
unfilled places ("∠A = N_0"); then the Chinese one is asked, without its marks ("(3分)", a final
"()"). Answers are numbers or in sympy's spelling ("20*pi", "sqrt(26)/26"), here turned into LaTeX;
units are not stated, and degrees are meant where an angle is asked for. There are no splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers._about import About
from ovr_plugin.data.readers._corpus import Location
from ovr_plugin.data.readers._pictures import picture_at
from ovr_plugin.data.readers._read import read_files
from ovr_plugin.data.readers._rows import RawRow, RowError, number_or_none
from ovr_plugin.data.sample import BadRow, Sample

NAME = "formalgeo7k"
ABOUT = About("FormalGeo7K", "image", "MIT", 6_981)
FILES = ("**/problems/*.json",)
UNFILLED = re.compile(r"\bN_\d")
_OPEN, _CLOSE, _INNER = r"[(\uff08]", r"[)\uff09]", r"[^()\uff08\uff09]*"
# "(3分)" for the marks that a problem gives, "(2017•营口)" for where it was set.
MARKS = re.compile(rf"^(?:\s*{_OPEN}(?:\d+\s*分|{_INNER}\d{{4}}{_INNER}){_CLOSE})+")
BLANK = re.compile(r"[(\uff08]\s*[)\uff09]\s*[.\u3002]?\s*$")
COMMAND, LETTERS = re.compile(r"\\(?:pi|sqrt|frac)"), re.compile(r"[a-z]{2}")
ROUNDED = 0.01  # relative: the answer is exact even where the question asks for a rounded one
ROOT = re.compile(r"sqrt\(([^()]+)\)")
FRACTION = re.compile(r"(-?)((?:[^/+\-]|\{[^{}]*\})+)/(\d+)")


def read(root: Location) -> Iterator[Sample | BadRow]:
    """Every problem under ``root``."""
    return read_files(root, FILES, _to_sample)


def _to_sample(raw: RawRow) -> Sample:
    question = _question(raw)
    answer = _latex(raw.field("problem_answer").strip())
    if LETTERS.search(COMMAND.sub("", answer)):
        raise RowError(f"the answer is not verifiable: a formula of functions: {answer:.80}")
    name = raw.field("problem_img")
    picture = PurePosixPath(raw.file).parent.parent / "images" / name
    return Sample(
        data_source=NAME,
        prompt=question_prompt(question, n_images=1),
        ground_truth=answer,
        images=[picture_at(raw, picture.as_posix())],
        ability="geometry",
        id=raw.id(NAME),
        answer_type=number_or_none(answer),
        unit="degree" if str(raw.data.get("goal_cdl")).startswith("Value(MeasureOf") else None,
        tolerance=ROUNDED if "nearest" in question else None,
    )


def _question(raw: RawRow) -> str:
    english, chinese = (str(raw.data.get(f"problem_text_{name}") or "") for name in ("en", "cn"))
    question = chinese if not english.strip() or UNFILLED.search(english) else english
    if not question.strip():
        raise RowError("the question has unfilled places: no text without N_0")
    return BLANK.sub("", MARKS.sub("", question)).strip()


def _latex(answer: str) -> str:
    r"""``sqrt(26)/26`` as ``\frac{\sqrt{26}}{26}``; what is not so simple stays as it is."""
    text = answer
    while (rooted := ROOT.sub(r"\\sqrt{\1}", text)) != text:
        text = rooted
    text = text.replace("*pi", r"\pi").replace("*", "")
    text = re.sub(r"(?<![\\a-z])pi\b", r"\\pi", text)
    if "/" in text and (whole := FRACTION.fullmatch(text)):
        text = rf"{whole[1]}\frac{{{whole[2]}}}{{{whole[3]}}}"
    return text
