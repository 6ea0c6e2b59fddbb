r"""Generated rows for the quickstart and the tests: five skills, in words and in pictures.

A picture of 28 x 28 pixels, one token of Qwen2.5-VL, shows one to four boxes, or a bar along one
side, in one colour. One asks for the colour, the number, the side, a comparison, or a sum. A text
row says the one fact that its question needs ("Scene red."); in an image row the picture is in the
place of those words. The cold-start rows answer the questions in words, with a short chain of
reasoning that shows one of the paper's behaviours for each skill (OVR 2) and ends in ``\boxed{}``.

Two things let a model of two million parameters learn to see from a few thousand binary rewards.
Chains are the same for all questions of a skill, so that what is sampled is the guess about the
scene. And a third of the cold start's scenes are smudged: their word is a letter, and their answers
are random, so that a model guesses evenly about what it cannot read yet.

Everything is a function of (seed, row number): a longer list starts with the shorter one. Of the
three ways to ask about a word one is held out, and of the pictures a fifth: no row of training has
them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ovr_plugin.data.files import write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, ColdStartSample, Message, Sample

NAME = "toy"
INSTRUCTION = r"Put the answer in \boxed{}."
COLOURS = {
    "red": (230, 20, 20),
    "green": (20, 190, 50),
    "blue": (30, 60, 240),
    "yellow": (250, 230, 20),
}
# The mean of what the processor takes for white noise: an empty patch is zero to the tower.
BACKGROUND = (123, 117, 104)
NUMBERS = ("one", "two", "three", "four")
SIDES = ("left", "right", "top", "bottom")
QUARTERS = ((0, 0), (14, 0), (0, 14), (14, 14))  # left, top
LAID = ((0,), (1, 2), (0, 1, 3), (0, 1, 2, 3))  # quarters of one box, of two, ...; as on a die
SIDE = 28  # pixels of a picture: 2 x 2 patches of Qwen2.5-VL, that is, one token
SHADE = 10  # most that a channel of a box differs from its colour
HELD_OUT = 5  # one picture in so many
SMUDGED = 0.35  # share of the cold start
SMUDGES = "bcdfghjklmnpqrstvwxz"
BACKTRACKING = "Wait, let me look again."
VERIFICATION = "Let me check."
# What Qwen2.5-VL's chat template adds to every prompt.
TEMPLATE_TEXTS = ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]


@dataclass(frozen=True)
class Scene:
    """Boxes as (left, top, width, height) in pixels, their very colour, and what they are."""

    colour: str
    side: str | None  # of a bar
    boxes: tuple[tuple[int, int, int, int], ...]
    rgb: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many boxes."""
        return len(self.boxes)


@dataclass(frozen=True)
class Puzzle:
    """One question about a scene, the word that it needs, and the reasoning that answers it."""

    scene: Scene
    skill: str
    ways: tuple[str, str, str]  # to ask it
    fact: str
    answer: str
    reasoning: str
    answer_type: str = "text"


def _colour(rng: np.random.Generator) -> Puzzle:
    scene = _boxes(rng, int(rng.integers(1, 5)))
    ways = ("What is the colour?", "Which colour is it?", "Tell me the colour.")
    said = f"It is {scene.colour}. {VERIFICATION} The colour is {scene.colour}."
    return Puzzle(scene, "colour", ways, scene.colour, scene.colour, said)


def _count(rng: np.random.Generator) -> Puzzle:
    scene = _boxes(rng, int(rng.integers(1, 5)))
    ways = ("How many boxes are there?", "What is the number?", "Tell me the number.")
    said = f"We want the number. There are {scene.n}."
    return _of_number(scene, "count", ways, str(scene.n), said)


def _position(rng: np.random.Generator) -> Puzzle:
    scene = _bar(rng)
    side = str(scene.side)
    ways = ("Where is the bar?", "On which side is the bar?", "Tell me the side.")
    said = f"Not in the middle. {BACKTRACKING} It is {side}."
    return Puzzle(scene, "position", ways, side, side, said)


