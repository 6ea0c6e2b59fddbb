"""A run's folder in, all that a report shows of it out; it may still be running.

Read are JSON Lines (``logs/``, else ``metrics.jsonl``; ``rollouts/``), TensorBoard event files
where the first say nothing, the results of `ovr eval` and of `ovr behaviours`. What cannot be read
is left out and said in `Run.notes`, which the page shows: a broken file does not cost the others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovr_plugin.analysis.report.evaluations import Evaluation, read_evaluations, validations
from ovr_plugin.run_folder import STAGES, RunFolder, read_merged, read_metrics, stage_of

EVENTS = "events.out.tfevents.*"


@dataclass
class Run:
    """What one folder holds.

    Attributes:
        records: flat metrics with ``stage`` and ``step``, in order.
        evaluations: scores on benchmarks, by checkpoint.
        behaviours: the summary of `ovr behaviours`, or None.
        rollout_files: (iteration, file), in order.
        notes: what could not be read, in words.
    """

    name: str
    root: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    behaviours: dict[str, Any] | None = None
    rollout_files: list[tuple[int, Path]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def points(self, stage: str, metric: str) -> tuple[list[int], list[float]]:
        """(steps, values) of one metric where it was logged as a finite number."""
        found = [
            (record["step"], float(record[metric]))
            for record in self.records
            if record["stage"] == stage and is_number(record.get(metric))
        ]
        return [step for step, _ in found], [value for _, value in found]

    def metrics(self, stage: str, prefix: str = "") -> list[str]:
        """Names of all metrics of a stage that start so, sorted."""
        return sorted(
            {
                name
                for record in self.records
                if record["stage"] == stage
                for name, value in record.items()
                if name.startswith(prefix) and name not in ("stage", "step") and is_number(value)
            }
        )

    def read_json(self, path: Path) -> Any:
        """A JSON file's content; None, and a note, where it cannot be read."""
        from ovr_plugin.data.files import read_json

        if not path.is_file():
            return None
        try:
            return read_json(path)
        except (ValueError, OSError) as error:
            self.notes.append(str(error))
            return None


def is_number(value: Any) -> bool:
    """A finite number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_run(root: str | Path, name: str | None = None) -> Run:
    """Read a run's folder.

    Raises:
        FileNotFoundError: no such folder, or nothing in it that a report could show.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; a run is a folder with logs/ or rollouts/"
        )
    run = Run(name or root.resolve().name, root)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.records = _records(run)
        run.evaluations = [*read_evaluations(run), *validations(run)]
        run.behaviours = _behaviours(run, root / "behaviours" / "summary.json")
        run.rollout_files = _rollout_files(root / "rollouts")
    run.notes += [str(warning.message) for warning in caught]
    if not (run.records or run.rollout_files or run.evaluations or run.behaviours):
        raise FileNotFoundError(
            f"{root}: nothing to show: no metrics in logs/*.jsonl or metrics.jsonl, no event "
            "files, no rollouts/*.jsonl, no */result.json of ovr eval. " + "; ".join(run.notes)
        )
    return run


def _records(run: Run) -> list[dict[str, Any]]:
    by_step: dict[tuple[int, int], dict[str, Any]] = {}
    for stage, step, metrics in (*_from_events(run), *_from_logs(run)):  # the later one wins
        key = (STAGES.index(stage), step)
        by_step.setdefault(key, {"stage": stage, "step": step}).update(metrics)
    return [by_step[key] for key in sorted(by_step)]


def _from_logs(run: Run) -> Iterator[tuple[str, int, dict[str, Any]]]:
    folder = RunFolder(run.root)
    starts = [(stage_of(path), path) for path in folder.metrics_files()]
    for stage, path in starts:
        if stage is None:
            run.notes.append(
                f"{path}: neither its name (ppo*, sft*, cold_start*) nor its records tell a stage"
            )
            continue
        try:
            for step, metrics in read_metrics(path):
                yield stage, step, metrics
        except OSError as error:
            run.notes.append(f"{path}: {error!r}; the rest of this file is left out")
    if not any(stage for stage, _ in starts) and folder.metrics.is_file():
        yield from read_merged(folder.metrics)


def _from_events(run: Run) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Scalars of TensorBoard's files; those of the cold start have it or ``sft`` in their path."""
    files = sorted(run.root.rglob(EVENTS))
    if not files:
        return
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError as error:
        run.notes.append(f"{len(files)} event files were not read: {error}; install tensorboard")
        return
    for path in files:
        inside = path.relative_to(run.root).as_posix().lower()
        stage = STAGES[0] if "cold_start" in inside or "sft" in inside else STAGES[1]
        try:
            for event in EventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    number = _scalar(value)
                    if number is not None:
                        yield stage, int(event.step), {value.tag: number}
        except Exception as error:  # a file that is being written can break any parser
            run.notes.append(f"{path}: {error!r}; the rest of this file is left out")


def _scalar(value: Any) -> float | None:
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if value.HasField("tensor") and len(value.tensor.float_val) == 1:
        return float(value.tensor.float_val[0])
    return None


def _behaviours(run: Run, path: Path) -> dict[str, Any] | None:
    """The summary of `ovr behaviours`; None, and a note, where it is none."""
    summary = run.read_json(path)
    try:
        for each in [] if summary is None else summary["checkpoints"]:
            detected = each.get("judge") or each["keywords"]
            rates = dict(detected["behaviours"])
            str(each["name"]), int(each["step"])
            emergence = [rate.get("emergence_rate") for rate in rates.values()]
            for estimate in (*emergence, *dict(detected["btr"]).values()):
                _check_estimate(estimate)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        run.notes.append(f"{path}: no summary of ovr behaviours: {error!r}")
        return None
    return summary


def _check_estimate(estimate: Any) -> None:
    for key in ("value", "low", "high"):
        value = (estimate or {}).get(key)
        if value is not None and not is_number(value):
            raise ValueError(f"{key} is no number: {value!r}")


def _rollout_files(folder: Path) -> list[tuple[int, Path]]:
    files = [(int(path.stem), path) for path in folder.glob("*.jsonl") if path.stem.isdigit()]
    return sorted(files)


def distinct_names(roots: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    parts = [root.resolve().parts for root in roots]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]
