"""``ovr report``: one page, and figures, of a run or of several over each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders: logs/, rollouts/, eval/, behaviours/.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="HTML file; by default report.html in the first run that is shown."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for PNG and PDF figures; by default figures/ beside the page."),
    ] = None,
    rollouts: Annotated[
        int, typer.Option(help="How many the page holds, of all runs together.", min=0)
    ] = 10_000,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Parquet with the pictures; by default each run's data/*.parquet."),
    ] = None,
    picture_mb: Annotated[
        float, typer.Option(help="Of the page, for pictures; 0 for none.", min=0)
    ] = 20.0,
    perception: Annotated[
        list[str] | None,
        typer.Option(help="Sources of Fig. 6, by a part of their name; repeat it."),
    ] = None,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Only the page.")] = False,
) -> None:
    """Show a run, finished or not: the paper's figures from its own numbers, and its rollouts.

    The page holds all it needs and can be sent to others. A run that has nothing to show is named
    and left out; exit code 2 if that is all of them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress

    from ovr_plugin.analysis.plots import draw_charts
    from ovr_plugin.analysis.report.charts import PERCEPTION, charts_of
    from ovr_plugin.analysis.report.page import write_page
    from ovr_plugin.analysis.report.rollouts import sample_rollouts
    from ovr_plugin.analysis.report.runs import distinct_names, read_run

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    read, empty = [], []
    try:
        with console.status("reading metrics"):
            for root, name in zip(runs, distinct_names(runs), strict=True):
                try:
                    read.append(read_run(root, name))
                except (OSError, ValueError) as error:
                    empty.append(str(error))
        if not read:
            raise FileNotFoundError("\n".join(empty))
        page = out or read[0].root / "report.html"
        with Progress(
            "reading rollouts", BarColumn(), MofNCompleteColumn(), console=console, transient=True
        ) as bar:
            task = bar.add_task("", total=sum(len(run.rollout_files) for run in read))
            sampled = sample_rollouts(read, rollouts, on_file=lambda: bar.advance(task))
        with console.status("writing the page"):
            charts = charts_of(read, sampled.rollouts, perception or PERCEPTION)
            write_page(page, read, charts, sampled, data or [], int(picture_mb * 1e6))
        drawn = []
        if not no_figures:
            with console.status("drawing figures"):
                drawn = draw_charts(charts, figures or page.parent / "figures")
    except (OSError, ValueError) as error:
        console.print(f"No report: {error}")
        raise typer.Exit(2) from None
    for message in empty:
        console.print(f"Left out: {message}")
    for run in read:
        for note in run.notes:
            console.print(f"{run.name}: {note}")
    typer.echo(f"{page} ({page.stat().st_size / 1e6:.2g} MB, {len(charts)} charts)")
    if drawn:
        typer.echo(f"{drawn[0].parent} ({len(drawn)} files)")
