"""Pictures of rollouts: the rows of the training files found by their ids, small copies out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from ovr_plugin.analysis.report.runs import Run

SIDE = 320  # pixels
QUALITY = 70


def add_pictures(
    rollouts: Sequence[dict[str, Any]], runs: Sequence[Run], files: Sequence[Path], max_bytes: int
) -> list[list[str]]:
    """Set ``image`` of each rollout to a number in the returned list of its row's pictures.

    A row is looked for in ``files``, by default the run's ``data/*.parquet``, by ``row_id``. The
    first ones win where they do not all fit ``max_bytes``; runs get a note of what is missing.
    """
    found: list[list[str]] = []
    used = 0
    for number, run in enumerate(runs):
        wanted: dict[str, list[dict[str, Any]]] = {}
        for rollout in rollouts:
            if rollout["run"] == number and rollout["modality"] != "text" and rollout["row_id"]:
                wanted.setdefault(rollout["row_id"], []).append(rollout)
        n_left_out = 0
        for path in (files or sorted((run.root / "data").glob("*.parquet"))) if wanted else ():
            for row_id, images in _rows(path, set(wanted), run):
                urls = [url for image in images if (url := _thumbnail(image, run))]
                size = sum(map(len, urls))
                if used + size > max_bytes:
                    n_left_out += 1
                    continue
                used += size
                for rollout in wanted.pop(row_id, []):
                    rollout["image"] = len(found)
                found.append(urls)
        if n_left_out:
            run.notes.append(
                f"pictures of {n_left_out} questions did not fit {max_bytes / 1e6:.0f} MB"
            )
    return found


def _rows(path: Path, wanted: set[str], run: Run) -> Any:
    from ovr_plugin.data.files import read_parquet
    from ovr_plugin.data.sample import Sample

    try:
        for sample in read_parquet(path, Sample):
            if sample.id in wanted and sample.images:
                yield sample.id, sample.images
    except (ValueError, OSError) as error:
        if "not the columns" not in str(error):  # other tables lie there as well
            run.notes.append(f"{path}: {error}")


def _thumbnail(image: Any, run: Run) -> str | None:
    from ovr_plugin.data.images import open_image

    try:
        with open_image(image) as opened:
            picture = opened.convert("RGB")
    except Exception as error:  # a corrupt file can make any decoder raise anything
        run.notes.append(f"picture {image.path or '(bytes)'}: {error!r}")
        return None
    picture.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
