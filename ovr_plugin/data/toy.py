r"""Generated rows for the quickstart and the tests: five skills, in words and in pictures.

A scene is one to four boxes of one colour; a single one has a place. In words it is a sentence
("Three red boxes."), as a picture 28 x 28 pixels, one token of Qwen2.5-VL. Of a scene one asks for
the colour, the number, the place, a comparison, or a sum. The RL rows ask in words or about the
picture; the cold-start rows answer the questions in words, with a short chain of reasoning that
shows one of the paper's behaviours for each skill (OVR 2) and ends in ``\boxed{}``.

Two things let a model of two million parameters learn to see from a few thousand binary rewards.
Chains are the same for all questions of a skill, so that what is sampled is the guess about the
scene. And a third of the cold start's scenes are smudged: their words are letters without a
meaning, and their answers random, so that a model guesses evenly about what it cannot read yet.

Everything is a function of (seed, row number): a longer list starts with the shorter one. A fifth
of all scenes is held out: no row of training says one of their sentences or shows their picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
# The mean of what the processor takes for white noise: an empty patch is zero to the tower.
BACKGROUND = (123, 117, 104)
NUMBERS = ("one", "two", "three", "four")
PLACES = {"left": (0, 7), "right": (14, 7), "top": (7, 0), "bottom": (7, 14)}  # of the quarter
QUARTERS = ((0, 0), (14, 0), (0, 14), (14, 14))
SIDE = 28  # pixels of a picture: 2 x 2 patches of Qwen2.5-VL, that is, one token
SHADE = 20  # most that a channel of a box differs from its colour
HELD_OUT = 5  # one scene in so many
SMUDGED = 0.35  # share of the cold start
SMUDGES = "bcdfghjklmnpqrstvwxz"
BACKTRACKING = "Wait, let me look again."
VERIFICATION = "Let me check."
# What Qwen2.5-VL's chat template adds to every prompt.
TEMPLATE_TEXTS = ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]


@dataclass(frozen=True)
class Scene:
    """Boxes as (left, top, side) in pixels, their name and their very colour."""

    colour: str
    place: str | None  # of a single box
    boxes: tuple[tuple[int, int, int], ...]
    rgb: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many boxes."""
        return len(self.boxes)

    @property
    def facts(self) -> str:
        """The scene in words."""
        kind = f"{NUMBERS[self.n - 1]} {self.colour}".capitalize()
        return f"{kind} box, {self.place}." if self.place else f"{kind} boxes."


@dataclass(frozen=True)
class Puzzle:
    """One question about a scene, and the reasoning that answers it."""

    scene: Scene
    skill: str
    question: str
    answer: str
    reasoning: str
    answer_type: str = "text"


def _colour(scene: Scene, rng: np.random.Generator) -> Puzzle:
    colour = scene.colour
    said = f"It is {colour}. {VERIFICATION} The colour is {colour}."
    return Puzzle(scene, "colour", "What is the colour?", colour, said)


def _count(scene: Scene, rng: np.random.Generator) -> Puzzle:
    said = f"We want the number. There are {scene.n}."
    return Puzzle(scene, "count", "How many boxes are there?", str(scene.n), said, "number")


