"""Rows and pictures made up for the tests, written as the benchmarks' authors publish theirs."""

from __future__ import annotations

import base64
import csv
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (28, 28), "red").save(path)


def png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (28, 28), "red").save(buffer, "PNG")
    return buffer.getvalue()


def base64_png() -> str:
    return base64.b64encode(png() + b"\0" * 600).decode()


def write_tsv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def write_hub(path: Path, rows: list[dict[str, Any]]) -> None:
    """A parquet file as the Hub has it, pictures marked as such."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    pictures = [
        name
        for name in table.column_names
        if name.startswith("image") and pa.types.is_struct(table.schema.field(name).type)
    ]
    features = {name: {"_type": "Image"} for name in pictures}
    if features:
        import datasets

        inferred = datasets.Features.from_arrow_schema(table.schema)
        known = datasets.Features(
            {n: datasets.Image() if n in pictures else f for n, f in inferred.items()}
        )
        table = table.cast(known.arrow_schema).replace_schema_metadata(known.arrow_schema.metadata)
    pq.write_table(table, path)
