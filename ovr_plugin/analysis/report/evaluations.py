"""A run's scores on benchmarks: what `ovr eval` wrote for each checkpoint, and veRL's validation.

::

    RUN/eval/<checkpoint>/<benchmark>/result.json   ovr eval ... --out RUN/eval/ppo_300
    RUN/eval/<benchmark>/result.json                one checkpoint, called as the served model is

The folder's name says which checkpoint it is (`ovr_plugin.analysis.checkpoints`). A folder that
`ovr eval` wrote is a run as well. Intervals, rates and the paper's scores stand in the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from ovr_plugin.analysis.checkpoints import Checkpoint

if TYPE_CHECKING:
    from ovr_plugin.analysis.report.runs import Run

RESULT = "result.json"
VALIDATION = "val-core/"  # veRL's metrics: val-core/SOURCE/VARIABLE/mean@N


@dataclass(frozen=True)
class Evaluation:
    """One benchmark's headline at one checkpoint: a share of 1, or points; its interval if any.

    The score is None where the protocol's is not defined, as of a mean that lacks a part.

    ``result`` is all that `ovr eval` wrote, None for a validation during training.
    """

    benchmark: str
    checkpoint: Checkpoint
    score: float | None
    low: float | None = None
    high: float | None = None
    metric: str = "accuracy"
    points: bool = False
    result: dict[str, Any] | None = None

    @property
    def title(self) -> str:
        """As the paper's tables call the benchmark."""
        return str(self.result["title"]) if self.result else self.benchmark


def read_evaluations(run: Run) -> Iterator[Evaluation]:
    """Yield what there is; what cannot be read is said in the run's notes."""
    folder = run.root / "eval"
    root = folder if folder.is_dir() else run.root
    nameless: set[str] = set()
    for path in sorted([*root.glob(f"*/{RESULT}"), *root.glob(f"*/*/{RESULT}")]):
        result = run.read_json(path)
        if result is None:
            continue
        above = path.parent.parent
        try:
            name = str(result["settings"]["model"] or root.name) if above == root else above.name
            checkpoint = Checkpoint.named(name)
            yield _of_result(result, checkpoint)
            if not checkpoint.says_where:
                nameless.add(name)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            run.notes.append(f"{path}: no result of ovr eval with a score: {error!r}")
    if nameless:
        run.notes.append(
            f"{root}: {', '.join(sorted(nameless))}: names that do not say where in training (such "
            "as base, cold_start_900, ppo_300) are in the table and not in the curves"
        )


def _of_result(result: dict[str, Any], checkpoint: Checkpoint) -> Evaluation:
    from ovr_plugin.eval.paper_table import measured_rows, notes, rows
    from ovr_plugin.eval.run import protocol

    if not result["n_missing"] < result["n_items"] * result["n_samples"]:
        raise ValueError("no response")
    # What cannot be shown is no result.
    rows([result]), measured_rows([result]), protocol([result]), notes([result])
    headline, points = str(result["headline"]), result["unit"] == "points"
    found: dict[str, Any] = result["metrics"].get(headline) or {}
    whole = 1.0 if points else 100.0
    known = {key: value / whole for key, value in found.items() if value is not None}
    if not all(map(isfinite, known.values())):
        raise ValueError(f"{headline} is no finite number")
    return Evaluation(
        str(result["benchmark"]),
        checkpoint,
        known.get("value"),
        known.get("low"),
        known.get("high"),
        headline,
        points,
        result,
    )


def validations(run: Run) -> Iterator[Evaluation]:
    """Yield veRL's validations, the means over samples of each source."""
    for stage in ("cold_start", "ppo"):
        for metric in run.metrics(stage, VALIDATION):
            source, _, kind = metric.removeprefix(VALIDATION).rpartition("/mean@")
            if source and kind.isdigit():
                for step, score in zip(*run.points(stage, metric), strict=True):
                    checkpoint = Checkpoint.of(f"{stage}_{step}", stage, step)
                    yield Evaluation(source.rpartition("/")[0] or source, checkpoint, score)
