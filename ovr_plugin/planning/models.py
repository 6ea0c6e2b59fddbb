"""A model's name or folder in, the shapes of its weights out: built on the meta device, unloaded.

Qwen2.5-VL's published sizes are known by name, so that a plan needs no download; any other model is
a local folder with its ``config.json``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
# The text model's shapes, from the config.json of Qwen/Qwen2.5-VL-*-Instruct.
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "3b": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "32b": {
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
}


@dataclass(frozen=True)
class ModelSizes:
    """What memory depends on.

    Attributes:
        name: as asked for.
        policy: weight -> shape of the policy.
        critic: weight -> shape of the critic: the same backbone and a head of one value.
        layers: of the text model.
        hidden: its width.
        intermediate: the width of its MLP.
        vocabulary: its outputs.
        heads: of attention.
        kv_heads: of grouped-query attention.
        head_dim: of each of them.
    """

    name: str
    policy: Mapping[str, tuple[int, ...]]
    critic: Mapping[str, tuple[int, ...]]
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int


def model_sizes(model: str) -> ModelSizes:
    """Build a Qwen2.5-VL without weights and read its shapes.

    Args:
        model: a local folder, or a name that says the size, such as Qwen/Qwen2.5-VL-7B-Instruct.

    Raises:
        ValueError: it is neither; the message lists the sizes known.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from ovr_plugin.models.value_model import Qwen2_5_VLForTokenClassification

    config = _config(model)
    with torch.device("meta"):
        policy = Qwen2_5_VLForConditionalGeneration(config)
        critic = Qwen2_5_VLForTokenClassification(config)
    text: Any = config.text_config
    heads = int(text.num_attention_heads)
    return ModelSizes(
        name=model,
        policy={name: tuple(weight.shape) for name, weight in policy.named_parameters()},
        critic={name: tuple(weight.shape) for name, weight in critic.named_parameters()},
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        intermediate=int(text.intermediate_size),
        vocabulary=int(text.vocab_size),
        heads=heads,
        kv_heads=int(text.num_key_value_heads),
        head_dim=int(text.hidden_size) // heads,
    )


def _config(model: str) -> Any:
    from transformers import AutoConfig, Qwen2_5_VLConfig

    if Path(model).is_dir():
        config = AutoConfig.from_pretrained(model)
        if config.model_type != "qwen2_5_vl":
            raise ValueError(f"{model} is a {config.model_type}; plans know Qwen2.5-VL")
        return config
    named = re.fullmatch(r"(?:.*qwen2\.5-vl-)?(\d+b)(?:-.*)?", model.lower())
    if named is None or named[1] not in KNOWN:
        raise ValueError(
            f"{model!r} is no local folder and no known size of Qwen2.5-VL ({', '.join(KNOWN)})"
        )
    size = named[1]
    text = dict(KNOWN[size])
    tied = text.pop("tie_word_embeddings")
    vision = {**_VISION, "out_hidden_size": text["hidden_size"]}
    if size == "32b":
        vision["intermediate_size"] = 3456
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def size_in(recipe: str) -> str | None:
    """The size that a recipe's name says, such as 7b in ppo_7b_orz."""
    return next((part for part in recipe.split("_") if part in KNOWN), None)


def n_elements(shapes: Iterable[tuple[int, ...]]) -> int:
    """Elements of all tensors together."""
    return sum(math.prod(shape) for shape in shapes)


def shard_elements(shapes: Iterable[tuple[int, ...]], n_ranks: int) -> int:
    """Elements of the largest rank's shards: FSDP2 splits every tensor by rows, in whole rows."""
    return sum(
        math.ceil(shape[0] / n_ranks) * math.prod(shape[1:]) if shape else 1 for shape in shapes
    )
