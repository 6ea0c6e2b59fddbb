"""A checkpoint's answers to rows of ours, by transformers alone: rows in, graded answers out.

It shares nothing with the trainer but the grader, so that it also shows that a saved checkpoint
loads back into the same model: veRL's validation and this must agree. For models that fit into this
process; a large one is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ovr_plugin.data.images import PixelLimits, open_image
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Sample
from ovr_plugin.reward import Grade, grade


@dataclass(frozen=True)
class Answer:
    """One row's response with its verdict."""

    sample: Sample
    response: str
    n_tokens: int
    grade: Grade


def evaluate(
    checkpoint: str | Path,
    samples: Sequence[Sample],
    max_new_tokens: int,
    batch_size: int = 16,
    max_pixels: int | None = None,
) -> Iterator[Answer]:
    """Answer ``samples`` greedily, in order, ``batch_size`` at a time.

    Args:
        checkpoint: an HF folder of a Qwen2.5-VL with its processor.
        samples: rows of ours, text and image mixed.
        max_new_tokens: limit of a response; one that reaches it without ending scores 0 (ORZ).
        batch_size: rows generated together.
        max_pixels: of one image, as in training; a row's own limits win.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    for batch in _batches(samples, batch_size):
        yield from _answer(model, processor, batch, max_new_tokens, max_pixels)


def accuracy_by_source(answers: Iterable[Answer]) -> dict[str, float]:
    """Return the share of right answers per ``data_source``."""
    scores: dict[str, list[float]] = {}
    for answer in answers:
        scores.setdefault(answer.sample.data_source, []).append(answer.grade.score)
    return {source: sum(group) / len(group) for source, group in sorted(scores.items())}


def chat_messages(sample: Sample) -> list[dict[str, Any]]:
    """Return the prompt with ``<image>`` placeholders as the image parts a processor expects."""
    messages = []
    for message in sample.prompt:
        texts = message["content"].split(IMAGE_PLACEHOLDER)
        parts: list[dict[str, str]] = []
        for position, text in enumerate(texts):
            if position:
                parts.append({"type": "image"})
            if text:
                parts.append({"type": "text", "text": text})
        messages.append({"role": message["role"], "content": parts})
    return messages


def model_inputs(processor: Any, batch: Sequence[Sample], max_pixels: int | None) -> Any:
    """Return what ``model.generate`` takes: prompts padded to the left, and pictures."""
    return processor(
        text=[
            processor.apply_chat_template(
                chat_messages(sample), tokenize=False, add_generation_prompt=True
            )
            for sample in batch
        ],
        images=[
            picture
            for sample in batch
            for picture in _pictures(sample, max_pixels, processor.image_processor.patch_size)
        ]
        or None,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def _answer(
    model: Any, processor: Any, batch: Sequence[Sample], max_new_tokens: int, max_pixels: int | None
) -> Iterator[Answer]:
    import torch

    inputs = model_inputs(processor, batch, max_pixels)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    eos = model.generation_config.eos_token_id
    eos_ids = set(eos if isinstance(eos, list) else [eos])
    width = inputs["input_ids"].shape[1]
    for sample, ids in zip(batch, output[:, width:].tolist(), strict=True):
        end = next((i for i, token in enumerate(ids) if token in eos_ids), None)
        response_ids = ids if end is None else ids[: end + 1]
        response = processor.tokenizer.decode(response_ids, skip_special_tokens=True)
        verdict = grade(
            response, sample.ground_truth, {**sample.extra_info(), "truncated": end is None}
        )
        yield Answer(sample, response, len(response_ids), verdict)


def _pictures(sample: Sample, max_pixels: int | None, patch_size: int) -> Iterator[Any]:
    from qwen_vl_utils import fetch_image

    limits = sample.pixel_limits.over(PixelLimits(max_pixels=max_pixels)).as_dict()
    for image in sample.images:
        with open_image(image) as opened:
            yield fetch_image({"image": opened, **limits}, patch_size)


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    iterator = iter(samples)
    while batch := list(islice(iterator, size)):
        yield batch
