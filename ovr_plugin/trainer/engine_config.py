"""The FSDP engine's settings plus OVR's: what a recipe swaps in as ``_target_``.

veRL's trainer config (``actor.freeze_vision_tower``, read by nothing in 0.9.1) never reaches the
engine; this dataclass does. An engine whose config is not of this class behaves as veRL's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from verl.workers.config import FSDPEngineConfig


@dataclass
class OVREngineConfig(FSDPEngineConfig):
    """veRL's ``FSDPEngineConfig`` and three settings of OVR.

    Attributes:
        freeze_vision_tower: keep ``visual.*`` (tower and merger) out of training.
        value_head_init: ``linear_default``, ``orz_normal`` or ``uniform`` (critic only).
        value_head_bound: of ``uniform`` (critic only).
    """

    freeze_vision_tower: bool = False
    value_head_init: str = "linear_default"
    value_head_bound: float = math.sqrt(5)

    def __post_init__(self) -> None:
        super().__post_init__()
        from ovr_plugin.models.value_model import HeadInit

        HeadInit(self.value_head_init, self.value_head_bound)
        if self.freeze_vision_tower and self.strategy == "fsdp" and not self.use_orig_params:
            raise ValueError(
                "freeze_vision_tower under FSDP1 needs use_orig_params=true (FSDP1 cannot flatten "
                "frozen and trained weights together otherwise); or use strategy=fsdp2."
            )
