"""On the CPU platform veRL asks for the illegal process-group backend "cpu:gloo,cpu:gloo".

Versions: veRL 0.9.1. Where: verl/utils/distributed.py, both ``initialize_global_process_group``
functions build "cpu:gloo,<device>:<backend>", and here the device is the CPU itself.
"""

from __future__ import annotations

import os
from typing import Any

BACKEND = "cpu:gloo"


def apply(distributed: Any) -> None:
    """Rebind both functions of ``verl.utils.distributed``."""
    stock_ray = distributed.initialize_global_process_group_ray
    if getattr(stock_ray, "ovr_fix", False):
        return

    def initialize_global_process_group_ray(
        timeout_second: int | None = None, backend: str | None = None
    ) -> None:
        stock_ray(timeout_second, backend or BACKEND)

    def initialize_global_process_group(timeout_second: int = 36000) -> tuple[int, int, int]:
        stock_ray(timeout_second, BACKEND)
        return int(os.environ["LOCAL_RANK"]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    initialize_global_process_group_ray.ovr_fix = True  # type: ignore[attr-defined]
    distributed.initialize_global_process_group_ray = initialize_global_process_group_ray
    distributed.initialize_global_process_group = initialize_global_process_group
