"""``ovr pass-rate`` and ``ovr distill``: a served model's answers to RL rows, graded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Files = Annotated[list[Path], typer.Argument(help="Parquet files of RL rows (ovr prepare).")]
Url = Annotated[str, typer.Option(help="OpenAI-compatible, such as http://localhost:8000/v1.")]
Model = Annotated[str | None, typer.Option(help="The served model; needed if there are several.")]
Concurrency = Annotated[int, typer.Option(help="Rows in flight.", min=1)]
MaxTokens = Annotated[int | None, typer.Option(help="Of a response.", min=1)]
Temperature = Annotated[float, typer.Option(help="Of sampling.", min=0)]
Price = Annotated[tuple[float, float], typer.Option(help="Per million prompt and response tokens.")]


def pass_rate(
    files: Files,
    url: Url,
    out: Annotated[Path, typer.Option(help="JSON Lines; name it in a manifest's pass_rate.")],
    model: Model = None,
    n: Annotated[int, typer.Option(help="Responses to each row.", min=1)] = 8,
    concurrency: Concurrency = 64,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 1.0,
    price: Price = (0.0, 0.0),
) -> None:
    """Measure how often a served model solves each row.

    Interrupted, the same command goes on where it stopped.
    """
    from ovr_plugin.data.sampling import pass_rates

    _ask(pass_rates, files, url, out, model, n, concurrency, max_tokens, temperature, price)


def distill(
    files: Files,
    url: Url,
    out: Annotated[Path, typer.Option(help="JSON Lines of all responses; rows go beside it.")],
    model: Model = None,
    n: Annotated[int, typer.Option(help="Responses to each row.", min=1)] = 1,
    concurrency: Concurrency = 64,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.6,
    price: Price = (0.0, 0.0),
    keep_wrong: Annotated[
        bool, typer.Option(help="Also take responses that are not right; their ids say so.")
    ] = False,
) -> None:
    """Ask a teacher for cold-start responses and keep the right ones, in OUT with suffix .parquet.

    Interrupted, the same command goes on where it stopped.
    """
    from ovr_plugin.data import sampling
    from ovr_plugin.data.files import write_parquet
    from ovr_plugin.data.sample import ColdStartSample

    table = out.with_suffix(".parquet")
    if table.resolve() in [out.resolve(), *(file.resolve() for file in files)]:
        raise typer.BadParameter(
            f"the rows would be written over {table}: give a JSON Lines file of another name",
            param_hint="--out",
        )
    _ask(sampling.distill, files, url, out, model, n, concurrency, max_tokens, temperature, price)
    rows = sampling.distilled_rows(out, accepted_only=not keep_wrong)
    n_rows = write_parquet(table, rows, ColdStartSample)
    typer.echo(f"{n_rows:,} rows in {table}")


def _ask(
    function: Any,
    files: list[Path],
    url: str,
    out: Path,
    model: str | None,
    n: int,
    concurrency: int,
    max_tokens: int | None,
    temperature: float,
    price: tuple[float, float],
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from ovr_plugin.cli.stalls import stalls_told
    from ovr_plugin.data.files import check_schema, count_rows, read_parquet
    from ovr_plugin.data.sample import Sample
    from ovr_plugin.endpoint import Endpoint, EndpointDown, Sampling

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    told = f"What was answered is in {out}; the same command goes on from there."
    try:
        for file in files:
            check_schema(file, Sample)
        endpoint = Endpoint(url, model, concurrency=concurrency)
        rows = (row for file in files for row in read_parquet(file, Sample))
        shown = Bar(*columns, TimeRemainingColumn(), console=console)
        with shown as bar, stalls_told([endpoint], console):
            task = bar.add_task("", total=count_rows(files))

            def show(progress: Any) -> None:
                done = progress.n_before + progress.n_done + progress.n_failed
                tokens = endpoint.usage.completion_tokens
                said = f"{tokens:,} tokens, {progress.n_failed} failed"
                cost = f", cost {endpoint.usage.cost(*price):.2f}" if any(price) else ""
                bar.update(task, completed=done, description=said + cost)

            sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
            progress = function(rows, endpoint, out, n=n, sampling=sampling, on_progress=show)
    except (OSError, ValueError, EndpointDown) as error:
        console.print("[bold red]Stopped:[/bold red]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        console.print(told, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print(told, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    usage = endpoint.usage
    typer.echo(
        f"{progress.n_done:,} rows answered now, {progress.n_before:,} before, "
        f"{progress.n_failed:,} failed; {usage.prompt_tokens:,} + {usage.completion_tokens:,} "
        f"tokens, {usage.n_retries:,} retries, cost {usage.cost(*price):.2f}"
    )
    if progress.n_failed:
        typer.echo(f"Failed rows are named in {out}.failed.jsonl and asked again next time.")
