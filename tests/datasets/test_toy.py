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
    EMPTY,
    PLACES,
    VERIFICATION,
    toy_cold_start_rows,
    toy_rows,
    toy_texts,
    write_toy,
)


def pixels(sample):
    return np.asarray(Image.open(BytesIO(sample.images[0].data)).convert("RGB"))


def scene_of_picture(sample):
    """Looks at the pixels only."""
    image, names = pixels(sample), {value: name for name, value in COLOURS.items()}
    cells = [image[:, x : x + 28].reshape(-1, 3) for x in range(0, 112, 28)]
    seen = [{tuple(map(int, pixel)) for pixel in cell} - {(255, 255, 255)} for cell in cells]
    return [names[colours.pop()] if colours else EMPTY for colours in seen]


def scene_of_text(prompt):
    """Reads the first sentence only."""
    return prompt.split(".")[0].lower().split()


def solve(scene, question):
    """An independent solution of each skill; the question is all it knows of it."""
    if "What colour" in question:
        return scene[PLACES.index(re.search(r"is the (\w+) box", question).group(1))]
    if "How many" in question:
        return str(4 - scene.count(EMPTY))
    if "Which box" in question:
        return PLACES[scene.index(re.search(r"Which box is (\w+)", question).group(1))]
    if "cost" in question:
        return str(scene.count("red") + 2 * scene.count("blue"))
    first, second = re.search(r"more (\w+) or more (\w+)", question).groups()
    return max(first, second, key=scene.count)


def question_of(row):
    return re.sub(r"^\w+ \w+ \w+ \w+\. ", "", row.prompt[0]["content"])


def test_rows_are_good():
    assert not [row for row in toy_rows(60) if problems(row, decode_images=True)]
    assert not [row for row in toy_cold_start_rows(60) if cold_start_problems(row)]


def test_pictures_show_the_answer():
    for sample in toy_rows(200, seed=3, modality="image"):
        assert solve(scene_of_picture(sample), question_of(sample)) == sample.ground_truth
        assert pixels(sample).shape == (28, 112, 3)


def test_texts_say_the_answer():
    for sample in toy_rows(200, seed=3, modality="text"):
        scene = scene_of_text(sample.prompt[0]["content"])
        assert solve(scene, question_of(sample)) == sample.ground_truth


def test_the_same_row_shows_in_a_picture_what_it_says_in_words():
    rows = zip(toy_rows(40, modality="text"), toy_rows(40, modality="image"), strict=True)
    for text, image in rows:
        assert scene_of_text(text.prompt[0]["content"]) == scene_of_picture(image)


def test_held_out_scenes_are_in_no_row_of_training():
    train = [*toy_rows(600, modality="text"), *toy_cold_start_rows(600)]
    seen = {tuple(scene_of_text(row.prompt[0]["content"])) for row in train}
    seen |= {tuple(scene_of_picture(row)) for row in toy_rows(200, seed=5, modality="image")}
    held_out = {
        tuple(scene_of_picture(row)) for row in toy_rows(200, 1, "image", held_out=True)
    } | {tuple(scene_of_text(row.prompt[0]["content"])) for row in toy_rows(200, 1, "text", True)}
    assert len(held_out) > 60
    assert not seen & held_out


def test_responses_end_in_the_answer_of_their_question():
    for row in toy_cold_start_rows(200):
        answer = solve(scene_of_text(row.prompt[0]["content"]), question_of(row))
        assert row.response.endswith(f" \\boxed{{{answer}}}")
        assert row.response.count("\\boxed") == 1


def test_behaviours_are_shared_out_over_the_skills():
    seen = Counter()
    for number, row in enumerate(toy_cold_start_rows(30)):
        behaviour = (BACKTRACKING in row.response, VERIFICATION in row.response)
        seen[number // 2 % 5, behaviour] += 1
    assert len(seen) == 15
    assert set(seen.values()) == {2}


def test_mixed_rows_have_every_skill_in_both_modalities():
    seen = {(row.modality, row.ability) for row in toy_rows(10)}
    assert len(seen) == 10


def test_guessing_without_looking_is_right_seldom():
    """The most frequent answer to each kind of question; what a blind model can reach."""
    answers = {}
    for row in toy_rows(2000, modality="image"):
        kind = re.sub("|".join([*COLOURS, *PLACES]), "_", question_of(row))
        answers.setdefault(kind, Counter())[row.ground_truth] += 1
    best = {kind: counts.most_common(1)[0][1] for kind, counts in answers.items()}
    assert len(best) == 5
    assert sum(best.values()) / 2000 < 0.32


def test_longer_list_starts_with_the_shorter_one():
    assert toy_rows(40)[:10] == toy_rows(10)
    assert toy_cold_start_rows(40)[:10] == toy_cold_start_rows(10)
    assert toy_rows(10, seed=1) != toy_rows(10)


def test_words_are_few_and_rows_short(tokenizer):
    words = {word for text in toy_texts() for word in re.findall(r"\w+", text)}
    assert len(words) < 90
    texts = [row.response for row in toy_cold_start_rows(200)]
    texts += [row.prompt[0]["content"] for row in toy_rows(200)]
    assert max(len(tokenizer(text)["input_ids"]) for text in texts) <= 64


def test_unknown_modality():
    with pytest.raises(ValueError, match="modality 'video' is not text, image or mixed"):
        toy_rows(1, modality="video")


def test_write_toy_writes_both_stages(tmp_path):
    paths = write_toy(tmp_path, n_train=8, n_val=4)
    assert list(read_parquet(paths["train"], Sample)) == toy_rows(8)
    assert len(list(read_parquet(paths["val"], Sample))) == 4
    assert list(read_parquet(paths["cold_start_train"], ColdStartSample)) == toy_cold_start_rows(8)
    assert len(list(read_parquet(paths["cold_start_val"], ColdStartSample))) == 4
