"""A checkpoint's folder in, the place of every tensor's bytes out; no weight is read here.

Two layouts: a Hugging Face folder of safetensors, and the FSDP shards that veRL writes
(``global_step_N/actor``, one file for each rank; a tensor split by rows over the ranks is a list of
pieces). Names are those of today's transformers, so that both layouts of one model agree; of tied
embeddings there is one, whether a layout stores the other or not.
"""

from __future__ import annotations

import json
import logging
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# safetensors' name of a type -> bytes of one element
ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
FLOATS = ("F64", "F32", "F16", "BF16")
MAX_HEADER_BYTES = 100 * 2**20  # safetensors' own limit
INDEX = "model.safetensors.index.json"
# Models whose folders name weights otherwise than today's transformers does.
RENAMED = ("qwen2_vl", "qwen2_5_vl")
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
        return _config(self.hf_folder)


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
    paths, indexed = _safetensors_files(folder)
    tensors: dict[str, StoredTensor] = {}
    for path in paths:
        tensors |= _read_header(path)
    if absent := sorted(indexed - tensors.keys()):
        raise CheckpointError(f"{folder} is incomplete: no file of it holds {', '.join(absent)}")
    return Checkpoint(folder, folder, _named_as_today(tensors, _config(folder)), sharded=False)


def _config(hf_folder: Path) -> dict[str, Any]:
    return _json_object(hf_folder / "config.json")


def _json_object(path: Path) -> dict[str, Any]:
    from ovr_plugin.data.files import read_json  # imports numpy, which `ovr doctor` may lack

    try:
        found = read_json(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is no JSON object")
    return found


def _named_as_today(
    tensors: Mapping[str, StoredTensor], config: Mapping[str, Any]
) -> dict[str, StoredTensor]:
    """Sorted by today's names, without the second name of embeddings that are tied."""
    if config.get("model_type") in RENAMED:
        tensors = {canonical_name(name): tensor for name, tensor in tensors.items()}
    found = config.get("text_config")
    text: Mapping[str, Any] = found if isinstance(found, dict) else {}
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    has_embeddings = any(name.endswith("embed_tokens.weight") for name in tensors)
    dropped = "lm_head.weight" if tied and has_embeddings else None
    return {name: tensors[name] for name in sorted(tensors) if name != dropped}


def canonical_name(name: str) -> str:
    """The name that today's transformers gives a weight of one of the models `RENAMED`."""
    name = re.sub(r"^visual\.", "model.visual.", name)
    if re.match(r"^model\.(?:layers|embed_tokens|norm)\.", name):
        return "model.language_model." + name.removeprefix("model.")
    return name


def other_files(folder: Path) -> Iterator[Path]:
    """What a Hugging Face folder holds beside the weights: configuration, tokenizer, processor."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.endswith(WEIGHT_FILES):
            yield path


def _safetensors_files(folder: Path) -> tuple[list[Path], set[str]]:
    """The files of weights, and the names that they must hold as far as an index says so."""
    if (folder / INDEX).is_file():
        weight_map = _json_object(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise CheckpointError(f"{folder / INDEX} has no weight_map")
        names = sorted(set(weight_map.values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder} is incomplete: {', '.join(missing)} not there")
        return [folder / name for name in names], set(weight_map)
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise CheckpointError(
            f"{folder} holds no safetensors; export it with `python -m verl.model_merger` first"
        )
    return found, set()


def _read_header(path: Path) -> dict[str, StoredTensor]:
    """The header of a safetensors file: a length of 8 bytes, JSON, then the bytes it speaks of."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER_BYTES + 1
        if n_header > min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointError(f"{path} is cut off or no safetensors file")
        try:
            header = json.loads(file.read(n_header))
        except ValueError as error:
            raise CheckpointError(f"{path} is no safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} is no safetensors file: its header is no JSON object")
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape = str(entry["dtype"]), tuple(map(int, entry["shape"]))
            begin, end = map(int, entry["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is no safetensors file: {name} is {entry!r}") from error
        if 8 + n_header + end > size:
            raise CheckpointError(f"{path} is cut off: {name} ends behind the end of the file")
        # A type that is not known here is refused by whoever reads it.
        n_bytes = math.prod(shape) * ITEM_SIZES.get(dtype, 0)
        if min((begin, *shape)) < 0 or (dtype in ITEM_SIZES and end - begin != n_bytes):
            raise CheckpointError(f"{path}: the bytes of {name} do not make up {dtype} {shape}")
        piece = Piece(path, 8 + n_header + begin, end - begin)
        tensors[name] = StoredTensor(dtype, shape, (piece,))
    return tensors


def _open_shards(folder: Path) -> Checkpoint:
    world_size = _json_object(folder / "fsdp_config.json").get("world_size")
    if type(world_size) is not int or world_size < 1:
        raise CheckpointError(f"{folder}/fsdp_config.json has no world_size")
    paths = [folder / f"model_world_size_{world_size}_rank_{rank}.pt" for rank in range(world_size)]
    missing = [path.name for path in paths if not path.is_file()]
    if not (folder / "huggingface" / "config.json").is_file():
        missing.append("huggingface/config.json")
    if missing:
        raise CheckpointError(f"{folder} is incomplete: {', '.join(missing)} not there")
    ranks = [_read_shard(path) for path in paths]
    tensors = {
        name: _joined(folder, name, [rank[name] for rank in ranks if name in rank])
        for name in dict.fromkeys(name for rank in ranks for name in rank)
    }
    hf_folder = folder / "huggingface"
    named = _named_as_today(tensors, _config(hf_folder))
    return Checkpoint(folder, hf_folder, named, sharded=True)


@dataclass(frozen=True)
class _Shard:
    """One rank's part of a tensor; ``n_shards`` ranks together hold it (1: every rank all)."""

    stored: StoredTensor
    whole_shape: tuple[int, ...]
    n_shards: int
    item_size: int


def _read_shard(path: Path) -> dict[str, _Shard]:
    """Read the structure of a torch file; its tensors stay on disk (device "meta")."""
    import torch

    if not zipfile.is_zipfile(path):  # torch's files are archives whose directory comes last
        raise CheckpointError(f"{path} cannot be read, perhaps it is cut off: no torch file")
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
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no weights by name")
    return {name: _place(path, name, value) for name, value in state.items()}


def _place(path: Path, name: str, value: Any) -> _Shard:
    from torch import Tensor
    from torch.distributed.tensor import DTensor

    if not isinstance(value, Tensor):
        raise CheckpointError(f"{path}: {name} is no tensor")
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
    return _Shard(stored, whole_shape, n_shards, value.element_size())


def _joined(folder: Path, name: str, shards: list[_Shard]) -> StoredTensor:
    first = shards[0]
    # With replicas (HSDP) the first ranks hold a whole set.
    parts = shards[: first.n_shards]
    pieces = tuple(piece for part in parts for piece in part.stored.pieces if piece.n_bytes)
    joined = StoredTensor(first.stored.dtype, first.whole_shape, pieces)
    n_elements = 1
    for length in joined.shape:
        n_elements *= length
    # A type that is not known here is refused by whoever reads it.
    if joined.n_bytes != n_elements * ITEM_SIZES.get(joined.dtype, first.item_size):
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
    name = str(dtype).removeprefix("torch.")
    return names.get(name, name)
