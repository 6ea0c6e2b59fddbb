"""Difficulty strata and reweighting (OVR A): which rows count more, and which less.

The paper stratifies difficulty by source, weights over-represented formats down and rare but rich
categories up, and prints no numbers: the weights are the user's. A weight of 0.25 keeps a quarter
of a stratum, one of 2.5 repeats its rows twice or three times; which rows is a matter of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ovr_plugin.data.curation.lookup import Lookup
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.sample import Sample

MAX_WEIGHT = 1000  # how often a row may come: a slip of the pen must not fill the memory
NUMBERS = ("prompt_chars", "response_chars", "pass_rate", "loss")
NAMES = ("data_source", "answer_type", "format", "modality", "ability")


@dataclass(frozen=True)
class Stratification:
    """One way of dividing rows, with a weight for each part.

    Attributes:
        by: one of `NUMBERS`, divided at ``edges`` or, within each source, into ``quantiles`` parts
            of equal size; or one of `NAMES`.
        weights: a list, one per part from low to high, or a mapping from names (others weigh 1).
        file: of measured numbers, for ``pass_rate`` and ``loss``.
    """

    by: str
    weights: list[float] | dict[str, float]
    edges: list[float] = field(default_factory=list)
    quantiles: int = 0
    file: str | None = None

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        if self.by not in NUMBERS + NAMES:
            return [f".by: no {self.by!r}; there are {', '.join(NUMBERS + NAMES)}"]
        values = self.weights.values() if isinstance(self.weights, dict) else self.weights
        found = [
            f".weights: must be from 0 to {MAX_WEIGHT}: {weight}"
            for weight in values
            if not 0 <= weight <= MAX_WEIGHT
        ]
        if self.by in NAMES:
            if not isinstance(self.weights, dict):
                found.append(f".weights: must be a mapping of names for {self.by}")
            return found
        if self.by in ("pass_rate", "loss") and not self.file:
            found.append(f".file: is missing; {self.by} must have been measured")
        if bool(self.edges) == bool(self.quantiles):
            found.append(": must have either edges or quantiles")
        if self.edges != sorted(set(self.edges)):
            found.append(f".edges: must rise, not {self.edges}")
        n_parts = self.quantiles or len(self.edges) + 1
        if isinstance(self.weights, dict) or len(self.weights) != n_parts:
            found.append(f".weights: must be a list of {n_parts}, one per part from low to high")
        return found

    def measure(self, folder: Path) -> Measure:
        """What gives a row's number or name."""
        values = Lookup.read(folder / self.file, self.by) if self.file else None
        return Measure(self.by, values)

    def parts(self, values: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Which part each row is in; -1 for rows without a value. Shapes (n_rows,)."""
        if self.by in NAMES:
            return values.astype(np.int64)
        parts = np.full(len(values), -1, dtype=np.int64)
        known = ~np.isnan(values)
        if self.edges:
            parts[known] = np.searchsorted(self.edges, values[known], side="right")
            return parts
        for source in np.unique(sources[known]):
            here = known & (sources == source)
            order = np.argsort(values[here], kind="stable")
            ranks = np.empty(len(order), dtype=np.int64)
            ranks[order] = np.arange(len(order))
            parts[here] = ranks * self.quantiles // len(order)
        return parts

    def part_weights(self) -> list[float]:
        """The weight of each part; the one of a row without a value, 1, is last."""
        weights = self.weights.values() if isinstance(self.weights, dict) else self.weights
        return [*map(float, weights), 1.0]

    def part_names(self) -> list[str]:
        """What to call each part in the report."""
        if isinstance(self.weights, dict):
            return [*self.weights, "others"]
        if self.quantiles:
            return [f"{n} of {self.quantiles}" for n in range(1, self.quantiles + 1)] + ["unknown"]
        lows = ["", *(f"{edge:g} <= " for edge in self.edges)]
        highs = [*(f" < {edge:g}" for edge in self.edges), ""]
        return [f"{a}x{b}" for a, b in zip(lows, highs, strict=True)] + ["unknown"]

    def number(self, measured: float | str | None) -> float:
        """A measured value as the number that is stored for it."""
        if isinstance(self.weights, dict):
            names = list(self.weights)
            return float(names.index(str(measured))) if measured in names else -1.0
        return float("nan") if measured is None else float(measured)


@dataclass(frozen=True)
class Measure:
    """A row's number or name by one of `NUMBERS` and `NAMES`."""

    by: str
    values: Lookup | None = None

    def __call__(self, row: Row) -> float | str | None:
        """The value; None if it is not known."""
        sample: Any = row.sample
        if self.values is not None:
            return self.values.get(sample.id)
        if self.by == "prompt_chars":
            return float(len(row.question))
        if self.by == "response_chars":
            return float(len(getattr(sample, "response", "")))
        if self.by == "format":
            return _format(sample)
        value = getattr(sample, self.by, None)
        return None if value is None else str(value)


def _format(sample: Any) -> str:
    """How the question wants its answer: choice, yes_no, number, or free."""
    if not isinstance(sample, Sample):
        return "free"
    if sample.choices:
        return "choice"
    kind = sample.answer_type or "free"
    return kind if kind in ("yes_no", "number") else "free"
