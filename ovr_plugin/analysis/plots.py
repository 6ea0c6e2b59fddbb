"""The only file that draws: metrics or charts of runs in, PNG and PDF files out (Fig. 3 to 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovr_plugin.analysis.report.charts import Chart, Series

# Okabe and Ito's palette, told apart with any colour vision, with grey and brown, as on the page.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
    *("#5B5B5B", "#8A5A2B"),
)
DASHES = ("-", "--", ":", (0, (7, 2, 1, 2)), (0, (10, 4)), (0, (3, 2)))
MAX_LEGEND = 12  # more entries would hide the curves: they stand beside them
MAX_BESIDE = 36
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Plot:
    """One picture: which stage's metrics, under which names, against the step."""

    name: str
    stage: str
    title: str
    y_label: str
    series: Mapping[str, str]  # metric -> legend


PLOTS = (
    Plot(
        "cold_start_loss",
        "cold_start",
        "Cold start (Fig. 3a): loss",
        "loss per response token",
        {"train/loss": "training"},
    ),
    Plot(
        "reward",
        "ppo",
        "PPO (Fig. 3b): reward",
        "share of right answers",
        {"ovr/reward/all": "all", "ovr/reward/text": "text", "ovr/reward/image": "image"},
    ),
    Plot(
        "response_length",
        "ppo",
        "PPO (Fig. 3b): response length",
        "tokens",
        {
            "ovr/response_length/all": "all",
            "ovr/response_length/right": "right answers",
            "ovr/response_length/wrong": "score 0 (wrong, cut off, no answer, not graded)",
        },
    ),
    # The policy's loss says nothing here: one on-policy step on whitened advantages makes it 0.
    Plot(
        "critic_loss",
        "ppo",
        "PPO: loss of the critic",
        "half the squared error",
        {"critic/vf_loss": "critic"},
    ),
)


def draw_plots(records: Sequence[Record], folder: str | Path) -> list[Path]:
    """Draw every plot that ``records`` have something for.

    Args:
        records: flat metrics with ``stage`` and ``step``, as ``metrics.jsonl`` holds them.
        folder: where the PNG files go; made if missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = (_draw(plot, records, folder) for plot in PLOTS)
    return [path for path in drawn if path is not None]


def points(records: Sequence[Record], stage: str, metric: str) -> tuple[list[int], list[float]]:
    """Return (steps, values) of one metric in one stage, where it was logged."""
    logged = [r for r in records if r["stage"] == stage and r.get(metric) is not None]
    return [record["step"] for record in logged], [record[metric] for record in logged]


def _draw(plot: Plot, records: Sequence[Record], folder: Path) -> Path | None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    curves = {legend: points(records, plot.stage, metric) for metric, legend in plot.series.items()}
    curves = {legend: curve for legend, curve in curves.items() if curve[0]}
    if not curves:
        return None
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for colour, (legend, (steps, values)) in zip(COLOURS, curves.items(), strict=False):
        axes.plot(steps, values, color=colour, label=legend, marker="o", markersize=3)
    axes.set(title=plot.title, xlabel="step", ylabel=plot.y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    xs, ys = ([v for curve in curves.values() for v in curve[place]] for place in (0, 1))
    _limit(axes, xs, ys, is_share=plot.name == "reward")
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(frameon=False)
    path = folder / f"{plot.name}.png"
    figure.savefig(path)
    return path


def draw_charts(charts: Sequence[Chart], folder: str | Path) -> list[Path]:
    """Draw every chart of a report as ``ID.png`` and ``ID.pdf``.

    Args:
        charts: from `ovr_plugin.analysis.report.charts`.
        folder: where the files go; made if missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [path for chart in charts for path in _draw_chart(chart, folder)]


def _draw_chart(chart: Chart, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    {"line": _lines, "area": _areas, "bar": _bars, "steps": _steps}[chart.kind](axes, chart)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_title(plain(chart.title), pad=16 if chart.marks else None)
    if chart.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if chart.kind == "line":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        xs = [x for series in chart.series for x in series.x]
        columns = [c for series in chart.series for c in (series.y, series.low, series.high)]
        _limit(axes, xs, [y for column in columns for y in column], is_share=chart.percent)
    axes.grid(alpha=0.3)
    for x, label in chart.marks:
        axes.axvline(x, color="grey", linestyle=":", linewidth=1)
        _name_mark(axes, x, label)
    if 1 < len(chart.series) <= MAX_LEGEND and chart.kind == "bar":  # which would lie under it
        figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    elif 1 < len(chart.series) <= MAX_LEGEND:
        axes.legend(frameon=False, fontsize=8, loc="best")
    elif MAX_LEGEND < len(chart.series) <= MAX_BESIDE:
        figure.legend(frameon=False, fontsize=6, loc="outside right upper", handlelength=5)
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in chart.id)
    paths = [folder / f"{stem}.{kind}" for kind in ("png", "pdf")]
    for path in paths:
        figure.savefig(path)
    return paths


