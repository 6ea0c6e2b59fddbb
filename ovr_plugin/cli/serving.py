"""``ovr serving``: the first of two lines from a checkpoint to a served model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serving(
    checkpoint: Annotated[Path, typer.Argument(help="A folder in HF form.", file_okay=False)],
    recipe: Annotated[str, typer.Option(help="Whose sampling and lengths.")] = "ppo_7b",
) -> None:
    """Make a checkpoint's folder sample as the recipe does; print the line that serves it.

    ovr serving ovr-7b

    vllm serve ovr-7b ...
    """
    from ovr_plugin.checkpoint.serving import prepare_serving

    try:
        prepared = prepare_serving(checkpoint, recipe)
    except (OSError, ValueError) as error:
        typer.echo(f"Not prepared: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{checkpoint}/generation_config.json: temperature {prepared.temperature:g}, "
        f"top-p {prepared.top_p:g}, top-k {prepared.top_k}, no repetition penalty",
        err=True,
    )
    typer.echo(prepared.command(checkpoint))
