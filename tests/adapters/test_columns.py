"""Where a row's reference and facts may stand, and what is said of rows that have neither."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ovr_plugin.adapters.columns import read_row, split_columns

FACTS = {"choices": ["red", "blue"], "tolerance": 0.05, "unit": "m", "answer_type": "choice"}


@pytest.mark.parametrize(
    ("record", "reference"),
    [
        ({"answer": "4"}, "4"),
        ({"solution": "4"}, "4"),
        ({"ground_truth": 4.5}, 4.5),
        ({"reward_model": {"ground_truth": "4", "style": "rule"}}, "4"),
        ({"reward_model": '{"ground_truth": "4"}'}, "4"),
        # MATH-500 and Open R1's: the final answer is in `answer`.
        ({"solution": "First ... so we get 5 and are done.", "answer": "4"}, "4"),
        ({"solution": r"We add and get $\boxed{4}$."}, "4"),
        ({"ground_truth": {"answer": r"\boxed{4}"}}, "4"),
        # Mixed data sets: the columns of the others are null.
        ({"ground_truth": None, "answer": None, "solution": "4"}, "4"),
        ({"ground_truth": None, "answer": None}, None),
        ({"ground_truth": "", "answer": "4"}, ""),
        ({"answer": ["4"]}, ["4"]),
        # The whole record where a host passes one column.
        ({"ground_truth": {"answer": "4"}}, "4"),
        ({"ground_truth": json.dumps({"reward_model": {"ground_truth": "4"}})}, "4"),
        ({"ground_truth": json.dumps({"answer": None})}, None),
        # Answers that look like a record and are none.
        ({"answer": "{1, 2}"}, "{1, 2}"),
        ({"answer": '{"x": 1}'}, '{"x": 1}'),
        ({"answer": {"x": 1}}, {"x": 1}),
        ({"answer": "{" * 100_000}, "{" * 100_000),
        ({"answer": '{"a":' * 100_000}, '{"a":' * 100_000),
    ],
)
def test_the_reference_is_the_first_that_is_not_null(record, reference):
    assert read_row("r", record).reference == reference


@pytest.mark.parametrize(("name", "reference"), [("target", "7"), ("meta.gold", "8")])
def test_the_reference_of_a_named_column(name, reference):
    record = {"answer": "4", "target": "7", "meta": {"gold": "8"}}
    assert read_row("r", record, name).reference == reference


@pytest.mark.parametrize(
    "record",
    [
        {"answer": "B", **FACTS},
        {"answer": "B", "extra_info": FACTS},
        {"answer": "B", "info": json.dumps(FACTS)},
        {"answer": "B", "metadata": {**FACTS, "index": 3}},
        {"answer": "B", "extra_info": dict.fromkeys(FACTS), **FACTS},
        {"answer": "B", "tolerance": 0.3, "metadata": {"tolerance": 0.2}, "extra_info": FACTS},
        {"ground_truth": {"answer": "B", **FACTS}},
        {"ground_truth": json.dumps({"answer": "B", "extra_info": FACTS})},
    ],
    ids=["columns", "extra_info", "json", "metadata", "null", "precedence", "label", "json-label"],
)
def test_the_facts_are_the_same_wherever_they_stand(record):
    row = read_row("r", record)
    assert (row.reference, row.extra_info, row.data_source) == ("B", FACTS, None)


@pytest.mark.parametrize("holder", [None, 5, "no json", "[1]", ["a"]])
def test_what_holds_no_facts_is_ignored(holder):
    row = read_row("r", {"answer": "4", "extra_info": holder, "metadata": holder})
    assert row.extra_info == {}


def test_the_host_may_say_that_a_response_was_cut_off_and_so_may_the_row():
    assert read_row("r", {"answer": "4"}, truncated=True).extra_info == {"truncated": True}
    assert read_row("r", {"answer": "4", "truncated": True}).extra_info == {"truncated": True}
    assert read_row("r", {"answer": "4", "truncated": False}).extra_info == {"truncated": False}


def test_the_source_is_passed_on():
    assert read_row("r", {"answer": "4", "data_source": "chartqa"}).data_source == "chartqa"
    assert read_row("r", {"answer": "4", "data_source": 5}).data_source is None


def test_columns_become_rows():
    columns = {
        "prompts": ["p", "q"],
        "answer": ["4", "5"],
        "choices": np.array([["a", "b"], ["c", "d"]]),
        "info": None,
        "step": 7,
        "image": [b"", b""],
    }
    assert split_columns(columns, 2) == [
        {"answer": "4", "choices": ["a", "b"]},
        {"answer": "5", "choices": ["c", "d"]},
    ]
    assert split_columns({"answer": []}, 0) == []
    assert split_columns({"answer": ["4"], "gold": ["5"]}, 1, "gold") == [{"gold": "5"}]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"answer": ["4"]}, "answer has 1"),
        ({"answer": "42", "unit": ["m", "m", "m"]}, "answer is a str; unit has 3"),
        ({"answer": 42}, "answer is a int"),
        ({"prompt": ["a", "b"], "target": ["4", "5"]}, "among prompt, target; name yours"),
        ({"answer": None}, "no reference"),
        ({}, "among none at all"),
    ],
)
def test_columns_that_are_none_are_named(columns, said):
    with pytest.raises(ValueError, match=said):
        split_columns(columns, 2)


@pytest.mark.parametrize("record", [{}, {"prompt": "p"}, {"reward_model": {"style": "rule"}}])
def test_a_row_without_a_reference_is_an_error_and_not_a_zero(record):
    with pytest.raises(ValueError, match="no reference"):
        read_row("r", record)
    with pytest.raises(ValueError, match=r"there is no column gold among .*reference="):
        read_row("r", {"answer": "4", **record}, "gold")
