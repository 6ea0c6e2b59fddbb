"""The curriculum: the paper's boundaries, and bad schedules named entry by entry."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from ovr_plugin.trainer.length_schedule import LengthSchedule

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
    ],
)
def test_bad_schedules_are_refused(stages, message):
    with pytest.raises(ValueError, match=message):
        LengthSchedule.parse(stages, 100)


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError, match=r"entry 1.*entry 2.*entry 3"):
        LengthSchedule.parse([[3, 10], [2, 10], [9, 1000]], 100)


def test_a_config_without_a_schedule_has_none():
    from ovr_plugin.trainer.length_schedule import schedule_of

    data = {"data": {"max_response_length": 64}}
    assert schedule_of(OmegaConf.create(data)) is None
    assert schedule_of(OmegaConf.create({**data, "ovr": {"length_schedule": None}})) is None
    schedule = schedule_of(OmegaConf.create({**data, "ovr": {"length_schedule": [[1, 8]]}}))
    assert schedule.limit_at(9) == 8
