"""``ovr average``: the uniform average of checkpoints, as OVR's final model is made (4.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def average(
    target: Annotated[Path, typer.Argument(help="New folder for the result.")],
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Two or more: Hugging Face folders, or veRL's global_step_N."),
    ],
    dtype: Annotated[
        str,
        typer.Option(
            help="bfloat16, float16, float32, or auto: as stored; bfloat16 for veRL's shards."
        ),
    ] = "auto",
    max_file_gb: Annotated[
        float, typer.Option(help="Largest file of weights, in GB.", min=0.001, max=1e6)
    ] = 5.0,
) -> None:
    """Average checkpoints into TARGET, a folder for transformers and `vllm serve`.

    Reads veRL's FSDP shards directly. Configuration, tokenizer and processor are those of the last
    checkpoint. Exit code 1 if the checkpoints do not belong together or hold NaNs.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from ovr_plugin.checkpoint.average import average as write_average
    from ovr_plugin.checkpoint.layout import CheckpointError

    console = Console(stderr=True)
    bar = Progress(
        "averaging", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console
    )
    try:
        with bar:
            task = bar.add_task("averaging", total=None)
            write_average(
                checkpoints,
                target,
                dtype=dtype,
                max_file_bytes=int(max_file_gb * 1e9),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except (CheckpointError, OSError) as error:
        console.print(
            f"[bold red]No average written:[/bold red] {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
    typer.echo(f"The average of {len(checkpoints)} checkpoints is in {target}")
