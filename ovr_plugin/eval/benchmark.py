"""A benchmark as it is declared: where its rows are, how they become items, how they are scored.

Rows come from a local folder in the layout that the authors publish, or a copy of the Hub's files
(``hf download --repo-type dataset``), or from the Hub through ``datasets``; all end in the same
raw row. A row that cannot become an item is a `BadRow` that is named, never dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ovr_plugin.data.readers._corpus import corpus_files
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import json_values, table
from ovr_plugin.data.sample import BadRow, problems
from ovr_plugin.eval.scoring import Item, Scoring

TABLES = "OVR Tables 2-4"  # arXiv 2507.05255, where all of the paper's scores are
ToItems = Callable[[RawRow], Item | Sequence[Item]]
Rows = Callable[[Path, str], Iterator[RawRow | BadRow]]


class PictureError(RowError):
    """A row's picture could not be had; what else there is of it is in ``item``."""

    def __init__(self, why: str, item: Item):
        super().__init__(why)
        self.item = item


@dataclass(frozen=True)
class BadItem(BadRow):
    """A row that cannot be asked and still counts: its group is never complete without it."""

    item: Item


@dataclass(frozen=True)
class Paper:
    """Scores that the paper prints for a metric (`TABLES`); greedy or avg@k, it does not say."""

    metric: str
    base: float | None  # Qwen2.5-VL-7B
    ovr: float | None  # OVR-7B, after RL
    cold_start: float | None = None


@dataclass(frozen=True)
class Source:
    """One table of rows.

    Attributes:
        files: globs under the benchmark's folder; only the first that match are read.
        to_items: a raw row -> its item or items; raises `RowError` where there is none.
        hub: dataset on the Hub, '' where the data are not there.
        config: its configuration.
        split: its split.
        rows: reads one local file; by default by its ending.
    """

    files: Sequence[str]
    to_items: ToItems
    hub: str = ""
    config: str | None = None
    split: str = "test"
    rows: Rows = table


@dataclass(frozen=True)
class Benchmark:
    """One benchmark; ``version`` rises with anything that changes a score.

    Attributes:
        name: what a user types; also the ``data_source`` of its rows.
        title: as the paper's tables print it.
        license: of the data.
        sources: where the rows are.
        scoring: the official protocol.
        paper: the paper's scores.
        folder: under the data folder; '' for its name.
        note: what deviates from the official protocol, printed under the table.
        version: of rows, prompt and scoring.
    """

    name: str
    title: str
    license: str
    sources: Sequence[Source]
    scoring: Scoring = field(default_factory=Scoring)
    paper: Sequence[Paper] = ()
    folder: str = ""
    note: str = ""
    version: int = 1

    def items(self, data: str | Path | None = None) -> Iterator[Item | BadRow]:
        """Yield every row as an item or a `BadRow`.

        Args:
            data: folder that holds the benchmark's own (`folder`); None takes the Hub.

        Raises:
            FileNotFoundError: the folder has no file of any source; the message names both.
            ValueError: it is not on the Hub.
        """
        if data is not None:
            self._check_folder(Path(data) / (self.folder or self.name))
        seen: set[str] = set()
        for source in self.sources:
            for raw in self._rows(source, data):
                for item in [raw] if isinstance(raw, BadRow) else _converted(source, raw):
                    if isinstance(item, Item) and item.id in seen:
                        raise ValueError(f"{self.name}: two items are called {item.id}")
                    if isinstance(item, Item):
                        seen.add(item.id)
                    yield item

    def files(self, data: Path | None) -> list[str]:
        """The local files that are read, relative to the benchmark's folder."""
        if data is None:
            return []
        root = data / (self.folder or self.name)
        found = (next((p for p in s.files if any(root.glob(p))), None) for s in self.sources)
        return [file for pattern in found if pattern for _, file in corpus_files(root, [pattern])]

    def where(self, data: Path | None) -> str:
        """Say in a line where the rows can be had."""
        hub = next((source.hub for source in self.sources if source.hub), "")
        folder = self.folder or self.name
        if not hub:
            return f"the authors' files, in {data or 'DATA'}/{folder}"
        takes_copy = any(".parquet" in each for source in self.sources for each in source.files)
        if data is None or not takes_copy:
            place = f"; the authors' files, in {data}/{folder}" if data else ""
            return f"{hub} on the Hub, read from there without --data{place}"
        return f"hf download --repo-type dataset {hub} --local-dir {data / folder}"

    def _rows(self, source: Source, data: str | Path | None) -> Iterator[RawRow | BadRow]:
        if data is None:
            yield from hub_rows(self.name, source)
            return
        root = Path(data) / (self.folder or self.name)
        # The first pattern that matches: a folder may hold the same rows in two layouts.
        pattern = next((each for each in source.files if any(root.glob(each))), None)
        if pattern is not None:
            for base, file in corpus_files(root, [pattern]):
                yield from source.rows(base, file)
        elif source.files:
            yield BadRow(str(root), None, f"a part is missing: none of {', '.join(source.files)}")

    def _check_folder(self, root: Path) -> None:
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: no such folder")
        patterns = [pattern for source in self.sources for pattern in source.files]
        if not any(any(root.glob(pattern)) for pattern in patterns):
            raise FileNotFoundError(f"{root}: none of {', '.join(patterns)} is there")


def json_or_table(root: Path, file: str) -> Iterator[RawRow | BadRow]:
    """Read a file that may be a JSON object of rows by their ids; otherwise as by its ending."""
    with (root / file).open("rb") as opened:
        is_object = file.endswith(".json") and opened.read(64).lstrip()[:1] == b"{"
    return json_values(root, file) if is_object else table(root, file)


def hub_rows(name: str, source: Source) -> Iterator[RawRow]:
    """Yield a split of the Hub as raw rows, pictures as their files' bytes.

    Raises:
        ValueError: the benchmark is not on the Hub.
    """
    import datasets

    if not source.hub:
        raise ValueError(f"{name} is not on the Hub: give the folder with its files by --data")
    split = datasets.load_dataset(source.hub, source.config, split=source.split)
    place = "/".join(part for part in (source.config, source.split) if part)
    row = 0
    for batch in split.with_format("arrow").iter(64):
        for data in batch.to_pylist():
            yield RawRow(Path(source.hub), place, row, data)
            row += 1


def _converted(source: Source, raw: RawRow) -> Iterator[Item | BadRow]:
    place = str(raw.root / raw.file)
    try:
        made = source.to_items(raw)
    except PictureError as error:
        yield _bad(place, raw, str(error), error.item)
        return
    except RowError as error:
        yield BadRow(place, raw.row, str(error))
        return
    for item in [made] if isinstance(made, Item) else made:
        found = problems(item.sample)
        yield _bad(place, raw, "; ".join(found), item) if found else item


def _bad(place: str, raw: RawRow, why: str, item: Item) -> BadItem:
    return BadItem(place, raw.row, why, replace(item, sample=replace(item.sample, images=[])))
