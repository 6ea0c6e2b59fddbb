"""Cold-start rows in, a folder of tokens and packs out: made once, memory-mapped by every rank.

    DIR/plan.json            what the tokens were made of: files, tokenizer, longest sample
    DIR/parts/00000.*.npy    tokens (int32, one sample after the other), and of each sample its
                             number of tokens and of those that belong to the prompt
    DIR/parts/00000.bad.json rows of this part that cannot be used, with reasons
    DIR/packs.npy, pack_starts.npy, store.json   the packs; store.json comes last

A part is written when it is complete: interrupted, `build_store` goes on with the next one. Tokens
are those that `OVRColdStartDataset` trains on (`cold_start_tokens`), so that packed and unpacked
training differ in nothing but the arrangement.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ovr_plugin.data.cold_start_tokens import ColdStartTokens
from ovr_plugin.data.files import read_json, read_parquet, save_array, write_json
from ovr_plugin.data.packing import Packs, pack
from ovr_plugin.data.sample import BadRow, ColdStartSample

ROWS_PER_PART = 10_000
N_SHOWN = 10
STORE = "store.json"
PLAN = "plan.json"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class PackedSample:
    """One sample of a store.

    Attributes:
        tokens: (n_tokens,) int32, memory-mapped.
        n_prompt: how many of them are the prompt.
    """

    tokens: np.ndarray
    n_prompt: int


class PackedStore:
    """A finished store, read only; nothing but the packs' index is held in memory.

    Raises:
        ValueError: ``folder`` holds no store, or one that was not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / STORE).is_file():
            begun = (self.folder / PLAN).is_file()
            what = "a store that was not finished" if begun else "no store of packed samples"
            raise ValueError(f"{folder} holds {what}: make it with `ovr pack`")
        self.info: dict[str, Any] = read_json(self.folder / STORE)
        self.packs = Packs(
            np.load(self.folder / "packs.npy", mmap_mode="r"),
            np.load(self.folder / "pack_starts.npy"),
        )
        self._parts = [_Part(self.folder, number) for number in range(self.info["n_parts"])]
        self._firsts = np.cumsum([0, *(len(part) for part in self._parts)]).tolist()

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, number: int) -> list[PackedSample]:
        """The samples of one pack."""
        return [self.sample(int(index)) for index in self.packs[number]]

    def sample(self, index: int) -> PackedSample:
        """One sample, by its place among all."""
        part = bisect_right(self._firsts, index) - 1
        return self._parts[part].sample(index - self._firsts[part])


class _Part:
    """The samples of one part on disk, opened when first used (a worker process opens its own)."""

    def __init__(self, folder: Path, number: int) -> None:
        self._stem = folder / "parts" / f"{number:05d}"
        self.sizes = np.load(f"{self._stem}.sizes.npy")
        self._ends = np.cumsum(self.sizes[:, 0])
        self._tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def sample(self, index: int) -> PackedSample:
        if self._tokens is None:
            self._tokens = np.load(f"{self._stem}.tokens.npy", mmap_mode="r")
        end = int(self._ends[index])
        n_tokens, n_prompt = self.sizes[index].tolist()
        return PackedSample(self._tokens[end - n_tokens : end], n_prompt)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokens": None}


