"""Jobs over a file: nothing asked twice, nothing lost, whatever stops them."""

from __future__ import annotations

import asyncio
import warnings

import pytest

from ovr_plugin.data.files import read_jsonl
from ovr_plugin.endpoint import EndpointDown, RequestFailed
from ovr_plugin.endpoint.jobs import read_results, read_settings, run_jobs


def run(rows, work, out, concurrency=4, settings=None):
    seen = []
    progress = asyncio.run(
        run_jobs(
            rows,
            work,
            out,
            row_id=str,
            concurrency=concurrency,
            settings=settings,
            on_progress=lambda p: seen.append((p.n_before, p.n_done, p.n_failed)),
        )
    )
    assert seen[-1] == (progress.n_before, progress.n_done, progress.n_failed)
    return seen[-1]


def ids(path):
    return sorted(int(line["id"]) for line in read_results(path))


async def square(row):
    await asyncio.sleep(0)
    return {"square": row**2}


def test_every_row_once(tmp_path):
    assert run(range(50), square, tmp_path / "out.jsonl", settings={"n": 1}) == (0, 50, 0)
    lines = {int(line["id"]): line["square"] for line in read_results(tmp_path / "out.jsonl")}
    assert lines == {n: n**2 for n in range(50)}
    assert read_settings(tmp_path / "out.jsonl") == {"n": 1}


def test_two_runs_do_not_write_one_file(tmp_path):
    """The second would ask everything again, and every row would count twice."""
    out = tmp_path / "out.jsonl"

    async def meets_another(row):
        with pytest.raises(BlockingIOError, match="another run is writing it"):
            await run_jobs(range(5), square, out, row_id=str, concurrency=1)
        return await square(row)

    assert run(range(5), meets_another, out) == (0, 5, 0)
    assert ids(out) == [*range(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_endpoint_that_dies_loses_nothing_and_the_rest_is_done_later(tmp_path):
    out, asked = tmp_path / "out.jsonl", []

    async def dies(row):
        asked.append(row)
        if len(asked) > 20:
            raise EndpointDown("gone")
        return await square(row)

    with pytest.raises(EndpointDown, match="gone"):
        run(range(50), dies, out)
    before = ids(out)
    assert 16 <= len(before) <= 20
    again = []

    async def recorded(row):
        again.append(row)
        return await square(row)

    assert run(range(50), recorded, out) == (len(before), 50 - len(before), 0)
    assert not set(before) & set(again)
    assert ids(out) == list(range(50))


def test_failed_rows_are_named_and_asked_again(tmp_path):
    out = tmp_path / "out.jsonl"

    async def odd_ones_fail(row):
        if row % 2:
            raise RequestFailed(f"refused: 400: {row}")
        return {}

    assert run(range(10), odd_ones_fail, out) == (0, 5, 5)
    failed = list(read_jsonl(tmp_path / "out.jsonl.failed.jsonl"))
    assert sorted(line["reason"] for line in failed) == [
        f"refused: 400: {n}" for n in (1, 3, 5, 7, 9)
    ]
    assert run(range(10), square, out) == (5, 5, 0)
    assert not (tmp_path / "out.jsonl.failed.jsonl").exists()
    assert ids(out) == list(range(10))


def test_an_interrupt_stops_it_and_a_torn_line_is_asked_again(tmp_path):
    out = tmp_path / "out.jsonl"

    async def interrupted(row):
        if row == 8:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(range(20), interrupted, out, concurrency=1)
    assert ids(out) == list(range(8))
    out.write_bytes(out.read_bytes()[:-4])
    with pytest.warns(UserWarning, match="torn"):
        assert run(range(20), square, out, concurrency=1) == (7, 13, 0)
    assert ids(out) == list(range(20))


@pytest.mark.parametrize("broken", [b'{"id": "3", "squ', b"\xff\x00", b"12", b'{"square": 9}'])
def test_a_broken_line_in_the_middle_is_asked_again(tmp_path, broken):
    out = tmp_path / "out.jsonl"
    run(range(8), square, out, concurrency=1)
    lines = out.read_bytes().splitlines()
    lines[4] = broken  # the settings, 0, 1, 2, and this
    out.write_bytes(b"\n".join(lines) + b"\n")
    asked = []

    async def recorded(row):
        asked.append(row)
        return await square(row)

    with pytest.warns(UserWarning, match="1 lines are no results"):
        assert len(ids(out)) == 7
    with pytest.warns(UserWarning, match=r"out.jsonl: 1 lines are no results.* asked again"):
        assert run(range(8), recorded, out) == (7, 1, 0)
    assert asked == [3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        assert ids(out) == list(range(8))
    assert (tmp_path / "out.jsonl.broken").read_bytes() == broken + b"\n"


def test_rows_are_drawn_as_they_are_needed(tmp_path):
    drawn, ahead = 0, []

    def rows():
        nonlocal drawn
        for row in range(200):
            drawn += 1
            yield row

    async def work(row):
        ahead.append(drawn - row)
        await asyncio.sleep(0)
        return {}

    run(rows(), work, tmp_path / "out.jsonl", concurrency=4)
    assert max(ahead) <= 4 + 1


def test_results_of_other_settings_are_not_mixed(tmp_path):
    out = tmp_path / "out.jsonl"
    run(range(3), square, out, settings={"model": "a", "n": 4})
    with pytest.raises(ValueError, match=r"model was 'a', is 'b'.*give another file"):
        run(range(3), square, out, settings={"model": "b", "n": 4})
    assert ids(out) == [0, 1, 2]


@pytest.mark.parametrize("content", ["", '{"id": "0"}\n', "[1]\n"])
def test_a_file_that_is_none_of_ours(tmp_path, content):
    (tmp_path / "x.jsonl").write_text(content)
    for read in (read_results, read_settings):
        with pytest.raises(ValueError, match="does not hold the settings"):
            read(tmp_path / "x.jsonl")
