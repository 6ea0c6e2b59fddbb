r"""The records that everything here passes on, and what can be wrong with one.

`Sample` is a question with its reference answer: readers make it, the RL dataset serves it.
`ColdStartSample` is a prompt with the response to learn. `problems` lists, in words, all reasons
why a record cannot be trained on; it never raises, because corpora are hostile input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa

from ovr_plugin.data.images import ImageRef, PixelLimits, decode_problem, header_problem
from ovr_plugin.data.schema import COLD_START_SCHEMA, SCHEMA
from ovr_plugin.reward.spec import AnswerSpec

IMAGE_PLACEHOLDER = "<image>"
SPLITS = ("train", "val", "test")
ROLES = ("system", "user", "assistant")

Message = dict[str, str]


@dataclass(frozen=True)
class Sample:
    r"""One question of RL (OVR 3.2): the reward compares ``\boxed{}`` with ``ground_truth``.

    ``prompt`` holds one ``<image>`` per picture. ``choices`` are the options of a multiple-choice
    question without their letters; ``ground_truth`` is then a letter. ``answer_type``,
    ``tolerance`` (relative) and ``unit`` are the grader's (`ovr_plugin.reward.spec`).
    ``id`` is ``corpus/file#row``, so that the row can be found again in its raw corpus.
    ``min_pixels`` and ``max_pixels`` are of this row's pictures and win over the run's.
    """

    data_source: str
    prompt: list[Message]
    ground_truth: str
    images: list[ImageRef] = field(default_factory=list)
    ability: str = "math"
    id: str = ""
    index: int = 0
    split: str = "train"
    choices: list[str] = field(default_factory=list)
    answer_type: str | None = None
    tolerance: float | None = None
    unit: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    schema: ClassVar[pa.Schema] = SCHEMA

    @property
    def modality(self) -> str:
        """``image`` or ``text``."""
        return "image" if self.images else "text"

    @property
    def pixel_limits(self) -> PixelLimits:
        """The row's own; None where the run's hold."""
        return PixelLimits(self.min_pixels, self.max_pixels)

    def texts(self) -> list[str]:
        """What of the row the model reads."""
        return [message["content"] for message in self.prompt]

    def extra_info(self) -> dict[str, Any]:
        """What the grader and the metrics get beside the reference."""
        return {
            "index": self.index,
            "id": self.id,
            "split": self.split,
            "modality": self.modality,
            "choices": self.choices,
            "answer_type": self.answer_type,
            "tolerance": self.tolerance,
            "unit": self.unit,
            **vars(self.pixel_limits),
        }

    def to_row(self) -> dict[str, Any]:
        """The nested dict that veRL expects of a parquet row."""
        return {
            "data_source": self.data_source,
            "prompt": self.prompt,
            "images": [{"bytes": image.data, "path": image.path} for image in self.images],
            "ability": self.ability,
            "reward_model": {"style": "rule", "ground_truth": self.ground_truth},
            "extra_info": self.extra_info(),
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Sample:
        """The inverse of `to_row`; a null stays None or becomes empty, for `problems` to report."""
        info: dict[str, Any] = {**(row["extra_info"] or {})}
        info.pop("modality", None)
        return cls(
            data_source=row["data_source"],
            prompt=row["prompt"] or [],
            ground_truth=(row["reward_model"] or {"ground_truth": None})["ground_truth"],
            images=[_image_ref(image or {}) for image in row["images"] or []],
            ability=row["ability"],
            **{**info, "choices": info.get("choices") or []},
        )


def _image_ref(image: dict[str, Any]) -> ImageRef:
    return ImageRef(image.get("path"), image.get("bytes"))


@dataclass(frozen=True)
class ColdStartSample:
    """One pair of the linguistic cold start (OVR 3.1): text only, the loss is on ``response``.

    ``ground_truth`` is the reference answer where the corpus has one, for curation to check the
    response against; the parquet file does not keep it.
    """

    data_source: str
    prompt: list[Message]
    response: str
    id: str = ""
    index: int = 0
    split: str = "train"
    ground_truth: str | None = None

    schema: ClassVar[pa.Schema] = COLD_START_SCHEMA

    def texts(self) -> list[str]:
        """What of the row the model reads, the response last."""
        return [*(message["content"] for message in self.prompt), self.response]

    def to_row(self) -> dict[str, Any]:
        """The nested dict of a parquet row."""
        return {
            "data_source": self.data_source,
            "prompt": self.prompt,
            "response": self.response,
            "extra_info": {"index": self.index, "id": self.id, "split": self.split},
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> ColdStartSample:
        """The inverse of `to_row`."""
        info: dict[str, Any] = row["extra_info"] or {}
        return cls(row["data_source"], row["prompt"] or [], row["response"], **info)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, kept as data: the file, the row (None: the whole file), why.

    A reason reads ``kind: detail``; reports count by `kind`.
    """

    file: str
    row: int | None
    reason: str

    @property
    def kind(self) -> str:
        """The part of the reason that is the same for all rows with this defect."""
        return self.reason.partition(": ")[0]

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.reason}"


