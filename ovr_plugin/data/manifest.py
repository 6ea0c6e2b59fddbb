"""A manifest: which sources make a training set, through which filters, in which shares.

YAML in (or `Manifest` made in Python), checked: every mistake is collected and said at once, with
the place it was made at. Paths are relative to the manifest's own folder. ``examples/manifests/``
shows all keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovr_plugin.data.curation.filters import FILTERS
from ovr_plugin.data.curation.settings import read_settings
from ovr_plugin.data.curation.strata import Stratification
from ovr_plugin.data.files import read_parquet
from ovr_plugin.data.readers import get_reader, reader_names
from ovr_plugin.data.sample import BadRow, ColdStartSample, Sample

KINDS: dict[str, type[Sample] | type[ColdStartSample]] = {
    "rl": Sample,
    "cold_start": ColdStartSample,
}


@dataclass(frozen=True)
class Source:
    """Where rows come from: a corpus with its ``reader``, our own ``parquet`` files, or ``logic``.

    Attributes:
        reader, root: a corpus by its reader's name, and its folder.
        limit: rows at most, a seeded choice of the good ones.
        weight: of the source's rows in the training file: 0.5 keeps half, 2 has each twice.
        name: in ids and report; by default the reader's, or that of the other kinds of source.
        parquet: a file of `Sample` or `ColdStartSample` rows.
        logic: families of generated puzzles (``[all]``), ``n`` rows of each, of ``difficulty``.
    """

    reader: str | None = None
    root: str | Path | None = None
    limit: int | None = None
    weight: float = 1.0
    name: str = ""
    parquet: str | Path | None = None
    logic: list[str] | None = None
    n: int = 100
    difficulty: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        given = [key for key in ("reader", "parquet", "logic") if getattr(self, key) is not None]
        if len(given) != 1:
            return [f": must have exactly one of reader, parquet and logic, not {given or 'none'}"]
        found = []
        if self.reader is not None and self.reader not in reader_names():
            found.append(f".reader: no {self.reader!r}; there are {', '.join(reader_names())}")
        if self.reader is not None and self.root is None:
            found.append(".root: is missing; it must be the corpus's folder")
        if self.limit is not None and self.limit < 1:
            found.append(f".limit: must be at least 1, not {self.limit}")
        if not self.weight > 0:
            found.append(f".weight: must be positive, not {self.weight}")
        if self.logic is not None:
            found += self._logic_problems()
        return found

    def _logic_problems(self) -> list[str]:
        from ovr_plugin.data.logic import family_names

        names = ["all", *family_names()]
        unknown = [name for name in self.logic or [] if name not in names]
        found = [f".logic: no {name!r}; there are {', '.join(names)}" for name in unknown]
        if self.n < 1:
            found.append(f".n: must be at least 1, not {self.n}")
        if not self.difficulty or not all(1 <= each <= 5 for each in self.difficulty):
            found.append(f".difficulty: must be levels from 1 to 5, not {self.difficulty}")
        return found

    @property
    def label(self) -> str:
        """The name in ids and report."""
        return self.name or self.reader or ("logic" if self.logic else Path(str(self.parquet)).stem)

    def place(self, folder: Path) -> Path | None:
        """The corpus's folder or file; None for generated rows."""
        given = self.root if self.reader is not None else self.parquet
        return None if given is None else (folder / given).resolve()

    def rows(self, folder: Path, seed: int, stage: str) -> Iterator[Any]:
        """All rows, in the same order every time: samples and `BadRow`s."""
        if self.logic is not None:
            from ovr_plugin.data.logic import generate

            for sample in generate(self.logic, self.n, self.difficulty, seed):
                yield self._named(sample, "logic")
            return
        place = self.place(folder)
        assert place is not None  # noqa: S101 - checked at the entrance
        if self.reader is not None:
            for row in get_reader(self.reader)(place):
                yield row if isinstance(row, BadRow) else self._named(row, self.reader)
            return
        kind: Any = KINDS[stage]
        for sample in read_parquet(place, kind):
            yield self._named(sample, sample.id.partition("/")[0])

    def _named(self, sample: Any, known_as: str) -> Any:
        if not self.name:
            return sample
        return replace(sample, id=f"{self.name}/{sample.id.removeprefix(f'{known_as}/')}")


@dataclass(frozen=True)
class Duplicates:
    """Exact and, unless ``near`` is false, near duplicates go; see `curation.duplicates`."""

    near: bool = True
    similarity: float = 0.8

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        if 0 < self.similarity <= 1:
            return []
        return [f".similarity: must be over 0 and up to 1, not {self.similarity}"]


def default_filters(stage: str) -> dict[str, dict[str, Any]]:
    """What runs where a manifest names no filters: all that need no further file."""
    needs_none = ("verifiable", "length", "pictures", "reference", "responses")
    return {name: {} for name in needs_none if stage in FILTERS[name].stages}


