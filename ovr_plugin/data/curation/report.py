"""Counts by source and reason, with examples: built row by row, as JSON and as a console table."""

from __future__ import annotations

from collections import Counter
from typing import Any

N_EXAMPLES = 3


class Report:
    """What became of every row.

    `drop` is told of each row that went; `sources` holds the other counts. `as_dict` is
    ``report.json``.
    """

    def __init__(self, settings: dict[str, Any]):
        self.settings = settings
        self.sources: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, dict[str, int]] = {}
        self.strata: list[dict[str, Any]] = []
        self.unmeasured: dict[str, int] = {}  # rows kept by a filter that knows nothing of them
        self._reasons: dict[str, dict[str, dict[str, Any]]] = {}

    def drop(self, dropped: dict[str, Any]) -> None:
        """Count a row that went: ``source``, ``file``, ``row``, ``step``, ``reason``."""
        kind = dropped["reason"].partition(": ")[0]
        kinds = self._reasons.setdefault(dropped["source"], {})
        entry = kinds.setdefault(kind, {"step": dropped["step"], "count": 0, "examples": []})
        entry["count"] += 1
        if len(entry["examples"]) < N_EXAMPLES:
            shown = ("file", "row", "reason")
            entry["examples"].append({key: dropped[key] for key in shown})

    def n_dropped(self, source: str) -> int:
        """How many rows of a source went."""
        return sum(entry["count"] for entry in self._reasons.get(source, {}).values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON; reasons with the commonest first."""
        sources = {
            name: {**counts, "reasons": self._sorted(name)} for name, counts in self.sources.items()
        }
        told = {"rows": self.rows, "strata": self.strata, "unmeasured": self.unmeasured}
        return {**self.settings, **told, "sources": sources}

    def _sorted(self, source: str) -> dict[str, Any]:
        reasons = self._reasons.get(source, {})
        return dict(sorted(reasons.items(), key=lambda item: (-item[1]["count"], item[0])))


def report_table(report: dict[str, Any]) -> Any:
    """A rich table of a report: a line per source and, under it, one per reason."""
    from rich.table import Table

    table = Table(title="What became of every row", title_justify="left")
    table.add_column("source, reason", overflow="fold")
    for name in ("read", "good", "train", "val"):
        table.add_column(name, justify="right")
    table.add_column("gone", justify="right", style="red")
    table.add_column("for example", overflow="fold", style="dim")
    total: Counter[str] = Counter()
    for name, source in report["sources"].items():
        total.update({key: source[key] for key in ("read", "good", "train", "val", "bad")})
        counts = [f"{source[key]:,}" for key in ("read", "good", "train", "val")]
        table.add_row(f"[bold]{name}[/bold]", *counts, f"{source['bad']:,}", "")
        for kind, entry in source["reasons"].items():
            example = entry["examples"][0]["reason"].partition(": ")[2] if entry["examples"] else ""
            shown = example[:70].replace("[", r"\[")
            table.add_row(
                f"  {kind}".replace("[", r"\["), "", "", "", "", f"{entry['count']:,}", shown
            )
        if source["unused"]:
            table.add_row("  beyond the limit", "", "", "", "", f"{source['unused']:,}", "")
    table.add_section()
    counts = [f"{total[key]:,}" for key in ("read", "good", "train", "val")]
    table.add_row("[bold]all[/bold]", *counts, f"{total['bad']:,}", "")
    return table
