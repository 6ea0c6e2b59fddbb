"""Checkpoints in, their uniform average as one Hugging Face folder out (OVR 4.1's final model).

Every tensor is read in blocks of a few MiB from all checkpoints, added up in float32, divided and
written: memory does not grow with the model, and the work is as fast as the disk. The result is
written beside the target and renamed when it is whole, so that no half of it can be taken for one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ovr_plugin.checkpoint.layout import (
    FLOATS,
    INDEX,
    ITEM_SIZES,
    Checkpoint,
    CheckpointError,
    StoredTensor,
    open_checkpoint,
    other_files,
)
from ovr_plugin.data.files import read_json, write_json

if TYPE_CHECKING:
    import torch

BLOCK_ELEMENTS = 2**20  # of each checkpoint at a time: it fits into a core's cache
READ_AHEAD = 4  # blocks
MAX_FILE_BYTES = 5 * 10**9  # of one file of the result, as Hugging Face has it
N_NAMED = 20  # findings in a message
PARTIAL = ".ovr_partial"  # behind the target's name until it is whole; no folder of a user's
# Of config.json: what may differ among checkpoints of one model.
_NO_ARCHITECTURE = {"_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache"}
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}

Progress = Callable[[int, int], None]


def average(
    checkpoints: Sequence[str | Path],
    target: str | Path,
    *,
    dtype: str = "auto",
    max_file_bytes: int = MAX_FILE_BYTES,
    progress: Progress | None = None,
) -> Path:
    """Write the uniform average of ``checkpoints`` to ``target``.

    Args:
        checkpoints: two or more folders, see `open_checkpoint`; both layouts may be mixed.
        target: a folder that does not exist yet; it gets the weights, and configuration, tokenizer
            and processor of the last checkpoint.
        dtype: of the result: bfloat16, float16, float32, or auto: as the checkpoints are stored,
            float32 where they are not of one type, and bfloat16 for FSDP shards, as veRL's own
            export has it.
        max_file_bytes: of one file of weights; a larger tensor gets a file of its own.
        progress: called with bytes read so far and in all.

    Raises:
        CheckpointError: if the checkpoints are not of one architecture, lack tensors, or hold
            values that are not finite; all findings are named, and nothing is left behind.
        FileExistsError: if ``target`` exists.
        OSError: if the disk has no room for the result, which is known before any weight is read.
    """
    target = Path(target)
    if target.exists() or target.is_symlink():
        raise FileExistsError(f"{target} exists already; choose another folder or remove it")
    if len(checkpoints) < 2:
        raise CheckpointError("an average takes two checkpoints or more")
    opened = [open_checkpoint(folder) for folder in checkpoints]
    _check_same_model(opened)
    wanted = _result_dtype(opened, dtype)
    partial = target.with_name(target.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        files = _plan_files(opened[0], partial, wanted, max_file_bytes)
        _check_space(files, opened[-1].hf_folder, partial)
        _write_weights(opened, partial, files, progress)
        for path in other_files(opened[-1].hf_folder):
            shutil.copy2(path, partial / path.name)
        _set_dtype(partial / "config.json", wanted)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_same_model(checkpoints: Sequence[Checkpoint]) -> None:
    """Collect every difference from the first checkpoint."""
    first = checkpoints[0]
    times = Counter(checkpoint.folder.resolve() for checkpoint in checkpoints)
    wrong = [f"{folder} is given {n} times" for folder, n in times.items() if n > 1]
    for other in checkpoints[1:]:
        wrong += _config_differences(first, other)
        for here, there in ((first, other), (other, first)):
            absent = sorted(set(here.tensors) - set(there.tensors))
            wrong += [f"{there.folder} lacks {name}" for name in absent]
        for name in first.tensors.keys() & other.tensors.keys():
            mine, its = first.tensors[name].shape, other.tensors[name].shape
            if mine != its:
                wrong.append(f"{name} is {mine} in {first.folder} and {its} in {other.folder}")
    unknown = {t.dtype for c in checkpoints for t in c.tensors.values()} - set(ITEM_SIZES)
    if unknown:
        wrong.append(f"tensors of a type that has no average: {', '.join(sorted(unknown))}")
    if wrong:
        raise CheckpointError("these are not checkpoints of one model:\n" + _listed(wrong))


def _config_differences(first: Checkpoint, other: Checkpoint) -> list[str]:
    mine, its = dict(_flat(first.config())), dict(_flat(other.config()))
    return [
        f"{key} is {mine.get(key)!r} in {first.folder} and {its.get(key)!r} in {other.folder}"
        for key in sorted(mine.keys() | its.keys())
        if key.rpartition(".")[2] not in _NO_ARCHITECTURE and mine.get(key) != its.get(key)
    ]


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _result_dtype(checkpoints: Sequence[Checkpoint], dtype: str) -> str:
    """The safetensors name of the result's type; '' leaves every tensor as it is stored."""
    if dtype == "auto":
        if any(checkpoint.sharded for checkpoint in checkpoints):
            return "BF16"
        stored = [[t.dtype for t in checkpoint.tensors.values()] for checkpoint in checkpoints]
        return "" if all(types == stored[0] for types in stored) else "F32"
    if dtype not in _DTYPES:
        raise CheckpointError(f"dtype must be auto, {', '.join(_DTYPES)}, not {dtype!r}")
    return _DTYPES[dtype]


