"""The steps that look at one row at a time, by name: settings in, a predicate out.

A predicate takes a `Row` and returns why it must go (``kind: detail``), or None. The order of
`FILTERS` is the order of the steps: cheap ones first, and a row is told its first defect. All run
on rows that are well formed (`ovr_plugin.data.sample.problems`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ovr_plugin.data.curation.contamination import EvaluationIndex, contaminated
from ovr_plugin.data.curation.lookup import Band, Lookup
from ovr_plugin.data.curation.picture_hash import PictureHash
from ovr_plugin.data.curation.responses import PATTERNS
from ovr_plugin.data.curation.row import Row
from ovr_plugin.data.curation.verifiable import not_verifiable
from ovr_plugin.data.images import ImageRef, size_of
from ovr_plugin.data.prompt import question_prompt
from ovr_plugin.data.readers import resolved
from ovr_plugin.data.readers._own_table import find
from ovr_plugin.data.readers._pictures import picture
from ovr_plugin.data.readers._rows import RawRow, RowError
from ovr_plugin.data.readers._tables import table
from ovr_plugin.data.sample import BadRow, Sample, rejects_own_reference

Predicate = Callable[[Row], str | None]
MISSING = ("keep", "drop")


@dataclass(frozen=True)
class Verifiable:
    """Questions that a rule cannot judge go: proofs, open questions, several sub-answers."""

    stages: ClassVar[tuple[str, ...]] = ("rl",)

    def predicate(self, folder: Path) -> Predicate:
        """`not_verifiable`."""
        return not_verifiable


@dataclass(frozen=True)
class Length:
    """Over-long prompts and responses go; a token of mathematics is about 2.5 characters.

    The exact limit in tokens is the RL dataset's, which knows the model.
    """

    max_prompt_chars: int = 8000
    max_response_chars: int = 250_000
    stages: ClassVar[tuple[str, ...]] = ("rl", "cold_start")

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return [
            f".{name}: must be at least 1, not {getattr(self, name)}"
            for name in ("max_prompt_chars", "max_response_chars")
            if getattr(self, name) < 1
        ]

    def predicate(self, folder: Path) -> Predicate:
        """By characters."""
        return partial(_too_long, self)


@dataclass(frozen=True)
class Pictures:
    """Tiny and extremely wide pictures go, by their headers; broken ones when they are decoded.

    The smallest side defaults to one merged patch of Qwen2.5-VL.
    """

    min_side: int = 28
    max_aspect_ratio: float = 20.0
    decode: bool = True
    stages: ClassVar[tuple[str, ...]] = ("rl",)

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = []
        if self.min_side < 1:
            found.append(f".min_side: must be at least 1, not {self.min_side}")
        if self.max_aspect_ratio < 1:
            found.append(f".max_aspect_ratio: must be at least 1, not {self.max_aspect_ratio}")
        return found

    def predicate(self, folder: Path) -> Predicate:
        """By header, then by decoding."""
        return partial(_bad_picture, self)


@dataclass(frozen=True)
class Reference:
    """The verifier must accept the reference against itself, or no answer ever earns a reward."""

    stages: ClassVar[tuple[str, ...]] = ("rl",)

    def predicate(self, folder: Path) -> Predicate:
        """By `ovr_plugin.reward`."""
        return _rejected_reference


@dataclass(frozen=True)
class Responses:
    """Responses with undesirable patterns go: all of `PATTERNS`, or those named."""

    patterns: list[str] = field(default_factory=lambda: list(PATTERNS))
    stages: ClassVar[tuple[str, ...]] = ("cold_start",)

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        unknown = [name for name in self.patterns if name not in PATTERNS]
        return [f".patterns: no {name!r}; there are {', '.join(PATTERNS)}" for name in unknown]

    def predicate(self, folder: Path) -> Predicate:
        """The first pattern found."""
        return partial(_undesirable, tuple(self.patterns))


@dataclass(frozen=True)
class PassRate:
    """The trivial and the infeasible go: a band of pass rates, as ``ovr pass-rate`` measured."""

    file: str
    min: float = 0.1
    max: float = 0.9
    missing: str = "keep"
    stages: ClassVar[tuple[str, ...]] = ("rl",)

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = _missing_problems(self.missing)
        if not 0 <= self.min <= self.max <= 1:
            found.append(f": must have 0 <= min <= max <= 1, not {self.min} and {self.max}")
        return found

    def predicate(self, folder: Path) -> Predicate:
        """By the row's id."""
        rates = Lookup.read(folder / self.file, "pass_rate")
        return Band("pass rate", rates, self.min, self.max, self.missing)


