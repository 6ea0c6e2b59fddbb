"""The quickstart's rows: generated ones always, real ones of two public corpora where they lie.

A model of 3.9 million parameters cannot do the real tasks; its reward there stays near zero. They
show that the real path works, the generated rows show that it learns.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import read_parquet, write_parquet
from ovr_plugin.data.prepare import Manifest, Source, Stopped, prepare
from ovr_plugin.data.sample import ColdStartSample, Sample, at_place
from ovr_plugin.data.toy import TEMPLATE_TEXTS, toy_cold_start_rows, toy_rows

CORPORA = ("orz", "puzzlevqa")  # one of text, one of images; both MIT
RECIPES = ("_sft_base", "sft_tiny", "_ppo_base", "ppo_tiny")
N_TELLING = 20  # rows that tell one generator from another
MAX_PROMPT_CHARS = 400  # about ppo_tiny's 256 tokens with a tokenizer this small


def write_data(folder: Path, size: Any, seed: int, corpora: Path | None) -> Iterator[str]:
    """Write ``cold_start``, ``train`` and ``val`` parquet files; yield lines for the console."""
    pairs = toy_cold_start_rows(size.n_cold_start, seed)
    write_parquet(folder / "cold_start.parquet", pairs, ColdStartSample)
    yield f"cold start: {len(pairs)} generated text pairs"
    train = toy_rows(size.n_toy, seed)
    val = toy_rows(size.n_val, seed + 1, held_out=True)
    yield f"RL: {len(train)} generated rows, half of them with a picture"
    if corpora is not None:
        real = _real_rows(folder / "corpora", size.n_real, seed, corpora)
        train, val = train + real["train"], val + real["val"]
        yield f"RL: {len(real['train'])} real rows of {' and '.join(CORPORA)} from {corpora}"
        yield f"rows that could not be used, with reasons: {folder / 'corpora' / 'report.json'}"
    for name, samples in (("train", train), ("val", val)):
        placed = [at_place(sample, index, name) for index, sample in enumerate(samples)]
        write_parquet(folder / f"{name}.parquet", placed, Sample)
        n_images = sum(sample.modality == "image" for sample in placed)
        yield f"{name}: {len(placed)} rows, {n_images} with pictures: {folder / name}.parquet"


def fingerprint(seed: int) -> int:
    """Return a number that changes with what the generated rows are: of another release, say."""
    first = (toy_cold_start_rows(N_TELLING, seed), toy_rows(N_TELLING, seed))
    return zlib.crc32(repr(first).encode())


def recipes_fingerprint(beside: Sequence[str]) -> int:
    """Return a number that changes with what the recipes set, comments apart, and what beside."""
    from omegaconf import OmegaConf

    folder = resources.files("ovr_plugin.config") / "ovr"
    texts = [(folder / f"{name}.yaml").read_text() for name in RECIPES]
    settings = [OmegaConf.to_container(OmegaConf.create(text)) for text in texts]
    return zlib.crc32(repr([settings, *beside]).encode())


def texts_of(folder: Path) -> list[str]:
    """Return every text that the tokenizer should know."""
    texts = list(TEMPLATE_TEXTS)
    for pair in read_parquet(folder / "cold_start.parquet", ColdStartSample):
        texts += [message["content"] for message in pair.prompt] + [pair.response]
    for sample in read_parquet(folder / "train.parquet", Sample):
        texts += [message["content"] for message in sample.prompt]
    return texts


def _real_rows(folder: Path, n_rows: int, seed: int, corpora: Path) -> dict[str, list[Sample]]:
    sources = [Source(name, corpora.resolve() / name, limit=4 * n_rows) for name in CORPORA]
    try:
        prepare(Manifest(sources, val_fraction=0.2, seed=seed), folder)
    except Stopped as error:
        raise ValueError(str(error)) from error
    return {
        split: [
            sample
            for source in CORPORA
            for sample in _short(folder / f"{split}.parquet", source)[: share // len(CORPORA)]
        ]
        for split, share in (("train", n_rows), ("val", max(2, n_rows // 4)))
    }


def _short(file: Path, source: str) -> list[Sample]:
    return [
        sample
        for sample in read_parquet(file, Sample)
        if sample.id.startswith(f"{source}/")
        and len(sample.prompt[-1]["content"]) < MAX_PROMPT_CHARS
    ]
