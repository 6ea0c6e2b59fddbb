"""What becomes of a row that breaks when it is used: another of its source takes its place.

Which one depends on the seed and the row alone. Every replacement is logged with its reason; when
there are too many, the run stops with the list of all of them. Each worker process of the
dataloader counts for itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from ovr_plugin.data.sample import BadRow

logger = logging.getLogger(__name__)

MAX_BROKEN = 100  # rows; a data set that was prepared has none
N_TRIES = 16


class TooManyBrokenRows(ValueError):
    """The list of them is the message."""


class Replacement:
    """Chooses rows in place of broken ones.

    Args:
        groups: for each row the number of its group: source and modality.
        problems: what is wrong with a row; empty for a good one.
        place: file and row number, for messages.
        seed: of the choice.
        max_broken: different broken rows at which the run stops.
    """

    def __init__(
        self,
        groups: np.ndarray,
        problems: Callable[[int], list[str]],
        place: Callable[[int], tuple[str, int]],
        seed: int = 0,
        max_broken: int = MAX_BROKEN,
    ) -> None:
        self._groups, self._problems, self._place = groups, problems, place
        self._seed, self.max_broken = seed, max_broken
        self.broken: dict[int, BadRow] = {}

    def good_row(self, row: int) -> int:
        """``row``, or where it is broken another of its group.

        Raises:
            TooManyBrokenRows: as many are broken as are allowed, or no good one was found.
        """
        if self._is_good(row):
            return row
        others = np.flatnonzero(self._groups == self._groups[row])
        order = np.random.default_rng((self._seed, row)).permutation(others)
        for other in order[:N_TRIES].tolist():
            if self._is_good(other):
                logger.warning("replaced by row %d of its source: %s", other, self.broken[row])
                return int(other)
        raise TooManyBrokenRows(self._list(f"no good row of the same source in {N_TRIES} tries"))

    def _is_good(self, row: int) -> bool:
        if row in self.broken:
            return False
        reasons = self._problems(row)
        if not reasons:
            return True
        file, number = self._place(row)
        self.broken[row] = BadRow(file, number, "; ".join(reasons))
        if len(self.broken) >= self.max_broken:
            raise TooManyBrokenRows(self._list(f"data.max_broken_rows is {self.max_broken}"))
        return False

    def _list(self, why: str) -> str:
        lines: Sequence[str] = [f"  {bad}" for bad in self.broken.values()]
        return "\n".join([f"{len(lines)} rows broke when they were used ({why}):", *lines])
