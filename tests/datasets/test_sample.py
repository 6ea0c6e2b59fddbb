"""What is found wrong with a row, and that everything wrong is found without raising."""

from __future__ import annotations

import pytest
from PIL import Image

from ovr_plugin.data.images import ImageRef, size_of
from ovr_plugin.data.sample import (
    BadRow,
    ColdStartSample,
    Sample,
    cold_start_problems,
    problems,
    rejects_own_reference,
)

USER = {"role": "user", "content": "What is 1 + 1?"}


def test_good_rows_have_no_problems(make, png):
    assert problems(make()) == []
    assert problems(make("<image>?", images=[png()]), decode_images=True) == []
    assert problems(make(choices=["1", "2"], ground_truth="B", answer_type="choice")) == []
    system = {"role": "system", "content": "Be brief."}
    assert problems(make(prompt=[system, USER])) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": []}, "the prompt is empty"),
        ({"prompt": None}, "the prompt is empty"),
        ({"prompt": "What?"}, "the prompt is empty"),
        ({"prompt": [{"role": "user", "content": " \n"}]}, "empty text: message 0"),
        ({"prompt": [USER, {"role": "bot", "content": "x"}]}, "unknown role: 'bot' in message 1"),
        ({"prompt": [USER, "x"]}, "unknown role: None in message 1"),
        (
            {"prompt": [USER, {"role": "assistant", "content": "Two."}]},
            "the last message is not from the user: 'assistant'",
        ),
        ({"prompt": [{"role": "user", "content": None}]}, "not a string: message 0 is NoneType"),
        (
            {"prompt": [{"role": "user", "content": "\ud800"}]},
            "not valid Unicode: message 0 has a lone surrogate",
        ),
        ({"ground_truth": None}, "no reference answer"),
        ({"ground_truth": "  "}, "no reference answer"),
        ({"ground_truth": 2}, "not a string: the reference answer is int"),
        ({"data_source": ""}, "empty text: data_source"),
        (
            {"answer_type": "poem"},
            "not for the grader: unknown answer_type 'poem'; there are number, expression, "
            "interval, tuple, set, matrix, equation, choice, text, yes_no, quantity, percentage, "
            "ratio, time, money, date",
        ),
        ({"choices": ["1", 2], "ground_truth": "B"}, "not a string: choice 2"),
        (
            {"choices": ["1", "2"], "ground_truth": "C"},
            "the reference is not a choice's letter: 'C' of 2 choices",
        ),
        (
            {"prompt": [{"role": "user", "content": "<image> and <image>"}]},
            "placeholders and images differ: 2 <image>, 0 images",
        ),
        ({"images": [ImageRef()]}, "image with neither path nor bytes"),
        ({"images": [ImageRef(path="/no/such.png")]}, "missing image file: /no/such.png"),
        (
            {"images": [ImageRef(path="/9j/" + "A" * 99_999)]},  # base64 of a JPEG
            "missing image file: /9j/" + "A" * 196,
        ),
        (
            {"images": [ImageRef(path="a.png")]},
            "relative image path: a.png; it must be absolute",
        ),
        (
            {"images": [ImageRef(path="https://x.org/a.png")]},
            "image given by URL: https://x.org/a.png; download it and give its path",
        ),
        ({"images": [ImageRef(data=b"")]}, "unreadable image: (bytes): no bytes"),
    ],
)
def test_problem_is_named(make, fields, reason):
    assert reason in problems(make(**fields))


def test_all_problems_are_collected(make):
    sample = make(prompt=[], ground_truth=None, images=[ImageRef(), ImageRef(path="/no.png")])
    assert len(problems(sample)) == 4


def test_unreadable_header(make, tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no picture")
    (reason,) = problems(make("<image>", images=[ImageRef(path=str(path))]))
    assert reason.startswith(f"unreadable image: {path}: ")
    (reason,) = problems(make("<image>", images=[ImageRef(data=b"no picture")]))
    assert reason.startswith("unreadable image: (bytes): ")


def test_broken_pixels_are_found_only_by_decoding(make, tmp_path):
    path = tmp_path / "cut.png"
    Image.effect_noise((80, 80), 50).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    sample = make("<image>", images=[ImageRef(path=str(path))])
    assert problems(sample) == []
    (reason,) = problems(sample, decode_images=True)
    assert reason.startswith(f"unreadable image: {path}: ")


def test_picture_too_large_to_open_safely(make, png, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    (reason,) = problems(make("<image>", images=[png(100, 100)]))
    assert reason.startswith("unreadable image: ")
    assert "decompression bomb" in reason


def test_elongated_picture(make, png):
    assert problems(make("<image>", images=[png(200, 1)])) == []
    assert problems(make("<image>", images=[png(201, 1)])) == [
        "image too elongated: 201 x 1 pixels, over 200 : 1"
    ]


def test_size_is_height_and_width(png):
    assert size_of(png(30, 70)) == (70, 30)


@pytest.mark.parametrize(
    ("prompt", "response", "reason"),
    [
        ([USER], "", "empty text: response"),
        ([USER], None, "not a string: response is NoneType"),
        ([], "fine", "the prompt is empty"),
        (
            [{"role": "user", "content": "In <image>, find x."}],
            "fine",
            "placeholders and images differ: 1 <image>, 0 images",
        ),
    ],
)
def test_cold_start_problem_is_named(prompt, response, reason):
    assert cold_start_problems(ColdStartSample("test", prompt, response)) == [reason]


def test_row_and_record_are_inverse(make, png):
    sample = make("<image>", images=[png()], unit="cm")
    assert Sample.from_row(sample.to_row()) == sample


def test_row_of_nulls_becomes_a_record_with_problems():
    row = dict.fromkeys(Sample.schema.names)
    assert len(problems(Sample.from_row(row))) == 3
    pair = ColdStartSample.from_row(dict.fromkeys(ColdStartSample.schema.names))
    assert len(cold_start_problems(pair)) == 2


def test_bad_row_says_where_and_what_kind():
    bad = BadRow("a.json", 3, "missing image file: /x.png")
    assert str(bad) == "a.json, row 3: missing image file: /x.png"
    assert bad.kind == "missing image file"
    assert str(BadRow("a.json", None, "not valid JSON")) == "a.json: not valid JSON"


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (1.0, None),
        ({"score": 1.0, "acc": 1.0}, None),
        (True, None),
        (0.0, "the grader does not accept the reference: '2' scores 0"),
        ({"score": 0.5}, "the grader does not accept the reference: '2' scores 0.5"),
        (None, "the grader failed on the reference: TypeError"),
    ],
)
def test_reference_the_grader_rejects(make, score, reason):
    found = rejects_own_reference(make(), lambda **arguments: score)
    assert found == reason or (reason and found.startswith(reason))


def test_grader_gets_the_boxed_reference_and_the_extras(make):
    seen = {}

    def compute_score(**arguments):
        seen.update(arguments)
        raise RuntimeError("no verdict")

    sample = make(choices=["1", "2"], ground_truth="B")
    reason = rejects_own_reference(sample, compute_score)
    assert reason == "the grader failed on the reference: RuntimeError: no verdict"
    assert seen["solution_str"] == "\\boxed{B}"
    assert seen["extra_info"]["choices"] == ["1", "2"]


def test_our_grader_accepts_a_letter_and_refuses_an_unclosed_reference(make):
    from ovr_plugin.reward import compute_score

    sample = make(choices=["1", "2"], ground_truth="B", answer_type="choice")
    assert rejects_own_reference(sample, compute_score) is None
    assert rejects_own_reference(make(ground_truth="\\frac{1}{2"), compute_score)
