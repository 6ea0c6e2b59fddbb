"""A model's name or folder in, the shapes of its weights out: built on the meta device, unloaded.

The published sizes of Qwen2.5-VL and Qwen3-VL are known by name, so that a plan needs no download;
any other model of theirs is a local folder with its ``config.json``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovr_plugin.models.families import FAMILIES, QWEN2_5_VL, QWEN3_VL, TITLES, Family

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
_QWEN2_5: Mapping[str, Mapping[str, Any]] = {
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
# Likewise of Qwen/Qwen3-VL-*-Instruct, the dense ones.
_QWEN3: Mapping[str, Mapping[str, Any]] = {
    "2b": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "tie_word_embeddings": True,
    },
    "4b": {
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "tie_word_embeddings": True,
    },
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    },
    "32b": {
        "hidden_size": 5120,
        "intermediate_size": 25600,
        "num_hidden_layers": 64,
        "num_attention_heads": 64,
        "tie_word_embeddings": False,
    },
}
_QWEN3_TEXT = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936}
_QWEN3_VISION = {  # of the 8B and 32B
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}
_QWEN3_SMALL_VISION = {  # of the 2B and 4B
    **_QWEN3_VISION,
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "deepstack_visual_indexes": [5, 11, 17],
}
KNOWN = {QWEN2_5_VL: _QWEN2_5, QWEN3_VL: _QWEN3}


@dataclass(frozen=True)
class ModelSizes:
    """What memory depends on.

    Attributes:
        name: as asked for.
        title: of the model's family.
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
    title: str
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
    """Build a model without weights and read its shapes.

    Args:
        model: a local folder, or a name that says the size, such as Qwen/Qwen3-VL-8B-Instruct;
            a size alone, such as 7b, is Qwen2.5-VL's where there is one.

    Raises:
        ValueError: it is neither; the message lists the sizes known.
    """
    import torch

    from ovr_plugin.models.value_model import VALUE_MODELS

    config = _config(model)
    family = FAMILIES[config.model_type]
    with torch.device("meta"):
        policy = family.transformers_class("ForConditionalGeneration")(config)
        critic = VALUE_MODELS[type(config)](config)
    text: Any = config.text_config
    heads = int(text.num_attention_heads)
    return ModelSizes(
        name=model,
        title=family.title,
        policy={name: tuple(weight.shape) for name, weight in policy.named_parameters()},
        critic={name: tuple(weight.shape) for name, weight in critic.named_parameters()},
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        intermediate=int(text.intermediate_size),
        vocabulary=int(text.vocab_size),
        heads=heads,
        kv_heads=int(text.num_key_value_heads),
        head_dim=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
    )


def _config(model: str) -> Any:
    from transformers import AutoConfig

    if Path(model).is_dir():
        config = AutoConfig.from_pretrained(model)
        if config.model_type not in FAMILIES:
            raise ValueError(f"{model} is a {config.model_type}; plans know {TITLES}")
        return config
    for family, sizes in KNOWN.items():
        named = re.fullmatch(rf"(?:.*{family.title.lower()}-)?(\d+b)(?:-.*)?", model.lower())
        if named and named[1] in sizes:
            return _known_config(family, named[1])
    known = "; ".join(f"{family.title}: {', '.join(sizes)}" for family, sizes in KNOWN.items())
    raise ValueError(f"{model!r} is no local folder and no known size ({known})")


def _known_config(family: Family, size: str) -> Any:
    text = dict(KNOWN[family][size])
    tied = text.pop("tie_word_embeddings")
    if family is QWEN3_VL:
        text |= _QWEN3_TEXT
        vision = dict(_QWEN3_SMALL_VISION if size in ("2b", "4b") else _QWEN3_VISION)
    else:
        vision = dict(_VISION)
        if size == "32b":
            vision["intermediate_size"] = 3456
    vision["out_hidden_size"] = text["hidden_size"]
    config = family.transformers_class("Config")
    return config(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def size_in(recipe: str) -> str | None:
    """The size that a recipe's name says, such as 7b in ppo_7b_orz."""
    sizes = {size for known in KNOWN.values() for size in known}
    return next((part for part in recipe.split("_") if part in sizes), None)


def n_elements(shapes: Iterable[tuple[int, ...]]) -> int:
    """Elements of all tensors together."""
    return sum(math.prod(shape) for shape in shapes)


def shard_elements(shapes: Iterable[tuple[int, ...]], n_ranks: int) -> int:
    """Elements of the largest rank's shards: FSDP2 splits every tensor by rows, in whole rows."""
    return sum(
        math.ceil(shape[0] / n_ranks) * math.prod(shape[1:]) if shape else 1 for shape in shapes
    )
