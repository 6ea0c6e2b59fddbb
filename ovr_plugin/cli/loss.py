"""``ovr loss``: every cold-start row's loss under a light model, for the high-loss filter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def loss(
    files: Annotated[list[Path], typer.Argument(help="Parquet files of cold-start rows.")],
    model: Annotated[str, typer.Option(help="A light language model with a chat template.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file, one record for each row.")],
    max_length: Annotated[int, typer.Option(help="Tokens of the longest sample.", min=2)] = 65536,
    batch_tokens: Annotated[
        int, typer.Option(help="Tokens of a batch; a longer sample is one by itself.", min=1)
    ] = 16384,
) -> None:
    """Write the mean loss of every row's response (OVR 3.3: those of abnormally high loss go).

    Interrupted, the same command goes on. Rows that cannot be used have a problem instead.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from ovr_plugin.data.files import check_schema, count_rows
    from ovr_plugin.data.sample import ColdStartSample
    from ovr_plugin.models.sample_loss import LossModel, score_files

    console = Console(stderr=True)
    try:
        for file in files:
            check_schema(file, ColdStartSample)
        scorer = LossModel.load(model, max_length)
        columns = ("rows", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("rows", total=count_rows(files))
            counts = score_files(
                [str(file) for file in files],
                out,
                scorer,
                model,
                batch_tokens,
                lambda done: bar.update(task, completed=done),
            )
    except (OSError, ValueError) as error:
        console.print(
            f"[bold red]Not scored:[/bold red] {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on.")
        raise typer.Exit(130) from None
    typer.echo(
        f"{counts['scored']:,} rows scored, {counts['problems']:,} that cannot be used, "
        f"{counts['already']:,} there already: {out}"
    )
