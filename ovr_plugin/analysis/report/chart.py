"""One picture as plain data, the same for the page and for files; and how metrics become curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ovr_plugin.analysis.report.runs import Run

COLD, PPO = "cold_start", "ppo"
LIMIT = "ovr/response_limit"


@dataclass(frozen=True)
class Series:
    """One curve; ``low`` and ``high`` are its interval where it has one.

    ``run`` is empty for what is no run's: the paper's numbers.
    """

    name: str
    run: str
    x: list[float]
    y: list[float | None]
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """One picture. ``marks`` are vertical lines (x, label); ``kind`` is line, area, bar or steps.

    Bars have their names in ``categories``, and ``x`` counts these. A step goes on to the next x.
    """

    id: str
    section: str
    title: str
    caption: str
    y_label: str
    series: list[Series]
    x_label: str = "iteration"
    marks: list[tuple[float, str]] = field(default_factory=list)
    kind: str = "line"
    percent: bool = False
    categories: list[str] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def curves(runs: Sequence[Run], stage: str, metrics: dict[str, str]) -> list[Series]:
    """Metrics of a stage (metric -> name) as series, those that were logged."""
    found = []
    for run in runs:
        for metric, name in metrics.items():
            steps, values = run.points(stage, metric)
            found.append(Series(name, run.name, [*steps], [*values]))
    return [series for series in found if series.x]


def prefixed(
    runs: Sequence[Run], prefix: str, keep: Callable[[str], bool] = lambda _: True
) -> list[Series]:
    """All metrics of PPO that start so, named by their rest; ``keep`` looks at the rest."""
    names = sorted({name for run in runs for name in run.metrics(PPO, prefix)})
    shown = {name: name.removeprefix(prefix) for name in names if keep(name.removeprefix(prefix))}
    return curves(runs, PPO, shown)


def length_stages(run: Run) -> list[tuple[float, str]]:
    """Where the response limit changed (OVR 4.1), as the trainer logged it."""
    marks: list[tuple[float, str]] = []
    limit = None
    for step, value in zip(*run.points(PPO, LIMIT), strict=True):
        if value != limit:
            marks.append((step, f"{value / 1024:g}k" if value % 1024 == 0 else f"{value:g}"))
            limit = value
    return marks


def length_marks(runs: Sequence[Run]) -> list[tuple[float, str]]:
    """The length stages of all runs."""
    return sorted({mark for run in runs for mark in length_stages(run)})