@dataclass
class _OutFile:
    """One safetensors file of the result: what will be in it."""

    path: Path
    header: dict[str, dict[str, Any]] = field(default_factory=dict)
    n_bytes: int = 0


def _write_weights(
    checkpoints: Sequence[Checkpoint],
    folder: Path,
    files: Sequence[_OutFile],
    progress: Progress | None,
) -> None:
    n_total = sum(t.n_bytes for checkpoint in checkpoints for t in checkpoint.tensors.values())
    n_read = 0
    wrong: list[str] = []
    with _one_thread(), _Reader() as reader:
        for planned in files:
            with planned.path.open("wb") as out:
                out.write(_header_bytes(planned.header))
                for name, entry in planned.header.items():
                    stored = [checkpoint.tensors[name] for checkpoint in checkpoints]
                    wrong += _average_tensor(reader, checkpoints, name, entry["dtype"], out)
                    n_read += sum(tensor.n_bytes for tensor in stored)
                    if progress:
                        progress(n_read, n_total)
    if wrong:
        raise CheckpointError("these weights have no average:\n" + _listed(wrong))
    if len(files) > 1:
        weight_map = {name: file.path.name for file in files for name in file.header}
        total = {"total_size": sum(file.n_bytes for file in files)}
        index = {"metadata": total, "weight_map": dict(sorted(weight_map.items()))}
        write_json(folder / INDEX, index)


def _check_space(files: Sequence[_OutFile], hf_folder: Path, folder: Path) -> None:
    """Stop before the work if its result would not fit; the same bytes may be taken meanwhile."""
    n_needed = sum(len(_header_bytes(file.header)) + file.n_bytes for file in files)
    n_needed += sum(path.stat().st_size for path in other_files(hf_folder))
    n_free = shutil.disk_usage(folder).free
    if n_needed > n_free:
        raise OSError(
            f"the disk of {folder.parent.absolute()} has no room for the average: "
            f"{n_needed:,} bytes needed, {n_free:,} free"
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch add in one thread: beside the reader's, more of them wait for each other."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _plan_files(
    checkpoint: Checkpoint, folder: Path, dtype: str, max_file_bytes: int
) -> list[_OutFile]:
    groups: list[_OutFile] = []
    for name, tensor in checkpoint.tensors.items():
        stored_as = dtype if dtype and tensor.dtype in FLOATS else tensor.dtype
        n_bytes = tensor.n_bytes // ITEM_SIZES[tensor.dtype] * ITEM_SIZES[stored_as]
        if not groups or (groups[-1].header and groups[-1].n_bytes + n_bytes > max_file_bytes):
            groups.append(_OutFile(folder))
        begin = groups[-1].n_bytes
        groups[-1].header[name] = {
            "dtype": stored_as,
            "shape": list(tensor.shape),
            "data_offsets": [begin, begin + n_bytes],
        }
        groups[-1].n_bytes += n_bytes
    for number, group in enumerate(groups, start=1):
        single = "model.safetensors"
        of_many = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        group.path = folder / (single if len(groups) == 1 else of_many)
    return groups


def _header_bytes(header: dict[str, dict[str, Any]]) -> bytes:
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _average_tensor(
    reader: _Reader, checkpoints: Sequence[Checkpoint], name: str, dtype: str, out: IO[bytes]
) -> list[str]:
    """Write the average of one tensor; returns what is wrong with it."""
    import torch

    stored = [checkpoint.tensors[name] for checkpoint in checkpoints]
    n_elements = stored[0].n_bytes // ITEM_SIZES[stored[0].dtype]
    is_float = stored[0].dtype in FLOATS
    sums, terms = torch.empty(BLOCK_ELEMENTS), torch.empty(BLOCK_ELEMENTS)
    bad: set[int] = set()
    overflows = False
    for blocks in reader.blocks(stored, n_elements):
        if not is_float:
            same = [torch.equal(block, blocks[0]) for block in blocks]
            bad |= {place for place, equal in enumerate(same) if not equal}
            _write(out, blocks[0])
            continue
        mean = sums[: len(blocks[0])].copy_(blocks[0])
        for block in blocks[1:]:  # a copy and a sum are quicker than a sum over two types
            same_type = block.dtype == mean.dtype
            mean.add_(block if same_type else terms[: len(block)].copy_(block))
        mean.div_(len(blocks))
        result = mean.to(_torch_dtype(dtype))
        if not mean.sum().isfinite():  # a finite sum has only finite terms
            bad |= {place for place, block in enumerate(blocks) if not block.isfinite().all()}
            overflows |= not bad and not mean.isfinite().all()  # float32 cannot hold the sum
        if dtype == "F16":
            overflows |= bool((mean.isfinite() & ~result.isfinite()).any())
        _write(out, result)
    what = "has values that are not finite" if is_float else "differs and is no float"
    wrong = [f"{name} {what} in {checkpoints[place].folder}" for place in sorted(bad)]
    return [*wrong, f"{name} has values beyond the range of {dtype}"] if overflows else wrong


