"""``ovr eval`` and ``ovr benchmarks``: a served model's scores; the benchmarks' rows for veRL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.endpoint.jobs import Progress
    from ovr_plugin.eval.run import Run

INTERRUPTED = 130
MODEL, SAMPLING, ROWS = "The served model", "Sampling (recorded in the output)", "Rows"
NAMES_HELP = (
    "Benchmarks, or text, visual, perception, paper (`ovr benchmarks` lists them), or your own "
    ".parquet files of rows, as `ovr prepare` writes them."
)
DATA_HELP = "Folder with a folder for each benchmark, as published. Without it: the Hub."


def evaluate(
    names: Annotated[list[str], typer.Argument(help=NAMES_HELP)],
    out: Annotated[
        Path,
        typer.Option(help="Folder of results, such as RUN/eval/ppo_300; the same one goes on."),
    ],
    url: Annotated[
        str,
        typer.Option(help="Up to where /chat/completions begins.", rich_help_panel=MODEL),
    ] = "http://localhost:8000/v1",
    model: Annotated[
        str | None,
        typer.Option(help="Its name; by default the only one served.", rich_help_panel=MODEL),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(help="Requests in flight.", min=1, rich_help_panel=MODEL)
    ] = 128,
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds for one response; 1800 is 48k tokens at 27 a second.",
            min=0.1,
            rich_help_panel=MODEL,
        ),
    ] = 1800.0,
    tries: Annotated[
        int,
        typer.Option(help="Of one request; two where it hangs.", min=1, rich_help_panel=MODEL),
    ] = 8,
    patience: Annotated[
        float,
        typer.Option(
            help="Seconds for a server that is gone to come back.", min=0, rich_help_panel=MODEL
        ),
    ] = 300.0,
    n: Annotated[
        int, typer.Option("-n", help="Samples of an item.", min=1, rich_help_panel=SAMPLING)
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, rich_help_panel=SAMPLING)] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, rich_help_panel=SAMPLING)] = 1.0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Of a response; by default the server's limit.", min=1, rich_help_panel=SAMPLING
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Gives every sample its own; -1: none.", rich_help_panel=SAMPLING)
    ] = 0,
    extra: Annotated[
        str | None,
        typer.Option(
            help='JSON for the request: {"top_k": 20}.', metavar="JSON", rich_help_panel=SAMPLING
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help=DATA_HELP, file_okay=False, rich_help_panel=ROWS)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Items of each, chosen by a hash.", min=1, rich_help_panel=ROWS),
    ] = None,
    grade_only: Annotated[
        bool, typer.Option("--grade-only", help="Ask nothing; grade what OUT has.")
    ] = False,
) -> None:
    """Ask a served model benchmarks, grade as the reward does, print the paper's table.

    vllm serve ovr-7b

    ovr eval paper --data data --out runs/x/eval/ppo_300 -n 4

    ovr report runs/x then shows the scores over its checkpoints (base, cold_start_900, ppo_300).
    The same command goes on where it was interrupted; a larger -n adds samples.

    A sample that fails is tried again, and in a second round once more, then named. Of a suite
    those are asked whose rows are there; the others are listed, with where to get them. The run
    ends early, with results of what was answered, if nobody answers any more: the server is gone
    for --patience, or as many samples as are in flight failed one after the other.

    Exit code 0: every sample was answered. 2: some were not, or rows of a suite are not there;
    the same command asks them. 1: nothing can be asked, or nobody answers any more.
    """
    from rich.console import Console

    from ovr_plugin.endpoint import Endpoint, EndpointDown, Sampling
    from ovr_plugin.eval.benchmarks import get_benchmarks, of_suites
    from ovr_plugin.eval.responses import Asking, Questions
    from ovr_plugin.eval.run import Run

    console = Console(stderr=True)
    code, stopped = 0, False
    try:
        sampling = Sampling(
            temperature, top_p, max_tokens, None if seed < 0 else seed, _parse_extra(extra)
        )
        questions = [Questions(each, data, limit) for each in get_benchmarks(names)]
        run = Run(questions, Asking(sampling, n), out, of_suites(names))
        if not grade_only:
            endpoint = Endpoint(
                url,
                model,
                concurrency=concurrency,
                timeout_s=timeout,
                n_tries=tries,
                n_failures_down=max(concurrency, 20),
                patience_s=patience,
            )
            code = _ask(run, endpoint, console)
    except EndpointDown as error:
        _print_error(console, "Stopped", error)
        stopped, code = True, 1
    except (OSError, ValueError) as error:
        _print_error(console, "Not evaluated", error)
        raise typer.Exit(1) from None
    try:
        code = _grade(run, console, code)
    except (OSError, ValueError) as error:
        _print_error(console, "Not graded", error)
        code = 1
    _print_absent(run, console)
    if stopped:
        told = f"What was answered is in {out}. Start the server again and repeat the command: "
        _print(console, f"{told}it goes on with the samples that are missing.")
    raise typer.Exit(code or (2 if run.absent else 0))


def _parse_extra(extra: str | None) -> dict[str, Any]:
    try:
        parsed = json.loads(extra or "{}")
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise typer.BadParameter(f"--extra is not a JSON object: {extra}")
    return parsed


def _ask(run: Run, endpoint: Any, console: Console) -> int:
    """Ask everything; returns 130 after Ctrl-C, else 0."""
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        *("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        "{task.fields[told]}",
    )
    tasks: dict[str, Any] = {}

    async def asked() -> None:
        async with endpoint:
            await run.ask(endpoint, show)

    from ovr_plugin.cli.stalls import stalls_told

    with Bar(*columns, console=console) as bar, stalls_told([endpoint], console):

        def show(name: str, n_samples: int, so_far: Progress) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=n_samples, told="")
            failed = f"{so_far.n_failed:,} failed" if so_far.n_failed else ""
            retries = f"{endpoint.usage.n_retries:,} retries" if endpoint.usage.n_retries else ""
            told = ", ".join(part for part in (retries, failed) if part)
            bar.update(tasks[name], completed=so_far.n_before + so_far.n_done, told=told)

        try:
            asyncio.run(asked())
        except KeyboardInterrupt:
            console.print("Interrupted; the same command goes on.")
            return INTERRUPTED
    return 0


def _grade(run: Run, console: Console, code: int) -> int:
    """Grade and print; returns the exit code."""
    from rich.console import Console as StandardOutput
    from rich.markup import escape

    from ovr_plugin.data.files import read_jsonl
    from ovr_plugin.eval.paper_table import console_tables, incomplete, notes
    from ovr_plugin.eval.run import protocol

    with console.status("grading"):
        results = run.grade()
    if not results:
        return code or 1
    output = StandardOutput()
    for table in console_tables(results, protocol(results)):
        output.print(table, "")
    for note in notes(results):
        output.print(f"[dim]{escape(note)}[/dim]", highlight=False)
    written = escape(f"{run.out}/table.md, and what is under it for each benchmark")
    output.print(f"[dim]{written}[/dim]")
    for found in results:
        name = found["benchmark"]
        if found["bad rows"]["n"]:
            console.print(
                f"{name}: {found['bad rows']['n']:,} rows could not be used, such as "
                f"{found['bad rows']['examples'][0]}",
                highlight=False,
                markup=False,
            )
        if found["n_missing"]:
            groups = f"; {told}" if (told := incomplete(found)) else ""
            failed = run.responses(name).with_name("responses.jsonl.failed.jsonl")
            lines = list(read_jsonl(failed)) if failed.exists() else []
            why = f"{len(lines):,} failed ({failed})" if lines else "none failed"
            unasked = found["n_missing"] - len(lines)
            why += f", {unasked:,} were not asked" if unasked > 0 else ""
            _print(console, f"{name}: {found['n_missing']:,} samples are missing: {why}{groups}")
            for line in lines[:3]:
                _print(console, f"  {line['id']}: {line['reason']}")
            code = code or 2
    return code


def _print_absent(run: Run, console: Console) -> None:
    if run.absent:
        _print(console, f"{len(run.absent)} benchmarks were not asked, as they have no rows here:")
    for name, why in run.absent.items():
        _print(console, f"  {name}: {why}")


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def benchmarks(
    names: Annotated[list[str] | None, typer.Argument(help=NAMES_HELP)] = None,
    data: Annotated[Path | None, typer.Option(help=DATA_HELP, file_okay=False)] = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Write the rows for veRL's data.val_files.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Items of each, chosen by a hash.", min=1)
    ] = None,
) -> None:
    """List the benchmarks, or write their rows as veRL's validation data.

    ovr benchmarks math500 mathvista --data data --parquet val.parquet

    Exit code 0: all rows were written. 2: some could not be used; they are named. 1: none.
    """
    from itertools import chain, islice

    from rich.console import Console

    from ovr_plugin.data.files import write_parquet
    from ovr_plugin.data.sample import Sample, at_place
    from ovr_plugin.eval.benchmarks import SUITES, get_benchmarks
    from ovr_plugin.eval.responses import Questions
    from ovr_plugin.eval.run import bad_rows

    console, errors = Console(), Console(stderr=True)
    try:
        chosen = get_benchmarks(names or [*SUITES["paper"], "mathvision_mini", "mathverse_all"])
        if parquet is None:
            console.print(_listing(chosen))
            return
        questions = [Questions(each, data, limit) for each in chosen]
        bad = {each.benchmark.name: each.bad_rows() for each in questions}
        samples = (item.sample for each in questions for item in each.items())
        first = list(islice(samples, 1))
        if not first:
            why = "; ".join(bad_rows(each) for each in questions)
            raise ValueError(f"no row can be used: {why}")
        everything = enumerate(chain(first, samples))  # pictures: not all of them in memory
        placed = (at_place(sample, index, "test") for index, sample in everything)
        n_rows = write_parquet(parquet, placed, Sample)
    except (OSError, ValueError) as error:
        _print_error(errors, "Not written", error)
        raise typer.Exit(1) from None
    typer.echo(f"{n_rows:,} rows; validate on them with data.val_files={parquet}")
    for name, rows in bad.items():
        _print_bad_rows(errors, name, rows)
    raise typer.Exit(2 if any(bad.values()) else 0)


def _print_bad_rows(errors: Console, name: str, rows: Sequence[object]) -> None:
    if rows:
        told = f"{name}: {len(rows):,} rows could not be used, such as {rows[0]}"
        errors.print(told, highlight=False, markup=False, soft_wrap=True)


def _listing(chosen: list[Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("v.", justify="right", no_wrap=True)
    # Folded, an identifier could not be copied.
    table.add_column("Hub (folder)", no_wrap=True)
    table.add_column("headline", min_width=10)
    table.add_column("license", overflow="fold")
    for each in chosen:
        hub = next((source.hub for source in each.sources if source.hub), "")
        place = f"{hub} ({each.folder}/)" if each.folder not in ("", each.name) else hub
        table.add_row(each.name, _version(each), place, each.scoring.headline, each.license)
    return table


def _version(benchmark: Any) -> str:
    """Of rows, prompt and scoring; of a file of one's own it is a checksum."""
    return "" if hasattr(benchmark, "path") else str(benchmark.version)


def _print_error(console: Console, head: str, error: Exception) -> None:
    console.print(f"[bold red]{head}:[/bold red]", end=" ")
    console.print(str(error), highlight=False, markup=False, soft_wrap=True)
