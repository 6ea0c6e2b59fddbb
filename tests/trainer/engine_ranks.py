"""Run by torchrun: one optimizer step of veRL's engines on this rank's share of four fixed rows.

usage: engine_ranks.py MODEL OUT_FOLDER [fp32|bf16 [RUN ...]]

With two ranks, rank 0 holds the two text rows and rank 1 the two image rows; with one rank, all
four. For each run below rank 0 writes a report and every weight after the step. One rank also
compares packed with unpacked samples.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
import verl  # noqa: F401 (loads the plugin)
from PIL import Image
from tensordict import NonTensorData
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.dataset_utils import DatasetPadMode, SFTTensorCollator
from verl.utils.distributed import initialize_global_process_group
from verl.workers.config import FSDPOptimizerConfig, HFModelConfig
from verl.workers.engine import EngineRegistry
from verl.workers.utils.losses import sft_loss

from ovr_plugin.trainer.engine_config import OVREngineConfig

RUNS = {
    "policy": ("language_model", {}),
    "critic": ("value_model", {}),
    "frozen": ("language_model", {"freeze_vision_tower": True}),
    "alike": ("language_model", {}),  # rows of like length together, see MAX_TOKENS
}
MAX_TOKENS = 16  # holds both text rows, padded, and of the image rows one at a time
PRECISION = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
# float32 is to be float32; cuDNN, which computes the tower's convolution, would take TF32.
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
HAS_FLASH = torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None


def rows(processor: Any) -> list[dict[str, Any]]:
    """Two text rows, then two image rows, of different lengths."""
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    texts = ["The box is red.", "What colour is the box?", f"{vision}What colour?", f"{vision}red"]
    images = [None, None, Image.new("RGB", (56, 56), "red"), Image.new("RGB", (84, 56), "blue")]
    items = []
    for text, image in zip(texts, images, strict=True):
        batch = processor(text=[text], images=[image] if image else None, return_tensors="pt")
        n_tokens = batch["input_ids"].shape[1]
        pixels = {key: batch[key] for key in ("pixel_values", "image_grid_thw") if key in batch}
        items.append(
            {
                "input_ids": batch["input_ids"][0],
                "position_ids": torch.arange(n_tokens).expand(4, n_tokens).clone(),
                # Nothing foretells a first token; veRL would take it from the row before.
                "loss_mask": (torch.arange(n_tokens) > 0).long(),
                "multi_modal_inputs": pixels,
            }
        )
    return items


def text_items() -> list[dict[str, Any]]:
    """Text samples of different lengths; the loss is on their last two thirds."""
    items = []
    for n_tokens in (7, 13, 30, 5):
        ids = torch.randint(5, 300, (n_tokens,), generator=torch.Generator().manual_seed(n_tokens))
        mask = (torch.arange(n_tokens) >= n_tokens // 3).long()
        positions = torch.arange(n_tokens).repeat(4, 1)
        items.append({"input_ids": ids, "position_ids": positions, "loss_mask": mask})
    return items


def packed(items: list[dict[str, Any]]) -> dict[str, Any]:
    """One pack of several items, as `OVRPackedDataset` lays it out."""
    return {key: torch.cat([item[key] for item in items], dim=-1) for key in items[0]}


def value_loss(model_output: dict, data: Any, dp_group: Any = None) -> tuple[torch.Tensor, dict]:
    """Squared error to 1 over the tokens of the whole batch, scaled as veRL scales its losses."""
    values = model_output["values"].values()
    return ((values - 1) ** 2).sum() / data["batch_num_tokens"] * data["dp_size"], {}


def main(path: str, out: str, param_dtype: str = "fp32", *runs: str) -> None:
    PRECISION["param_dtype"] = param_dtype
    _, rank, world_size = initialize_global_process_group()
    if world_size == 1:
        compare_packs(path, Path(out))
    for name in runs or RUNS:
        report, weights = one_step(path, name, rank, world_size)
        if rank == 0:
            torch.save(weights, Path(out) / f"{name}{world_size}.pt")
            (Path(out) / f"{name}{world_size}.json").write_text(json.dumps(report))
    torch.distributed.destroy_process_group()


def compare_packs(path: str, out: Path) -> None:
    """The same four samples, one by one and padded, in two packs, and in one: gradients."""
    one, two, three, four = text_items()
    arrangements = {
        "padded": (False, [one, two, three, four]),
        "two_packs": (True, [packed([one, two]), packed([three, four])]),
        "one_pack": (True, [packed([four, two, one, three])]),
    }
    found = {}
    for name, (use_remove_padding, items) in arrangements.items():
        engine = build_engine(path, "language_model", {}, use_remove_padding)
        data = batch(items, use_remove_padding)
        outputs: list[float] = []
        losses: list[float] = []
        with engine.train_mode():
            output = engine.train_batch(data, seen(policy_loss, outputs, losses))
            gradients = {
                key: weight.grad.full_tensor().cpu().clone()
                for key, weight in engine.module.named_parameters()
            }
        report = {
            "loss": sum(losses),
            "grad_norm": float(output["metrics"]["grad_norm"]),
            "outputs": outputs,
        }
        found[name] = (report, gradients)
    torch.save(found, out / "packs.pt")


def one_step(
    path: str, name: str, rank: int, world_size: int
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    model_type, settings = RUNS[name]
    engine = build_engine(path, model_type, settings)
    data = batch(rows(engine.model_config.processor)[slice(rank * 2, rank * 2 + 4 // world_size)])
    if name == "alike":
        tu.assign_non_tensor(data, use_dynamic_bsz=True, max_token_len_per_gpu=MAX_TOKENS)
    loss = policy_loss if model_type == "language_model" else value_loss
    outputs: list[float] = []
    losses: list[float] = []
    with engine.train_mode():
        output = engine.train_batch(data, seen(loss, outputs, losses))
    generator, _ = engine.get_per_tensor_param()
    weights = {name: weight.detach().cpu().clone() for name, weight in generator}
    report = {
        "engine": type(engine).__name__,
        "module": type(engine.module).__name__,
        "grad_norm": float(output["metrics"]["grad_norm"]),
        "world_size": world_size,
        "outputs": outputs,
        "micro_batches": len(losses),
    }
    return report, weights


def seen(loss: Any, outputs: list[float], losses: list[float]) -> Any:
    """The loss; what the model gave for each token, and the loss itself, go into the two lists."""

    def loss_of(model_output: dict, *args: Any, **kwargs: Any) -> Any:
        given = model_output["values" if "values" in model_output else "log_probs"]
        outputs.extend(given.values().detach().float().flatten().tolist())
        value, metrics = loss(model_output, *args, **kwargs)
        losses.append(float(value))
        return value, metrics

    return loss_of


def build_engine(
    path: str, model_type: str, settings: dict[str, Any], use_remove_padding: bool = False
) -> Any:
    with_flash = HAS_FLASH and PRECISION["param_dtype"] == "bf16"  # it knows no float32
    model = HFModelConfig(
        path=path,
        use_remove_padding=use_remove_padding,
        override_config={"attn_implementation": "flash_attention_2" if with_flash else "sdpa"},
    )
    model.model_type = model_type
    engine = EngineRegistry.new(
        model_type=model_type,
        backend="fsdp2",
        model_config=model,
        engine_config=OVREngineConfig(
            strategy="fsdp2", use_torch_compile=False, mixed_precision=PRECISION, **settings
        ),
        optimizer_config=FSDPOptimizerConfig(
            lr=0.01, weight_decay=0.5, lr_warmup_steps=0, total_training_steps=1
        ),
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def batch(
    items: list[dict[str, Any]], use_remove_padding: bool = False, micro_batch_size: int = 1
) -> Any:
    data = tu.get_tensordict(
        SFTTensorCollator(DatasetPadMode.NO_PADDING)(items),
        non_tensor_dict={
            "use_remove_padding": use_remove_padding,
            "use_dynamic_bsz": False,
            "micro_batch_size_per_gpu": micro_batch_size,
            "temperature": 1.0,
            "global_batch_size": 4,
            "pad_mode": DatasetPadMode.NO_PADDING,
            "pad_token_id": 0,
        },
    )
    tu.assign_non_tensor(data, global_token_num=NonTensorData([1]))
    return data


def policy_loss(model_output: dict, data: Any, dp_group: Any = None) -> Any:
    return sft_loss(None, model_output, data, dp_group)


if __name__ == "__main__":
    main(*sys.argv[1:])
