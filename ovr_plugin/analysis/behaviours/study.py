"""A whole study: responses by checkpoint in, `behaviours/summary.json` and `counts.jsonl` out.

The summary is what `ovr report` draws Fig. 5 from; `counts.jsonl` has a line per response, so that
any other statistic can be made from it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ovr_plugin.analysis.behaviours.definitions import VERSION, Behaviour
from ovr_plugin.analysis.behaviours.keywords import keyword_counts
from ovr_plugin.analysis.behaviours.responses import Response
from ovr_plugin.analysis.behaviours.statistics import Array
from ovr_plugin.analysis.behaviours.transfer import (
    DEFINITIONS,
    PAPER_BTR,
    PAPER_NOTE,
    PAPER_OVERALL,
    PAPER_RATES,
    compare,
    summarise,
)
from ovr_plugin.analysis.checkpoints import STAGES, Checkpoint

SUMMARY, COUNTS, STORE = "summary.json", "counts.jsonl", "judgements.jsonl"
Detected = Mapping[str, Array]  # behaviour -> one count per response


def by_checkpoint(
    responses: Iterable[Response], limit: int | None = None
) -> dict[Checkpoint, list[Response]]:
    """Group responses in the order of training, at most ``limit`` of each checkpoint.

    Which ones is decided by their identities, so that a larger limit keeps those of a smaller one.
    """
    groups: dict[Checkpoint, list[tuple[float, int, Response]]] = {}
    for number, response in enumerate(responses):
        group = groups.setdefault(response.checkpoint, [])
        entry = (-_rank(response), number, response)
        if limit is None or len(group) < limit:
            heapq.heappush(group, entry)
        else:
            heapq.heappushpop(group, entry)
    return {
        checkpoint: [entry[2] for entry in sorted(group, key=lambda entry: entry[1])]
        for checkpoint, group in sorted(groups.items())
    }


def _rank(response: Response) -> float:
    digest = hashlib.sha256(f"{response.id}\0{response.text}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:6], "big")


def keywords_in(responses: Sequence[Response], behaviours: Sequence[Behaviour]) -> Detected:
    """The keyword detector's counts."""
    counts = [keyword_counts(response.text, behaviours) for response in responses]
    return {
        each.name: np.array([count[each.name] for count in counts], dtype=np.float64)
        for each in behaviours
    }


def checkpoint_record(
    checkpoint: Checkpoint,
    responses: Sequence[Response],
    detected: Mapping[str, Detected],
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """One checkpoint of the summary: every detector's numbers, and how two of them agree."""
    questions = [response.question_id for response in responses]
    record: dict[str, Any] = {
        "name": checkpoint.name,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
    }
    for detector, counts in detected.items():
        record[detector] = summarise(questions, counts, n_resamples, seed)
    if {"judge", "keywords"} <= set(detected):
        record["agreement"] = compare(detected["judge"], detected["keywords"])
    return record


def count_records(
    responses: Sequence[Response], detected: Mapping[str, Detected]
) -> list[dict[str, Any]]:
    """One line per response of `counts.jsonl`; null is a missing value."""
    return [
        {
            "checkpoint": response.checkpoint.name,
            "id": response.id,
            "question_id": response.question_id,
            **{
                detector: {name: _plain(values[number]) for name, values in counts.items()}
                for detector, counts in detected.items()
            },
        }
        for number, response in enumerate(responses)
    ]


def write_study(
    folder: str | Path,
    checkpoints: Sequence[dict[str, Any]],
    counts: Iterable[dict[str, Any]],
    judge: Mapping[str, Any] | None,
) -> Path:
    """Write both files; ``judge`` says who judged and how."""
    from ovr_plugin.data.files import write_json, write_jsonl

    summary = {
        "version": VERSION,
        "definitions": DEFINITIONS,
        "judge": judge,
        "paper": {
            "btr": {
                name: dict(zip(STAGES, values, strict=True)) for name, values in PAPER_BTR.items()
            },
            "overall": PAPER_OVERALL,
            "emergence_rate": PAPER_RATES,
            "note": PAPER_NOTE,
        },
        "checkpoints": list(checkpoints),
    }
    write_jsonl(Path(folder) / COUNTS, counts)
    write_json(Path(folder) / SUMMARY, summary)
    return Path(folder) / SUMMARY


def _plain(value: float) -> int | None:
    return None if np.isnan(value) else int(value)
