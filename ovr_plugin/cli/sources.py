"""``ovr sources``: the corpora that can be read, and the benchmarks that must not be trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ovr_plugin.data.readers import About

UNCHECKED = "(unchecked)"
OWN_TABLES = """\
A table of your own (JSON Lines, JSON, CSV in UTF-8, parquet, Arrow) by its columns, in a manifest:
  {reader: columns, root: my.csv, columns: {question: problem, answer: gold}}       # stage: rl
  {reader: columns, root: my.jsonl, columns: {question: prompt, response: output}}  # cold_start
Images come first, or where <image> stands: question and choices then place all of them."""
PURPOSES = ("training", "cold start", "evaluation only")


def sources(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """List corpora by purpose: name of the reader, modality, license, rows, name on the Hub.

    Licenses and sizes are as their authors publish them; check them before you train or release.
    The reader "columns" takes a table of your own, for RL and for the cold start.
    """
    from rich.console import Console

    from ovr_plugin.data.readers import sources as all_sources

    found = all_sources()
    if as_json:
        Console().print_json(data={name: _facts(about) for name, about in found.items()})
        return
    console = Console(highlight=False)
    for purpose in PURPOSES:
        console.print(_table(purpose, found))
        console.print()
    console.print("A folder, a file, an archive or [bold]hub:NAME[/bold] is read alike.")
    console.print(OWN_TABLES, markup=False, soft_wrap=True)
    console.print(f"{UNCHECKED} from memory: unknown until you see the corpus's own card.")


def _marked(about: About, name: str, value: str) -> str:
    return f"{value} {UNCHECKED}" if value and name in about.unverified else value


def _facts(about: About) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(about)


def _table(purpose: str, found: dict[str, About]) -> object:
    from rich.table import Table

    headings = ("name", "", "modality", "license", "rows", "on the Hub")
    table = Table(*headings, title=purpose, title_justify="left", box=None)
    table.columns[4].justify = "right"
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True  # what a user copies
    for name, about in found.items():
        if about.purpose == purpose:
            rows = f"{about.n_rows:,}" if about.n_rows else ""
            license, n_rows = (
                _marked(about, "license", about.license),
                _marked(about, "n_rows", rows),
            )
            note = f"[dim]{about.note}[/dim]" if about.note else ""
            where = "\n".join(filter(None, (_marked(about, "hub", about.hub), note)))
            table.add_row(
                name.removeprefix("cold_start/"),
                about.title,
                about.modality,
                license,
                n_rows,
                where,
            )
    return table
