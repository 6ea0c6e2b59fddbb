"""The start of training: from files to the first batch, ours beside veRL's RLHFDataset.

``python tests/benchmarks/dataset_start.py [--rows 300000] [--filter-rows 3000]``. Half of the rows
have a picture by path (a few thousand files, used in turn). Each case runs in a process of its own
and reports wall seconds, CPU seconds (of its children too) and its peak of resident memory. Ours
always leaves out over-long rows. veRL does where it is asked to, and then decodes every picture, in
one process by default: that is timed on fewer rows, and scaled to all of them by the row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ovr_plugin.data.files import write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.sample import Sample

QUESTION = (
    "Let $x_{%d}$ be the number of ways in which a board of $2 \\times %d$ squares can be " * 5
)
BATCH = 512


def samples(n_rows: int, pictures: list[str]) -> Iterator[Sample]:
    for row in range(n_rows):
        text = QUESTION % ((row, row) * 5)
        images = [ImageRef(path=pictures[row % len(pictures)])] if row % 2 else []
        prompt = [{"role": "user", "content": "<image>" * len(images) + text}]
        source = f"source {row % 20}"
        yield Sample(source, prompt, str(row), images, id=f"{source}/f#{row}", index=row)


def make(folder: Path, n_rows: int) -> None:
    from ovr_plugin.models.tiny import make_tiny

    make_tiny(folder / "model", [QUESTION % ((1, 2) * 5)])
    pictures = []
    for number in range(2000):
        path = folder / f"{number}.png"
        Image.effect_noise((320 + number % 100, 240), 60).convert("RGB").save(path)
        pictures.append(str(path))
    write_parquet(folder / "train.parquet", samples(n_rows, pictures), Sample)


def first_batch(folder: str, whose: str, with_filter: bool) -> None:
    """Print what it took; runs in its own process."""
    from omegaconf import OmegaConf
    from transformers import AutoProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/model")
    processor = AutoProcessor.from_pretrained(f"{folder}/model")
    from torchdata.stateful_dataloader import StatefulDataLoader
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    from ovr_plugin.data.rl_dataset import OVRDataset

    config = OmegaConf.create(
        {
            "cache_dir": f"{folder}/cache-{whose}-{with_filter}",
            "max_prompt_length": 4096,
            "max_pixels": 1_003_520,
            "check_images": "use",
            "filter_overlong_prompts": with_filter,
            "filter_overlong_prompts_workers": 1,
            "train_batch_size": BATCH,
            "mix": {"image_fraction": 0.5},
            "seed": 1,
        }
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    cls: Any = OVRDataset if whose == "ours" else RLHFDataset
    file = f"{folder}/train.parquet"
    data = cls(data_files=[file], tokenizer=tokenizer, config=config, processor=processor)
    sampler = data.mix_sampler() if whose == "ours" else None
    loader = StatefulDataLoader(
        data, batch_size=min(BATCH, len(data)), sampler=sampler, collate_fn=collate_fn
    )
    next(iter(loader))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = [time.perf_counter() - wall, sum(os.times()[:4]) - cpu, peak / 1024, before / 1024]
    print("RESULT" + json.dumps([*took, len(data)]))


def run(folder: str, whose: str, with_filter: bool) -> float:
    code = (
        f"from dataset_start import first_batch;first_batch({folder!r}, {whose!r}, {with_filter})"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VERL_USE_EXTERNAL_PLUGINS": "none"}
    root = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, env=environment
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise RuntimeError(done.stderr[-3000:])
    wall, cpu, peak, before, n_rows = json.loads(lines[0].removeprefix("RESULT"))
    title = f"{whose}{', over-long filter' if with_filter else ''}"
    print(
        f"{title:25} {n_rows:8,} rows: first batch {wall:8.2f} s ({cpu:.2f} s CPU), "
        f"peak {peak:,.0f} MB ({before:,.0f} after imports)",
        flush=True,
    )
    return float(wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--filter-rows", type=int, default=3_000)
    arguments = parser.parse_args()
    n_rows, n_few = arguments.rows, arguments.filter_rows
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), n_rows)
        ours, unfiltered = (run(folder, whose, False) for whose in ("ours", "verl"))
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), n_few)
        few, filtered = (run(folder, whose, True) for whose in ("ours", "verl"))
    # What the filter takes beyond the start without it, by the row.
    scaled = unfiltered + (filtered - unfiltered * n_few / n_rows) * n_rows / n_few
    print(
        f"verl's wall seconds by ours: {unfiltered / ours:.2f} without its filter; with it "
        f"{filtered / few:.0f} for {n_few:,} rows, {scaled / ours:.0f} for {n_rows:,} (verl: "
        f"{scaled:,.0f} s, scaled from {n_few:,} rows)"
    )


if __name__ == "__main__":
    main()
