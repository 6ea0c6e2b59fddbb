"""Files of responses in, `Response` objects by checkpoint out: our rollouts, or any JSON Lines.

A row needs a question (``prompt`` or ``question``, a text or chat messages) and a ``response``, or
veRL's own ``input`` and ``output``; a row without is told and left out, as a torn line is. Its
checkpoint is its ``stage`` and ``step``, else what its file's name says (``ppo_300.jsonl``,
``cold_start.jsonl``, ``base.jsonl``), or, of `ovr eval`, the folder's of the checkpoint
(``eval/ppo_300/mathvision_mini/graded.jsonl``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ovr_plugin.analysis.checkpoints import STAGES, Checkpoint, last_number, stage_in
from ovr_plugin.reward.rows import read_jsonl

GRADED = "graded.jsonl"  # of a benchmark, as `ovr eval` writes it
QUESTION_IDS = ("row_id", "item", "id", "sample_id")


@dataclass(frozen=True)
class Response:
    """One response to judge."""

    checkpoint: Checkpoint
    question_id: str
    question: str
    text: str
    id: str


def read_responses(
    paths: Iterable[str | Path], on_problem: Callable[[str], None] = lambda _: None
) -> Iterator[Response]:
    """Yield the responses of JSON Lines files; a folder stands for all of its ``*.jsonl``.

    Args:
        paths: files and folders.
        on_problem: called with what is wrong with a row that cannot be used, and its place.

    Raises:
        FileNotFoundError: no such file, or a folder without any.
    """
    for path in paths:
        for file in _files(Path(path)):
            yield from _read(file, on_problem)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return [path]
    files = sorted(path.glob("*.jsonl"), key=lambda file: (last_number(file.stem), file.name))
    if not files:
        raise FileNotFoundError(f"{path}: no *.jsonl in this folder")
    return files


def _read(path: Path, on_problem: Callable[[str], None]) -> Iterator[Response]:
    with path.open("rb") as lines:
        for number, row in read_jsonl(lines):
            problem = str(row) if isinstance(row, ValueError) else _problem(row)
            if problem:
                on_problem(f"{path}, line {number}: {problem}")
            else:
                yield _response(cast(dict[str, Any], row), path, number)


def _problem(row: Any) -> str | None:
    missing = [] if isinstance(_text(row), str) else ["response (a text)"]
    if _question(row) is None:
        missing.append("prompt or question (a text or chat messages)")
    return f"no {' and no '.join(missing)}" if missing else None


def _text(row: dict[str, Any]) -> Any:
    return row.get("response", row.get("output"))


def _response(row: dict[str, Any], path: Path, number: int) -> Response:
    question = _question(row) or ""
    return Response(
        checkpoint=_checkpoint(row, path),
        question_id=next((str(row[name]) for name in QUESTION_IDS if row.get(name)), question),
        question=question,
        text=_text(row),
        id=str(row.get("key") or _sample_name(row) or f"{path.name}#{number}"),
    )


def _sample_name(row: dict[str, Any]) -> str:
    return f"{row['item']} sample {row.get('sample', 0)}" if "item" in row else ""


def _question(row: dict[str, Any]) -> str | None:
    for name in ("question", "prompt", "messages", "input"):
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
    name = path.resolve().parts[-3] if path.name == GRADED else path.stem
    stage = row.get("stage")
    if stage not in STAGES:
        stage = stage_in(name)
        if stage is None and "key" in row:  # a rollout dump of PPO
            stage = "ppo"
    step = row.get("step")
    if isinstance(step, int) and not isinstance(step, bool):
        return Checkpoint.of(f"{stage or path.stem} {step}", stage, step)
    return Checkpoint.of(name, stage, max(last_number(name), 0))
