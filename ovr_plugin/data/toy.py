r"""Generated rows for the quickstart and the tests: five skills, in words and in pictures.

A scene is a row of four places, each with a box of one of four colours or empty. In words it is
four words; as a picture of 112 x 28 pixels it is four tokens of Qwen2.5-VL, in the same order. Of a
scene one asks for a colour, a count, a comparison, a position, or a small sum. The RL rows ask in
words or about the picture; the cold-start rows answer the questions in words with a short chain of
reasoning that shows the paper's behaviours (OVR 2) and ends in ``\boxed{}``.

Everything is a function of (seed, row number): a longer list starts with the shorter one. A fifth
of all scenes is held out: no row of training, in either modality or stage, shows one of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
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
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (30, 70, 220),
    "yellow": (240, 210, 40),
}
EMPTY = "empty"
PLACES = ("first", "second", "third", "last")
PRICES = {"red": 1, "blue": 2}
CELL = 28  # pixels: 2 x 2 patches of Qwen2.5-VL, that is, one token
HELD_OUT = 5  # one scene in so many
BACKTRACKING = "Wait, let me look again."
VERIFICATION = "Let me check."
# What Qwen2.5-VL's chat template adds to every prompt.
TEMPLATE_TEXTS = ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]

Scene = tuple[str, ...]  # of each place a colour or EMPTY


@dataclass(frozen=True)
class Puzzle:
    """One question about a scene, with what the reasoning about it says."""

    scene: Scene
    skill: str
    question: str
    answer: str
    steps: str
    check: str
    wrong: str
    answer_type: str = "text"

    @property
    def facts(self) -> str:
        """The scene in words."""
        return f"{' '.join(self.scene)}.".capitalize()


def _colour(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    filled = [place for place, what in enumerate(scene) if what != EMPTY]
    if not filled:
        return None
    place = int(rng.choice(filled))
    colour, other = scene[place], _another(COLOURS, scene[place], rng)
    return Puzzle(
        scene,
        "colour",
        question=f"What colour is the {PLACES[place]} box?",
        answer=colour,
        steps=f"We want the {PLACES[place]} box. It is {colour}.",
        check=f"The {PLACES[place]} is {colour}.",
        wrong=f"It is {other}.",
    )


def _count(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    left, right = (sum(what != EMPTY for what in half) for half in (scene[:2], scene[2:]))
    total = left + right
    if not total:
        return None
    return Puzzle(
        scene,
        "count",
        question="How many boxes are there?",
        answer=str(total),
        steps=f"First the left: {left}. Then the right: {right}. {left} + {right} = {total}.",
        check=f"{left} and {right} are {total}.",
        wrong=f"There are {total % 4 + 1}.",
        answer_type="number",
    )


def _compare(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    first, second = (str(colour) for colour in rng.permutation(list(COLOURS))[:2])
    counts = {colour: scene.count(colour) for colour in (first, second)}
    less, more = sorted(counts, key=counts.__getitem__)
    if counts[less] == counts[more]:
        return None
    return Puzzle(
        scene,
        "compare",
        question=f"Are there more {first} or more {second} boxes?",
        answer=more,
        steps=f"First {first}: {counts[first]}. Then {second}: {counts[second]}. More {more}.",
        check=f"{counts[more]} is more than {counts[less]}.",
        wrong=f"More {less}.",
    )


def _position(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    single = [colour for colour in COLOURS if scene.count(colour) == 1]
    if not single:
        return None
    colour = str(rng.choice(single))
    place = PLACES[scene.index(colour)]
    return Puzzle(
        scene,
        "position",
        question=f"Which box is {colour}?",
        answer=place,
        steps=f"We want the {colour} box. It is the {place}.",
        check=f"The {place} is {colour}.",
        wrong=f"It is the {_another(PLACES, place, rng)}.",
    )


def _arithmetic(scene: Scene, rng: np.random.Generator) -> Puzzle | None:
    parts = [scene.count(colour) * price for colour, price in PRICES.items()]
    total = sum(parts)
    if not total:
        return None
    names = ". Then ".join(f"{colour}: {part}" for colour, part in zip(PRICES, parts, strict=True))
    return Puzzle(
        scene,
        "arithmetic",
        question="Red boxes cost 1 and blue boxes cost 2. What do they cost together?",
        answer=str(total),
        steps=f"First {names}. {parts[0]} + {parts[1]} = {total}.",
        check=f"{parts[0]} and {parts[1]} are {total}.",
        wrong=f"They cost {total + 1}.",
        answer_type="number",
    )


SKILLS: tuple[Callable[[Scene, np.random.Generator], Puzzle | None], ...] = (
    _colour,
    _count,
    _compare,
    _position,
    _arithmetic,
)


def is_held_out(scene: Scene) -> bool:
    """Whether a scene belongs to evaluation alone."""
    return zlib.crc32(" ".join(scene).encode()) % HELD_OUT == 0


def toy_rows(
    n: int, seed: int = 0, modality: str = "mixed", held_out: bool = False
) -> list[Sample]:
    """``n`` RL rows.

    Args:
        n: number of rows.
        seed: of the rows.
        modality: ``text``, ``image``, or ``mixed``, which alternates (OVR 3.2 mixes the two).
        held_out: of the scenes that no training row shows.
    """
    if modality not in ("text", "image", "mixed"):
        raise ValueError(f"modality {modality!r} is not text, image or mixed")
    return [_row(index, seed, modality, held_out) for index in range(n)]


def _row(index: int, seed: int, modality: str, held_out: bool) -> Sample:
    puzzle = _puzzle(seed, index, held_out)
    is_image = modality == "image" or (modality == "mixed" and index % 2 == 1)
    asked = IMAGE_PLACEHOLDER if is_image else f"{puzzle.facts} "
    return Sample(
        data_source=f"{NAME}_{'image' if is_image else 'text'}",
        prompt=_prompt(asked + puzzle.question),
        ground_truth=puzzle.answer,
        images=[ImageRef(data=_png(puzzle.scene, seed, index))] if is_image else [],
        ability=puzzle.skill,
        id=f"{NAME}/{seed}#{index}",
        index=index,
        split="test" if held_out else "train",
        answer_type=puzzle.answer_type,
    )


def toy_cold_start_rows(n: int, seed: int = 0) -> list[ColdStartSample]:
    """``n`` text-only pairs whose responses reason, go back, check, and end in a box."""
    return [_cold_start_row(index, seed) for index in range(n)]


def _cold_start_row(index: int, seed: int) -> ColdStartSample:
    puzzle = _puzzle(seed, index)
    behaviour = (
        puzzle.steps,  # subgoals, or backward from what is wanted
        f"{puzzle.wrong} {BACKTRACKING} {puzzle.steps}",
        f"{puzzle.steps} {VERIFICATION} {puzzle.check}",
    )[index // (2 * len(SKILLS)) % 3]
    return ColdStartSample(
        data_source=f"{NAME}_cold_start",
        prompt=_prompt(f"{puzzle.facts} {puzzle.question}"),
        response=f"{behaviour} \\boxed{{{puzzle.answer}}}",
        id=f"{NAME}/{seed}#{index}",
        index=index,
    )


def _puzzle(seed: int, index: int, held_out: bool = False) -> Puzzle:
    """The row's puzzle: scenes are drawn until one has an answer and is on the right side."""
    # Two rows (text, image) of a mixed list share a skill, so that each modality has all skills.
    skill = SKILLS[index // 2 % len(SKILLS)]
    rng = np.random.default_rng((seed, index))
    while True:
        scene = _scene(rng)
        puzzle = skill(scene, rng) if is_held_out(scene) == held_out else None
        if puzzle is not None:
            return puzzle


def _scene(rng: np.random.Generator) -> Scene:
    """One to four boxes, each number as often."""
    places = rng.permutation(len(PLACES))[: rng.integers(1, len(PLACES) + 1)]
    colours = {int(place): str(rng.choice(list(COLOURS))) for place in places}
    return tuple(colours.get(place, EMPTY) for place in range(len(PLACES)))


def _another(names: Iterable[str], name: str, rng: np.random.Generator) -> str:
    return str(rng.choice([each for each in names if each != name]))


def _prompt(question: str) -> list[Message]:
    return [{"role": "user", "content": f"{question} {INSTRUCTION}"}]


def _png(scene: Scene, seed: int, index: int) -> bytes:
    """The scene drawn; size and place of each box within its cell vary."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng((seed, index, 1))
    image = Image.new("RGB", (len(scene) * CELL, CELL), "white")
    canvas = ImageDraw.Draw(image)
    for place, what in enumerate(scene):
        side = int(rng.integers(14, 23))
        left, top = (int(x) for x in rng.integers(2, CELL - side - 1, size=2))
        if what != EMPTY:
            left += place * CELL
            canvas.rectangle((left, top, left + side, top + side), fill=COLOURS[what])
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
    rl = {
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
