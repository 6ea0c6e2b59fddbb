"""Rows in, one JSON line per row out: concurrent, resumable to the row, in no particular order.

A row is done once its line is in the file. Started again, done rows are skipped; rows that failed
are listed in ``<out>.failed.jsonl`` and asked again. Rows are drawn as they are needed, so a file
of any length costs the same memory, but for eight bytes per row that is done.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ovr_plugin.data.files import append_jsonl, read_jsonl, replacing, write_jsonl
from ovr_plugin.data.lock import alone_at
from ovr_plugin.endpoint.client import RequestFailed

Row = TypeVar("Row")


@dataclass
class Progress:
    """How far a file is; ``n_before`` were done by an earlier run."""

    n_before: int = 0
    n_done: int = 0
    n_failed: int = 0


async def run_jobs(
    rows: Iterable[Row],
    work: Callable[[Row], Awaitable[dict[str, Any]]],
    out: str | Path,
    *,
    row_id: Callable[[Row], str],
    concurrency: int,
    settings: dict[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    is_done: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> Progress:
    """Do ``work`` for every row that has no line in ``out`` yet.

    Args:
        rows: with unique ids; drawn lazily.
        work: the row's result, to which ``id`` is added; `RequestFailed` skips the row.
        out: a JSON Lines file; its first line holds the ``settings``.
        row_id: the name under which a row is found again.
        concurrency: rows at work at a time.
        settings: what the results depend on (model, n, ...): a file made with others is refused.
        on_progress: called after every row.
        is_done: whether a line of ``out`` counts; a row without one that does is asked again, and
            of several lines the last holds.

    Raises:
        ValueError: ``out`` was made with other settings.
        BlockingIOError: another run is writing ``out``.
        Exception: what ``work`` raises beside `RequestFailed` stops the run (`EndpointDown`, a full
            disk); all rows that were done by then are in the file.
    """
    with alone_at(Path(out)):
        return await _run_jobs(
            rows, work, Path(out), row_id, concurrency, settings or {}, on_progress, is_done
        )


async def _run_jobs(
    rows: Iterable[Row],
    work: Callable[[Row], Awaitable[dict[str, Any]]],
    out: Path,
    row_id: Callable[[Row], str],
    concurrency: int,
    settings: dict[str, Any],
    on_progress: Callable[[Progress], None],
    is_done: Callable[[dict[str, Any]], bool],
) -> Progress:
    failed_path = out.with_name(f"{out.name}.failed.jsonl")
    done = _open(out, settings, is_done)
    failed_path.unlink(missing_ok=True)
    progress = Progress(n_before=len(done))
    remaining = _remaining(rows, row_id, done)

    async def worker() -> None:
        for row in remaining:
            try:
                result = await work(row)
            except RequestFailed as error:
                append_jsonl(failed_path, {"id": row_id(row), "reason": str(error)})
                progress.n_failed += 1
            else:
                append_jsonl(out, {"id": row_id(row), **result})
                progress.n_done += 1
            on_progress(progress)

    on_progress(progress)
    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return progress


def read_results(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that `run_jobs` wrote, without its settings.

    A line that is no result (a disk was full, two runs wrote at once) is left out, so that its row
    is asked again; one warning tells how many there are.

    Raises:
        ValueError: it is no such file.
    """
    broken: list[int] = []
    lines = read_jsonl(path, broken.append)
    head = next(lines, None)
    if not isinstance(head, dict) or "settings" not in head:
        raise ValueError(f"{path}: the first line does not hold the settings of a run")
    return _results(path, lines, broken)


def _results(
    path: str | Path, lines: Iterable[Any], broken: Sequence[int]
) -> Iterator[dict[str, Any]]:
    n_others = 0
    for line in lines:
        if isinstance(line, dict) and "id" in line:
            yield line
        else:
            n_others += 1
    if broken or n_others:
        where = f", such as line {broken[0]}" if broken else ""
        warnings.warn(
            f"{path}: {len(broken) + n_others} lines are no results{where}; they are left out, and "
            "their rows are asked again",
            stacklevel=2,
        )


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings that a file of results was made with; ValueError if it is no such file."""
    head = next(read_jsonl(path), None)
    if not isinstance(head, dict) or "settings" not in head:
        raise ValueError(f"{path}: the first line does not hold the settings of a run")
    return dict(head["settings"])


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Check that ``out`` is new, or goes on with the same settings.

    Raises:
        ValueError: it was made with others; the message names them.
    """
    if not out.exists() or not out.stat().st_size:
        return
    made_with = read_settings(out)
    if made_with != settings:
        different = sorted(
            key
            for key in {*made_with, *settings}
            if made_with.get(key, None) != settings.get(key, None)
        )
        told = "; ".join(f"{k} was {made_with.get(k)!r}, is {settings.get(k)!r}" for k in different)
        raise ValueError(f"{out} was made with other settings ({told}); give another file")


def _open(
    out: Path, settings: dict[str, Any], is_done: Callable[[dict[str, Any]], bool]
) -> set[int]:
    """The digests of the rows that ``out`` holds; a new file gets its first line."""
    check_settings(out, settings)
    if not out.exists() or not out.stat().st_size:
        write_jsonl(out, [{"settings": settings}])
        return set()
    _set_aside_broken_lines(out)
    return {_digest(str(line["id"])) for line in read_results(out) if is_done(line)}


def _set_aside_broken_lines(out: Path) -> None:
    """Move lines that are no results into ``<out>.broken``, so that they are told of once.

    A last line without its end is left to `append_jsonl`: it may be the only thing that is wrong.
    """
    with out.open("rb") as lines:
        next(lines, None)
        if all(map(_is_result, lines)):
            return
    broken = out.with_name(f"{out.name}.broken")
    n_broken = 0
    with out.open("rb") as lines, replacing(out) as kept, broken.open("ab") as aside:
        with kept.open("wb") as file:
            for number, line in enumerate(lines):
                is_good = number == 0 or _is_result(line)
                (file if is_good else aside).write(line)
                n_broken += not is_good
    warnings.warn(
        f"{out}: {n_broken} lines are no results; they are now in {broken}, and their rows are "
        "asked again",
        stacklevel=2,
    )


def _is_result(line: bytes) -> bool:
    if not line.endswith(b"\n") or not line.strip():
        return True
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and "id" in read


def _remaining(rows: Iterable[Row], row_id: Callable[[Row], str], done: set[int]) -> Iterator[Row]:
    for row in rows:
        if _digest(row_id(row)) not in done:
            yield row


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
