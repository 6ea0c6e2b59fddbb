"""One number per row, measured elsewhere and looked up by the row's id: pass rates and losses.

Both filters keep a band of values. Pass rates (OVR 3.3: "the trivial and the infeasible" go) are
measured by ``ovr pass-rate``; losses of cold-start responses under a light model (OVR A: those with
"abnormally high loss" go) by any scorer that writes JSON Lines with ``id`` and ``loss``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.text import id_key
from ovr_plugin.data.files import read_jsonl


@dataclass(frozen=True)
class Lookup:
    """Values by id, sixteen bytes each: ``keys`` (n,) uint64 sorted, ``values`` (n,) float64."""

    keys: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, float]]) -> Lookup:
        """Of several values for one id the last counts."""
        known = {id_key(name): value for name, value in pairs}
        keys = np.fromiter(known.keys(), dtype=np.uint64, count=len(known))
        values = np.fromiter(known.values(), dtype=np.float64, count=len(known))
        order = np.argsort(keys)
        return cls(keys[order], values[order])

    @classmethod
    def read(cls, path: str | Path, column: str) -> Lookup:
        """Read ``id`` and ``column`` of a JSON Lines file; a first line of settings is skipped.

        Raises:
            ValueError: a line without them; the message names file and line.
        """
        return cls.of(_pairs(Path(path), column))

    def get(self, name: str) -> float | None:
        """The value of a row; None if there is none."""
        key = np.uint64(id_key(name))
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key:
            return None
        return float(self.values[place])

    def n_unknown(self, keys: np.ndarray) -> int:
        """How many of these hashed ids, such as the chunks' marks hold, have no value."""
        return int((~np.isin(keys, self.keys)).sum())

    def quantile(self, share: float) -> float:
        """The value below which that share of the finite values lies."""
        finite = self.values[np.isfinite(self.values)]
        return float(np.quantile(finite, share)) if len(finite) else math.inf


@dataclass(frozen=True)
class Band:
    """A predicate: a row's value has to lie from ``low`` to ``high``."""

    name: str
    values: Lookup
    low: float
    high: float
    missing: str

    def __call__(self, row: Row) -> str | None:
        """Why the row goes; one without a value goes only where ``missing`` is ``drop``."""
        value = self.values.get(row.sample.id)
        if value is None:
            drops = self.missing == "drop"
            return f"no {self.name}: the row was not measured" if drops else None
        if value != value:  # not a number: the scorer's loss overflowed
            return f"{self.name} is not a number: {value}"
        if value < self.low:
            return f"{self.name} too low: {value:.3g}, under {self.low:g}"
        if value > self.high:
            return f"{self.name} too high: {value:.3g}, over {self.high:g}"
        return None


def _pairs(path: Path, column: str) -> Iterable[tuple[str, float]]:
    for number, line in enumerate(read_jsonl(path), start=1):
        if number == 1 and isinstance(line, dict) and "settings" in line:
            continue
        name: Any = line.get("id") if isinstance(line, dict) else None
        value: Any = line.get(column) if isinstance(line, dict) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(name, str) or not is_number:
            raise ValueError(f"{path}: line {number} does not hold id and {column}: {line!r:.80}")
        yield name, float(value)
