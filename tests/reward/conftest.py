"""Pools of workers: one of algebra for all tests, and others that do as they are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pool_processes import LIGHT

from ovr_plugin.reward import Pool


@pytest.fixture(scope="session")
def reward_pool() -> Iterator[Pool]:
    """Of algebra, for tests that only ask it: starting one costs a second."""
    # Generous, as the tests share their cores: no verdict may hang on the machine's load.
    with Pool(n_workers=2, timeout_s=15) as pool:
        yield pool


@pytest.fixture
def light_pool() -> Iterator[Pool]:
    with Pool(n_workers=2, timeout_s=30, comparer=LIGHT) as pool:
        yield pool


@pytest.fixture
def impatient_pool() -> Iterator[Pool]:
    with Pool(n_workers=2, timeout_s=1, comparer=LIGHT) as pool:
        yield pool
