"""A checkpoint's folder in, the place of every tensor's bytes out; no weight is read here.

Two layouts: a Hugging Face folder of safetensors, and the FSDP shards that veRL writes
(``global_step_N/actor``, one file for each rank; a tensor split by rows over the ranks is a list of
pieces). Names are those of today's transformers, so that both layouts of one model agree.
"""

from __future__ import annotations

import json
import logging
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# safetensors' name of a type -> bytes of one element
ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
FLOATS = ("F64", "F32", "F16", "BF16")
MAX_HEADER_BYTES = 100 * 2**20  # safetensors' own limit
INDEX = "model.safetensors.index.json"
WEIGHT_FILES = (".safetensors", ".bin", ".pt", ".pth", ".index.json")


class CheckpointError(ValueError):
    """A folder that is no checkpoint, or checkpoints that do not belong together."""


@dataclass(frozen=True)
class Piece:
    """Contiguous bytes of a file."""

    path: Path
    offset: int
    n_bytes: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor on disk: its pieces, one after the other, are its elements in row-major order."""

    dtype: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @property
    def n_bytes(self) -> int:
        """Size of all pieces."""
        return sum(piece.n_bytes for piece in self.pieces)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        folder: as given.
        hf_folder: where its configuration, tokenizer and processor lie.
        tensors: name -> place, by name in order.
        sharded: whether it is made of FSDP shards.
    """

    folder: Path
    hf_folder: Path
    tensors: Mapping[str, StoredTensor]
    sharded: bool

    def config(self) -> dict[str, Any]:
        """Its ``config.json``."""
        found: dict[str, Any] = json.loads((self.hf_folder / "config.json").read_text())
        return found


def open_checkpoint(folder: str | Path) -> Checkpoint:
    """Find a checkpoint's tensors.

    Args:
        folder: a Hugging Face folder, or veRL's ``global_step_N`` or ``global_step_N/actor``.

    Raises:
        CheckpointError: if it is neither, or incomplete; the message says what is missing.
    """
    folder = Path(folder)
    if (folder / "actor" / "fsdp_config.json").is_file():
        folder = folder / "actor"
    if (folder / "fsdp_config.json").is_file():
        return _open_shards(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder} is no checkpoint: it has neither config.json (a Hugging Face folder) nor "
            "fsdp_config.json (veRL's global_step_N/actor)"
        )
    tensors = {}
    for path in _safetensors_files(folder):
        for name, tensor in _read_header(path).items():
            tensors[canonical_name(name)] = tensor
    return Checkpoint(folder, folder, dict(sorted(tensors.items())), sharded=False)


def canonical_name(name: str) -> str:
    """The name that today's transformers gives a weight of Qwen2-VL and Qwen2.5-VL."""
    name = re.sub(r"^visual\.", "model.visual.", name)
    if re.match(r"^model\.(?:layers|embed_tokens|norm)\.", name):
        return "model.language_model." + name.removeprefix("model.")
    return name


def other_files(folder: Path) -> Iterator[Path]:
    """What a Hugging Face folder holds beside the weights: configuration, tokenizer, processor."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.endswith(WEIGHT_FILES):
            yield path


def _safetensors_files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder} is incomplete: {', '.join(missing)} not there")
        return [folder / name for name in names]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise CheckpointError(
            f"{folder} holds no safetensors; export it with `python -m verl.model_merger` first"
        )
    return found


def _read_header(path: Path) -> dict[str, StoredTensor]:
    """The header of a safetensors file: a length of 8 bytes, JSON, then the bytes it speaks of."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER_BYTES + 1
        if n_header > min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointError(f"{path} is cut off or no safetensors file")
        header = json.loads(file.read(n_header))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if 8 + n_header + end > size:
            raise CheckpointError(f"{path} is cut off: {name} ends behind the end of the file")
        piece = Piece(path, 8 + n_header + begin, end - begin)
        tensors[name] = StoredTensor(entry["dtype"], tuple(entry["shape"]), (piece,))
    return tensors


