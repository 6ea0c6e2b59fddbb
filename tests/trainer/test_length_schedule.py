"""The curriculum: the paper's boundaries, and bad schedules named entry by entry."""

from __future__ import annotations

import json

import pytest
from omegaconf import OmegaConf

from ovr_plugin.trainer.length_schedule import LengthSchedule, schedule_of, validation_limit

PAPER = [[1, 24576], [301, 32768], [701, 49152]]


@pytest.mark.parametrize(
    ("iteration", "tokens"),
    # OVR 4.1: 24k for iterations 1 to 300, 32k to 700, 48k after
    [(1, 24576), (300, 24576), (301, 32768), (700, 32768), (701, 49152), (900, 49152)],
)
def test_the_papers_stages_are_exact_at_their_boundaries(iteration, tokens):
    assert LengthSchedule.parse(PAPER, 49152).limit_at(iteration) == tokens


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "it is empty"),
        ([[2, 10]], r"entry 1, \[2, 10\], must start at iteration 1"),
        ([[1, 10], [5, 20], [5, 30]], r"entry 3, \[5, 30\], does not start after"),
        ([[1, 10], [7, 200]], r"entry 2, \[7, 200\], exceeds data.max_response_length=100"),
        ([[1, 10], 7], r"entry 2, 7, is not \[first iteration, tokens\]"),
        ([[1, 0]], r"entry 1, \[1, 0\], is not"),
        ([[1, "24k"]], r"entry 1, \[1, '24k'\], is not"),
        (24576, r"24576 is not a list of \[first iteration, tokens\]"),
        ("24k", "'24k' is not a list"),
    ],
)
def test_bad_schedules_are_refused(stages, message):
    with pytest.raises(ValueError, match=message):
        LengthSchedule.parse(stages, 100)


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError, match=r"entry 1.*entry 2.*entry 3"):
        LengthSchedule.parse([[3, 10], [2, 10], [9, 1000]], 100)


def config(**ovr):
    return OmegaConf.create(
        {
            "data": {"max_response_length": 64, "max_prompt_length": 16},
            "actor_rollout_ref": {"rollout": {"max_model_len": 80}},
            "ovr": ovr,
        }
    )


def test_a_config_without_a_schedule_has_one_length():
    bare = OmegaConf.create({"data": {"max_response_length": 64}})
    for each in (bare, config(), config(length_schedule=None)):
        assert {schedule_of(each).limit_at(iteration) for iteration in (1, 900)} == {64}
    schedule = schedule_of(config(length_schedule=[[1, 8], [5, 64]]))
    assert [schedule.limit_at(iteration) for iteration in (1, 4, 5)] == [8, 8, 64]


def test_a_stage_beyond_the_engines_context_is_refused():
    """vLLM would cut such responses without a word."""
    short = config(length_schedule=[[1, 60], [2, 64]])
    short.actor_rollout_ref.rollout.max_model_len = 79
    with pytest.raises(ValueError, match=r"entry 2, \[2, 64\], exceeds the engine's .* 63 tokens"):
        schedule_of(short)
    short.actor_rollout_ref.rollout.max_model_len = None  # the model's own
    assert schedule_of(short).limit_at(2) == 64


def test_validation_has_its_own_limit():
    schedule = [[1, 8], [5, 64]]
    assert validation_limit(config(length_schedule=schedule)) == 64
    assert validation_limit(config(length_schedule=schedule, validation_response_length=32)) == 32


@pytest.mark.parametrize("limit", [0, 65, "32", True, 3.5])
def test_a_bad_validation_limit_is_refused(limit):
    with pytest.raises(ValueError, match=r"validation_response_length=.*from 1 to .*=64"):
        validation_limit(config(validation_response_length=limit))


STAGES = [[1, 8], [5, 16], [9, 64]]


def plateau(window=2, min_growth=0.1):
    settings = {"window": window, "min_growth": min_growth}
    return schedule_of(config(length_schedule=STAGES, length_plateau=settings))


