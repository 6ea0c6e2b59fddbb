"""Settings, counts and warnings, which every adapter has from one place."""

from __future__ import annotations

import logging
import pickle

import pytest

from ovr_plugin.adapters import grading
from ovr_plugin.adapters.grading import Grader, flags, outcome_counts, shares
from ovr_plugin.reward import Outcome


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    monkeypatch.setattr(grading, "_counts", type(grading._counts)())


def test_settings_are_those_of_every_other_form_and_wrong_ones_are_all_named():
    grader = Grader.of({"answer_tags": True, "sources": {"chartqa": {"tolerance": 0.05}}})
    assert grader.grade("<answer>4</answer>", {"answer": "4"}).score == 1.0
    assert pickle.loads(pickle.dumps(grader)) == grader  # noqa: S301
    with pytest.raises(ValueError, match=r"no key tags; .*timeout_s.*unboxed must be"):
        Grader.of({"tags": True, "unboxed": "yes", "timeout_s": -1})


def test_a_sources_defaults_reach_its_rows():
    grader = Grader.of({"sources": {"lengths": {"unit": "required"}}})
    row = {"answer": "5 cm"}
    assert grader.grade(r"\boxed{5}", row).score == 1.0
    row["data_source"] = "lengths"
    assert grader.grade(r"\boxed{5}", row).score == 0.0
    assert [one.score for one in grader.grade_rows([r"\boxed{5}"] * 2, [row, row])] == [0.0, 0.0]


def test_every_outcome_is_counted():
    grader = Grader()
    graded = grader.grade_columns(
        [r"\boxed{4}", r"\boxed{5}", "5", r"\boxed{4}", r"\boxed{4}"],
        {"answer": ["4", "4", "4", None, "4"]},
        [False, False, False, False, True],
    )
    names = ["correct", "wrong", "no_answer", "bad_reference", "truncated"]
    assert [one.outcome.value for one in graded] == names
    assert outcome_counts() == {o.value: int(o.value in names) for o in Outcome}
    assert shares(graded) == {o.value: 0.2 * (o.value in names) for o in Outcome}
    assert flags(graded[1]) == {o.value: float(o is Outcome.WRONG) for o in Outcome}


def test_a_reference_that_is_none_is_warned_of_but_not_at_every_row(caplog):
    grader = Grader()
    with caplog.at_level(logging.WARNING, grading.logger.name):
        for _ in range(120):
            grader.grade(r"\boxed{4}", {"answer": ""})
        grader.grade(r"\boxed{4}", {"answer": "4"})
    assert [record.getMessage().split(" responses")[0] for record in caplog.records] == [
        "1 of 1",
        "10 of 10",
        "100 of 100",
    ]
    assert "the reference is empty ('')" in caplog.records[0].getMessage()


def test_the_warning_shows_the_beginning_of_a_long_reference(caplog):
    with caplog.at_level(logging.WARNING, grading.logger.name):
        Grader().grade(r"\boxed{4}", {"answer": "x" * 100_000})
    assert len(caplog.records[0].getMessage()) < 500


def test_errors_in_a_batch_say_which_completion():
    with pytest.raises(TypeError, match="completion 1: a completion must be a text"):
        Grader().grade_columns(["a", None], {"answer": ["4", "4"]})
    with pytest.raises(ValueError, match="completion 1: no reference"):
        Grader().grade_rows(["a", "b"], [{"answer": "4"}, {}])


def test_a_time_limit_of_ones_own_needs_a_pool_of_ones_own():
    """Rows that algebra decides: with a pool that cannot, and with the process's."""
    row, answer = {"answer": "x^2+2x+1"}, r"\boxed{(x+1)^2}"
    assert Grader().grade(answer, row).score == 1.0
    quick = Grader.of({"timeout_s": 1e-6})
    assert quick.grade(answer, row).outcome is Outcome.TIMEOUT
    [of_a_batch] = quick.grade_rows([answer], [row])
    assert of_a_batch.outcome is Outcome.TIMEOUT
    assert grading._pool(quick.settings) is grading._pool(Grader.of({"timeout_s": 1e-6}).settings)
    assert grading._pool(Grader.of({"answer_tags": True}).settings) is None
