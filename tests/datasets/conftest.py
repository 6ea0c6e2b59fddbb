"""Fixtures of the data tests: a tokenizer that knows the toy words, its processor, sample rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ovr_plugin.data import source_chunks
from ovr_plugin.data.files import write_parquet
from ovr_plugin.data.images import ImageRef
from ovr_plugin.data.prepare import Source
from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.data.toy import toy_texts
from ovr_plugin.models.tiny import make_processor, make_tokenizer

ROWS = Path(__file__).parent.parent / "data" / "rows"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer([*toy_texts(64), "What colour is the box? The box is red."], 1024)


@pytest.fixture(scope="session")
def processor(tokenizer: Any) -> Any:
    return make_processor(tokenizer)


@pytest.fixture(scope="session")
def rows() -> Path:
    """Raw rows of public corpora, copied."""
    return ROWS


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., ImageRef]:
    """Draw a picture of (width, height) and give a reference to it."""

    def draw(width: int = 56, height: int = 56, mode: str = "RGB") -> ImageRef:
        path = tmp_path / f"{width}x{height}{mode}.png"
        Image.new(mode, (width, height), 128).save(path)
        return ImageRef(path=str(path))

    return draw


@pytest.fixture
def make() -> Callable[..., Sample]:
    """A good text sample, with any fields replaced."""

    def sample(content: str = "What is 1 + 1?", **fields: Any) -> Sample:
        given = {
            "data_source": "test",
            "prompt": [{"role": "user", "content": content}],
            "ground_truth": "2",
        }
        return Sample(**{**given, **fields})

    return sample


@pytest.fixture
def pair() -> Callable[..., ColdStartSample]:
    def cold_start(content: str = "What is 1 + 1?", response: str = "It is \\boxed{2}") -> Any:
        return ColdStartSample("test", [{"role": "user", "content": content}], response)

    return cold_start


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., str]:
    """Write records to a fresh file and give its path."""

    def write(*records: Any, name: str = "data.parquet") -> str:
        write_parquet(tmp_path / name, records, type(records[0]))
        return str(tmp_path / name)

    return write


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """veRL's data config as far as our datasets read it; the cache stays in the test's folder."""

    def data(**keys: Any) -> dict[str, Any]:
        return {"cache_dir": str(tmp_path / "cache"), "max_prompt_length": 256, **keys}

    return data


@pytest.fixture
def sources(rows: Path) -> list[Source]:
    return [Source(name, rows / name) for name in ("orz", "puzzlevqa")]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of ten rows, so that a few rows are many chunks."""
    monkeypatch.setattr(source_chunks, "ROWS_PER_CHUNK", 10)