def _position(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    if not scene.place:
        return None
    places = list(PLACES)
    opposite = places[places.index(scene.place) ^ 1]
    said = f"Not {opposite}. {BACKTRACKING} It is {scene.place}."
    return Puzzle(scene, "position", "Where is the box?", scene.place, said)


def _compare(scene: Scene, rng: np.random.Generator) -> Puzzle:
    limit = int(rng.choice([k for k in range(6) if k != scene.n]))
    answer = "more" if scene.n > limit else "less"
    said = f"First the number: {scene.n}. Then {scene.n} is {answer} than {limit}."
    return Puzzle(scene, "compare", f"Are there more or less than {limit}?", answer, said)


def _arithmetic(scene: Scene, rng: np.random.Generator) -> Puzzle:
    added = int(rng.integers(1, 6))
    total = scene.n + added
    said = f"First the number: {scene.n}. Then {scene.n} + {added} = {total}."
    question = f"I add {added}. How many boxes are there now?"
    return Puzzle(scene, "arithmetic", question, str(total), said, "number")


SKILLS: tuple[Callable[[Scene, np.random.Generator], Puzzle | None], ...] = (
    _colour,
    _count,
    _position,
    _compare,
    _arithmetic,
)


def is_held_out(text_or_picture: str) -> bool:
    """Whether a scene, by its sentence or its drawing, belongs to evaluation alone."""
    return zlib.crc32(text_or_picture.encode()) % HELD_OUT == 0


def toy_rows(
    n: int, seed: int = 0, modality: str = "mixed", held_out: bool = False
) -> list[Sample]:
    """``n`` RL rows.

    Args:
        n: number of rows.
        seed: of the rows.
        modality: ``text``, ``image``, or ``mixed``, which alternates (OVR 3.2 mixes the two).
        held_out: of the scenes that no training row says or shows.
    """
    if modality not in ("text", "image", "mixed"):
        raise ValueError(f"modality {modality!r} is not text, image or mixed")
    return [_row(index, seed, modality, held_out) for index in range(n)]


def _row(index: int, seed: int, modality: str, held_out: bool) -> Sample:
    is_image = modality == "image" or (modality == "mixed" and index % 2 == 1)
    puzzle = _puzzle(seed, index, is_image, held_out)
    asked = IMAGE_PLACEHOLDER if is_image else f"{puzzle.scene.facts} "
    return Sample(
        data_source=f"{NAME}_{'image' if is_image else 'text'}",
        prompt=_prompt(asked + puzzle.question),
        ground_truth=puzzle.answer,
        images=[ImageRef(data=_png(puzzle.scene))] if is_image else [],
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
    puzzle = _puzzle(seed, index)
    rng = np.random.default_rng((seed, index, 1))
    facts = puzzle.scene.facts
    if rng.random() < SMUDGED:
        facts = " ".join(_smudge(rng) for _ in range(rng.integers(1, 4))) + "."
    return ColdStartSample(
        data_source=f"{NAME}_cold_start",
        prompt=_prompt(f"{facts} {puzzle.question}"),
        response=f"{puzzle.reasoning} \\boxed{{{puzzle.answer}}}",
        id=f"{NAME}/{seed}#{index}",
        index=index,
    )


def _smudge(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(SMUDGES), size=rng.integers(1, 3)))


def _puzzle(seed: int, index: int, is_image: bool = False, held_out: bool = False) -> Puzzle:
    """The row's puzzle: scenes are drawn until one has an answer and is on the right side."""
    # Two rows (text, image) of a mixed list share a skill, so that each modality has all skills.
    skill = SKILLS[index // 2 % len(SKILLS)]
    rng = np.random.default_rng((seed, index))
    while True:
        scene = _scene(rng, single=skill is _position)
        if is_held_out(repr(scene) if is_image else scene.facts) != held_out:
            continue
        puzzle = skill(scene, rng)
        if puzzle is not None:
            return puzzle


def _scene(rng: np.random.Generator, single: bool) -> Scene:
    """One to four boxes, each number as often; size, place and shade of each scene vary."""
    n = 1 if single else int(rng.integers(1, len(NUMBERS) + 1))
    place = str(rng.choice(list(PLACES))) if n == 1 else None
    corners = [PLACES[place]] if place else [QUARTERS[at] for at in rng.permutation(4)[:n]]
    side = int(rng.integers(9, 13))
    boxes = tuple((_within(x, side, rng), _within(y, side, rng), side) for x, y in sorted(corners))
    colour = str(rng.choice(list(COLOURS)))
    shades = rng.integers(-SHADE, SHADE + 1, size=3)
    rgb = np.clip(np.add(COLOURS[colour], shades), 0, 255)
    return Scene(colour, place, boxes, tuple(int(channel) for channel in rgb))


def _within(corner: int, side: int, rng: np.random.Generator) -> int:
    """Where a box starts in the quarter that starts at ``corner``; it touches no other quarter."""
    return corner + int(rng.integers(1, SIDE // 2 - side))


def _prompt(question: str) -> list[Message]:
    return [{"role": "user", "content": f"{question} {INSTRUCTION}"}]


def _png(scene: Scene) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    for left, top, side in scene.boxes:
        canvas.rectangle((left, top, left + side - 1, top + side - 1), fill=scene.rgb)
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

    No scene of the validation rows is in another file.
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
