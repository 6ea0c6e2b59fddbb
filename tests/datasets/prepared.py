"""Small corpora for ``ovr prepare``, and what came of them."""

from __future__ import annotations

import json

from ovr_plugin.data.files import read_parquet
from ovr_plugin.data.sample import Sample

OUTPUTS = ("train.parquet", "val.parquet", "report.json", "bad_rows.jsonl")


def write_orz(root, questions, name="x"):
    rows = [
        [{"value": question}, {"ground_truth": {"value": answer}}] for question, answer in questions
    ]
    path = root / "data" / f"orz_math_{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return root


def sums(n, start=0):
    return [
        (f"What is {x} + 1? It is a sum of {x} things.", str(x + 1))
        for x in range(start, start + n)
    ]


def read(out, name, kind=Sample):
    return list(read_parquet(out / f"{name}.parquet", kind))


def contents(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}