def _open_shards(folder: Path) -> Checkpoint:
    world_size = int(json.loads((folder / "fsdp_config.json").read_text())["world_size"])
    paths = [folder / f"model_world_size_{world_size}_rank_{rank}.pt" for rank in range(world_size)]
    missing = [path.name for path in paths if not path.is_file()]
    if not (folder / "huggingface" / "config.json").is_file():
        missing.append("huggingface/config.json")
    if missing:
        raise CheckpointError(f"{folder} is incomplete: {', '.join(missing)} not there")
    ranks = [_read_shard(path) for path in paths]
    tensors = {
        canonical_name(name): _joined(folder, name, [rank[name] for rank in ranks])
        for name in ranks[0]
    }
    return Checkpoint(folder, folder / "huggingface", dict(sorted(tensors.items())), sharded=True)


@dataclass(frozen=True)
class _Shard:
    """One rank's part of a tensor; ``n_shards`` ranks together hold it (1: every rank all)."""

    stored: StoredTensor
    whole_shape: tuple[int, ...]
    n_shards: int


def _read_shard(path: Path) -> dict[str, _Shard]:
    """Read the structure of a torch file; its tensors stay on disk (device "meta")."""
    import torch

    # It warns that the mesh, which nobody will use here, has no process group.
    mesh_log = logging.getLogger("torch.distributed.device_mesh")
    level = mesh_log.level
    mesh_log.setLevel(logging.ERROR)
    try:
        # Code in a pickle would run here, as it does when veRL resumes: these files are the user's.
        state: dict[str, Any] = torch.load(path, map_location="meta", weights_only=False)
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read, perhaps it is cut off: {error}") from error
    finally:
        mesh_log.setLevel(level)
    return {name: _place(path, name, value) for name, value in state.items()}


def _place(path: Path, name: str, value: Any) -> _Shard:
    from torch.distributed.tensor import DTensor

    whole_shape, n_shards = tuple(value.shape), 1
    if isinstance(value, DTensor):
        *outer, placement = value.placements
        by_rows = placement.is_shard() and getattr(placement, "dim", None) == 0
        if not all(p.is_replicate() for p in outer) or not (placement.is_replicate() or by_rows):
            raise CheckpointError(f"{path}: {name} is split in a way not known: {value.placements}")
        n_shards = value.device_mesh.mesh.shape[-1] if by_rows else 1
        value = value._local_tensor
    if not value.is_contiguous():
        raise CheckpointError(f"{path}: {name} is not stored in one piece")
    storage = value.untyped_storage()
    offset = storage._checkpoint_offset + value.storage_offset() * value.element_size()
    piece = Piece(path, offset, value.numel() * value.element_size())
    stored = StoredTensor(_dtype_name(value.dtype), tuple(value.shape), (piece,))
    return _Shard(stored, whole_shape, n_shards)


def _joined(folder: Path, name: str, shards: list[_Shard]) -> StoredTensor:
    first = shards[0]
    # With replicas (HSDP) the first ranks hold a whole set.
    parts = shards[: first.n_shards]
    pieces = tuple(piece for part in parts for piece in part.stored.pieces if piece.n_bytes)
    joined = StoredTensor(first.stored.dtype, first.whole_shape, pieces)
    n_elements = 1
    for length in joined.shape:
        n_elements *= length
    if joined.n_bytes != n_elements * ITEM_SIZES[joined.dtype]:
        raise CheckpointError(f"{folder}: the shards of {name} do not make up {joined.shape}")
    return joined


def _dtype_name(dtype: Any) -> str:
    names = {
        "float64": "F64",
        "float32": "F32",
        "float16": "F16",
        "bfloat16": "BF16",
        "int64": "I64",
        "int32": "I32",
        "uint8": "U8",
        "bool": "BOOL",
    }
    return names[str(dtype).removeprefix("torch.")]