def _compare(rng: np.random.Generator) -> Puzzle:
    # First the limit and the answer, each as often, so that the one says nothing of the other.
    limit, answer = int(rng.integers(2, 4)), str(rng.choice(("more", "less")))
    n = rng.integers(limit + 1, 5) if answer == "more" else rng.integers(1, limit)
    scene = _boxes(rng, int(n))
    ways = (
        f"Are there more or less than {limit}?",
        f"Is the number more or less than {limit}?",
        f"Tell me, more or less than {limit}?",
    )
    said = f"First the number: {scene.n}. Then {scene.n} is {answer} than {limit}."
    return _of_number(scene, "compare", ways, answer, said)


def _arithmetic(rng: np.random.Generator) -> Puzzle:
    scene, added = _boxes(rng, int(rng.integers(1, 5))), int(rng.integers(1, 6))
    total = scene.n + added
    ways = (
        f"I add {added}. How many boxes are there now?",
        f"What is the number and {added} more?",
        f"Tell me the number and {added} more.",
    )
    said = f"First the number: {scene.n}. Then {scene.n} + {added} = {total}."
    return _of_number(scene, "arithmetic", ways, str(total), said)


def _of_number(
    scene: Scene, skill: str, ways: tuple[str, str, str], answer: str, said: str
) -> Puzzle:
    answer_type = "number" if answer.isdigit() else "text"
    return Puzzle(scene, skill, ways, NUMBERS[scene.n - 1], answer, said, answer_type)


SKILLS: tuple[Callable[[np.random.Generator], Puzzle], ...] = (
    _colour,
    _count,
    _position,
    _compare,
    _arithmetic,
)


def toy_rows(
    n: int, seed: int = 0, modality: str = "mixed", held_out: bool = False
) -> list[Sample]:
    """``n`` RL rows.

    Args:
        n: number of rows.
        seed: of the rows.
        modality: ``text``, ``image``, or ``mixed``, which alternates (OVR 3.2 mixes the two).
        held_out: of what no training row asks in words or shows.
    """
    if modality not in ("text", "image", "mixed"):
        raise ValueError(f"modality {modality!r} is not text, image or mixed")
    return [_row(index, seed, modality, held_out) for index in range(n)]


def _row(index: int, seed: int, modality: str, held_out: bool) -> Sample:
    is_image = modality == "image" or (modality == "mixed" and index % 2 == 1)
    rng = np.random.default_rng((seed, index))
    puzzle, picture = _puzzle(index, rng), None
    while is_image and (zlib.crc32(picture := _png(puzzle.scene)) % HELD_OUT == 0) != held_out:
        puzzle = _puzzle(index, rng)
    question = str(rng.choice(puzzle.ways)) if is_image else _in_words(puzzle, rng, held_out)
    prompt = f"Scene{IMAGE_PLACEHOLDER}. {question}" if is_image else question
    return Sample(
        data_source=f"{NAME}_{'image' if is_image else 'text'}",
        prompt=_prompt(prompt),
        ground_truth=puzzle.answer,
        images=[ImageRef(data=picture)] if picture else [],
        ability=puzzle.skill,
        id=f"{NAME}/{seed}#{index}",
        index=index,
        split="test" if held_out else "train",
        answer_type=puzzle.answer_type,
        min_pixels=SIDE**2 if is_image else None,
    )


def toy_cold_start_rows(n: int, seed: int = 0) -> list[ColdStartSample]:
    """``n`` text-only pairs whose responses reason, go back, check, and end in a box."""
    return [_cold_start_row(index, seed) for index in range(n)]


def _cold_start_row(index: int, seed: int) -> ColdStartSample:
    rng = np.random.default_rng((seed, index))
    puzzle = _puzzle(index, rng)
    if rng.random() < SMUDGED:
        puzzle = replace(puzzle, fact=str(rng.choice(list(SMUDGES))))
    return ColdStartSample(
        data_source=f"{NAME}_cold_start",
        prompt=_prompt(_in_words(puzzle, rng)),
        response=f"{puzzle.reasoning} \\boxed{{{puzzle.answer}}}",
        id=f"{NAME}/{seed}#{index}",
        index=index,
    )


