"""``ovr pack``: the cold start's rows, tokenised and packed ahead of training (OVR 4.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pack(
    files: Annotated[list[Path], typer.Argument(help="Parquet files of cold-start rows.")],
    model: Annotated[str, typer.Option(help="The model whose tokenizer will be trained with.")],
    out: Annotated[Path, typer.Option(help="Folder for the packs; give it to data.train_files.")],
    max_length: Annotated[
        int, typer.Option(help="Tokens of a pack, and of the longest sample.", min=2)
    ] = 65536,
    bad_rows: Annotated[
        str, typer.Option(help="raise: refuse when a row cannot be used; report: leave it out.")
    ] = "raise",
) -> None:
    """Tokenise and pack cold-start rows into OUT, which ranks map into memory.

    Interrupted, the same command goes on where it stopped. Exit code 1 if nothing was packed.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from ovr_plugin.data.checked import POLICIES
    from ovr_plugin.data.cold_start_tokens import ColdStartTokens
    from ovr_plugin.data.files import check_schema, count_rows
    from ovr_plugin.data.packed_store import build_store
    from ovr_plugin.data.sample import ColdStartSample

    console = Console(stderr=True)
    try:
        if bad_rows not in POLICIES:
            raise ValueError(f"--bad-rows is {bad_rows!r}; it must be {' or '.join(POLICIES)}")
        for file in files:
            check_schema(file, ColdStartSample)
        tokenizer, processor = _load_tokenizer(model)
        tokens = ColdStartTokens(tokenizer, processor, max_length)
        columns = ("rows", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("rows", total=count_rows(files))
            info = build_store(
                [str(file) for file in files],
                tokens,
                out,
                bad_rows=bad_rows,
                progress=lambda done: bar.update(task, completed=done),
            )
    except (OSError, ValueError) as error:
        console.print(
            f"[bold red]Not packed:[/bold red] {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
    typer.echo(
        f"{info['n_samples']:,} samples, {info['n_tokens']:,} tokens in {info['n_packs']:,} packs "
        f"of {max_length:,}, {info['filled']:.2%} filled; {info['n_bad_rows']:,} rows left out\n"
        f"Train on them with data.train_files={out}"
    )


def _load_tokenizer(model: str) -> tuple[object, object]:
    """The tokenizer and, where the model has one, the processor, as veRL would load them."""
    from transformers import AutoProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    processor = AutoProcessor.from_pretrained(model)
    # For a model of text alone transformers answers with the tokenizer.
    return tokenizer, processor if hasattr(processor, "image_processor") else None
