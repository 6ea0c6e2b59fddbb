"""The only file that draws: metrics of a run in, PNG files out (after Fig. 3 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
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
            "ovr/response_length/wrong": "wrong answers",
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
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(frameon=False)
    path = folder / f"{plot.name}.png"
    figure.savefig(path)
    return path
