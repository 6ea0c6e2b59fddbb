"""Results in order, as soon as they are there, and nothing that grows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from ovr_plugin.reward.stream import run_in_order


async def slower_the_earlier(item: int) -> int:
    await asyncio.sleep(0.002 * (20 - item % 20))
    return item


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_the_order_is_that_of_the_items():
    out: list[int] = []
    run_in_order(range(200), slower_the_earlier, out.append)
    assert out == list(range(200))
    run_in_order([], slower_the_earlier, out.append)
    assert len(out) == 200


def test_a_result_is_out_before_the_next_item_comes():
    out: list[int] = []
    came_out = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert came_out.wait(10)
        yield 2

    run_in_order(items(), slower_the_earlier, lambda result: (out.append(result), came_out.set()))
    assert out == [1, 2]


def test_no_more_is_read_ahead_than_asked_for():
    n_out, ahead = 0, []

    def items() -> Iterator[int]:
        for item in range(300):
            ahead.append(item - n_out)
            yield item

    def emit(_result: int) -> None:
        nonlocal n_out
        n_out += 1

    run_in_order(items(), slower_the_earlier, emit, n_ahead=10)
    assert n_out == 300
    assert 2 < max(ahead) <= 10 + 2  # one with each thread


def test_items_are_worked_on_at_the_same_time():
    """Each waits for the last one."""
    out: list[int] = []
    last = asyncio.Event()

    async def wait_for_the_last(item: int) -> int:
        if item == 49:
            last.set()
        await asyncio.wait_for(last.wait(), 10)
        return item

    run_in_order(range(50), wait_for_the_last, out.append)
    assert out == list(range(50))


class Failed(BaseException):
    pass


@pytest.mark.parametrize("where", ["items", "work", "emit"])
def test_whatever_fails_ends_it_and_is_told(where):
    """Even with work that would never end, and no result is out after the failure."""
    out: list[int] = []

    def fail_at(place: str, item: int) -> None:
        if place == where and item == 5:
            raise Failed(where)

    def items() -> Iterator[int]:
        for item in range(10_000):
            fail_at("items", item)
            yield item

    async def work(item: int) -> int:
        fail_at("work", item)
        if item > 5:
            await asyncio.sleep(600)
        return item

    def emit(item: int) -> None:
        fail_at("emit", item)
        out.append(item)

    with pytest.raises(Failed, match=where):
        run_in_order(items(), work, emit, n_ahead=8)
    assert out == list(range(len(out)))
    assert len(out) <= 5