def _puzzle(index: int, rng: np.random.Generator) -> Puzzle:
    # Two rows (text, image) of a mixed list share a skill, so that each modality has all skills.
    return SKILLS[index // 2 % len(SKILLS)](rng)


def _in_words(puzzle: Puzzle, rng: np.random.Generator, held_out: bool = False) -> str:
    """The scene's word and the question; of the ways to ask, one is for evaluation alone."""
    kept = zlib.crc32(f"{puzzle.fact} {puzzle.ways}".encode()) % len(puzzle.ways)
    trained = [way for place, way in enumerate(puzzle.ways) if place != kept]
    return f"Scene {puzzle.fact}. {puzzle.ways[kept] if held_out else rng.choice(trained)}"


def _boxes(rng: np.random.Generator, n: int) -> Scene:
    """``n`` boxes of one size, each within a quarter of its own."""
    size = int(rng.integers(12, 14))
    corners = [QUARTERS[quarter] for quarter in LAID[n - 1]]
    boxes = tuple((_within(x, size, rng), _within(y, size, rng), size, size) for x, y in corners)
    colour, rgb = _paint(rng)
    return Scene(colour, None, boxes, rgb)


def _bar(rng: np.random.Generator) -> Scene:
    """A bar along one side."""
    side = str(rng.choice(SIDES))
    across, along = int(rng.integers(12, 14)), int(rng.integers(24, 29))
    near = int(rng.integers(0, SIDE // 2 - across + 1))  # from the side
    near = SIDE - across - near if side in ("right", "bottom") else near
    start = int(rng.integers(0, SIDE - along + 1))
    upright = side in ("left", "right")
    box = (near, start, across, along) if upright else (start, near, along, across)
    colour, rgb = _paint(rng)
    return Scene(colour, side, (box,), rgb)


def _paint(rng: np.random.Generator) -> tuple[str, tuple[int, ...]]:
    """A colour's name and a shade of it."""
    colour = str(rng.choice(list(COLOURS)))
    shade = np.add(COLOURS[colour], rng.integers(-SHADE, SHADE + 1, size=3))
    return colour, tuple(int(channel) for channel in np.clip(shade, 0, 255))


def _within(corner: int, size: int, rng: np.random.Generator) -> int:
    """Where a box starts in the quarter that starts at ``corner``; it touches no other quarter."""
    return corner + int(rng.integers(0, SIDE // 2 - size))


def _prompt(question: str) -> list[Message]:
    return [{"role": "user", "content": f"{question} {INSTRUCTION}"}]


def _png(scene: Scene) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    for left, top, width, height in scene.boxes:
        canvas.rectangle((left, top, left + width - 1, top + height - 1), fill=scene.rgb)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def toy_texts(n: int = 512, seed: int = 0) -> list[str]:
    """Texts of both stages and of the chat template, for learning a tokenizer's vocabulary."""
    pairs = toy_cold_start_rows(n, seed)
    prompts = [row.prompt for row in toy_rows(n, seed)] + [pair.prompt for pair in pairs]
    questions = [prompt[0]["content"] for prompt in prompts]
    return TEMPLATE_TEXTS + questions + [pair.response for pair in pairs]


def write_toy(
    out_dir: str | Path, n_train: int = 256, n_val: int = 32, seed: int = 0, modality: str = "mixed"
) -> dict[str, Path]:
    """Write the toy files of both stages; returns their paths by name.

    What the validation rows ask and show is in no other file.
    """
    out = Path(out_dir)
    rl: dict[str, Sequence[Sample]] = {
        "train": toy_rows(n_train, seed, modality),
        "val": toy_rows(n_val, seed + 1, modality, held_out=True),
    }
    cold_start = {
        "cold_start_train": toy_cold_start_rows(n_train, seed),
        "cold_start_val": toy_cold_start_rows(n_val, seed + 1),
    }
    paths = {name: out / f"{name}.parquet" for name in (*rl, *cold_start)}
    for name, samples in rl.items():
        write_parquet(paths[name], samples, Sample)
    for name, pairs in cold_start.items():
        write_parquet(paths[name], pairs, ColdStartSample)
    return paths
