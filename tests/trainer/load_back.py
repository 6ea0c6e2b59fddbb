"""A saved checkpoint's greedy answers by transformers alone: a process without veRL or vLLM.

``python load_back.py CHECKPOINT ROWS THEIRS`` prints, by row, the response, its score, and, where
the response in THEIRS (a JSON file, by row) differs, how much the model preferred its own token to
every other one at the place where they part: two tokens that are as good as equally likely may
come out either way.
"""

from __future__ import annotations

import json
import sys

import torch
from qwen_vl_utils import fetch_image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ovr_plugin.data.files import read_parquet
from ovr_plugin.data.images import PixelLimits, open_image
from ovr_plugin.data.sample import IMAGE_PLACEHOLDER, Sample
from ovr_plugin.reward import grade

BATCH_SIZE = 16
MAX_NEW_TOKENS = 48
MAX_PIXELS = 25088
TEXT_OF_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def pictures(sample, patch_size):
    limits = sample.pixel_limits.over(PixelLimits(max_pixels=MAX_PIXELS)).as_dict()
    for image in sample.images:
        with open_image(image) as opened:
            yield fetch_image({"image": opened, **limits}, patch_size)


def model_inputs(processor, batch):
    """What ``model.generate`` takes: prompts padded to the left, and pictures."""
    turns = [
        [
            {**turn, "content": turn["content"].replace(IMAGE_PLACEHOLDER, TEXT_OF_IMAGE)}
            for turn in row.prompt
        ]
        for row in batch
    ]
    patch_size = processor.image_processor.patch_size
    return processor(
        text=processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True),
        images=[picture for row in batch for picture in pictures(row, patch_size)] or None,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def generate(model, inputs):
    with torch.inference_mode():
        return model.generate(
            **inputs,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )


def answers(model, processor, samples):
    """(row, response, was it cut), a batch at a time."""
    eos_ids = set(model.generation_config.eos_token_id)
    for start in range(0, len(samples), BATCH_SIZE):
        batch = samples[start : start + BATCH_SIZE]
        inputs = model_inputs(processor, batch)
        made = generate(model, inputs).sequences[:, inputs["input_ids"].shape[1] :]
        for sample, ids in zip(batch, made.tolist(), strict=True):
            response = processor.tokenizer.decode(ids, skip_special_tokens=True)
            yield sample, response, not eos_ids & set(ids)


def margin(model, processor, sample, text):
    """How much the model prefers its own token to others where ``text`` leaves its path."""
    inputs = model_inputs(processor, [sample])
    made = generate(model, inputs)
    ids = made.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    if processor.tokenizer.decode(ids, skip_special_tokens=True) == text:
        return 0.0  # by itself the row is answered as theirs, beside others otherwise: a tie
    for n, logits in enumerate(made.logits, 1):
        written = processor.tokenizer.decode(ids[:n], skip_special_tokens=True)
        if not text.startswith(written) or n == len(ids):
            best = logits[0].topk(2).values
            return float(best[0] - best[1])
    raise AssertionError("no token was generated")


def main(checkpoint, rows, theirs_file):
    with open(theirs_file) as file:
        theirs = json.load(file)
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    found = {}
    for sample, response, cut in answers(model, processor, list(read_parquet(rows, Sample))):
        facts = {**sample.extra_info(), "truncated": cut}
        score = grade(response, sample.ground_truth, facts).score
        other = theirs[sample.id]
        found[sample.id] = [
            response,
            score,
            0.0 if response == other else margin(model, processor, sample, other),
        ]
    assert "verl" not in sys.modules
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
