"""Files of responses in, `Response` objects by checkpoint out: our rollouts, or any JSON Lines.

A row needs a question (``prompt`` or ``question``, a text or chat messages) and a ``response``. Its
checkpoint is its ``stage`` and ``step``, else what its file's name says (``ppo_300.jsonl``,
``cold_start.jsonl``, ``base.jsonl``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("base", "cold_start", "ppo")
MAX_PROBLEMS = 10  # shown of a file
IN_A_NAME = {"base": "base", "cold_start": "cold_start", "coldstart": "cold_start",
             "sft": "cold_start", "ppo": "ppo", "rl": "ppo"}  # fmt: skip


@dataclass(frozen=True, order=True)
class Checkpoint:
    """Where in training a response comes from; sorts in the order of training."""

    stage_number: int
    step: int
    name: str

    @property
    def stage(self) -> str:
        """base, cold_start, ppo, or empty where nothing tells."""
        return STAGES[self.stage_number] if self.stage_number < len(STAGES) else ""


@dataclass(frozen=True)
class Response:
    """One response to judge."""

    checkpoint: Checkpoint
    question_id: str
    question: str
    text: str
    id: str


def read_responses(paths: Iterable[str | Path]) -> Iterator[Response]:
    """Yield the responses of JSON Lines files; a folder stands for all of its ``*.jsonl``.

    Raises:
        FileNotFoundError: no such file, or a folder without any.
        ValueError: rows that cannot be used, the first ten of the file with their lines.
    """
    for path in paths:
        for file in _files(Path(path)):
            yield from _read(file)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return [path]
    files = sorted(path.glob("*.jsonl"), key=lambda file: (_number(file.stem), file.name))
    if not files:
        raise FileNotFoundError(f"{path}: no *.jsonl in this folder")
    return files


def _read(path: Path) -> Iterator[Response]:
    from ovr_plugin.data.files import read_jsonl

    problems = []
    for number, row in enumerate(read_jsonl(path), start=1):
        problem = _problem(row)
        if problem:
            problems.append(f"record {number}: {problem}")
        else:
            yield _response(row, path, number)
    if problems:
        more = len(problems) - MAX_PROBLEMS
        shown = "; ".join(problems[:MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise ValueError(f"{path}: {shown}")


def _problem(row: Any) -> str | None:
    if not isinstance(row, dict):
        return f"not an object but {type(row).__name__}"
    missing = [] if isinstance(row.get("response"), str) else ["response (a text)"]
    if _question(row) is None:
        missing.append("prompt or question (a text or chat messages)")
    return f"no {' and no '.join(missing)}" if missing else None


def _response(row: dict[str, Any], path: Path, number: int) -> Response:
    question = _question(row) or ""
    return Response(
        checkpoint=_checkpoint(row, path),
        question_id=str(row.get("row_id") or row.get("id") or row.get("sample_id") or question),
        question=question,
        text=row["response"],
        id=str(row.get("key") or f"{path.name}#{number}"),
    )


def _question(row: dict[str, Any]) -> str | None:
    for name in ("question", "prompt", "messages"):
        value = row.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(message, dict) for message in value):
            return "\n".join(_content(message.get("content")) for message in value)
    return None


def _content(content: Any) -> str:
    if isinstance(content, list):  # parts of a multimodal message
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _checkpoint(row: dict[str, Any], path: Path) -> Checkpoint:
    step = row.get("step")
    stage = row.get("stage")
    if stage not in STAGES:
        words = re.split(r"[^a-z_]+|_(?=\d)", path.stem.lower())
        stage = next((IN_A_NAME[word] for word in words if word in IN_A_NAME), None)
        if stage is None and "key" in row:  # a rollout dump of PPO
            stage = "ppo"
    stage_number = STAGES.index(stage) if stage else len(STAGES)
    if isinstance(step, int) and not isinstance(step, bool):
        return Checkpoint(stage_number, step, f"{stage or path.stem} {step}")
    return Checkpoint(stage_number, max(_number(path.stem), 0), path.stem)


def _number(stem: str) -> int:
    found = re.findall(r"\d+", stem)
    return int(found[-1]) if found else -1
