"""The critic's network: the policy's backbone and a bias-free linear head, one value per token.

OVR (appendix B) starts the critic from the cold-start checkpoint, shares no weights with the policy
and gives the value head no bias. The paper's "U(-sqrt5, sqrt5)" is read three ways, which are the
three initialisations here; the checkpoint never holds the head, so it is the one thing allowed to
be missing from it. Anything else that is missing would leave a random backbone behind a printed
report, so loading refuses it.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
)
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLModel,
    Qwen2_5_VLPreTrainedModel,
)
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel, Qwen3VLPreTrainedModel

from ovr_plugin.models.families import FAMILIES, TITLES

logger = logging.getLogger(__name__)

HEAD = "score"
HEAD_INITS = ("linear_default", "orz_normal", "uniform")


class ValueModel(nn.Module):
    """Values of every token; takes what the family's ``ForConditionalGeneration.forward`` takes.

    veRL's critic engine reads ``output.logits``, of shape (batch, tokens, 1). A subclass says the
    family: its backbone, and the ``PreTrainedModel`` that it is by its second base.
    """

    backbone: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = self.backbone(config)
        self.score = nn.Linear(config.text_config.hidden_size, 1, bias=False)
        self.post_init()  # type: ignore[operator]  # of the second base

    @property
    def visual(self) -> nn.Module:
        """The vision tower, under the name that veRL's patches look for."""
        return self.model.visual

    @property
    def language_model(self) -> nn.Module:
        """The text decoder, likewise."""
        return self.model.language_model

    def forward(
        self, input_ids: torch.Tensor | None = None, **kwargs: Any
    ) -> TokenClassifierOutput:
        """Return logits of shape (batch, tokens, 1); no language-model logits are made."""
        kwargs.pop("labels", None)
        hidden_bth = self.model(input_ids=input_ids, **kwargs)[0]
        return TokenClassifierOutput(logits=self.score(hidden_bth.to(self.score.weight.dtype)))


class Qwen2_5_VLForTokenClassification(ValueModel, Qwen2_5_VLPreTrainedModel):
    """Of Qwen2.5-VL."""

    backbone = Qwen2_5_VLModel


class Qwen3VLForTokenClassification(ValueModel, Qwen3VLPreTrainedModel):
    """Of Qwen3-VL (dense): layers of its tower feed layers of its decoder (DeepStack)."""

    backbone = Qwen3VLModel


VALUE_MODELS: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    Qwen2_5_VLConfig: Qwen2_5_VLForTokenClassification,
    Qwen3VLConfig: Qwen3VLForTokenClassification,
}


@dataclass(frozen=True)
class HeadInit:
    """How the value head starts (OVR B: no bias; "U(-sqrt5, sqrt5)", read three ways).

    - ``linear_default``: torch's own ``nn.Linear``, ``kaiming_uniform_(a=sqrt(5))``, which is
      U(-1/sqrt(h), 1/sqrt(h)); the likely meaning of the paper's sentence.
    - ``orz_normal``: Open-Reasoner-Zero's code, N(0, 1/(h+1)).
    - ``uniform``: U(-bound, bound); bound sqrt(5) is the literal reading.
    """

    kind: str = "linear_default"
    bound: float = math.sqrt(5)
    seed: int = 42

    def __post_init__(self) -> None:
        if self.kind not in HEAD_INITS:
            raise ValueError(
                f"value_head_init is {self.kind!r}; choose one of {', '.join(HEAD_INITS)}."
            )
        if not self.bound > 0:
            raise ValueError(f"value_head_bound is {self.bound}; it must be above zero.")

    @torch.no_grad()
    def apply(self, head: nn.Linear) -> str:
        """Fill ``head.weight`` of shape (1, h) in place; return what was done, for the log."""
        generator = torch.Generator().manual_seed(self.seed)
        h = head.in_features
        weight = torch.empty(head.weight.shape, dtype=torch.float32)
        if self.kind == "orz_normal":
            std = 1 / (h + 1)
            weight.normal_(0.0, std, generator=generator)
            done = f"N(0, {std:.4g})"
        else:
            bound = self.bound if self.kind == "uniform" else 1 / math.sqrt(h)
            weight.uniform_(-bound, bound, generator=generator)
            done = f"U(-{bound:.4g}, {bound:.4g})"
        head.weight.copy_(weight)
        return f"value head ({self.kind}, h={h}, seed {self.seed}): {done}"


def load_value_model(
    path: str | Path,
    config: PreTrainedConfig | None = None,
    dtype: torch.dtype = torch.float32,
    head_init: HeadInit | None = None,
) -> Any:
    """Load the backbone of a checkpoint and start (or load) its value head.

    Args:
        path: a folder with a policy of one of the `FAMILIES`, or a saved value model.
        config: overrides the folder's; its attention implementation is the one used.
        dtype: of the weights.
        head_init: how the head starts where the checkpoint has none.

    Raises:
        TypeError: the checkpoint is of no family known here.
        RuntimeError: the checkpoint lacks a backbone weight, or holds one of another shape.
    """
    if config is None:
        config = AutoConfig.from_pretrained(path)
    cls: Any = VALUE_MODELS.get(type(config))
    if cls is None:
        raise TypeError(
            f"The OVR critic is made for {TITLES}, and {path} is a {config.model_type!r} model. "
            "Use a checkpoint of these, or veRL's own critic (critic.fsdp._target_="
            "verl.workers.config.FSDPEngineConfig)."
        )
    register_value_models()
    model, loaded = cls.from_pretrained(
        path,
        config=config,
        dtype=dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are listed with what is missing
    )
    _check_loaded(path, loaded)
    if f"{HEAD}.weight" not in loaded["missing_keys"]:
        logger.warning("value head loaded from %s", path)
    elif not model.score.weight.is_meta:
        logger.warning("%s", (head_init or HeadInit()).apply(model.score))
    return model


def register_value_models() -> None:
    """Tell transformers the classes for token classification, and their renaming of keys."""
    for config, model in VALUE_MODELS.items():
        prefix = FAMILIES[config.model_type].prefix
        renaming = get_checkpoint_conversion_mapping(f"{prefix}ForConditionalGeneration")
        if renaming and get_checkpoint_conversion_mapping(model.__name__) is None:
            # Looked up by class name; without it every language-model weight counts as missing.
            register_checkpoint_conversion_mapping(model.__name__, renaming)
        AutoModelForTokenClassification.register(config, model, exist_ok=True)


def _check_loaded(path: str | Path, loaded: dict[str, Any]) -> None:
    missing = sorted(set(loaded["missing_keys"]) - {f"{HEAD}.weight"})
    mismatched = sorted(str(key) for key in loaded["mismatched_keys"])
    errors = list(loaded.get("error_msgs") or [])
    if not (missing or mismatched or errors):
        return
    raise RuntimeError(
        f"{path} does not hold the whole backbone of the critic: "
        f"{len(missing)} weights missing {missing[:5]}, "
        f"{len(mismatched)} of another shape {mismatched[:5]}, errors {errors[:3]}. "
        "Point critic.model.path at the export of the cold start."
    )