def build_store(
    files: Sequence[str],
    tokens: ColdStartTokens,
    folder: str | Path,
    *,
    bad_rows: str = "raise",
    rows_per_part: int = ROWS_PER_PART,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tokenise and pack the rows of parquet files; returns what ``store.json`` holds.

    Args:
        files: parquet files with the cold start's schema.
        tokens: how a row becomes tokens, and how many a pack holds at most.
        folder: of the store; one that was begun with the same arguments is finished.
        bad_rows: ``raise`` refuses to pack when there are any, ``report`` leaves them out. They are
            named in the parts' ``*.bad.json`` in both cases.
        rows_per_part: rows tokenised, and kept in memory, at a time.
        progress: called with the number of rows done.

    Raises:
        ValueError: the folder was begun with other files or another tokenizer, a file is given
            twice, there are bad rows under ``raise``, or no good row at all.
    """
    folder = Path(folder)
    twice = [file for file, n in Counter(Path(file).resolve() for file in files).items() if n > 1]
    if twice:
        raise ValueError(f"given more than once: {', '.join(map(str, twice))}")
    _check_plan(folder, _plan(files, tokens, rows_per_part))
    n_rows, n_parts, bad = 0, 0, 0
    for number, part in enumerate(_parts(files, rows_per_part)):
        stem = folder / "parts" / f"{number:05d}"
        if not Path(f"{stem}.bad.json").is_file():
            _write_part(stem, part, tokens)
        bad += len(read_json(f"{stem}.bad.json"))
        n_rows, n_parts = n_rows + len(part), n_parts + 1
        if progress:
            progress(n_rows)
    if bad and bad_rows == "raise":
        raise ValueError(_bad_rows_message(folder, bad, n_rows))
    return _write_packs(folder, tokens.max_length, n_parts, bad)


def _plan(files: Sequence[str], tokens: ColdStartTokens, rows_per_part: int) -> dict[str, Any]:
    return {
        "files": {str(file): _digest(Path(file)) for file in files},
        "tokens": tokens.fingerprint(),
        "max_length": tokens.max_length,
        "rows_per_part": rows_per_part,
    }


def _digest(path: Path) -> str:
    """Of the size and the last MiB: where parquet keeps the offsets and statistics of all rows."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2**20))
        return hashlib.sha256(str(size).encode() + file.read()).hexdigest()


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    path = folder / PLAN
    if not path.is_file():
        write_json(path, plan)
        return
    begun = read_json(path)
    if not isinstance(begun, dict):
        raise ValueError(f"{path} is no JSON object; remove {folder} to start again")
    changed = [key for key in plan if begun.get(key) != plan[key]]
    if not changed and list(begun["files"]) != list(plan["files"]):
        changed = ["order of files"]
    if changed:
        raise ValueError(
            f"{folder} was begun with other {', '.join(changed)}; choose another folder, or remove "
            "it to start again"
        )


def _parts(
    files: Sequence[str], rows_per_part: int
) -> Iterator[list[tuple[str, int, ColdStartSample]]]:
    rows = (
        (str(file), row, sample)
        for file in files
        for row, sample in enumerate(read_parquet(file, ColdStartSample))
    )
    while part := list(islice(rows, rows_per_part)):
        yield part


def _write_part(
    stem: Path, rows: Sequence[tuple[str, int, ColdStartSample]], tokens: ColdStartTokens
) -> None:
    ids, sizes, bad = [], [], []
    encoded = tokens.encode_many([sample for _, _, sample in rows])
    for (file, row, _), found in zip(rows, encoded, strict=True):
        if isinstance(found, str):
            bad.append(asdict(BadRow(file, row, found)))
            continue
        ids.append(np.asarray(found.input_ids, dtype=np.int32))
        sizes.append((len(found.input_ids), found.n_prompt))
    flat = np.concatenate(ids) if ids else np.zeros(0, dtype=np.int32)
    save_array(f"{stem}.tokens.npy", flat)
    save_array(f"{stem}.sizes.npy", np.asarray(sizes, dtype=np.int64).reshape(-1, 2))
    write_json(f"{stem}.bad.json", bad)  # the last one: the part is complete


def _bad_rows_message(folder: Path, n_bad: int, n_rows: int) -> str:
    examples = []
    for path in sorted((folder / "parts").glob("*.bad.json")):
        examples += [BadRow(**bad) for bad in read_json(path)]
    shown = "\n".join(f"  {bad}" for bad in examples[:N_SHOWN])
    listed = folder / "parts" / "*.bad.json"
    return (
        f"{n_bad} of {n_rows} rows cannot be used; {listed} have them all:\n{shown}\n"
        "Mend them, or pack the others with --bad-rows report"
    )


def _write_packs(folder: Path, capacity: int, n_parts: int, n_bad: int) -> dict[str, Any]:
    sizes = [np.load(folder / "parts" / f"{number:05d}.sizes.npy") for number in range(n_parts)]
    lengths = np.concatenate([part[:, 0] for part in sizes]) if sizes else np.zeros(0, np.int64)
    if not len(lengths):
        raise ValueError(f"no usable row for {folder}")
    packs = pack(lengths, capacity)
    save_array(folder / "packs.npy", packs.members)
    save_array(folder / "pack_starts.npy", packs.starts)
    n_tokens = int(lengths.sum())
    info = {
        **read_json(folder / PLAN),
        "n_parts": n_parts,
        "n_samples": len(lengths),
        "n_bad_rows": n_bad,
        "n_tokens": n_tokens,
        "n_packs": len(packs),
        "filled": n_tokens / (len(packs) * capacity),
    }
    write_json(folder / STORE, info)
    return info
