"""Toy rows: answers read back from pictures and texts, few words, the same every time."""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ovr_plugin.data.files import read_parquet
from ovr_plugin.data.sample import ColdStartSample, Sample, cold_start_problems, problems
from ovr_plugin.data.toy import (
    BACKTRACKING,
    COLOURS,
    VERIFICATION,
    toy_cold_start_rows,
    toy_rows,
    toy_texts,
    write_toy,
)


def pixels(sample):
    return np.asarray(Image.open(BytesIO(sample.images[0].data)).convert("RGB"))


def coloured(image):
    return (image != 255).any(axis=-1)


def answer_from_picture(sample):
    """Looks at the pixels only: an independent solution of each skill."""
    image, question = pixels(sample), sample.prompt[0]["content"]
    if "colour" in question:
        (colour,) = {tuple(map(int, pixel)) for pixel in image[coloured(image)]}
        return {value: name for name, value in COLOURS.items()}[colour]
    if "How many" in question:
        quarters = [image[y : y + 28, x : x + 28] for x in (0, 28) for y in (0, 28)]
        return str(sum(coloured(quarter).any() for quarter in quarters))
    left, right = coloured(image[:, :28]).sum(), coloured(image[:, 28:]).sum()
    return "left" if left > right else "right"


def answer_from_text(prompt):
    """Reads the numbers and colours of the text only."""
    numbers = [int(number) for number in re.findall(r"\d+", prompt)]
    if "colour" in prompt:
        return re.search(r"The box is (\w+)\.", prompt).group(1)
    if "How many" in prompt:
        return str(sum(numbers))
    return "left" if numbers[0] > numbers[1] else "right"


def test_rows_are_good():
    assert not [row for row in toy_rows(60) if problems(row, decode_images=True)]
    assert not [row for row in toy_cold_start_rows(60) if cold_start_problems(row)]


def test_pictures_show_the_answer():
    for sample in toy_rows(120, seed=3, modality="image"):
        assert answer_from_picture(sample) == sample.ground_truth
        assert pixels(sample).shape == (56, 56, 3)


def test_texts_say_the_answer():
    for sample in toy_rows(120, seed=3, modality="text"):
        assert answer_from_text(sample.prompt[0]["content"]) == sample.ground_truth


def test_responses_end_in_the_answer_of_their_question():
    for row in toy_cold_start_rows(120):
        answer = answer_from_text(row.prompt[0]["content"])
        assert row.response.endswith(f" \\boxed{{{answer}}}")
        assert row.response.count("\\boxed") == 1


def test_behaviours_are_shared_out_over_the_skills():
    seen = Counter()
    for row in toy_cold_start_rows(18):
        skill = row.prompt[0]["content"].split("?")[0].split(". ")[-1]
        behaviour = (BACKTRACKING in row.response, VERIFICATION in row.response)
        seen[skill, behaviour] += 1
    assert len(seen) == 9
    assert set(seen.values()) == {2}


def test_mixed_rows_have_every_skill_in_both_modalities():
    seen = {(row.modality, row.prompt[0]["content"].split("?")[0][-10:]) for row in toy_rows(6)}
    assert len(seen) == 6


def test_longer_list_starts_with_the_shorter_one():
    assert toy_rows(40)[:10] == toy_rows(10)
    assert toy_cold_start_rows(40)[:10] == toy_cold_start_rows(10)
    assert toy_rows(10, seed=1) != toy_rows(10)


def test_words_are_few_and_rows_short(tokenizer):
    words = {word for text in toy_texts() for word in re.findall(r"\w+", text)}
    assert len(words) < 80
    texts = [row.response for row in toy_cold_start_rows(200)]
    texts += [row.prompt[0]["content"] for row in toy_rows(200)]
    assert max(len(tokenizer(text)["input_ids"]) for text in texts) <= 45


def test_unknown_modality():
    with pytest.raises(ValueError, match="modality 'video' is not text, image or mixed"):
        toy_rows(1, modality="video")


def test_write_toy_writes_both_stages(tmp_path):
    paths = write_toy(tmp_path, n_train=8, n_val=4)
    assert list(read_parquet(paths["train"], Sample)) == toy_rows(8)
    assert len(list(read_parquet(paths["val"], Sample))) == 4
    assert list(read_parquet(paths["cold_start_train"], ColdStartSample)) == toy_cold_start_rows(8)
    assert len(list(read_parquet(paths["cold_start_val"], ColdStartSample))) == 4
