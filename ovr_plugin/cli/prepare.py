"""``ovr prepare``: a manifest of corpora to training files and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    manifest: Annotated[Path, typer.Argument(help="A YAML file; see examples/manifests.")],
    out: Annotated[
        Path, typer.Option(help="Folder for train.parquet, val.parquet and the report.")
    ],
    workers: Annotated[
        int, typer.Option(help="Processes; 0 for one per core.", min=0, show_default=True)
    ] = 0,
    ray: Annotated[
        str | None, typer.Option(help="A Ray cluster's address (auto, ray://...) to work on.")
    ] = None,
) -> None:
    """Read, check, filter and mix corpora into OUT. The same manifest gives the same bytes.

    Interrupted, the same command goes on where it stopped. Exit code 1 if nothing was written.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from ovr_plugin.data.curation.report import report_table
    from ovr_plugin.data.manifest import load_manifest
    from ovr_plugin.data.prepare import Progress, Stopped
    from ovr_plugin.data.prepare import prepare as run

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("reading the manifest and the evaluation sets")

            def show(progress: Progress) -> None:
                said = f"{progress.source}: {progress.n_rows:,} rows"
                bar.update(task, description=said)

            report = run(
                load_manifest(manifest), out, n_workers=workers or None, ray=ray, on_progress=show
            )
    except (OSError, ValueError, Stopped) as error:
        console.print("[bold red]Not prepared:[/bold red]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on where it stopped.")
        raise typer.Exit(130) from None
    Console().print(report_table(report))
    unused = [name for name, source in report["sources"].items() if not source["train"]]
    if unused:
        said = f"No row of {', '.join(unused)} is in train.parquet; the table says why."
        console.print(said, style="yellow", markup=False, highlight=False)
    n_good = sum(source["good"] for source in report["sources"].values())
    for name, n_rows in report["unmeasured"].items():
        if n_rows:
            said = f"{name}: its file knows nothing of {n_rows:,} of the {n_good:,} rows kept"
            said += " (by their ids; `missing: drop` lets them go)."
            console.print(said, style="yellow", markup=False, highlight=False)
    rows = {split: sum(counts.values()) for split, counts in report["rows"].items()}
    said = ", ".join(f"{split}.parquet: {n:,} rows" for split, n in rows.items())
    typer.echo(f"{said}\nEvery row that went, with its reason: {out / 'bad_rows.jsonl'}")
