"""The block ``ovr.reward``: defaults, and every wrong setting named at once."""

from __future__ import annotations

from typing import Any

import pytest

from ovr_plugin.reward.policy import Policy
from ovr_plugin.reward.settings import Settings

CHARTS = {"chartqa": {"tolerance": 0.05}}


@pytest.mark.parametrize("block", [None, {}, {"timeout_s": None, "sources": None}])
def test_null_is_the_default(block: Any) -> None:
    assert Settings.of(block) == Settings()


def test_every_key_is_read() -> None:
    block = {
        "timeout_s": 2,
        "n_workers": 3,
        "max_answer_chars": 10,
        "answer_tags": True,
        "unboxed": True,
        "sources": CHARTS,
    }
    assert Settings.keys() == list(block)
    assert Settings.of(block) == Settings(2, 3, Policy(10, True, True, CHARTS))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"time_out": 3}, "no key time_out; there are timeout_s, n_workers, max_answer_chars, an"),
        ({"timeout_s": 0}, "timeout_s must be a positive number of seconds, not 0"),
        ({"timeout_s": True}, "timeout_s must be a positive number of seconds, not True"),
        ({"timeout_s": float("inf")}, "timeout_s must be a positive number of seconds, not inf"),
        ({"timeout_s": "5"}, "timeout_s must be a positive number of seconds, not '5'"),
        ({"n_workers": 1.5}, "n_workers must be a positive integer or null, not 1.5"),
        ({"n_workers": -1}, "n_workers must be a positive integer or null, not -1"),
        ({"max_answer_chars": 0}, "max_answer_chars must be positive, not 0"),
        ({"unboxed": 1}, "unboxed must be true or false, not 1"),
        ({"sources": {"a": {"unit": 3}}}, "sources.a: unit must be"),
        ([1], r"ovr\.reward must map settings to values, and not be \[1\]"),
    ],
)
def test_a_wrong_setting_is_named(block: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.of(block)


def test_all_wrong_settings_are_named_together() -> None:
    with pytest.raises(ValueError, match=r"^mine: ") as caught:
        Settings.of({"a": 1, "b": 1, "timeout_s": -1, "n_workers": 0, "unboxed": "no"}, "mine")
    for part in ("no key a, b;", "timeout_s must", "n_workers must", "unboxed must"):
        assert part in str(caught.value)


def test_the_pool_has_the_settings() -> None:
    with Settings(timeout_s=2.5, n_workers=3).make_pool() as pool:
        assert (pool.timeout_s, pool.n_workers) == (2.5, 3)
