"""The folder of one run: where each thing lies, and one ``metrics.jsonl`` over stages and restarts.

Each start of a trainer logs into a file of its own under ``logs/``, or all into one that is
appended to, and ``metrics.jsonl`` is made anew from all of them. A step logged twice (done again
after a crash) has what was logged last of each metric.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ovr_plugin.checkpoint.resume import tracked_step

STAGES = ("cold_start", "ppo")
# How the names of a stage's logs begin, and the names of what only its trainer logs.
NAMES = {"cold_start": ("cold_start", "sft"), "ppo": ("ppo",)}
METRICS = {"cold_start": ("train/loss",), "ppo": ("actor/", "critic/")}
N_TELLING = 100  # records of a log that are looked at for these
RECORD = re.compile(rb'(?=\{"step":)')  # where a record of veRL's file logger begins
MAX_NAMED = 5  # lines in a warning
PATTERN = "*?["  # what makes a path one to vLLM and datasets, which then find nothing

Record = TypeVar("Record", bound=tuple[Any, ...])


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run under ``root``."""

    root: Path

    @property
    def data(self) -> Path:
        """Parquet files of both stages and the report of bad rows."""
        return self.root / "data"

    @property
    def model(self) -> Path:
        """The model before any training."""
        return self.root / "model"

    @property
    def rollouts(self) -> Path:
        """One JSONL file of graded responses per PPO iteration."""
        return self.root / "rollouts"

    @property
    def validations(self) -> Path:
        """One JSONL file per validation of PPO, its responses with their verdicts (veRL's dump)."""
        return self.root / "validations"

    @property
    def plots(self) -> Path:
        """PNG files."""
        return self.root / "plots"

    @property
    def logs(self) -> Path:
        """Console output and metrics of every start of a trainer."""
        return self.root / "logs"

    @property
    def metrics(self) -> Path:
        """All metrics, one line per stage and step."""
        return self.root / "metrics.jsonl"

    @contextmanager
    def in_use(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Make the folder and hold it: two starts at once would write the same checkpoints.

        Args:
            waiting: called where another process holds it, which we then wait for.

        Raises:
            ValueError: another process holds it, and we are not to wait; or what reads its files
                would take its path for a pattern.
        """
        from ovr_plugin.data.lock import held

        if found := [sign for sign in PATTERN if sign in str(self.root.absolute())]:
            raise ValueError(
                f"{self.root.absolute()} has {' and '.join(found)} in its path, which vLLM and "
                "datasets read as a pattern; choose another --out"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.root, waiting))
            except BlockingIOError as error:
                raise ValueError(
                    f"{self.root} is in use by another start of this run; wait for its end, or "
                    "choose another --out"
                ) from error
            yield

    def checkpoints(self, stage: str) -> Path:
        """The trainer's ``default_local_dir`` of ``stage``."""
        return self.root / stage

    def latest_step(self, stage: str) -> int:
        """Return the step of the last complete checkpoint of ``stage``, 0 if there is none."""
        return tracked_step(self.checkpoints(stage)) or 0

    def recorded_step(self, stage: str) -> int:
        """Return the last step that a log of ``stage`` tells of, 0 if there is none."""
        logged = (step for start in self.starts(stage) for step, _ in read_metrics(start))
        return max(logged, default=0)

    def export(self, stage: str) -> Path:
        """Return the HF folder inside the last checkpoint of ``stage``."""
        step = self.checkpoints(stage) / f"global_step_{self.latest_step(stage)}"
        return (step / "actor" if stage == "ppo" else step) / "huggingface"

    def next_start(self, stage: str) -> tuple[Path, Path]:
        """Return (metrics file, console file) for one more start of ``stage``'s trainer."""
        self.logs.mkdir(parents=True, exist_ok=True)
        earlier = self.logs.glob(f"{stage}_[0-9][0-9][0-9].*")  # some left nothing but their output
        number = max((int(path.stem[-3:]) for path in earlier), default=0) + 1
        stem = self.logs / f"{stage}_{number:03d}"
        return stem.with_suffix(".jsonl"), stem.with_suffix(".log")

    def merge_metrics(self) -> list[dict[str, Any]]:
        """Write ``metrics.jsonl`` from every start's log; return its records."""
        from ovr_plugin.data.files import write_jsonl

        by_step: dict[tuple[int, int], dict[str, Any]] = {}
        for number, stage in enumerate(STAGES):
            for start in self.starts(stage):
                for step, metrics in read_metrics(start):
                    record = by_step.setdefault((number, step), {"stage": stage, "step": step})
                    record |= metrics
        records = [by_step[key] for key in sorted(by_step)]
        write_jsonl(self.metrics, records)
        return records

    def starts(self, stage: str) -> list[Path]:
        """The metrics files of every start of ``stage``'s trainer, in order."""
        return [path for path in self.metrics_files() if stage_of(path) == stage]

    def metrics_files(self) -> list[Path]:
        """Whatever may be a log of metrics, in order."""
        return sorted(self.logs.glob("*.jsonl"))


def stage_of(path: Path) -> str | None:
    """The stage that a log of metrics is of, by its name or else by its metrics; None: unknown."""
    for stage, beginnings in NAMES.items():
        if path.name.lower().startswith(beginnings):
            return stage
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torn lines: said by whoever reads all
            for _, metrics in islice(read_metrics(path), N_TELLING):
                for stage, beginnings in METRICS.items():
                    if any(name.startswith(beginnings) for name in metrics):
                        return stage
    except OSError:
        pass
    return None


def read_metrics(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (step, metrics) of a log of veRL's file logger (utils/tracking.py).

    Lines that are torn or hold something else are left out, with one warning that names them.
    """
    return _records(path, lambda record: (int(record["step"]), dict(record["data"])))


def read_merged(path: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (stage, step, metrics) of a ``metrics.jsonl``; lines are left out as there."""
    return _records(path, lambda record: (_stage(record), int(record["step"]), dict(record)))


def _stage(record: dict[str, Any]) -> str:
    return STAGES[STAGES.index(record["stage"])]


def _records(path: Path, parse: Callable[[Any], Record]) -> Iterator[Record]:
    left_out = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            # A kill tears the last line; the next start goes on behind it, on the same line.
            parts = [_parsed(line, parse)]
            if None in parts:
                parts = [_parsed(part, parse) for part in RECORD.split(line) if part]
            if None in parts:
                left_out.append(number)
            yield from (part for part in parts if part is not None)
    if left_out:
        shown = ", ".join(map(str, left_out[:MAX_NAMED]))
        more = f" and {len(left_out) - MAX_NAMED} more" if len(left_out) > MAX_NAMED else ""
        are = "line {} is" if len(left_out) == 1 else "lines {} are"
        warnings.warn(
            f"{path}: {are.format(shown + more)} torn or no metrics; left out", stacklevel=2
        )


def _parsed(line: bytes, parse: Callable[[Any], Record]) -> Record | None:
    try:
        return parse(json.loads(line))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
