"""Graded rows in; a table, explanations or JSON Lines out, and a summary of outcomes.

What is graded was written by a model: nothing of it reaches a terminal that is not printable.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.reward.explain import Explanation
    from ovr_plugin.reward.rows import Row
    from ovr_plugin.reward.score import Grade
    from ovr_plugin.reward.spec import AnswerSpec

NUMBER_WIDTH, OUTCOME_WIDTH, WHY_WIDTH = 6, 13, 16
LABEL_WIDTH = 14
TAIL_CHARS = 200  # of a response, in an explanation
STYLES = {"correct": "green", "wrong": "red", "bad_reference": "bold magenta", "error": "bold red"}


@dataclass(frozen=True)
class Graded:
    """A row and its grade, or an error where a line is no row.

    ``number`` is the line's, from 1; None for the one answer of the command line.
    """

    number: int | None
    row: Row | None = None
    grade: Grade | None = None
    explanation: Explanation | None = None
    error: str = ""


class Tally:
    """Counts of what was printed."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.n_unread = 0

    def add(self, graded: Graded) -> None:
        """Count one row."""
        if graded.grade is None:
            self.n_unread += 1
        else:
            self.outcomes[graded.grade.outcome.value] += 1

    def summary(self, seconds: float) -> str:
        """Tell how many rows had which outcome."""
        n_rows = self.outcomes.total()
        parts = [
            f"{count:,} {outcome} ({count / n_rows:.1%})"
            for outcome, count in self.outcomes.most_common()
        ]
        text = f"{n_rows:,} graded in {seconds:.1f} s" + (": " if parts else "") + ", ".join(parts)
        if self.n_unread:
            text += f"; {self.n_unread:,} lines could not be read"
        return text


def print_json(graded: Graded) -> None:
    """Print one row as a line of JSON, in UTF-8."""
    from ovr_plugin.reward.score import as_row

    record: dict[str, Any] = {} if graded.number is None else {"line": graded.number}
    if graded.grade is None:
        record["error"] = graded.error
    else:
        record |= as_row(graded.grade)
    if graded.row is not None and graded.explanation is not None:
        found = graded.explanation
        reference, answer = found.forms or (None, None)
        record |= {
            "reference": graded.row.reference,
            "extracted": found.grade.extracted,
            "how": found.how,
            "parsed": {"reference": reference, "answer": answer},
            "trouble": found.trouble,
            "facts": facts(found.spec),
            "seconds": round(found.seconds, 6),
        }
    # Lone surrogates, which JSON has and UTF-8 has not, are written as they are in JSON.
    text = json.dumps(record, ensure_ascii=False, default=str)
    typer.echo(text.encode("utf-8", "backslashreplace"))


class Table:
    """Rows for people, one line each, as wide as the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._has_header = False
        text_width = max(30, console.width - NUMBER_WIDTH - OUTCOME_WIDTH - WHY_WIDTH - 4) // 2
        self._widths = [NUMBER_WIDTH, OUTCOME_WIDTH, text_width, text_width, WHY_WIDTH]

    def print(self, graded: Graded) -> None:
        """Print one row."""
        from rich.text import Text

        if not self._has_header:
            self._print_cells(["line", "outcome", "answer", "reference", "why"], "bold")
            self._has_header = True
        if graded.grade is None:
            text = f"{graded.number:{NUMBER_WIDTH}} {'not read':{OUTCOME_WIDTH}} {graded.error}"
            self._console.print(Text(printable(text), "bold red"))
            return
        outcome = graded.grade.outcome.value
        reference = graded.row.reference if graded.row else ""
        texts = [str(reference), graded.grade.reason]
        self._print_cells(
            [f"{graded.number:{NUMBER_WIDTH}}", outcome, graded.grade.extracted, *texts],
            STYLES.get(outcome, "yellow"),
        )

    def _print_cells(self, cells: list[str], style: str) -> None:
        from rich.cells import cell_len, set_cell_size
        from rich.text import Text

        line = Text()
        for i, (cell, width) in enumerate(zip(cells, self._widths, strict=True)):
            text = printable(" ".join(cell.split()) if i else cell)
            if cell_len(text) > width:
                text = set_cell_size(text, width - 1) + "…"
            line.append(set_cell_size(text, width), style if i < 2 else "")
            line.append(" ")
        line.rstrip()
        self._console.print(line, no_wrap=True, overflow="crop")


def print_one(console: Console, graded: Graded) -> None:
    """Print a row as a block: what was found, what it was compared with, and why."""
    if graded.grade is None or graded.row is None:
        _print_labelled(console, f"line {graded.number}", graded.error, "bold red")
        return
    outcome = graded.grade.outcome.value
    head = outcome if graded.number is None else f"{outcome}  (line {graded.number})"
    console.print(head, style=STYLES.get(outcome, "yellow"), markup=False)
    lines = {
        "answer": graded.grade.extracted or "none",
        "reference": str(graded.row.reference),
        "why": graded.grade.reason,
    }
    if graded.explanation is not None:
        lines |= _explained(graded.row, graded.explanation)
    for label, text in lines.items():
        _print_labelled(console, label, text, "bold")
    console.print()


def _explained(row: Row, found: Explanation) -> dict[str, str]:
    tail = row.response[-TAIL_CHARS:]
    cut = "... " if len(tail) < len(row.response) else ""
    lines = {"response": f"{len(row.response):,} characters: {cut}{tail}"}
    if found.how not in ("", found.grade.reason):
        lines["decided by"] = found.how
    if found.forms is not None:
        lines |= {"reference is": found.forms[0], "answer is": found.forms[1]}
    if found.trouble:
        lines["not parsed"] = found.trouble
    known = facts(found.spec)
    if row.extra_info.get("truncated"):
        known["truncated"] = True
    told = [f"{key}: {_plain(value)}" for key, value in known.items()]
    lines["facts"] = "; ".join(told) or ("none" if found.spec else "cannot be read")
    lines["time"] = f"{found.seconds * 1000:.2f} ms"
    return lines


def facts(spec: AnswerSpec | None) -> dict[str, Any]:
    """What is known of an answer, without what is not."""
    from ovr_plugin.reward.spec import AnswerSpec

    if spec is None:
        return {}
    known = asdict(replace(spec, choices=dict(spec.choices)))
    return {key: value for key, value in known.items() if value != getattr(AnswerSpec(), key)}


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {each}" for key, each in value.items())
    return str(getattr(value, "value", value))


def _print_labelled(console: Console, label: str, text: str, style: str) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, 1))
    grid.add_column(width=LABEL_WIDTH)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {label}", style), Text(printable(text)))
    console.print(grid)


def printable(text: str) -> str:
    """Escape what moves a cursor, colours or reorders text; nothing else."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