@dataclass(frozen=True)
class Loss:
    """Responses with an abnormally high loss under a light model go (OVR A).

    The paper gives no threshold: by default the highest two percent go.
    """

    file: str
    max: float | None = None
    max_quantile: float = 0.98
    missing: str = "keep"
    stages: ClassVar[tuple[str, ...]] = ("cold_start",)

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = _missing_problems(self.missing)
        if not 0 < self.max_quantile <= 1:
            found.append(f".max_quantile: must be over 0 and up to 1, not {self.max_quantile}")
        return found

    def predicate(self, folder: Path) -> Predicate:
        """By the row's id."""
        losses = Lookup.read(folder / self.file, "loss")
        limit = losses.quantile(self.max_quantile) if self.max is None else self.max
        return Band("loss", losses, float("-inf"), limit, self.missing)


@dataclass(frozen=True)
class Against:
    """An evaluation set: tables (JSON Lines, JSON, CSV, parquet) and the columns to look at."""

    files: list[str]
    question: str
    image: str | None = None


@dataclass(frozen=True)
class Contamination:
    """Rows that are in an evaluation set go, by n-grams of the text or by the picture."""

    against: list[dict[str, Any]]
    n: int = 8
    share: float = 0.5
    stages: ClassVar[tuple[str, ...]] = ("rl", "cold_start")

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found: list[str] = []
        for place, each in enumerate(self.against):
            from ovr_plugin.data.curation.settings import read_settings

            read_settings(Against, each, f".against[{place}]", found)
        if self.n < 1:
            found.append(f".n: must be at least 1, not {self.n}")
        if not 0 <= self.share <= 1:
            found.append(f".share: must lie between 0 and 1, not {self.share}")
        return found

    def files(self, folder: Path) -> list[Path]:
        """All files of the sets."""
        patterns = [pattern for each in self.against for pattern in each["files"]]
        return [file for pattern in patterns for file in evaluation_files(pattern, folder)[1]]

    def predicate(self, folder: Path) -> Predicate:
        """By an index of all sets, made here."""
        sets = [Against(**each) for each in self.against]
        index = EvaluationIndex.of(
            (s for each in sets for s in evaluation_rows(each, folder)), self.n
        )
        return partial(contaminated, index=index, share=self.share)


FILTERS: dict[str, Any] = {
    "verifiable": Verifiable,
    "length": Length,
    "pass_rate": PassRate,
    "loss": Loss,
    "pictures": Pictures,
    "reference": Reference,
    "responses": Responses,
    "contamination": Contamination,
}


def evaluation_rows(of: Against, folder: Path) -> Iterator[Sample]:
    """The questions of an evaluation set; rows without a question are skipped.

    Raises:
        FileNotFoundError: a pattern matches no file.
        ValueError: a file in which no row has the question's column, or that cannot be read; a
            picture's column with no picture in it that is there.
    """
    pictures = _Pictures(of.image)
    for pattern in of.files:
        root, files = evaluation_files(pattern, folder)
        if not files:
            raise FileNotFoundError(f"evaluation set: no file matches {folder / pattern}")
        for file in files:
            yield from _questions(root, file, of, pictures)
    if problem := pictures.problem():
        raise ValueError(f"evaluation set: {', '.join(of.files)}: {problem}")


