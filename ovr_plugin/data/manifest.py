"""A manifest: which sources make a training set, through which filters, in which shares.

YAML in (or `Manifest` made in Python), checked: every mistake is collected and said at once, with
the place it was made at. Paths are relative to the manifest's own folder. ``examples/manifests/``
shows all keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovr_plugin.data.curation.filters import FILTERS, evaluation_files
from ovr_plugin.data.curation.settings import is_told, read_right, read_settings
from ovr_plugin.data.curation.strata import Stratification
from ovr_plugin.data.source import KINDS, Source


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

    def problems(self, places: Sequence[int] | None = None) -> list[str]:
        """All that is wrong, each line beginning with the place.

        Args:
            places: of the sources in the file, where some could not be read.
        """
        found: list[str] = []
        if self.stage not in KINDS:
            found.append(f"stage: must be {' or '.join(KINDS)}, not {self.stage!r}")
        if not self.sources:
            found.append("sources: no source given; name at least one corpus")
        if self.seed < 0:
            found.append(f"seed: must not be negative, not {self.seed}")
        if not 0 <= self.val_fraction < 1:
            found.append(f"val_fraction: must be 0 or lie between 0 and 1, not {self.val_fraction}")
        for place, source in zip(places or range(len(self.sources)), self.sources, strict=True):
            found += [f"sources[{place}]{line}" for line in source.problems(self.stage)]
        names = Counter(source.label for source in self.sources if len(source.kinds) == 1)
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
                continue
            if self.stage in KINDS and self.stage not in getattr(known[name], "stages", KINDS):
                found.append(f"filters.{name}: is not for stage {self.stage}")
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
        text = path.read_text(encoding="utf-8")
        given = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable YAML: {error}") from error
    errors = _given_twice(yaml.compose(text, Loader=yaml.SafeLoader))
    manifest = _read(given, path.parent.resolve(), errors)
    if manifest is None or errors:
        lines = "\n".join(f"  {line}" for line in errors)
        n_mistakes = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        raise ValueError(f"{path}: {n_mistakes}\n{lines}")
    return manifest


def _given_twice(node: Any) -> list[str]:
    """Keys that a mapping has twice: YAML would take the last, and say nothing of the first."""
    found: list[tuple[int, str]] = []
    remaining, known = [node], set()
    while remaining:
        node = remaining.pop()
        if id(node) in known or not isinstance(getattr(node, "value", None), list):
            continue
        known.add(id(node))  # an alias is the same node again, perhaps within itself
        lines: dict[str, int] = {}
        for each in node.value:
            if not isinstance(each, tuple):
                remaining.append(each)
                continue
            key, value = each
            remaining.append(value)
            line = key.start_mark.line + 1
            name = f"{key.tag} {key.value}"
            if name in lines:
                told = f"{key.value!r} is given twice, first in line {lines[name]}"
                found.append((line, told))
            lines.setdefault(name, line)
    return [f"line {line}: {told}" for line, told in sorted(found)]


@dataclass(frozen=True)
class _Keys:
    """The manifest's own keys and their types."""

    sources: list[Any] = field(default_factory=list)
    stage: str = "rl"
    seed: int = 0
    val_fraction: float = 0.02
    embed_images: bool = False
    filters: dict[str, Any] | None = None
    strata: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class _SourceKeys:
    """A source's keys and their types, as YAML has them."""

    reader: str | None = None
    root: str | None = None
    columns: dict[str, Any] | None = None
    limit: int | None = None
    weight: float = 1.0
    name: str = ""
    parquet: str | None = None
    logic: list[str] | None = None
    n: int = 100
    difficulty: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    min_pixels: int | None = None
    max_pixels: int | None = None
    broken_files: str = "stop"


def _read(given: Any, folder: Path, errors: list[str]) -> Manifest | None:
    """The manifest; ``errors`` has what is wrong, also what can be said in spite of the rest."""
    keys, wrong = read_right(_Keys, given, "manifest", errors)
    if keys is None:
        return None
    sources, places, wrong_keys = [], [], {}
    for place, each in enumerate(keys.sources):
        checked, wrong_keys[place] = read_right(_SourceKeys, each, f"sources[{place}]", errors)
        if checked is not None:
            sources.append(Source(**vars(checked)))
            places.append(place)
    strata = []
    for place, each in enumerate(keys.strata):
        stratum = read_settings(Stratification, each, f"strata[{place}]", errors)
        strata += [stratum] if stratum is not None else []
    rest = {key: value for key, value in vars(keys).items() if key not in ("sources", "strata")}
    manifest = Manifest(sources=sources, strata=strata, folder=folder, **rest)
    told = {f"sources[{place}]": names for place, names in wrong_keys.items()}
    found = manifest.problems(places) if keys.sources or "sources" not in wrong else []
    errors += [line for line in found if not _follows(line, told)]
    errors += _missing_places(keys, manifest, places)
    return manifest


def _follows(line: str, told: Mapping[str, set[str]]) -> bool:
    """Whether a line about a source follows from values whose type is wrong already."""
    where = line[: line.find("]") + 1]
    kinds = {name for name in told.get(where, ()) if name in ("reader", "parquet", "logic")}
    rest = line.removeprefix(where)
    return is_told(rest, kinds if rest.startswith(": ") else told.get(where, set()))


def _missing_places(keys: _Keys, manifest: Manifest, places: Sequence[int]) -> list[str]:
    """Files that are not there; of settings that are wrong too, as far as they name any."""
    found = []
    for place, source in zip(places, manifest.sources, strict=True):
        path = source.place(manifest.folder)
        if isinstance(path, Path) and not path.exists():
            found.append(f"sources[{place}]: {path} is not there")
    filters = keys.filters or {}
    files: list[tuple[str, Any]] = [
        *((f"filters.{name}", given) for name, given in filters.items()),
        *((f"strata[{place}]", given) for place, given in enumerate(keys.strata)),
    ]
    for where, given in files:
        for file in _texts(given, "file"):
            if not (manifest.folder / file).is_file():
                found.append(f"{where}.file: {manifest.folder / file} is not there")
    contamination = filters.get("contamination")
    against = contamination.get("against") if isinstance(contamination, Mapping) else None
    for place, each in enumerate(against if isinstance(against, list) else []):
        for pattern in _texts(each, "files"):
            where = f"filters.contamination.against[{place}].files"
            try:
                if not evaluation_files(pattern, manifest.folder)[1]:
                    found.append(f"{where}: {manifest.folder / pattern} is not there")
            except ValueError as error:
                found.append(f"{where}: {error}")
    return found


def _texts(given: Any, key: str) -> list[str]:
    """The text, or the texts of the list, that a mapping has under a key; whatever it is."""
    value = given.get(key) if isinstance(given, Mapping) else None
    return [
        each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)
    ]
