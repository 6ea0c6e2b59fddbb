r"""Generated rows for the quickstart and the tests: five skills, in words and in pictures.

A picture of 28 x 28 pixels, one token of Qwen2.5-VL, shows one to three boxes, or a bar along one
side, in one colour. One asks for the colour, the number, the place, a comparison, or a sum. A text
row says the one word that its question needs ("Scene red."); in an image row the picture is in the
place of those words. The cold-start rows answer the questions in words, with a short chain of
reasoning that ends in ``\boxed{}`` and, but for counting, shows a behaviour that the analysis finds
(OVR 2): colours are verified, places looked at again, comparisons and sums begin with a subgoal.
A number of boxes always lies in the same quarters, as on a die: what differs is where in them.

Three things let a model of 3.9 million parameters learn to see from a few thousand binary rewards.
Every question names all words that could answer it, so that the cold start teaches the place to
look at, which the picture takes, and not the words to look for. Chains are the same for all
questions of a skill, so that what is sampled is the guess about the scene. And a third of the cold
start's scenes are smudged: their word is a letter, and their answers are random, so that a model
guesses evenly about what it cannot read yet.

Everything is a function of (seed, row number): a longer list starts with the shorter one. Of the
six ways to ask a question in words two are held out, and of the drawings (what is where, in which
colour) a fifth: no row of training has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np

from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, ColdStartSample, Message, Sample

NAME = "toy"
INSTRUCTION = r"Put the answer in \boxed{}."
COLOURS = {"red": (230, 20, 20), "green": (20, 190, 50), "blue": (30, 60, 240)}
# The mean of what the processor takes for white noise: an empty patch is zero to the tower.
BACKGROUND = (123, 117, 104)
NUMBERS = ("one", "two", "three")
PLACES = ("left", "right", "top")
FACTS = {"colour": tuple(COLOURS), "number": NUMBERS, "place": PLACES}
LIMIT = 2  # what a number is compared with
COMPARED = {"less": "less than", "equal": "equal to", "more": "more than"}
ASKED = ("Tell me", "Find", "Name", "Give", "Say", "State")
N_ASKED_HELD_OUT = 2  # of them
QUARTERS = ((0, 0), (14, 0), (0, 14), (14, 14))  # left, top
LAID = ((0,), (1, 2), (0, 2, 3))  # quarters of one box, of two, of three
SIDE = 28  # pixels of a picture: 2 x 2 patches of Qwen2.5-VL, that is, one token
SHADE = 10  # most that a channel of a box differs from its colour
HELD_OUT = 5  # one drawing in so many
SMUDGED = 0.35  # share of the cold start
SMUDGES = "bcdfghjklmnpqrstvwxz"
LOOK_AGAIN = "Wait, let me look again."
VERIFICATION = "Let me check."
# What Qwen2.5-VL's chat template adds to every prompt.
TEMPLATE_TEXTS = ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]


@dataclass(frozen=True)
class Scene:
    """Boxes as (left, top, width, height) in pixels, their very colour, and what they are."""

    colour: str
    place: str | None  # of a bar
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
    kind: str  # of the word: a key of FACTS
    fact: str
    answer: str
    reasoning: str
    asked_more: str = ""  # behind the name of the kind
    answer_type: str = "text"

    def question(self, asked: str) -> str:
        """Name all words that it could be: which one it is, the scene alone tells."""
        *first, last = FACTS[self.kind]
        return f"{asked} the {self.kind} ({', '.join(first)} or {last}){self.asked_more}."


def _colour(rng: np.random.Generator) -> Puzzle:
    scene = _boxes(rng)
    said = f"It is {scene.colour}. {VERIFICATION} The colour is {scene.colour}."
    return Puzzle(scene, "colour", "colour", scene.colour, scene.colour, said)


def _count(rng: np.random.Generator) -> Puzzle:
    scene = _boxes(rng)
    return _of_number(scene, "count", str(scene.n), f"We want the number. There are {scene.n}.")


def _position(rng: np.random.Generator) -> Puzzle:
    scene = _bar(rng)
    place = str(scene.place)
    said = f"Not in the middle. {LOOK_AGAIN} It is {place}."
    return Puzzle(scene, "position", "place", place, place, said)


def _compare(rng: np.random.Generator) -> Puzzle:
    scene = _boxes(rng)
    answer = ("less", "equal", "more")[int(np.sign(scene.n - LIMIT)) + 1]
    said = f"First the number: {scene.n}. Then {scene.n} is {COMPARED[answer]} {LIMIT}."
    return _of_number(scene, "compare", answer, said, f" as less, equal or more than {LIMIT}")


def _arithmetic(rng: np.random.Generator) -> Puzzle:
    scene, added = _boxes(rng), int(rng.integers(1, 6))
    total = scene.n + added
    said = f"First the number: {scene.n}. Then {scene.n} + {added} = {total}."
    return _of_number(scene, "arithmetic", str(total), said, f" and add {added}")


def _of_number(scene: Scene, skill: str, answer: str, said: str, asked_more: str = "") -> Puzzle:
    answer_type = "number" if answer.isdigit() else "text"
    fact = NUMBERS[scene.n - 1]
    return Puzzle(scene, skill, "number", fact, answer, said, asked_more, answer_type)


# Colour, number and place as often: with every skill as often, three of five ask for the number,
# and colours, which the same pictures show, were not learned beside it.
SKILLS: tuple[Callable[[np.random.Generator], Puzzle], ...] = (
    *(_colour, _count, _position),
    *(_colour, _compare, _position),
    *(_colour, _arithmetic, _position),
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
    puzzle = _puzzle(index, rng)
    while is_image and _is_held_out(puzzle.scene) != held_out:
        puzzle = _puzzle(index, rng)
    asked = str(rng.choice(ASKED)) if is_image else _asked(puzzle, rng, held_out)
    shown = IMAGE_PLACEHOLDER if is_image else _words(puzzle)
    return Sample(
        data_source=f"{NAME}_{'image' if is_image else 'text'}",
        prompt=_prompt(f"{shown} {puzzle.question(asked)}"),
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
    """``n`` text-only pairs whose responses reason, look again, check, and end in a box."""
    return [_cold_start_row(index, seed) for index in range(n)]


def _cold_start_row(index: int, seed: int) -> ColdStartSample:
    rng = np.random.default_rng((seed, index))
    puzzle = _puzzle(index, rng)
    if rng.random() < SMUDGED:
        puzzle = replace(puzzle, fact=str(rng.choice(list(SMUDGES))))
    return ColdStartSample(
        data_source=f"{NAME}_cold_start",
        prompt=_prompt(f"{_words(puzzle)} {puzzle.question(_asked(puzzle, rng))}"),
        response=f"{puzzle.reasoning} \\boxed{{{puzzle.answer}}}",
        id=f"{NAME}/{seed}#{index}",
        index=index,
    )


def _puzzle(index: int, rng: np.random.Generator) -> Puzzle:
    # Two rows (text, image) of a mixed list share a skill, so that each modality has all skills.
    return SKILLS[index // 2 % len(SKILLS)](rng)


def _words(puzzle: Puzzle) -> str:
    # Three tokens, as a picture between its two marks is: the word stands where the picture will.
    return f"Scene {puzzle.fact}."


def _is_held_out(scene: Scene) -> bool:
    # Not by its pixels: in another shade it is the same drawing to the eye.
    return zlib.crc32(f"{scene.colour} {scene.boxes}".encode()) % HELD_OUT == 0


def _asked(puzzle: Puzzle, rng: np.random.Generator, held_out: bool = False) -> str:
    """How it is asked in words; of each question some ways are for evaluation alone."""
    of_question = zlib.crc32(f"{puzzle.fact} {puzzle.question('')}".encode()) % len(ASKED)
    ways = (ASKED * 2)[of_question : of_question + len(ASKED)]
    return str(rng.choice(ways[:N_ASKED_HELD_OUT] if held_out else ways[N_ASKED_HELD_OUT:]))


def _boxes(rng: np.random.Generator) -> Scene:
    """One to three boxes of one size, each within a quarter of its own."""
    laid = LAID[int(rng.integers(0, len(LAID)))]
    size = int(rng.integers(10, 13))
    corners = [QUARTERS[quarter] for quarter in laid]
    boxes = tuple((_within(x, size, rng), _within(y, size, rng), size, size) for x, y in corners)
    colour, rgb = _paint(rng)
    return Scene(colour, None, boxes, rgb)


def _bar(rng: np.random.Generator) -> Scene:
    """A bar along one side."""
    place = str(rng.choice(PLACES))
    across, along = int(rng.integers(10, 13)), int(rng.integers(22, 29))
    near = int(rng.integers(0, SIDE // 2 - across + 1))  # from the side
    near = SIDE - across - near if place == "right" else near
    start = int(rng.integers(0, SIDE - along + 1))
    box = (start, near, along, across) if place == "top" else (near, start, across, along)
    colour, rgb = _paint(rng)
    return Scene(colour, place, (box,), rgb)


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
