"""``ovr score``: responses that somebody produced, graded anew and compared with their labels."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovr_plugin.cli.grading_settings import HOW, AnswerTags, PolicyFile, Unboxed, read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.eval.regrade import Summary, Verdict

INTERRUPTED = 130
FIELDS = "Fields (a.b is b within a)"
UPDATE_EVERY = 256  # rows
N_SHOWN = 10
LINES_AT_ONCE = 1024


def score(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Responses: JSON Lines (.gz too), .parquet, .csv; samples of lmms-eval; .tsv or "
            ".json of VLMEvalKit.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write every verdict there, as JSON Lines.")
    ] = None,
    disagreements: Annotated[
        Path | None, typer.Option(help="Write those that differ from their label there.")
    ] = None,
    response_field: Annotated[str | None, typer.Option(rich_help_panel=FIELDS)] = None,
    reference_field: Annotated[str | None, typer.Option(rich_help_panel=FIELDS)] = None,
    source_field: Annotated[str, typer.Option(rich_help_panel=FIELDS)] = "data_source",
    label_field: Annotated[
        str | None,
        typer.Option(
            help="Says whether the response is right; a list has one for each response.",
            show_default="label, score, acc, correct, hit, ...",
            rich_help_panel=FIELDS,
        ),
    ] = None,
    policy: PolicyFile = None,
    answer_tags: AnswerTags = False,
    unboxed: Unboxed = False,
    processes: Annotated[
        int | None,
        typer.Option(help="By default one for every four cores.", min=1, rich_help_panel=HOW),
    ] = None,
) -> None:
    """Grade files of responses as the reward does: accuracy by source, outcomes, disagreements.

    ovr score runs/x/eval/*/*/graded.jsonl

    ovr score theirs.jsonl --label-field correct --disagreements differ.jsonl

    Exit code 0: all rows were graded. 2: some rows or files could not be read; they are named; or
    no row has a label in --label-field. 1: no rows.
    """
    from rich.console import Console
    from rich.markup import escape

    from ovr_plugin.data.files import append_jsonl, write_jsonl
    from ovr_plugin.eval.regrade import Regrade, Summary, regrade
    from ovr_plugin.reward.rows import REFERENCE_FIELDS, RESPONSE_FIELDS, Fields

    console, errors = Console(), Console(stderr=True)
    settings = read_settings(policy, answer_tags=answer_tags or None, unboxed=unboxed or None)
    fields = Fields(
        (response_field,) if response_field else RESPONSE_FIELDS,
        (reference_field,) if reference_field else REFERENCE_FIELDS,
        data_source=source_field,
    )
    if told := _overwritten(files, out, disagreements):
        _print_broken(errors, told)
        raise typer.Exit(1)
    try:
        for path in (out, disagreements):
            if path is not None:
                write_jsonl(path, [])
    except OSError as error:
        _print_broken(errors, str(error))
        raise typer.Exit(1) from None
    summary, started, interrupted = Summary(), time.monotonic(), False
    waiting: dict[Path, list[Verdict]] = {}
    broken: list[str] = []  # files of which nothing can be read

    def write(path: Path | None, verdict: Verdict | None) -> None:
        """Many lines at a time; the rest when there is no verdict."""
        if path is None:
            return
        lines = waiting.setdefault(path, [])
        lines += [verdict] if verdict else []
        if lines and (verdict is None or len(lines) >= LINES_AT_ONCE):
            append_jsonl(path, *map(asdict, lines))
            lines.clear()

    with errors.status("grading") as status:
        try:
            for file in files:
                verdicts = regrade(Regrade(file, fields, label_field, settings), processes)
                try:
                    for n, verdict in enumerate(verdicts, start=1):
                        summary.add(verdict)
                        write(out, verdict)
                        if verdict.disagrees:
                            write(disagreements, verdict)
                        if n % UPDATE_EVERY == 0:
                            status.update(f"grading {escape(file.name)}: {n:,} rows")
                except ValueError as error:
                    broken.append(str(error))
        except KeyboardInterrupt:
            interrupted = True
        except (OSError, RuntimeError) as error:
            _print_broken(errors, str(error))
            raise typer.Exit(1) from None
    write(out, None)
    write(disagreements, None)
    for why in broken:
        _print_broken(errors, why)
    if broken and not summary.n_rows and not summary.n_unread:
        raise typer.Exit(1)
    if not summary.n_rows and not summary.n_unread and not interrupted:
        _print_broken(errors, f"no rows in {', '.join(map(str, files))}")
        raise typer.Exit(1)
    _print(console, summary, time.monotonic() - started)
    if interrupted:
        errors.print("Interrupted: these are the rows until then.")
        raise typer.Exit(INTERRUPTED)
    no_label = label_field is not None and not summary.labels and summary.label_error is not None
    raise typer.Exit(2 if summary.n_unread or broken or no_label else 0)


def _overwritten(files: list[Path], out: Path | None, disagreements: Path | None) -> str:
    """Say which file would be lost, or hold two things; '' for none."""
    written = [path.resolve() for path in (out, disagreements) if path is not None]
    if lost := next((file for file in files if file.resolve() in written), None):
        return f"{lost} is a file of responses: the verdicts need another one"
    if len(set(written)) < len(written):
        return f"{out} cannot hold all verdicts and the disagreements: give two files"
    return ""


def _print_broken(errors: Console, why: str) -> None:
    errors.print("[bold red]Not graded:[/bold red]", end=" ")
    errors.print(why, markup=False, highlight=False, soft_wrap=True)


def _print(console: Console, summary: Summary, seconds: float) -> None:
    from rich.markup import escape
    from rich.table import Table

    total = summary.total()
    outcomes = [name for name, _ in total.most_common()]
    table = Table(box=None, pad_edge=False)
    for column in ("source", "rows", "accuracy", *outcomes):
        table.add_column(column, justify="left" if column == "source" else "right")
    rows = sorted(summary.outcomes.items())
    for source, counts in [*rows, *([("all", total)] if len(rows) > 1 else [])]:
        accuracy = 100.0 * counts["correct"] / counts.total()
        told = [f"{counts[name]:,}" if counts[name] else "-" for name in outcomes]
        table.add_row(
            escape(_plain(source)) or "-", f"{counts.total():,}", f"{accuracy:.2f} %", *told
        )
    if rows:
        console.print(table)
    rate = summary.n_rows / seconds if seconds else 0.0
    console.print(
        f"{summary.n_rows:,} rows in {seconds:.1f} s, {rate:,.0f} a second", highlight=False
    )
    _print_labels(console, summary)
    for verdict in summary.unread[:N_SHOWN]:
        console.print(
            f"row {verdict.number}: {_plain(verdict.error)}", markup=False, highlight=False
        )
    if summary.n_unread:
        other = "" if summary.n_rows else "; other fields are named by --response-field and such"
        console.print(f"{summary.n_unread:,} rows could not be read{other}", highlight=False)


def _print_labels(console: Console, summary: Summary) -> None:
    labels = summary.labels
    if summary.label_error is not None:
        console.print(
            f"{summary.n_label_errors:,} rows have no label that can be read, such as row "
            f"{summary.label_error.number}: {_plain(summary.label_error.label_error, 400)}",
            markup=False,
            highlight=False,
        )
    if not labels:
        return
    n_labels = labels.total()
    stricter, milder = labels[True, False], labels[False, True]
    agreed = 100.0 * (n_labels - stricter - milder) / n_labels
    console.print(
        f"{n_labels:,} labels: {agreed:.2f} % agree; {stricter:,} right there and not here, "
        f"{milder:,} right here and not there",
        highlight=False,
    )
    for verdict in summary.disagreements[:N_SHOWN]:
        told = "right" if verdict.label else "wrong"
        console.print(
            f"  row {verdict.number}: {told} there, {verdict.outcome} here: "
            f"{_plain(verdict.answer)!r} for {_plain(verdict.reference)!r}",
            markup=False,
            highlight=False,
        )


def _plain(text: str, n_chars: int = 120) -> str:
    """What a model wrote, on one line and printable."""
    from ovr_plugin.cli.grade_output import printable

    return printable(" ".join(text.split()))[:n_chars]
