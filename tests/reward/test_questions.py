"""Who is tried next, and who is given up."""

from __future__ import annotations

from ovr_plugin.reward.pool import Question
from ovr_plugin.reward.questions import (
    MAX_AHEAD,
    MAX_AHEAD_CHARS,
    SLOW_S,
    SLOW_SHARE,
    Queues,
    Request,
    Task,
)


def task(number: int, text: str = "") -> Task:
    return Task(number, Request(Question(text, "")))


def taken(queues: Queues, n_second_at_work: int = 0) -> list[int]:
    return [one.id for one in queues.take(n_second_at_work)]


def test_first_tries_are_shared_out_in_order() -> None:
    queues = Queues(n_workers=2)
    for number in range(5):
        queues.add(task(number))
    assert [taken(queues) for _ in range(5)] == [[0, 1, 2], [3], [4], [], []]
    assert not queues
    for number in range(100):
        queues.add(task(number))
    assert len(taken(queues)) == MAX_AHEAD
    queues.put_back([task(-2), task(-1)])
    assert taken(queues)[:3] == [-2, -1, MAX_AHEAD]


def test_no_more_text_goes_ahead_than_a_socket_takes() -> None:
    queues = Queues(n_workers=1)
    for number in range(4):
        queues.add(task(number, "x" * (MAX_AHEAD_CHARS // 2)))
    queues.add(task(4, "x" * 2 * MAX_AHEAD_CHARS))
    assert [taken(queues) for _ in range(3)] == [[0, 1], [2, 3], [4]]


def test_second_tries_take_one_worker_and_when_there_is_nothing_else_all_but_one() -> None:
    queues = Queues(n_workers=4)
    tasks = [task(number) for number in range(6)]
    assert [queues.add_second_try(one) for one in tasks] == [True] * 6
    assert not queues.add_second_try(tasks[0])  # it had its second
    queues.add(task(9))
    assert [taken(queues, n_at_work) for n_at_work in (0, 1)] == [[0], [9]]
    assert [taken(queues, n_at_work) for n_at_work in (1, 2, 3)] == [[1], [2], []]
    assert [one.id for one in queues.drain()] == [3, 4, 5]
    assert not queues


def test_a_single_worker_takes_second_tries_last() -> None:
    queues = Queues(n_workers=1)
    assert queues.add_second_try(task(0))
    queues.add(task(1))
    assert [taken(queues), taken(queues)] == [[1], [0]]


def test_time_for_second_tries_runs_out_and_comes_back() -> None:
    now = 0.0
    queues = Queues(n_workers=3, clock=lambda: now)  # two workers' time
    assert queues.spent(2 * SLOW_S - 1) == []
    for number in range(3):
        assert queues.add_second_try(task(number))
    assert [one.id for one in queues.spent(2)] == [0, 1, 2]
    assert not queues
    assert not queues.add_second_try(task(3))
    now += 1 / SLOW_SHARE
    assert queues.add_second_try(task(4))  # a second of each of the two, less the one too many
    assert queues.spent(0.9) == []
    assert [one.id for one in queues.spent(0.2)] == [4]
    now += 1e6
    assert queues.spent(2 * SLOW_S - 1) == []  # it holds no more than at first
    assert queues.add_second_try(task(5))
    assert len(queues.spent(1)) == 1
