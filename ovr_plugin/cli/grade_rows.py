"""``ovr grade`` once its options are read: one row, or a stream of them, graded and printed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import typer

from ovr_plugin.cli.grade_output import Graded, Table, Tally, print_json, print_one
from ovr_plugin.reward.explain import explain
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.rows import Fields, Row, read_jsonl
from ovr_plugin.reward.score import Outcome, grade_async
from ovr_plugin.reward.settings import Settings
from ovr_plugin.reward.stream import run_in_order

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
BAR_EVERY = 64  # rows
Item = TypeVar("Item")


@dataclass(frozen=True)
class Grader:
    """Grades rows and prints them: JSON Lines, or for people on a terminal.

    Attributes:
        settings: how to grade.
        facts: what is known of every answer; a row's own facts win.
        data_source: of rows that name none.
        explains: whether to print the steps.
        as_json: JSON Lines, also on a terminal.
    """

    settings: Settings
    facts: Mapping[str, Any]
    data_source: str | None
    explains: bool
    as_json: bool

    def grade_one(self, row: Row) -> int:
        """Grade a row and print it; returns 0 if it is correct and 1 otherwise."""
        with self._pool() as pool:
            graded = asyncio.run(self._grade(None, row, pool))
        if self._for_people():
            print_one(_console(), graded)
        else:
            print_json(graded)
        return int(graded.grade is None or graded.grade.outcome is not Outcome.CORRECT)

    def grade_file(self, file: Path, fields: Fields, check: bool) -> int:
        """Grade JSON Lines and print each; the summary goes to standard error.

        Returns:
            2 if a line could not be read, else 1 if ``check`` and a row is not correct, else 0;
            130 after Ctrl-C.
        """
        tally, started, print_row = Tally(), time.monotonic(), self._printer()

        def emit(graded: Graded) -> None:
            print_row(graded)
            tally.add(graded)

        async def work(item: tuple[int, dict[str, Any] | ValueError]) -> Graded:
            number, record = item
            try:
                if isinstance(record, ValueError):
                    raise record
                row = fields.read(record)
            except ValueError as error:
                return Graded(number, error=str(error))
            return await self._grade(number, row, pool)

        interrupted = False
        with self._pool() as pool, open_input(file) as stream, _progress(stream) as tick:
            try:
                run_in_order(tick(read_jsonl(stream)), work, emit)
            except KeyboardInterrupt:
                interrupted = True
        message = "Interrupted. " if interrupted else ""
        typer.echo(message + tally.summary(time.monotonic() - started), err=True)
        if interrupted:
            return INTERRUPTED
        wrong = check and set(tally.outcomes) - {Outcome.CORRECT.value}
        return 2 if tally.n_unread else int(bool(wrong))

    async def _grade(self, number: int | None, row: Row, pool: Pool) -> Graded:
        row = replace(
            row,
            extra_info={**self.facts, **row.extra_info},
            data_source=row.data_source or self.data_source,
        )
        if self.explains:
            found = await asyncio.to_thread(explain, row, self.settings.policy, pool=pool)
            return Graded(number, row, found.grade, found)
        graded = await grade_async(
            row.response,
            row.reference,
            row.extra_info,
            data_source=row.data_source,
            policy=self.settings.policy,
            pool=pool,
        )
        return Graded(number, replace(row, response=""), graded)  # what waits for its turn is small

    def _pool(self) -> Pool:
        return Pool(self.settings.n_workers, timeout_s=self.settings.timeout_s)

    def _for_people(self) -> bool:
        return not self.as_json and sys.stdout.isatty()

    def _printer(self) -> Callable[[Graded], None]:
        if not self._for_people():
            return print_json
        console = _console()
        return partial(print_one, console) if self.explains else Table(console).print


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


@contextmanager
def open_input(file: Path) -> Iterator[BinaryIO]:
    """Open a file, or standard input for ``-``.

    Raises:
        typer.BadParameter: if it cannot be opened.
    """
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise typer.BadParameter(str(error)) from None
    with stream:
        yield stream


@contextmanager
def _progress(stream: BinaryIO) -> Iterator[Callable[[Iterator[Item]], Iterator[Item]]]:
    """Show on a terminal how far ``stream`` is read, where the rows themselves go elsewhere."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        yield lambda items: items
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    size = os.fstat(stream.fileno()).st_size if stream.seekable() else None
    columns = ("grading", BarColumn(), TextColumn("{task.fields[n]:,} rows"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("grading", total=size, n=0)

        def tick(items: Iterator[Item]) -> Iterator[Item]:
            for n, item in enumerate(items, start=1):
                if n % BAR_EVERY == 0:
                    bar.update(task, n=n, completed=stream.tell() if size is not None else None)
                yield item

        yield tick
