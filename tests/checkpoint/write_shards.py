"""Run by torchrun: shard a tiny model with FSDP2 and save it as veRL's checkpoint manager does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForImageTextToText, AutoProcessor


def main(model_dir: str, folder: str, n_replicas: int) -> None:
    dist.init_process_group("gloo")
    world_size, rank = dist.get_world_size(), dist.get_rank()
    model = AutoModelForImageTextToText.from_pretrained(model_dir, dtype=torch.float32)
    shape, names = (world_size,), ("fsdp",)
    if n_replicas > 1:
        shape, names = (n_replicas, world_size // n_replicas), ("ddp", "fsdp")
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    for layer in model.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    actor = Path(folder) / "actor"
    actor.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), actor / f"model_world_size_{world_size}_rank_{rank}.pt")
    if rank == 0:
        config = {"FSDP_version": 2, "world_size": world_size}
        (actor / "fsdp_config.json").write_text(json.dumps(config))
        model.config.save_pretrained(actor / "huggingface")
        model.generation_config.save_pretrained(actor / "huggingface")
        AutoProcessor.from_pretrained(model_dir).save_pretrained(actor / "huggingface")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
