"""Benchmarks' real rows in their published layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_rows import draw

from ovr_plugin.data.sample import BadRow
from ovr_plugin.eval.benchmarks import all_benchmarks
from ovr_plugin.eval.scoring import Item

REAL = (
    *("math500", "mmlu", "mathvision", "mathverse", "dynamath", "wemath", "logicvista"),
    *("mmmu_pro", "mathvista", "charxiv", "pope", "hallusionbench"),
)


@pytest.fixture(scope="session")
def real_data(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real rows as published; pictures that could not be had are red squares."""
    raw, data = shared / "raw", tmp_path_factory.mktemp("benchmarks")
    for name in REAL:
        for file in (raw / name).rglob("*"):
            if file.is_file():
                copy = data / name / file.relative_to(raw / name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.symlink_to(file) if file.suffix not in (".png", ".jpg") else draw(copy)
    (data / "aime24").symlink_to(raw / "aime24_25" / "aime24")
    (data / "aime25").symlink_to(raw / "aime24_25" / "aime")
    for row in json.loads((data / "mathvista/data/testmini.json").read_text()).values():
        draw(data / "mathvista" / row["image"])
    for figure in json.loads((data / "charxiv/data/reasoning_val.json").read_text()):
        draw(data / "charxiv" / "images" / f"{figure}.jpg")
    for file in (data / "pope/output/coco").glob("*.json"):
        for line in file.read_text().splitlines():
            draw(data / "pope" / "val2014" / json.loads(line)["image"])
    for row in json.loads((data / "hallusionbench/HallusionBench.json").read_text()):
        if row["filename"]:
            draw(data / "hallusionbench" / "hallusion_bench" / row["filename"])
    return data


@pytest.fixture
def read() -> Callable[[str, Path], tuple[list[Item], list[BadRow]]]:
    """All items and bad rows of a benchmark."""

    def items_of(name: str, data: Path) -> tuple[list[Item], list[BadRow]]:
        rows = list(all_benchmarks()[name].items(data))
        bad = [row for row in rows if isinstance(row, BadRow)]
        return [row for row in rows if isinstance(row, Item)], bad

    return items_of