@dataclass(frozen=True)
class Manifest:
    """The whole description; see the fields' classes.

    Attributes:
        sources: in the order in which duplicates are kept: the first has it.
        stage: ``rl`` (`Sample` rows) or ``cold_start`` (`ColdStartSample` rows).
        seed: of every choice.
        val_fraction: share of each source's questions for ``val.parquet``; 0 for none.
        embed_images: put the pictures' bytes into the files instead of their paths.
        filters: name -> settings (`FILTERS`, and ``duplicates``); None for `default_filters` and
            duplicates. ``{}`` keeps every well-formed row.
        strata: weights of parts of the rows.
        folder: what paths are relative to.
    """

    sources: list[Source]
    stage: str = "rl"
    seed: int = 0
    val_fraction: float = 0.02
    embed_images: bool = False
    filters: dict[str, Any] | None = None
    strata: list[Stratification] = field(default_factory=list)
    folder: Path = field(default_factory=Path)

    def filter_settings(self) -> dict[str, Any]:
        """The filters that look at single rows, made; in the order of `FILTERS`."""
        given = default_filters(self.stage) if self.filters is None else self.filters
        return {
            name: read_settings(kind, given[name], name, [])
            for name, kind in FILTERS.items()
            if name in given
        }

    def duplicates(self) -> Duplicates | None:
        """How to look for duplicates; None for not at all."""
        if self.filters is None:
            return Duplicates()
        given = self.filters.get("duplicates")
        return None if given is None else read_settings(Duplicates, given, "duplicates", [])

    def problems(self) -> list[str]:
        """All that is wrong, each line beginning with the place."""
        found: list[str] = []
        if self.stage not in KINDS:
            return [f"stage: must be {' or '.join(KINDS)}, not {self.stage!r}"]
        if not self.sources:
            found.append("sources: no source given; name at least one corpus")
        if not 0 <= self.val_fraction < 1:
            found.append(f"val_fraction: must be 0 or lie between 0 and 1, not {self.val_fraction}")
        for place, source in enumerate(self.sources):
            found += [f"sources[{place}]{line}" for line in source.problems()]
        names = Counter(source.label for source in self.sources)
        found += [
            f"sources: given twice: {name}; rows could not be told apart, give one a name"
            for name, n_times in names.items()
            if n_times > 1
        ]
        return found + self._filter_problems()

    def _filter_problems(self) -> list[str]:
        found: list[str] = []
        known = {**FILTERS, "duplicates": Duplicates}
        for name, settings in (self.filters or {}).items():
            if name not in known:
                found.append(f"filters: no {name!r}; there are {', '.join(known)}")
            elif self.stage not in getattr(known[name], "stages", KINDS):
                found.append(f"filters.{name}: is not for stage {self.stage}")
            else:
                read_settings(known[name], settings, f"filters.{name}", found)
        for place, stratum in enumerate(self.strata):
            found += [f"strata[{place}]{line}" for line in stratum.problems()]
        return found


def load_manifest(path: str | Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not YAML, or wrong; the message lists every mistake and its place.
    """
    import yaml

    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable YAML: {error}") from error
    errors: list[str] = []
    manifest = _read(given, path.parent.resolve(), errors)
    if manifest is not None and not errors:
        errors = manifest.problems() + _missing_places(manifest)
    if manifest is None or errors:
        lines = "\n".join(f"  {line}" for line in errors)
        raise ValueError(f"{path}: {len(errors)} mistakes\n{lines}")
    return manifest


@dataclass(frozen=True)
class _Keys:
    """The manifest's own keys and their types."""

    sources: list[dict[str, Any]]
    stage: str = "rl"
    seed: int = 0
    val_fraction: float = 0.02
    embed_images: bool = False
    filters: dict[str, Any] | None = None
    strata: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _SourceKeys:
    """A source's keys and their types, as YAML has them."""

    reader: str | None = None
    root: str | None = None
    limit: int | None = None
    weight: float = 1.0
    name: str = ""
    parquet: str | None = None
    logic: list[str] | None = None
    n: int = 100
    difficulty: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])


def _read(given: Any, folder: Path, errors: list[str]) -> Manifest | None:
    keys = read_settings(_Keys, given, "manifest", errors)
    if keys is None:
        return None
    sources = []
    for place, each in enumerate(keys.sources):
        checked = read_settings(_SourceKeys, each, f"sources[{place}]", errors)
        if checked is not None:
            sources.append(Source(**vars(checked)))
    strata = []
    for place, each in enumerate(keys.strata):
        stratum = read_settings(Stratification, each, f"strata[{place}]", errors)
        strata += [stratum] if stratum is not None else []
    rest = {key: value for key, value in vars(keys).items() if key not in ("sources", "strata")}
    manifest = Manifest(sources=sources, strata=strata, folder=folder, **rest)
    if errors:
        # What can be said in spite of them is said too.
        errors += [line for line in manifest.problems() if "no source given" not in line]
    return manifest


def _missing_places(manifest: Manifest) -> list[str]:
    found = []
    for place, source in enumerate(manifest.sources):
        path = source.place(manifest.folder)
        if path is not None and not path.exists():
            found.append(f"sources[{place}]: {path} is not there")
    files: list[tuple[str, Mapping[str, Any]]] = [
        *((f"filters.{name}", given) for name, given in (manifest.filters or {}).items()),
        *((f"strata[{place}]", vars(each)) for place, each in enumerate(manifest.strata)),
    ]
    for where, given in files:
        file = given.get("file") if isinstance(given, Mapping) else None
        if file and not (manifest.folder / file).is_file():
            found.append(f"{where}.file: {manifest.folder / file} is not there")
    return found
