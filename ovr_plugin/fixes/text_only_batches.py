"""B1: a micro-batch without an image crashes Qwen2.5-VL.

Versions: veRL 0.9.1 with transformers >= 5 (veRL allows no older one).
Where: verl/models/transformers/qwen2_vl.py, ``_get_input_embeds``. So that every rank runs the
vision tower, a batch without pictures sends a blank one through it and adds 0 x the result; the
tower now returns an output object, whose ``.mean()`` does not exist. The branch for pictures in
the same function unpacks it, this one does not.
Upstream: https://github.com/verl-project/verl/issues/2204 (mixed batches), /issues/3665.
"""

from __future__ import annotations

from typing import Any

import torch

PATCH_GRID = (1, 4, 4)  # the smallest picture that survives the 2 x 2 merge and a window


def apply(qwen2_vl: Any) -> None:
    """Rebind ``_get_input_embeds`` of ``verl.models.transformers.qwen2_vl``, used at call time."""
    stock = qwen2_vl._get_input_embeds
    if getattr(stock, "ovr_fix", False):
        return

    def _get_input_embeds(
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        video_grid_thw: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if pixel_values is not None or pixel_values_videos is not None:
            return stock(
                model,
                input_ids,
                attention_mask,
                pixel_values,
                pixel_values_videos,
                image_grid_thw,
                video_grid_thw,
            )
        embeds = model.get_input_embeddings()(input_ids)
        blank, _ = qwen2_vl.unpack_visual_output(_run_tower_on_blank_picture(model, embeds))
        embeds = embeds + 0.0 * blank.mean()
        return embeds, attention_mask if attention_mask is None else attention_mask.to(
            embeds.device
        )

    _get_input_embeds.ovr_fix = True  # type: ignore[attr-defined]
    qwen2_vl._get_input_embeds = _get_input_embeds


def _run_tower_on_blank_picture(model: Any, like: torch.Tensor) -> Any:
    vision = model.config.vision_config
    patch_dim = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    n_patches = PATCH_GRID[0] * PATCH_GRID[1] * PATCH_GRID[2]
    pixels = torch.zeros((n_patches, patch_dim), dtype=like.dtype, device=like.device)
    return model.visual(pixels, grid_thw=torch.tensor([PATCH_GRID], device=like.device))
