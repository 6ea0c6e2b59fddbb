r"""Generated rows for the quickstart and the tests: three skills, in words and in pictures.

The skills are naming a colour, counting squares, and telling which of two boxes is larger. The RL
rows ask about a short text or about a drawn picture of 56 x 56 pixels; the cold-start rows answer
the questions in words with a short chain of reasoning that shows the paper's behaviours (OVR 2) and
ends in ``\boxed{}``. Everything is a function of (seed, row number): a longer list starts with the
shorter one. The vocabulary is a few dozen words, for models of a few million parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

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
IMAGE_SIZE = 56  # 2 x 2 merged patches of Qwen2.5-VL, that is, four tokens
CELL = IMAGE_SIZE // 2
BACKTRACKING = "Wait, let me look again."
VERIFICATION = "Let me check."
# What Qwen2.5-VL's chat template adds to every prompt.
TEMPLATE_TEXTS = ["system\nYou are a helpful assistant.", "user\n", "assistant\n"]


@dataclass(frozen=True)
class Puzzle:
    """One question in both wordings, with what the reasoning about it says."""

    facts: str
    question: str
    answer: str
    wrong: str
    steps: str
    check: str
    draw: Callable[[Any], None]
    answer_type: str = "text"


def _colour(rng: np.random.Generator) -> Puzzle:
    colour, other = (str(name) for name in rng.permutation(list(COLOURS))[:2])
    left, top = (int(x) for x in rng.integers(2, 12, size=2))
    side = int(rng.integers(24, 40))

    def draw(canvas: Any) -> None:
        canvas.rectangle((left, top, left + side, top + side), fill=COLOURS[colour])

    return Puzzle(
        facts=f"The box is {colour}.",
        question="What colour is the box?",
        answer=colour,
        wrong=f"The box is {other}.",
        steps=f"We want the colour of the box. The box is {colour}.",
        check=f"The box is {colour}.",
        draw=draw,
    )


def _count(rng: np.random.Generator) -> Puzzle:
    n_red, n_blue = (int(n) for n in rng.integers(1, 3, size=2))
    total = n_red + n_blue
    cells = [int(cell) for cell in rng.permutation(4)[:total]]

    def draw(canvas: Any) -> None:
        for position, cell in enumerate(cells):
            left, top = cell % 2 * CELL + 6, cell // 2 * CELL + 6
            fill = COLOURS["red" if position < n_red else "blue"]
            canvas.rectangle((left, top, left + 15, top + 15), fill=fill)

    return Puzzle(
        facts=f"There are {n_red} red squares and {n_blue} blue squares.",
        question="How many squares are there?",
        answer=str(total),
        wrong=f"There are {total + 1} squares.",
        steps=f"First, red: {n_red}. Then, blue: {n_blue}. {n_red} + {n_blue} = {total}.",
        check=f"{n_red} and {n_blue} are {total}.",
        draw=draw,
        answer_type="number",
    )


def _larger(rng: np.random.Generator) -> Puzzle:
    small, large = sorted(int(n) for n in rng.permutation(np.arange(1, 7))[:2])
    sizes, answer = ((large, small), "left") if rng.integers(2) else ((small, large), "right")
    other = {"left": "right", "right": "left"}[answer]

    def draw(canvas: Any) -> None:
        for side, size in enumerate(sizes):
            middle, half = side * CELL + CELL // 2, 2 * size
            box = (middle - half, CELL - half, middle + half, CELL + half)
            canvas.rectangle(box, fill=COLOURS["green"])

    return Puzzle(
        facts=f"The left box has size {sizes[0]} and the right box has size {sizes[1]}.",
        question="Which box is larger, left or right?",
        answer=answer,
        wrong=f"The {other} box is larger.",
        steps=f"We want the larger box. {large} is more than {small}. The {answer} box is larger.",
        check=f"{large} is more than {small}.",
        draw=draw,
    )


SKILLS = (_colour, _count, _larger)


def toy_rows(n: int, seed: int = 0, modality: str = "mixed") -> list[Sample]:
    """``n`` RL rows.

    Args:
        n: number of rows.
        seed: of the rows.
        modality: ``text``, ``image``, or ``mixed``, which alternates (OVR 3.2 mixes the two).
    """
    if modality not in ("text", "image", "mixed"):
        raise ValueError(f"modality {modality!r} is not text, image or mixed")
    return [_row(index, seed, modality) for index in range(n)]


def _row(index: int, seed: int, modality: str) -> Sample:
    puzzle = _puzzle(seed, index)
    is_image = modality == "image" or (modality == "mixed" and index % 2 == 1)
    asked = IMAGE_PLACEHOLDER if is_image else f"{puzzle.facts} "
    return Sample(
        data_source=f"{NAME}_{'image' if is_image else 'text'}",
        prompt=_prompt(asked + puzzle.question),
        ground_truth=puzzle.answer,
        images=[ImageRef(data=_png(puzzle))] if is_image else [],
        ability=NAME,
        id=f"{NAME}/{seed}#{index}",
        index=index,
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


def _puzzle(seed: int, index: int) -> Puzzle:
    # Two rows (text, image) of a mixed list share a skill, so that each modality has all skills.
    return SKILLS[index // 2 % len(SKILLS)](np.random.default_rng((seed, index)))


def _prompt(question: str) -> list[Message]:
    return [{"role": "user", "content": f"{question} {INSTRUCTION}"}]


def _png(puzzle: Puzzle) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), "white")
    puzzle.draw(ImageDraw.Draw(image))
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

    Train and validation rows come from different seeds; with so few possible questions the same
    question can be in both, which a real corpus must not have (see `prepare`).
    """
    out = Path(out_dir)
    rl = {"train": toy_rows(n_train, seed, modality), "val": toy_rows(n_val, seed + 1, modality)}
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
