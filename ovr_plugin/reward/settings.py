"""The block ``ovr.reward`` of a recipe, checked: how answers are graded, by how many workers.

The same keys are the settings of every form that veRL calls (`verl_functions`), so that a wrong one
is named when a run starts and not after hours of it.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ovr_plugin.reward.policy import DEFAULT, Policy
from ovr_plugin.reward.pool import TIMEOUT_S, Pool


@dataclass(frozen=True)
class Settings:
    """How to grade.

    Attributes:
        timeout_s: for one answer.
        n_workers: processes for algebra, of each process that grades; null chooses by the cores.
        policy: the other keys of the block, see `Policy`.
    """

    timeout_s: float = TIMEOUT_S
    n_workers: int | None = None
    policy: Policy = DEFAULT

    @classmethod
    def keys(cls) -> list[str]:
        """The names of the settings."""
        return ["timeout_s", "n_workers", *Policy.keys()]

    @classmethod
    def of(cls, block: Any, name: str = "ovr.reward") -> Settings:
        """Read a block of settings; null is a default.

        Raises:
            ValueError: naming the block, every unknown key and every wrong value.
        """
        block = {} if block is None else block
        if not isinstance(block, Mapping):
            raise ValueError(f"{name} must map settings to values, and not be {block!r}")
        given = {str(key): value for key, value in block.items() if value is not None}
        wrong = []
        if unknown := sorted(set(given) - set(cls.keys())):
            wrong.append(f"no key {', '.join(unknown)}; there are {', '.join(cls.keys())}")
        timeout_s, n_workers = given.get("timeout_s", cls.timeout_s), given.get("n_workers")
        if not _is_positive(timeout_s, int | float):
            wrong.append(f"timeout_s must be a positive number of seconds, not {timeout_s!r}")
        if n_workers is not None and not _is_positive(n_workers, int):
            wrong.append(f"n_workers must be a positive integer or null, not {n_workers!r}")
        policy = DEFAULT
        try:
            policy = Policy(**{key: given[key] for key in Policy.keys() if key in given})
        except ValueError as error:
            wrong.append(str(error))
        if wrong:
            raise ValueError(f"{name}: {'; '.join(wrong)}")
        return cls(timeout_s, n_workers, policy)

    def make_pool(self) -> Pool:
        """Return a pool of workers that is closed when this process ends."""
        pool = Pool(self.n_workers, timeout_s=self.timeout_s)
        atexit.register(pool.close)
        return pool


def _is_positive(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    return math.isfinite(value) and value > 0