def limits(schedule, lengths, first=1):
    """The limit of each iteration, when those are the mean lengths it leads to."""
    found = []
    for iteration, length in enumerate(lengths, start=first):
        found.append(schedule.limit_at(iteration))
        schedule.observe(iteration, length)
    return found


def test_a_length_that_grows_keeps_its_stage():
    assert limits(plateau(), [1, 2, 3, 4, 5, 6, 7]) == [8] * 7


def test_a_plateau_lengthens_from_the_next_iteration_on():
    """Four iterations fill both windows: mean 5 after mean 5, a growth of 0 %."""
    schedule = plateau()
    assert limits(schedule, [5, 5, 5, 5, 9, 9, 9, 9, 30, 30]) == [8] * 4 + [16] * 4 + [64] * 2
    assert limits(schedule, [30] * 9, first=11) == [64] * 9, "the last stage has no end"
    # Also when asked about the past, as after a restart.
    assert [schedule.limit_at(iteration) for iteration in (1, 4, 5, 8, 9)] == [8, 8, 16, 16, 64]


def test_growth_is_judged_over_sliding_windows():
    # windows (10, 12), (14, 16): +36 %; (12, 14), (16, 14): +15 %; (14, 16), (14, 14): -7 %
    assert limits(plateau(), [10, 12, 14, 16, 14, 14, 20]) == [8] * 6 + [16]


def test_exactly_the_least_growth_is_growth():
    assert limits(plateau(min_growth=0.5), [2, 2, 3, 3, 1]) == [8] * 5
    assert limits(plateau(min_growth=0.51), [2, 2, 3, 3, 1]) == [8] * 4 + [16]


@pytest.mark.parametrize("interrupted_after", range(1, 12))
def test_a_resumed_run_lengthens_where_the_uninterrupted_does(interrupted_after):
    lengths = [5, 6, 6, 5, 9, 12, 12, 12, 13, 40, 40, 40, 40]
    expected = limits(plateau(), lengths)
    assert len(set(expected)) == 3
    schedule = plateau()
    before = limits(schedule, lengths[:interrupted_after])
    resumed = plateau()
    kept = json.loads(json.dumps(schedule.state()))  # as it is in the checkpoint
    resumed.restore(interrupted_after, kept)
    after = limits(resumed, lengths[interrupted_after:], first=interrupted_after + 1)
    assert before + after == expected


def test_a_checkpoint_of_another_schedule_is_refused():
    with pytest.raises(ValueError, match=r"iteration 50 was saved without ovr.length_plateau"):
        plateau().restore(50, {})
    with pytest.raises(ValueError, match=r"went through lengths \[8, 24\], .* \[8, 16, 64\]"):
        plateau().restore(50, {"stages": [[1, 8], [20, 24]], "observed": []})


@pytest.mark.parametrize(
    ("ovr", "message"),
    [
        ({"length_plateau": {"window": 2}}, "needs the lengths of ovr.length_schedule"),
        ({"length_schedule": STAGES, "length_plateau": 50}, "50 is not {window"),
        ({"length_schedule": STAGES, "length_plateau": {"window": 0}}, "window=0 must be"),
        ({"length_schedule": STAGES, "length_plateau": {"min_growth": "2 %"}}, "min_growth='2 %'"),
        ({"length_schedule": STAGES, "length_plateau": {"min_growth": float("nan")}}, "growth=nan"),
        ({"length_schedule": STAGES, "length_plateau": {"min_growth": float("inf")}}, "growth=inf"),
        ({"length_schedule": STAGES, "length_plateau": {"patience": 3}}, "patience is not"),
        (
            {"length_schedule": [[1, 64], [2, 8]], "length_plateau": {}},
            r"do not grow: \[64, 8\]",
        ),
    ],
)
def test_bad_plateaus_are_refused(ovr, message):
    with pytest.raises(ValueError, match=message):
        schedule_of(config(**ovr))