def _write(out: IO[bytes], block: torch.Tensor) -> None:
    import torch

    out.write(block.view(torch.uint8).numpy().data)


class _Reader:
    """Reads blocks of several tensors in step, ahead of their use, in a thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ovr-average")
        self._files: dict[Path, int] = {}
        self._buffers: dict[tuple[int, int], torch.Tensor] = {}

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        for descriptor in self._files.values():
            os.close(descriptor)

    def blocks(
        self, tensors: Sequence[StoredTensor], n_elements: int
    ) -> Iterator[list[torch.Tensor]]:
        """Yield, block after block, the elements of every tensor as flat torch tensors.

        A block is valid until the next one is asked for: the memory is used again.
        """
        waiting: deque[Future[list[torch.Tensor]]] = deque()
        for number, start in enumerate(range(0, n_elements, BLOCK_ELEMENTS)):
            stop = min(start + BLOCK_ELEMENTS, n_elements)
            if len(waiting) == READ_AHEAD:
                yield waiting.popleft().result()
            slot = number % (READ_AHEAD + 1)
            waiting.append(self._thread.submit(self._read_all, tensors, slot, start, stop))
        while waiting:
            yield waiting.popleft().result()

    def _read_all(
        self, tensors: Sequence[StoredTensor], slot: int, start: int, stop: int
    ) -> list[torch.Tensor]:
        return [
            self._read(tensor, self._buffer(slot, place, tensor), start, stop)
            for place, tensor in enumerate(tensors)
        ]

    def _buffer(self, slot: int, place: int, tensor: StoredTensor) -> torch.Tensor:
        import torch

        n_bytes = BLOCK_ELEMENTS * ITEM_SIZES[tensor.dtype]
        buffer = self._buffers.get((slot, place))
        if buffer is None or len(buffer) < n_bytes:
            buffer = self._buffers[slot, place] = torch.empty(n_bytes, dtype=torch.uint8)
        return buffer

    def _read(
        self, tensor: StoredTensor, buffer: torch.Tensor, start: int, stop: int
    ) -> torch.Tensor:
        size = ITEM_SIZES[tensor.dtype]
        first, last = start * size, stop * size
        block = buffer[: last - first]
        view = block.numpy().data
        begin = 0  # of the piece, in bytes of the tensor
        for piece in tensor.pieces:
            here, end = max(first, begin), min(last, begin + piece.n_bytes)
            if here < end:
                part = view[here - first : end - first]
                self._fill(part, piece.path, piece.offset + here - begin)
            begin += piece.n_bytes
        return block.view(_torch_dtype(tensor.dtype))

    def _fill(self, view: memoryview, path: Path, offset: int) -> None:
        if path not in self._files:
            self._files[path] = os.open(path, os.O_RDONLY)
        while view:
            n_read = os.preadv(self._files[path], [view], offset)
            if n_read == 0:
                raise CheckpointError(f"{path} became shorter while it was read")
            view, offset = view[n_read:], offset + n_read


def _torch_dtype(name: str) -> Any:
    import torch

    return {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }[name]


def _set_dtype(config: Path, dtype: str) -> None:
    """Say in the configuration what the weights are, or it would be loaded as something else."""
    if not dtype:
        return
    found = read_json(config)
    name = next(long for long, short in _DTYPES.items() if short == dtype)
    for part in (found, *(value for value in found.values() if isinstance(value, dict))):
        for key in ("dtype", "torch_dtype"):
            if key in part:
                part[key] = name
    found.setdefault("dtype", name)
    write_json(config, found)


def _listed(findings: Sequence[str]) -> str:
    more = f"\n  ... and {len(findings) - N_NAMED} more" if len(findings) > N_NAMED else ""
    return "\n".join(f"  {finding}" for finding in findings[:N_NAMED]) + more
