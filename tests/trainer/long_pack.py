"""Run by torchrun, one rank: a step on a long pack in bfloat16, beside its rows in float32.

usage: long_pack.py MODEL OUT_FOLDER N_TOKENS [grow]

Four rows of N_TOKENS together, two of them with an image. With ``grow`` the model is a random one
of Qwen2.5-VL-3B's widths and a third of its depth; MODEL then gives tokenizer and processor. Out,
as report.json and for each run of ``engine_ranks``: how far bfloat16 in one pack is from float32
row by row, and on a GPU the peak memory of a second step, which finds Adam's moments there.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import engine_ranks
import torch
from engine_ranks import RUNS, batch, build_engine, policy_loss, seen, value_loss
from PIL import Image
from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration
from verl.utils.device import get_device_name
from verl.utils.distributed import initialize_global_process_group

from ovr_plugin.models.families import QWEN2_5_VL
from ovr_plugin.planning.models import KNOWN

PARTS = ("visual", "language_model", "lm_head", "score")
TEXT = {
    **KNOWN[QWEN2_5_VL]["3b"],
    "num_hidden_layers": 12,
    "tie_word_embeddings": False,  # as the 7B's are not
    "max_position_embeddings": 32768,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e6,
        "mrope_section": [16, 24, 24],
    },
}
VISION = {
    "depth": 8,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "fullatt_block_indexes": [3, 7],
    "out_hidden_size": TEXT["hidden_size"],
}


def main(path: str, out: str, n_tokens: str, grow: str = "") -> None:
    initialize_global_process_group()
    torch.cuda.is_available() and print(torch.cuda.get_device_name())
    if grow:
        path = grown(path, Path(out) / "model")
    items = long_rows(AutoProcessor.from_pretrained(path), int(n_tokens))
    report = {name: compare(path, name, items) for name in RUNS}
    (Path(out) / "report.json").write_text(json.dumps(report))
    torch.distributed.destroy_process_group()


def grown(path: str, folder: Path) -> str:
    """A random model of the sizes above, with the tokenizer and processor of ``path``."""
    config = AutoConfig.from_pretrained(path).to_dict()
    config["text_config"] |= TEXT | {"layer_types": None}  # follow the number of layers
    config["vision_config"] |= VISION
    torch.manual_seed(0)
    with torch.device(get_device_name()):
        model = Qwen2_5_VLForConditionalGeneration(type(AutoConfig.from_pretrained(path))(**config))
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(path).save_pretrained(folder)
    return str(folder)


def long_rows(processor: Any, n_tokens: int) -> list[dict[str, Any]]:
    """Text of a half, an image and text of a quarter, the same of an eighth, text of an eighth."""
    random = torch.Generator().manual_seed(0)
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    items = []
    for part, has_image in ((2, False), (4, True), (8, True), (8, False)):
        length = n_tokens // part
        ids = torch.randint(5, 300, (length,), generator=random)
        pixels = {}
        if has_image:
            side = 28 * int((length / 2) ** 0.5)  # half of the row, as far as the processor allows
            noise = torch.randint(256, (side, side, 3), generator=random, dtype=torch.uint8)
            image = Image.fromarray(noise.numpy())
            inputs = processor(text=[vision], images=[image], return_tensors="pt")
            ids[: inputs["input_ids"].shape[1]] = inputs["input_ids"][0]
            pixels = {key: inputs[key] for key in ("pixel_values", "image_grid_thw")}
        items.append(
            {
                "input_ids": ids,
                "position_ids": torch.arange(length).expand(4, length).clone(),
                "loss_mask": (torch.arange(length) >= length // 2).long(),
                "multi_modal_inputs": pixels,
            }
        )
    return items


def compare(path: str, run: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    exact = take_step(path, run, items, "fp32")
    found = take_step(path, run, items, "bf16")
    # The last token of a row predicts nothing.
    inner = torch.cat(
        [torch.arange(len(item["input_ids"])) < len(item["input_ids"]) - 1 for item in items]
    )
    outputs = [torch.tensor(step["outputs"], dtype=torch.double)[inner] for step in (found, exact)]
    report = {
        "outputs": relative_error({"": outputs[0]}, {"": outputs[1]}),
        "outputs_rms_difference": float((outputs[0] - outputs[1]).square().mean().sqrt()),
        "outputs_max_difference": float((outputs[0] - outputs[1]).abs().max()),
        "loss": abs(found["loss"] / exact["loss"] - 1),
        "gradient": relative_error(found["gradients"], exact["gradients"]),
        "peak_bytes": found["peak_bytes"],
        "n_frozen": found["n_frozen"],
        "frozen_moved": found["frozen_moved"],
    }
    for part in PARTS:
        mine = {name: g for name, g in exact["gradients"].items() if part in name.split(".")}
        if mine:
            report[f"gradient of {part}"] = relative_error(found["gradients"], mine)
    print(run, json.dumps(report), flush=True)
    return report


def take_step(path: str, run: str, items: list[dict[str, Any]], dtype: str) -> dict[str, Any]:
    """bfloat16 in one pack, twice for the memory; float32 row by row, padded."""
    engine_ranks.PRECISION["param_dtype"] = dtype
    is_packed = dtype == "bf16"
    model_type, settings = RUNS[run]
    loss = policy_loss if model_type == "language_model" else value_loss
    engine = build_engine(path, model_type, settings, use_remove_padding=is_packed)
    frozen = {
        name: weight.detach().full_tensor().cpu().clone()
        for name, weight in engine.module.named_parameters()
        if not weight.requires_grad
    }
    outputs: list[float] = []
    losses: list[float] = []
    data = [items, is_packed, len(items) if is_packed else 1]
    with engine.train_mode():
        engine.train_batch(batch(*data), seen(loss, outputs, losses))
        gradients = {
            name: weight.grad.full_tensor().cpu().clone()
            for name, weight in engine.module.named_parameters()
            if weight.grad is not None
        }
        peak_bytes = 0
        if is_packed:
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            engine.train_batch(batch(*data), loss)
            if torch.cuda.is_available():
                peak_bytes = torch.cuda.max_memory_allocated()
    weights = dict(engine.module.named_parameters())
    moved = [
        name for name, w in frozen.items() if not torch.equal(weights[name].full_tensor().cpu(), w)
    ]
    del engine, weights
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated()
        assert held < 1e9, f"{held} bytes of {run} in {dtype} are still held"
    return {
        "outputs": outputs,
        "loss": sum(losses),
        "gradients": gradients,
        "peak_bytes": peak_bytes,
        "frozen_moved": moved,
        "n_frozen": len(frozen),
    }


def relative_error(found: Mapping[str, torch.Tensor], exact: Mapping[str, torch.Tensor]) -> float:
    """Of all of ``exact`` together, root mean square."""
    difference = square = 0.0
    for name, gradient in exact.items():
        true = gradient.to(get_device_name()).double()
        difference += float((found[name].to(true) - true).square().sum())
        square += float(true.square().sum())
    return (difference / square) ** 0.5


if __name__ == "__main__":
    main(*sys.argv[1:])
