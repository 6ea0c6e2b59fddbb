"""Toy rows: answers read back from pictures and texts, few words, the same every time."""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ovr_plugin.analysis.behaviours.keywords import keyword_counts
from ovr_plugin.data.sample import cold_start_problems, problems
from ovr_plugin.data.toy import (
    BACKGROUND,
    COLOURS,
    NUMBERS,
    PLACES,
    SHADE,
    SIDE,
    toy_cold_start_rows,
    toy_rows,
    toy_texts,
)

PLACE_BY_SIGN = {(-1, 0): "left", (1, 0): "right", (0, -1): "top"}


def pixels(sample):
    return np.asarray(Image.open(BytesIO(sample.images[0].data)).convert("RGB")).astype(int)


def drawing(sample):
    """What is drawn where, in which colour; of all its shades the same."""
    image = pixels(sample)
    return colour_of(image), (image != BACKGROUND).any(axis=2).tobytes()


def colour_of(image):
    seen = image[(image != BACKGROUND).any(axis=2)].mean(axis=0)
    colour = min(COLOURS, key=lambda name: np.abs(seen - COLOURS[name]).max())
    assert np.abs(seen - COLOURS[colour]).max() <= SHADE
    return colour


def scene_of_picture(sample):
    """(number, colour, place of a bar): looks at the pixels only."""
    image = pixels(sample)
    is_box = (image != BACKGROUND).any(axis=2)
    n = n_regions(is_box)
    y, x = (centre - (SIDE - 1) / 2 for centre in np.argwhere(is_box).mean(axis=0))
    sign = (0, int(np.sign(y))) if abs(y) > abs(x) else (int(np.sign(x)), 0)
    return n, colour_of(image), PLACE_BY_SIGN.get(sign) if n == 1 else None


def n_regions(mask):
    """How many parts of a mask hang together, corners not counted."""
    left, n = {tuple(at) for at in np.argwhere(mask)}, 0
    while left:
        n, edge = n + 1, [left.pop()]
        while edge:
            y, x = edge.pop()
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            edge += near
    return n


def word_of(row):
    """What the text says of its scene."""
    return re.match(r"Scene (\w+)\. ", row.prompt[0]["content"])[1]


def question_of(row):
    return re.sub(r"^(Scene \w+\.|<image>) ", "", row.prompt[0]["content"])


def solve(n, colour, place, question):
    """An independent solution of each skill; the question is all it knows of it."""
    if "colour" in question:
        return colour
    if "place" in question:
        return place
    digits = [int(digit) for digit in re.findall(r"\d", question)]
    if "less" in question:
        return "more" if n > digits[0] else "less" if n < digits[0] else "equal"
    return str(n + sum(digits))


def solve_in_words(row):
    word = word_of(row)
    n = NUMBERS.index(word) + 1 if word in NUMBERS else None
    return solve(n, word, word, question_of(row))


def is_smudged(row):
    return word_of(row) not in {*COLOURS, *NUMBERS, *PLACES}


def test_rows_are_good():
    assert not [row for row in toy_rows(60) if problems(row, decode_images=True)]
    assert not [row for row in toy_cold_start_rows(60) if cold_start_problems(row)]


def test_pictures_show_the_answer():
    for sample in toy_rows(300, seed=3, modality="image"):
        assert solve(*scene_of_picture(sample), question_of(sample)) == sample.ground_truth
        assert pixels(sample).shape == (SIDE, SIDE, 3)


def test_texts_say_the_answer():
    for sample in toy_rows(300, seed=3, modality="text"):
        assert solve_in_words(sample) == sample.ground_truth


def test_what_is_held_out_is_in_no_row_of_training():
    asked = {row.prompt[0]["content"] for row in toy_rows(3000, modality="text")}
    asked |= {row.prompt[0]["content"] for row in toy_cold_start_rows(3000)}
    held_out = {row.prompt[0]["content"] for row in toy_rows(2000, 1, "text", held_out=True)}
    assert len(held_out) == 54
    assert not asked & held_out
    shown = {drawing(row) for row in toy_rows(1500, modality="image")}
    assert not shown & {drawing(row) for row in toy_rows(300, 1, "image", held_out=True)}


def test_held_out_rows_have_all_that_can_be_asked_and_said():
    """What is held out are questions and pictures, not answers that training never gave."""
    for modality in ("text", "image"):
        rows = toy_rows(600, modality=modality)
        held_out = toy_rows(600, 1, modality, held_out=True)
        answers = [{(row.ability, row.ground_truth) for row in each} for each in (rows, held_out)]
        assert answers[1] <= answers[0]
        assert len(answers[1]) == 19


def test_responses_end_in_the_answer_of_their_question():
    for row in toy_cold_start_rows(200):
        assert row.response.count("\\boxed") == 1
        if not is_smudged(row):
            assert row.response.endswith(f" \\boxed{{{solve_in_words(row)}}}")


def test_answers_about_smudged_scenes_are_guesses():
    rows = [row for row in toy_cold_start_rows(4000) if is_smudged(row)]
    assert 0.3 < len(rows) / 4000 < 0.4
    colours = Counter(row.response.split("{")[1][:-1] for row in rows if "colour" in row.response)
    assert set(colours) == set(COLOURS)
    assert max(colours.values()) < 2 * min(colours.values())


def test_the_analysis_finds_behaviours_in_the_chains():
    found = Counter()
    for row in toy_cold_start_rows(54):
        found.update(name for name, n in keyword_counts(row.response).items() if n)
    assert found == {"verification": 18, "visual_reflection": 18, "subgoal_setting": 12}


def test_mixed_rows_have_every_skill_in_both_modalities():
    seen = {(row.modality, row.ability) for row in toy_rows(18)}
    assert len(seen) == 10


def test_guessing_without_looking_is_right_seldom():
    """The most frequent answer to each question; what a blind model can reach."""
    answers = {}
    for row in toy_rows(2000, modality="image"):
        added = re.findall(r"add (\d)", question_of(row))
        answers.setdefault((row.ability, *added), Counter())[row.ground_truth] += 1
    best = {kind: counts.most_common(1)[0][1] for kind, counts in answers.items()}
    assert sum(best.values()) / 2000 < 0.4


def test_longer_list_starts_with_the_shorter_one():
    assert toy_rows(40)[:10] == toy_rows(10)
    assert toy_cold_start_rows(40)[:10] == toy_cold_start_rows(10)
    assert toy_rows(10, seed=1) != toy_rows(10)


def test_words_are_few_and_rows_short(tokenizer):
    words = {word for text in toy_texts() for word in re.findall(r"\w+", text)}
    assert len({word for word in words if len(word) > 2}) < 70
    texts = [row.response for row in toy_cold_start_rows(200)]
    texts += [row.prompt[0]["content"] for row in toy_rows(200)]
    assert max(len(tokenizer(text)["input_ids"]) for text in texts) <= 64


def test_unknown_modality():
    with pytest.raises(ValueError, match="modality 'video' is not text, image or mixed"):
        toy_rows(1, modality="video")