@dataclass(frozen=True)
class BrokenFile(BadRow):
    """A file that cannot be read from ``row`` on (None: at all): nobody knows what is lost."""


def at_place(sample: Sample, index: int, split: str) -> Sample:
    """The same sample as row ``index`` of the file of ``split``."""
    return replace(sample, index=index, split=split)


def problems(sample: Sample, *, decode_images: bool = False) -> list[str]:
    """All reasons why ``sample`` cannot be trained on; empty if there are none.

    Args:
        sample: any values in any field; nothing is trusted.
        decode_images: decode every picture (offline); by default only its header is read.
    """
    found = _text_problems("data_source", sample.data_source)
    found += message_problems(sample.prompt)
    found += _reference_problems(sample)
    if not found:
        found += _placeholder_problems(sample.prompt, len(sample.images))
    limits = sample.pixel_limits.problem()
    if limits:
        found.append(f"impossible pixel limits: {limits}")
    check = decode_problem if decode_images else header_problem
    reasons = [check(image) for image in sample.images]
    return found + [reason for reason in reasons if reason]


def cold_start_problems(sample: ColdStartSample) -> list[str]:
    """All reasons why a cold-start pair cannot be trained on; empty if there are none.

    ``<image>`` in a prompt stands for a picture here too, which a row of text has lost; in a
    response it is text.
    """
    found = message_problems(sample.prompt)
    if not found:
        found = _placeholder_problems(sample.prompt, 0)
    return found + _text_problems("response", sample.response)


def message_problems(prompt: Any) -> list[str]:
    """What is wrong with a prompt: it must be messages, the last from the user, none empty."""
    if not isinstance(prompt, list) or not prompt:
        return ["the prompt is empty"]
    found = []
    for position, message in enumerate(prompt):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            found.append(f"unknown role: {role!r} in message {position}")
            continue
        found += _text_problems(f"message {position}", message.get("content"))
    if not found and prompt[-1]["role"] != "user":
        found.append(f"the last message is not from the user: {prompt[-1]['role']!r}")
    return found


def _text_problems(name: str, value: Any) -> list[str]:
    if not isinstance(value, str):
        return [f"not a string: {name} is {type(value).__name__}"]
    if not value.strip():
        return [f"empty text: {name}"]
    try:
        value.encode()
    except UnicodeEncodeError:
        return [f"not valid Unicode: {name} has a lone surrogate"]
    return []


def _reference_problems(sample: Sample) -> list[str]:
    reference = sample.ground_truth
    if reference is None or (isinstance(reference, str) and not reference.strip()):
        return ["no reference answer"]
    found = _text_problems("the reference answer", reference)
    try:
        AnswerSpec.of({**sample.extra_info(), "choices": None})
    except ValueError as error:
        found.append(f"not for the grader: {error}")
    found += [
        f"not a string: choice {choice!r}"
        for choice in sample.choices
        if not isinstance(choice, str)
    ]
    if not found and sample.choices and reference not in letters(len(sample.choices)):
        n_choices = len(sample.choices)
        found.append(
            f"the reference is not a choice's letter: {reference!r} of {n_choices} choices"
        )
    return found


def _placeholder_problems(prompt: list[Message], n_images: int) -> list[str]:
    n_placeholders = sum(message["content"].count(IMAGE_PLACEHOLDER) for message in prompt)
    if n_placeholders == n_images:
        return []
    way_out = "; question and choices must place every picture, or none" if n_images else ""
    return [
        f"placeholders and images differ: {n_placeholders} {IMAGE_PLACEHOLDER}, "
        f"{n_images} images{way_out}"
    ]


def letters(n_choices: int) -> list[str]:
    """The letters of ``n_choices`` options: A, B, C, ..."""
    return [chr(ord("A") + position) for position in range(n_choices)]


def rejects_own_reference(sample: Sample, compute_score: Callable[..., Any]) -> str | None:
    r"""Why the grader would not reward the reference answer itself, or None if it does.

    Such a row can never earn a reward, whatever the policy answers.

    Args:
        sample: the row.
        compute_score: veRL's signature, ``(data_source, solution_str, ground_truth, extra_info)``,
            returning a score or a dict with ``score``; a full score is 1.
    """
    try:
        result = compute_score(
            data_source=sample.data_source,
            solution_str=f"\\boxed{{{sample.ground_truth}}}",
            ground_truth=sample.ground_truth,
            extra_info=sample.extra_info(),
        )
        score = float(result["score"] if isinstance(result, dict) else result)
    except Exception as error:  # the grader meets hostile text here: what it raises is data
        return f"the grader failed on the reference: {type(error).__name__}: {error}"
    if score >= 1.0:
        return None
    return f"the grader does not accept the reference: {sample.ground_truth!r} scores {score:g}"
