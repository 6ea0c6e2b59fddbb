"""examples/evaluation/README.md says what re-grading public result files finds: it is so.

Skips where the files are not beside the checkout.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from ovr_plugin.eval.regrade import Regrade, read_records, regrade
from ovr_plugin.reward.policy import Policy
from ovr_plugin.reward.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "examples" / "evaluation" / "README.md"
FILES = {
    "mathvista": "cases/mathvista_outputs.jsonl.gz",
    "mathvision": "cases/mathvision_outputs.jsonl.gz",
    "mmmu_pro_cot": "cases/mmmu_pro_gpt4o.jsonl.gz",
    "mmmu_pro_direct": "raw/mmmu_pro/mmmu-pro/output/*.jsonl",
    "math500": "raw/coldstart_skythought/**/math500/*.jsonl",
    "minerva_math": "raw/coldstart_skythought/**/minerva_math/*.jsonl",
    "aime24": "raw/coldstart_skythought/**/aime24/*.jsonl",
    "qwen_math": "cases/qwen_math_rm.jsonl.gz",
    "theoremqa": "cases/theoremqa_outputs.jsonl.gz",
    "tora_gsm8k": "cases/tora_gsm8k.jsonl.gz",
}
UNBOXED = {"mmmu_pro_direct"}
SAYS = {"right": True, "wrong": False}
COUNTS = re.compile(r"^\| (\w+) \| [^|]+ \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.M)
CAUSES = re.compile(r"^\| (\w+) \| ([^|]+) \| (right|wrong), (?:right|wrong) \| (\d+) \|", re.M)
ROWS = re.compile(
    r"^(\w+) \| ([^|]+) \| (right|wrong), (right|wrong) \| (\d+)\n((?: {4}.*\n)+)", re.M
)


@lru_cache
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


@pytest.fixture(params=FILES)
def graded(request, shared) -> tuple[str, list[tuple[str, bool, bool]]]:
    """A file's name, and of each row its id, the published label and our verdict."""
    name = request.param
    (path,) = shared.glob(FILES[name])
    settings = Settings(policy=Policy(unboxed=name in UNBOXED))
    rows = []
    for (_, record), verdict in zip(
        read_records(path), regrade(Regrade(path, settings=settings)), strict=True
    ):
        assert isinstance(record, dict)
        assert verdict.label is not None
        # A person changed the label after reading.
        changed = record.get("noise") == "relabelled"
        rows.append(
            (
                record.get("id", f"{name}-{record.get('idx')}"),
                verdict.label != changed,
                verdict.score == 1.0,
            )
        )
    return name, rows


def test_the_document_has_the_counts_and_every_row_that_disagrees(graded):
    name, rows = graded
    differ = {id_: (theirs, ours) for id_, theirs, ours in rows if theirs != ours}
    only = Counter(theirs for theirs, _ in differ.values())
    counts = (
        len(rows),
        sum(theirs for _, theirs, _ in rows),
        sum(ours for *_, ours in rows),
        only[True],
        only[False],
    )
    told = {file: tuple(map(int, numbers)) for file, *numbers in COUNTS.findall(document())}
    assert told[name] == counts
    assert differ == {
        id_: (SAYS[theirs], SAYS[ours])
        for file, _, theirs, ours, _, ids in ROWS.findall(document())
        if file == name
        for id_ in ids.split()
    }


def test_the_document_explains_every_row_that_it_lists():
    rows = ROWS.findall(document())
    listed = {(file, cause, theirs): ids.split() for file, cause, theirs, _, _, ids in rows}
    explained = {
        (file, cause, theirs): int(n) for file, cause, theirs, n in CAUSES.findall(document())
    }
    assert {key: len(ids) for key, ids in listed.items()} == explained
    assert all(int(n) == len(ids.split()) for *_, n, ids in rows)
    n_rows = sum(int(numbers[0]) for _, *numbers in COUNTS.findall(document()))
    assert f"{n_rows:,} rows, {sum(explained.values())} disagreements." in document()
    assert len(COUNTS.findall(document())) == len(FILES)
