"""Records of other people's logs as rows; lines of JSON, whatever they hold."""

from __future__ import annotations

import io

import pytest

from ovr_plugin.reward import rows
from ovr_plugin.reward.rows import FACTS, Fields, Row, read_jsonl
from ovr_plugin.reward.spec import _PARSERS


def test_the_facts_are_those_that_every_interface_takes():
    assert set(FACTS) == {*_PARSERS, "truncated"}


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"response": "r", "reference": 5}, Row("r", 5)),
        ({"response": "r", "reference": None, "gold": 1}, Row("r", None)),  # a bad reference
        ({"response": None, "reference": 5}, Row("", 5)),
        ({"response": "r", "reference": "x", "data_source": "d"}, Row("r", "x", {}, "d")),
        ({"response": "r", "reference": "x", "data_source": 7}, Row("r", "x", {}, "7")),
        (
            {"response": "r", "reference": "x", "unit": "cm", "extra_info": {"unit": None, "k": 1}},
            Row("r", "x", {"unit": "cm", "k": 1}),
        ),
        (
            {"response": "r", "reference": "x", "unit": "cm", "extra_info": {"unit": "m"}},
            Row("r", "x", {"unit": "m"}),
        ),
        ({"response": "r", "answer": "12 + 60 = 72\n#### 72"}, Row("r", "72")),  # GSM8K
        ({"completion": [{"content": "a"}, {"content": "b"}], "gts": "x"}, Row("b", "x")),
        ({"completion": [{"role": "assistant", "content": None}], "gts": "x"}, Row("", "x")),
    ],
)
def test_read_a_record(record, row):
    assert Fields().read(record) == row


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        ({}, ["no response: there is no field response or solution_str", "no reference"]),
        ({"response": [], "reference": 1}, ["the response is a list"]),
        ({"response": [{"content": []}], "reference": 1}, ["the response is a list"]),
        (
            {"response": 1, "extra_info": [], "data_source": 1.5},
            ["response is a int", "no reference", "extra_info is a list", "data_source is a float"],
        ),
        ({"response": "r", "reward_model": "x"}, ["reward_model.ground_truth"]),
    ],
)
def test_everything_that_is_wrong_with_a_record_is_told(record, wrong):
    with pytest.raises(ValueError, match=r"no|is a") as told:
        Fields().read(record)
    for text in wrong:
        assert text in str(told.value)


def test_a_line_without_an_end_is_not_held(monkeypatch):
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", 100)
    stream = io.BytesIO(b'{"a": 1}\n' + b"x" * 1000 + b'\n{"b": 2}\n' + b"y" * 101)
    found = list(read_jsonl(stream))
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [record for _, record in found[::2]] == [{"a": 1}, {"b": 2}]
    assert all("longer than" in str(record) for _, record in found[1::2])


def test_a_line_as_long_as_it_may_be_is_read(monkeypatch):
    line = b'{"a": "' + b"x" * 91 + b'"}\n'
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", len(line))
    assert [number for number, record in read_jsonl(io.BytesIO(line)) if record] == [1]
    assert isinstance(next(read_jsonl(io.BytesIO(line)))[1], dict)
