"""Results in the layout of the paper's tables, the paper's scores beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ovr_plugin.eval.benchmark import TABLES
from ovr_plugin.eval.benchmarks import PERCEPTION, TEXT, VISUAL

if TYPE_CHECKING:
    from rich.table import Table

SECTIONS = {"language reasoning": TEXT, "visual reasoning": VISUAL, "perception": PERCEPTION}
HEADER = ("benchmark", "Qwen2.5-VL-7B", "cold start", "OVR-7B", "ours", "95 % interval", "samples")


def rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row for each score of the paper, or for a benchmark without one; sections between."""
    known = {result["benchmark"]: result for result in results}
    found: list[tuple[str, ...]] = []
    others = [name for name in known if not any(name in names for names in SECTIONS.values())]
    for section, names in {**SECTIONS, "not in the paper": others}.items():
        present = [known[name] for name in names if name in known]
        if present:
            found.append((section,))
        for result in present:
            found += _rows_of(result)
    return found


def _rows_of(result: dict[str, Any]) -> list[tuple[str, ...]]:
    papers = result["paper"]["scores"] or [{"metric": result["headline"]}]
    found = []
    for paper in papers:
        ours = result["metrics"].get(paper["metric"])
        title = result["title"] + (f", {paper['metric']}" if len(papers) > 1 else "")
        mark = "*" if result["note"] else ""
        missing = f", {result['n_missing']} missing" if result["n_missing"] else ""
        found.append(
            (
                title + mark,
                *(_number(paper.get(key)) for key in ("base", "cold_start", "ovr")),
                _number(ours and ours["value"]),
                _interval(ours),
                f"{result['n_items']} x {result['n_samples']}{missing}",
            )
        )
    return found


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _interval(estimate: dict[str, Any] | None) -> str:
    if not estimate or estimate["low"] is None:
        return "-"
    return f"{estimate['low']:.1f} to {estimate['high']:.1f}"


def notes(results: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader has to know beside the numbers."""
    found = [
        f"The paper's scores are those of {TABLES}; it does not say whether they are greedy or "
        "averages of samples. Ours are averages of the samples named (avg@k)."
    ]
    found += [f"* {result['title']}: {result['note']}" for result in results if result["note"]]
    for result in results:
        rates = result["rates"]
        told = [
            f"{rates[name]:.1f} % {name}"
            for name in ("truncated", "no_answer", "error", "timeout", "bad_reference")
            if rates.get(name)
        ]
        if told:
            found.append(f"{result['title']}: {', '.join(told)}")
    return found


def markdown(results: Sequence[dict[str, Any]], protocol: str) -> str:
    """Return the table as a Markdown page."""
    lines = [f"Protocol: {protocol}", "", _line(HEADER), _line(["---"] * len(HEADER))]
    for row in rows(results):
        lines.append(_line([f"*{row[0]}*", *[""] * (len(HEADER) - 1)] if len(row) == 1 else row))
    lines += ["", *(f"- {note}" for note in notes(results))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def console_table(results: Sequence[dict[str, Any]], protocol: str) -> Table:
    """Return the table for a terminal."""
    from rich.table import Table

    table = Table(title=f"Protocol: {protocol}", title_justify="left", box=None, pad_edge=False)
    for column in HEADER:
        table.add_column(column, justify="left" if column == "benchmark" else "right")
    for row in rows(results):
        if len(row) == 1:
            table.add_row(row[0], style="bold")
        else:
            table.add_row(*row)
    return table
