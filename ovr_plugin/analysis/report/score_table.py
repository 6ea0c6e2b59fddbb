"""The page's tables of benchmarks: the paper's columns, then one for each checkpoint of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ovr_plugin.analysis.report.evaluations import Evaluation
from ovr_plugin.analysis.report.runs import Run

Columns = Sequence[tuple[str, Sequence[dict[str, Any]]]]  # a checkpoint's title, its results


def benchmark_tables(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return what the page shows; None where `ovr eval` measured nothing.

    ``scores`` have a cell [score, interval] or None for each checkpoint; ``measured`` says for each
    how it was sampled, what became of its responses and what they took.
    """
    from ovr_plugin.eval.paper_table import MEASURED, measured_rows
    from ovr_plugin.eval.run import protocol

    columns = list(_columns(runs))
    if not columns:
        return None
    return {
        "checkpoints": [title for title, _ in columns],
        "scores": _score_rows(columns),
        "header": list(MEASURED),
        "measured": [
            {"protocol": protocol(results), "rows": measured_rows(results)}
            for _, results in columns
        ],
        "notes": _notes(columns),
    }


def _columns(runs: Sequence[Run]) -> Columns:
    found = []
    for run in runs:
        evaluations = [each for each in run.evaluations if each.result]
        for checkpoint in sorted({each.checkpoint for each in evaluations}):
            of_it = [each for each in evaluations if each.checkpoint == checkpoint]
            title = f"{run.name}: {checkpoint.name}" if len(runs) > 1 else checkpoint.name
            found.append((title, [each.result or {} for each in _in_paper_order(of_it)]))
    return found


def _in_paper_order(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    from ovr_plugin.eval.benchmarks import SUITES

    order = {name: number for number, name in enumerate(SUITES["paper"])}
    return sorted(evaluations, key=lambda each: (order.get(each.benchmark, 99), each.benchmark))


def _score_rows(columns: Columns) -> list[dict[str, Any]]:
    """Rows in the paper's order; a row without cells is a section."""
    from ovr_plugin.eval.paper_table import interval, number, sections

    by_name: dict[str, dict[str, Any]] = {}
    for _, results in columns:
        for result in results:
            by_name.setdefault(result["benchmark"], result)
    rows: list[dict[str, Any]] = []
    for section, names in sections(by_name):
        rows.append({"name": section})
        for name in names:
            first = by_name[name]
            papers = first["paper"]["scores"] or [{"metric": first["headline"]}]
            for paper in papers:
                metric, cells = paper["metric"], []
                for _, results in columns:
                    found = next((each for each in results if each["benchmark"] == name), None)
                    ours = found and found["metrics"].get(metric)
                    cells.append([number(ours["value"]), interval(ours)] if ours else None)
                rows.append(
                    {
                        "name": first["title"] + (f", {metric}" if len(papers) > 1 else ""),
                        "paper": [number(paper.get(key)) for key in ("base", "cold_start", "ovr")],
                        "cells": cells,
                    }
                )
    return rows


def _notes(columns: Columns) -> list[str]:
    from ovr_plugin.eval.paper_table import notes

    everything = [result for _, results in columns for result in results]
    found = list(dict.fromkeys(notes(everything)))
    for name in dict.fromkeys(result["benchmark"] for result in everything):
        of_it = [result for result in everything if result["benchmark"] == name]
        for key, what in (("version", "versions of the prompt and scoring"), ("n_items", "items")):
            values = sorted({result[key] for result in of_it})
            if len(values) > 1:
                told = ", ".join(map(str, values))
                found.append(f"{of_it[0]['title']}: different {what} are compared: {told}")
        n_missing = sum(result["n_missing"] for result in of_it)
        if n_missing:
            found.append(
                f"{of_it[0]['title']}: {n_missing:,} samples were never answered and take no part"
            )
    return found
