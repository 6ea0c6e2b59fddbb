"""The models that OVR's classes fit: a config's ``model_type`` in, what differs by family out.

Everything that a checkpoint says itself (patch and merge size, token ids, heads) is read from its
config or processor where it is needed; here is only what no file of it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        model_type: of ``config.json``.
        title: as people write it.
        prefix: of its classes in transformers.
        base: a checkpoint on the hub, for advice.
    """

    model_type: str
    title: str
    prefix: str
    base: str

    def transformers_class(self, suffix: str) -> Any:
        """One of transformers' classes, such as ``Config`` or ``ForConditionalGeneration``."""
        import transformers

        return getattr(transformers, self.prefix + suffix)


QWEN2_5_VL = Family("qwen2_5_vl", "Qwen2.5-VL", "Qwen2_5_VL", "Qwen/Qwen2.5-VL-7B-Instruct")
QWEN3_VL = Family("qwen3_vl", "Qwen3-VL", "Qwen3VL", "Qwen/Qwen3-VL-8B-Instruct")
FAMILIES = {family.model_type: family for family in (QWEN2_5_VL, QWEN3_VL)}
TITLES = " and ".join(family.title for family in FAMILIES.values())