def evaluation_files(pattern: str, folder: Path) -> tuple[Path, list[Path]]:
    """The files that a glob finds, and the folder that the part of it without stars names.

    Raises:
        ValueError: no glob.
    """
    path = resolved(folder / pattern)
    root = Path(*path.parts[: next(i for i, p in enumerate([*path.parts, "*"]) if "*" in p)])
    root = root if root.is_dir() else root.parent
    try:
        found = sorted(root.glob(path.relative_to(root).as_posix()))
    except (ValueError, NotImplementedError, IndexError) as error:
        raise ValueError(f"not a pattern of files: {pattern!r}: {error}") from error
    return root, [file for file in found if file.is_file()]


class _Pictures:
    """The pictures of an evaluation set's rows; some may be lost, all of them is a mistake."""

    def __init__(self, column: str | None):
        self.column = column
        self.n_found = 0
        self.lost: list[str] = []

    def of(self, raw: RawRow) -> list[ImageRef]:
        """Those of a row that are there; the text still counts where one is not."""
        value = find(raw.data, self.column)
        found = []
        for each in value if isinstance(value, list) else [value]:
            if each is None or each == "":
                continue
            try:
                found.append(picture(raw, each, str(self.column)))
            except RowError as error:
                self.lost.append(str(error))
        self.n_found += len(found)
        return found

    def problem(self) -> str | None:
        """Why no picture at all would be compared, though a column of them is named."""
        if self.column is None or self.n_found:
            return None
        why = self.lost[0] if self.lost else "no row has one"
        return f"not one picture in {self.column!r}: {why}"


def _questions(root: Path, file: Path, of: Against, pictures: _Pictures) -> Iterator[Sample]:
    n_found = 0
    for raw in table(root, file.relative_to(root).as_posix()):
        if isinstance(raw, BadRow):
            raise ValueError(f"evaluation set: {raw}")
        question = raw.data.get(of.question) if isinstance(raw.data, dict) else None
        if not isinstance(question, str):
            continue
        n_found += 1
        name = f"{file.relative_to(root).as_posix()}#{raw.row}"
        images = pictures.of(raw)
        yield Sample(
            "evaluation", question_prompt(question, n_images=len(images)), "", images, id=name
        )
    if not n_found:
        raise ValueError(f"evaluation set: {file}: no row has text in {of.question!r}")


def _missing_problems(missing: str) -> list[str]:
    if missing in MISSING:
        return []
    return [f".missing: must be {' or '.join(MISSING)}, not {missing!r}"]


def _too_long(limits: Length, row: Row) -> str | None:
    n_prompt = sum(len(message["content"]) for message in row.sample.prompt)
    if n_prompt > limits.max_prompt_chars:
        return f"prompt too long: {n_prompt} characters, over {limits.max_prompt_chars}"
    n_response = len(getattr(row.sample, "response", ""))
    if n_response > limits.max_response_chars:
        return f"response too long: {n_response} characters, over {limits.max_response_chars}"
    return None


def _bad_picture(limits: Pictures, row: Row) -> str | None:
    images = getattr(row.sample, "images", [])
    for image in images:
        height, width = size_of(image)
        size = f"{width} x {height} pixels"
        if min(height, width) < limits.min_side:
            return f"image too small: {size}, a side under {limits.min_side}"
        if max(height, width) > limits.max_aspect_ratio * min(height, width):
            return f"image too elongated: {size}, over {limits.max_aspect_ratio:g} : 1"
    if not limits.decode:
        return None
    broken = [each for each in row.pictures if not isinstance(each, PictureHash)]
    return broken[0] if broken else None


def _rejected_reference(row: Row) -> str | None:
    from ovr_plugin.reward import compute_score

    sample = row.sample
    return rejects_own_reference(sample, compute_score) if isinstance(sample, Sample) else None


def _undesirable(patterns: tuple[str, ...], row: Row) -> str | None:
    for name in patterns:
        reason = PATTERNS[name](row)
        if reason:
            return reason
    return None
