"""What a family of puzzles makes: a question, its answer, and the data that a solver checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Puzzle:
    """One puzzle.

    Attributes:
        question: the text; where a picture shows the data, without them.
        answer: what the maker built in.
        data: all that a solver needs; nothing of how the puzzle was made.
        answer_type: for the verifier.
        choices: of a multiple-choice question; the answer is then one of them.
        draw: the picture's painter, given a ``PIL.ImageDraw`` canvas of ``size``.
    """

    question: str
    answer: str
    data: dict[str, Any]
    answer_type: str = "number"
    choices: list[str] = field(default_factory=list)
    draw: Callable[[Any], None] | None = None
    size: tuple[int, int] = (336, 336)


@dataclass(frozen=True)
class Family:
    """A kind of puzzle: ``make`` builds one, ``solve`` finds all answers from the data alone."""

    name: str
    make: Callable[[np.random.Generator, int], Puzzle]
    solve: Callable[[dict[str, Any]], set[str]]


def integers(rng: np.random.Generator, low: int, high: int, n: int) -> list[int]:
    """``n`` integers from ``low`` up to, without, ``high``."""
    return [int(x) for x in rng.integers(low, high, n)]


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """One integer from ``low`` up to, without, ``high``."""
    return int(rng.integers(low, high))


def pick(rng: np.random.Generator, things: list[Any], n: int) -> list[Any]:
    """``n`` different things in random order."""
    return [things[int(place)] for place in rng.permutation(len(things))[:n]]


NAMES = ["Ann", "Ben", "Cara", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Joy"]
COLOURS = {
    "red": (214, 48, 49),
    "green": (39, 174, 96),
    "blue": (41, 98, 255),
    "yellow": (241, 196, 15),
    "purple": (142, 68, 173),
    "orange": (230, 126, 34),
}
