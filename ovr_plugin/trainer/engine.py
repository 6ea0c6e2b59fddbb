"""veRL's FSDP engines plus OVR's frozen vision tower (B5, B6) and value model (B3, B4).

Both hang on the engine's config being an ``OVREngineConfig``; with veRL's own config class they
build exactly what veRL builds. They are registered for NVIDIA's vendor key, which veRL prefers over
its stock engines, and for the CPU device, for which veRL has none.
Upstream: verl/workers/engine/fsdp/transformer_impl.py, verl/utils/model.py (0.9.1).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from verl.utils import model as verl_model
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import (
    FSDPEngineWithLMHead,
    FSDPEngineWithValueHead,
)

from ovr_plugin.fixes.attention_without_flash import stock_attention_kept
from ovr_plugin.models.value_model import HeadInit, load_value_model
from ovr_plugin.trainer.engine_config import OVREngineConfig

logger = logging.getLogger(__name__)

BACKENDS = ["fsdp", "fsdp2"]


class OVREngineWithLMHead(FSDPEngineWithLMHead):
    """The policy, in the cold start and in PPO; freezes the vision tower where asked."""

    def _build_module(self) -> nn.Module:
        config = self.engine_config
        with _attention_kept(self):
            module = super()._build_module()
        if isinstance(config, OVREngineConfig) and config.freeze_vision_tower:
            logger.warning("vision tower frozen: %s", freeze_vision_tower(module))
        return module


class OVREngineWithValueHead(FSDPEngineWithValueHead):
    """The critic, on the plugin's value model instead of trl's head around a language model."""

    def _build_module(self) -> nn.Module:
        config = self.engine_config
        if not isinstance(config, OVREngineConfig):
            return super()._build_module()
        if self.model_config.use_fused_kernels:
            raise ValueError(
                "critic.model.use_fused_kernels=true replaces a language model's head, which the "
                "critic has not; leave it false (the policy may use fused kernels)."
            )
        head_init = HeadInit(config.value_head_init, config.value_head_bound, config.seed)
        with _value_model_loader(head_init), _attention_kept(self):
            module = super()._build_module()
        if config.freeze_vision_tower:
            logger.warning("vision tower frozen: %s", freeze_vision_tower(module))
        return module


def freeze_vision_tower(module: nn.Module) -> str:
    """Stop gradients of every ``visual`` parameter (tower and merger); return a line for the log.

    Without a gradient AdamW leaves a weight alone; a zero gradient, which veRL's text-only batches
    give the tower, still lets weight decay shrink it (B6).

    Raises:
        ValueError: the model has no vision tower under that name.
    """
    frozen = [
        parameter for name, parameter in module.named_parameters() if "visual" in name.split(".")
    ]
    if not frozen:
        raise ValueError(
            f"freeze_vision_tower: {type(module).__name__} has no parameter under 'visual'."
        )
    for parameter in frozen:
        parameter.requires_grad_(False)
    return f"{len(frozen)} tensors, {sum(p.numel() for p in frozen):,} parameters"


def register_engines() -> None:
    """Put both engines into veRL's registry; call once per process."""
    for model_type, engine in (
        ("language_model", OVREngineWithLMHead),
        ("value_model", OVREngineWithValueHead),
    ):
        EngineRegistry.register(model_type, BACKENDS, device="cuda", vendor="nvidia")(engine)
        EngineRegistry.register(model_type, BACKENDS, device="cpu")(engine)


def _attention_kept(engine: Any) -> AbstractContextManager[None]:
    attention = str(engine.model_config.hf_config._attn_implementation)
    return stock_attention_kept(attention, engine.ulysses_sequence_parallel_size)


@contextmanager
def _value_model_loader(head_init: HeadInit) -> Iterator[None]:
    """Let veRL's engine find our loader where it looks for its own, which hides every error."""

    def load(
        local_path: str, torch_dtype: torch.dtype, model_config: Any, trust_remote_code: bool
    ) -> nn.Module:
        return load_value_model(local_path, model_config, torch_dtype, head_init)

    stock = verl_model.load_valuehead_model
    verl_model.load_valuehead_model = load
    try:
        yield
    finally:
        verl_model.load_valuehead_model = stock