def _name_mark(axes: Any, x: float, label: str) -> None:
    """Write a mark's label over the axes, where no curve is; beyond the points none."""
    first, last = axes.get_xlim()
    if first <= x <= last:
        axes.text(
            x,
            1.01,
            plain(label),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color="grey",
        )


def _limit(axes: Any, xs: Sequence[float], ys: Sequence[float | None], *, is_share: bool) -> None:
    """Keep axes to what can be: no steps or lengths below 0, no shares over 1, no empty span."""
    known_x, known_y = [x for x in xs if isfinite(x)], [y for y in ys if y is not None]
    known_y = [y for y in known_y if isfinite(y)]
    if not known_x or not known_y:
        return
    first, last = min(known_x), max(known_x)
    margin = 0.05 * (last - first) or 1.0
    axes.set_xlim(max(first - margin, 0.0) if first >= 0 else first - margin, last + margin)
    low, high = axes.get_ylim()
    if is_share and min(known_y) >= 0 and max(known_y) <= 1:
        high = min(high, 1.01)  # the line at 1 in its whole width
    axes.set_ylim(max(low, 0.0) if min(known_y) >= 0 else low, high)


def plain(text: str) -> str:
    """Text that matplotlib does not take for its mathematics."""
    return text.replace("$", r"\$")


def _label(chart: Chart, series: Series) -> str:
    several = len({each.run for each in chart.series if each.run}) > 1
    name = f"{series.name}, {series.run}" if several and series.run else series.name
    # A leading underscore would keep it out of the legend.
    return plain(name.lstrip("_"))


def _styles(chart: Chart) -> list[tuple[Series, str, Any]]:
    """(series, colour, dash): as on the page, colours tell curves apart and dashes runs.

    Where there are more curves than colours, further dashes tell them apart.
    """
    names = list(dict.fromkeys(series.name for series in chart.series))
    runs = list(dict.fromkeys(series.run for series in chart.series))
    found = []
    for series in chart.series:
        run = runs.index(series.run)
        number = names.index(series.name) if len(names) > 1 else run
        dash = run + (number // len(COLOURS) * len(runs) if len(names) > 1 else 0)
        found.append((series, COLOURS[number % len(COLOURS)], DASHES[dash % len(DASHES)]))
    return found


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _lines(axes: Any, chart: Chart) -> None:
    for series, colour, dash in _styles(chart):
        style = {"marker": "o", "markersize": 3} if len(series.x) <= 30 else {"linewidth": 1.2}
        y = _numbers(series.y)
        label = _label(chart, series)
        axes.plot(series.x, y, color=colour, linestyle=dash, label=label, **style)
        if series.low:
            low, high = _numbers(series.low), _numbers(series.high)
            axes.fill_between(series.x, low, high, color=colour, alpha=0.15, linewidth=0)


def _steps(axes: Any, chart: Chart) -> None:
    for series, colour, dash in _styles(chart):
        y, label = _numbers(series.y), _label(chart, series)
        axes.plot(series.x, y, color=colour, linestyle=dash, label=label, drawstyle="steps-post")
        axes.fill_between(series.x, y, step="post", color=colour, alpha=0.15, linewidth=0)


def _areas(axes: Any, chart: Chart) -> None:
    styles = _styles(chart)
    axes.stackplot(
        styles[0][0].x,
        [[value or 0.0 for value in series.y] for series, _, _ in styles],
        colors=[colour for _, colour, _ in styles],
        labels=[_label(chart, series) for series, _, _ in styles],
        alpha=0.8,
    )


def _bars(axes: Any, chart: Chart) -> None:
    width = 0.8 / len(chart.series)
    for number, series in enumerate(chart.series):
        x = [at - 0.4 + (number + 0.5) * width for at in series.x]
        y, low, high = (_numbers(values) for values in (series.y, series.low, series.high))
        errors = [
            [value - end for value, end in zip(y, low, strict=True)],
            [end - value for value, end in zip(y, high, strict=True)],
        ] if low else None  # fmt: skip
        colour, alpha = COLOURS[number % len(COLOURS)], 1.0 if series.run else 0.45
        label = _label(chart, series)
        axes.bar(x, y, width, color=colour, label=label, yerr=errors, alpha=alpha)
    axes.set_xticks(range(len(chart.categories)), chart.categories)
