"""The page: runs in, one HTML file out that asks nothing of any server.

All data are embedded as gzipped JSON in base64 and shown with ``textContent`` only, so model output
cannot become markup; a content-security policy that allows only this page's own script, by its
digest, stands behind that. The parts lie beside this file: page.html, page.css and `SCRIPTS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from ovr_plugin.analysis.report.chart import COLD, PPO, Chart
from ovr_plugin.analysis.report.pictures import add_pictures
from ovr_plugin.analysis.report.rollouts import Sampled, gzipped, pack_rollouts
from ovr_plugin.analysis.report.runs import Run
from ovr_plugin.analysis.report.score_table import benchmark_tables

SCRIPTS = ("page.js", "charts.js", "tables.js", "rollouts.js", "start.js")
MAX_TEXT_BYTES = 22_000_000  # of the page, for texts of rollouts
PICTURES_PER_CHUNK = 50
WINDOW = 10  # iterations that a first and a last value are means over
DIGITS = 5


def write_page(
    path: str | Path,
    runs: Sequence[Run],
    charts: Sequence[Chart],
    sampled: Sampled,
    picture_files: Sequence[Path] = (),
    max_picture_bytes: int = 20_000_000,
) -> Path:
    """Write the page of ``runs``.

    Args:
        path: of the HTML file.
        runs: in the order of their colours.
        charts: from `charts_of`.
        sampled: the rollouts to embed.
        picture_files: parquet files of samples to take pictures from; none: each run's ``data/``.
        max_picture_bytes: of the page, for pictures; 0 for none.
    """
    from ovr_plugin.data.files import replacing

    pictures: list[list[str]] = []
    if max_picture_bytes:
        pictures = add_pictures(sampled.rollouts, runs, picture_files, max_picture_bytes)
    packed = pack_rollouts(sampled.rollouts, MAX_TEXT_BYTES)
    data = {
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "runs": [_facts(run) for run in runs],
        "charts": [_rounded(chart.to_record()) for chart in charts],
        "benchmarks": benchmark_tables(runs),
        "columns": packed.columns,
        "maxChars": packed.max_chars,
        "dumpBytes": sampled.n_bytes,
    }
    chunks = [("data", gzipped(data))]
    chunks += [(f"texts-{number}", text) for number, text in enumerate(packed.chunks)]
    for number, start in enumerate(range(0, len(pictures), PICTURES_PER_CHUNK)):
        group = pictures[start : start + PICTURES_PER_CHUNK]
        chunks.append((f"pictures-{number}", gzipped(group)))
    title = f"OVR: {', '.join(run.name for run in runs)}"
    with replacing(path) as temporary:
        temporary.write_text(_assembled(title, chunks), encoding="utf-8")
    return Path(path)


def _assembled(title: str, chunks: Sequence[tuple[str, str]]) -> str:
    script, style = "".join(map(_part, SCRIPTS)), _part("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = "\n".join(
        f'<script type="application/octet-stream" id="{name}">{text}</script>'
        for name, text in chunks
    )
    parts = {
        "TITLE": escape(title),
        "DIGEST": digest,
        "STYLE": style,
        "DATA": data,
        "SCRIPT": script,
    }
    pieces = _part("page.html").split("@@")  # names stand between the marks
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _part(name: str) -> str:
    return (files("ovr_plugin.analysis.report") / name).read_text(encoding="utf-8")


def _facts(run: Run) -> dict[str, Any]:
    """The row of a run in the table on top; None where it was not logged."""
    steps = {
        stage: [record["step"] for record in run.records if record["stage"] == stage]
        for stage in (COLD, PPO)
    }
    return {
        "name": run.name,
        "coldStartSteps": max(steps[COLD], default=None),
        "iterations": max(steps[PPO], default=None),
        "reward": _ends(run, "ovr/reward/all", "critic/score/mean"),
        "length": _ends(run, "ovr/response_length/all", "response_length/mean"),
        "truncated": _ends(run, "ovr/truncated/all", "response_length/clip_ratio"),
        "stepTime": _ends(run, "timing_s/step"),
        "rolloutFiles": len(run.rollout_files),
        "notes": run.notes,
    }


def _ends(run: Run, *metrics: str) -> list[float] | None:
    """Means over the first and the last iterations."""
    for metric in metrics:
        _, values = run.points(PPO, metric)
        if values:
            n = min(WINDOW, len(values))
            return [round(sum(part) / n, DIGITS) for part in (values[:n], values[-n:])]
    return None


def _rounded(data: Any) -> Any:
    if isinstance(data, float) and not isfinite(data):
        return None  # JSON has no word for it
    if isinstance(data, float):
        return float(f"{data:.{DIGITS}g}") if data != int(data) else int(data)
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_rounded(value) for value in data]
    return data
