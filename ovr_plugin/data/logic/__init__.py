"""Logic puzzles by program (OVR 3.3), with one answer each.

Twelve families, five of them with a picture, each with a level from 1 to 5. A family's maker
builds a puzzle around an answer; its solver, which knows only the puzzle's data and works another
way, must find that answer and no other, or the puzzle is thrown away and another one made. A row
is a function of (family, level, seed, number).
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from zlib import crc32

import numpy as np

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.logic.pictures import PICTURE_FAMILIES
from ovr_plugin.data.logic.puzzle import Family, Puzzle
from ovr_plugin.data.logic.words import WORD_FAMILIES
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.sample import Sample, letters

FAMILIES = {family.name: family for family in [*WORD_FAMILIES, *PICTURE_FAMILIES]}
LEVELS = (1, 2, 3, 4, 5)
MAX_TRIES = 50


def family_names() -> list[str]:
    """The families there are."""
    return list(FAMILIES)


def generate(
    families: list[str], n: int, levels: list[int] | tuple[int, ...] = LEVELS, seed: int = 0
) -> Iterator[Sample]:
    """``n`` rows of each family, going through the levels in turn.

    Args:
        families: names, or ``["all"]``.
        n: rows of each family.
        levels: from 1 (two or three steps) to 5.
        seed: of all rows.
    """
    for name in FAMILIES if "all" in families else families:
        for number in range(n):
            yield logic_row(name, levels[number % len(levels)], seed, number)


def logic_row(name: str, level: int, seed: int, number: int) -> Sample:
    """One row.

    Raises:
        RuntimeError: the solver agreed with none of `MAX_TRIES` puzzles: a mistake in the family.
    """
    puzzle = make_puzzle(FAMILIES[name], level, seed, number)
    images = [ImageRef(data=_png(puzzle))] if puzzle.draw else []
    options = puzzle.choices
    answer = letters(len(options))[options.index(puzzle.answer)] if options else puzzle.answer
    return Sample(
        data_source=f"logic_{name}",
        prompt=question_prompt(puzzle.question, options, len(images)),
        ground_truth=answer,
        images=images,
        ability="logic",
        id=f"logic/{name}-{level}-{seed}#{number}",
        choices=options,
        answer_type="choice" if options else puzzle.answer_type,
    )


def make_puzzle(family: Family, level: int, seed: int, number: int) -> Puzzle:
    """The first puzzle of a row's random stream that has exactly its answer."""
    rng = np.random.default_rng((crc32(family.name.encode()), level, seed, number))
    for _ in range(MAX_TRIES):
        puzzle = family.make(rng, level)
        if family.solve(puzzle.data) == {puzzle.answer}:
            return puzzle
    raise RuntimeError(f"{family.name}: no unique answer in {MAX_TRIES} puzzles of level {level}")


def _png(puzzle: Puzzle) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", puzzle.size, "white")
    assert puzzle.draw is not None  # noqa: S101 - only called for those
    puzzle.draw(ImageDraw.Draw(image))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
