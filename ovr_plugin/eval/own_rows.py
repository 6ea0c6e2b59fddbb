"""A parquet file of rows as a benchmark: what `ovr prepare` wrote, or the quickstart's own rows.

``ovr eval val.parquet`` asks it as any benchmark; the same file is veRL's validation data. The
score is the accuracy, over all rows, by modality and by source. Its results carry the file's
checksum, so that a file that has changed is not gone on with.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ovr_plugin.data.files import check_schema, read_parquet, read_table
from ovr_plugin.data.sample import BadRow, Sample, problems
from ovr_plugin.eval.benchmark import Benchmark, Paper
from ovr_plugin.eval.scoring import Item, Scoring, accuracy

ENDING = ".parquet"


@dataclass(frozen=True)
class OwnRows(Benchmark):
    """The rows of one file; its name is the file's."""

    path: Path = Path()

    def items(self, data: str | Path | None = None) -> Iterator[Item | BadRow]:
        """Yield every row as an item or a `BadRow`; ``data`` plays no part."""
        seen: set[str] = set()
        for number, sample in enumerate(read_parquet(self.path, Sample)):
            found = problems(sample)
            if found:
                yield BadRow(str(self.path), number, "; ".join(found))
                continue
            if not sample.id or sample.id in seen:
                sample = replace(sample, id=f"{sample.id or self.name}#{number}")
            seen.add(sample.id)
            facts = {"modality": sample.modality, "source": sample.data_source}
            yield Item(sample, facts)


def own_rows(path: str | Path) -> OwnRows:
    """Return the file as a benchmark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none of rows of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of rows")
    check_schema(path, Sample)
    modalities = {str(row["extra_info"]["modality"]) for row in read_table(path, ["extra_info"])}
    shown = ["accuracy", *(f"accuracy, {name}" for name in sorted(modalities))]
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return OwnRows(
        name=re.sub(r"[^\w.-]", "_", path.stem),
        title=path.stem,
        license="",
        sources=(),
        scoring=Scoring(parts=accuracy("modality", "source")),
        paper=[Paper(metric, None, None) for metric in shown],  # the lines of the table
        version=checksum,
        path=path,
    )
