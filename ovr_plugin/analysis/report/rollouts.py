"""The rollouts a page holds: dumps of any size in, a sample that fits a page out.

A run of the paper's size dumps hundreds of gigabytes, so a file is not read whole: from each
iteration some stretches of consecutive lines are taken, spread evenly over the file. As a dump is
in the order of its prompts, the samples of one prompt stay together. Long responses lose their
middle, never their end, where the answer is, until all fit ``max_bytes``; the page says how much.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovr_plugin.analysis.report.runs import Run, is_number

STRETCH = 8  # consecutive lines taken at one place
MAX_LINE_BYTES = 16 << 20  # a longer line is passed over
CHUNK = 200  # rollouts that the page unpacks together
TEXTS = ("prompt", "response", "reference", "answer")
FACTS = ("data_source", "modality", "outcome", "row_id", "key")


@dataclass
class Sampled:
    """Rollouts of a page, in order of run and iteration, and how many there are in all files."""

    rollouts: list[dict[str, Any]]
    n_bytes: int  # of all dumps


def sample_rollouts(
    runs: Sequence[Run], n_rollouts: int, on_file: Callable[[], None] = lambda: None
) -> Sampled:
    """Take about ``n_rollouts`` in all, as many of each iteration.

    A line that is no rollout is left out and counted in its run's notes.
    """
    n_files = sum(len(run.rollout_files) for run in runs)
    sampled = Sampled([], 0)
    quota = 0.0
    for number, run in enumerate(runs):
        n_bad = 0
        for step, path in run.rollout_files:
            quota += n_rollouts / n_files
            taken = 0
            for line in _lines(path, int(quota)):
                record = _record(line, number, step)
                if record is None:
                    n_bad += 1
                else:
                    sampled.rollouts.append(record)
                taken += 1
            quota -= taken
            sampled.n_bytes += path.stat().st_size
            on_file()
        if n_bad:
            run.notes.append(f"{run.root / 'rollouts'}: {n_bad} sampled lines are no rollouts")
    return sampled


def _lines(path: Path, n: int) -> Iterator[bytes]:
    """About ``n`` lines of a file; all of them where it has no more."""
    if n < 1:
        return
    size = path.stat().st_size
    n_places = -(-n // STRETCH)
    with path.open("rb") as file:
        end = 0  # of what was taken
        for place in range(n_places):
            start = size * place // n_places
            if start > end:
                file.seek(start - 1)
                file.readline(MAX_LINE_BYTES)  # the rest of the line before
            for _ in range(min(STRETCH, n - place * STRETCH)):
                line = file.readline(MAX_LINE_BYTES)
                if not line.endswith(b"\n"):  # the end, or a torn or endless line
                    break
                yield line
            end = file.tell()


def _record(line: bytes, run: int, step: int) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("response"), str):
        return None
    return {
        "run": run,
        "step": step,
        **{name: str(found.get(name, "") or "") for name in (*FACTS, *TEXTS)},
        "score": float(found["score"]) if is_number(found.get("score")) else 0.0,
        "truncated": bool(found.get("truncated")),
        "tokens": int(found["n_response_tokens"])
        if is_number(found.get("n_response_tokens"))
        else 0,
        "image": -1,
    }


@dataclass(frozen=True)
class Packed:
    """What the page embeds: columns to filter by, and chunks of texts, gzipped and in base64."""

    columns: dict[str, Any]
    chunks: list[str]
    max_chars: int | None  # longest text left whole


def pack_rollouts(rollouts: Sequence[dict[str, Any]], max_bytes: int) -> Packed:
    """Pack rollouts into at most about ``max_bytes`` of page."""
    max_chars = _fitting_length(rollouts, max_bytes * 3)
    while True:
        chunks = [
            gzipped([[shortened(each[name], max_chars) for name in TEXTS] for each in group])
            for group in _groups(rollouts)
        ]
        n_bytes = sum(map(len, chunks))
        if n_bytes <= max_bytes or (max_chars is not None and max_chars <= 200):
            return Packed(_columns(rollouts), chunks, max_chars)
        max_chars = int((max_chars or 1 << 20) * 0.9 * max_bytes / n_bytes)


def _fitting_length(rollouts: Sequence[dict[str, Any]], max_chars: int) -> int | None:
    """The length at which texts have to be cut for their sum to fit; None if they do anyway."""
    lengths = sorted(len(each[name]) for each in rollouts for name in TEXTS)
    remaining = max_chars
    for number, length in enumerate(lengths):
        share = remaining // (len(lengths) - number)
        if length > share:
            return max(share, 200)
        remaining -= length
    return None


def shortened(text: str, max_chars: int | None) -> list[Any] | str:
    """The text, or [its start, how many characters are left out, its end]."""
    if max_chars is None or len(text) <= max_chars:
        return text
    head = max_chars // 3
    tail = max_chars - head
    return [text[:head], len(text) - max_chars, text[-tail:]]


def gzipped(data: Any) -> str:
    """JSON, gzipped, in base64: letters that end no script element, a third of the size."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    raw = text.encode(errors="replace")  # lone surrogates
    return base64.b64encode(gzip.compress(raw, 5, mtime=0)).decode()


def _groups(rollouts: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rollouts), CHUNK):
        yield rollouts[start : start + CHUNK]


def _columns(rollouts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Numbers as lists; names as a list of the distinct ones and numbers into it."""
    columns: dict[str, Any] = {
        name: [each[name] for each in rollouts]
        for name in ("run", "step", "score", "tokens", "image")
    }
    columns["truncated"] = [int(each["truncated"]) for each in rollouts]
    for name in FACTS:
        codes: dict[str, int] = {}
        numbers = [codes.setdefault(each[name], len(codes)) for each in rollouts]
        columns[name] = {"names": list(codes), "codes": numbers}
    return columns
