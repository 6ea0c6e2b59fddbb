"""Tables of answers: a line in, one case per answer out.

A line of ``tables/NAME.tsv`` is a verdict (right, wrong, or algebra where text is not to decide),
a reference, and the answers that get this verdict. ``given`` and a JSON object say what the row
knows, for the lines up to the next one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ovr_plugin.reward.spec import AnswerSpec

VERDICTS = {"right": True, "wrong": False, "algebra": None}


def read_table(name: str) -> list[Any]:
    """Return (reference, answer, spec, equal) as pytest's parameters."""
    cases = []
    facts: dict[str, Any] = {}
    lines = (Path(__file__).parent / "tables" / f"{name}.tsv").read_text(encoding="utf-8")
    for line in lines.splitlines():
        if not line or line.startswith("# "):
            continue
        verdict, reference, *answers = line.split("\t")
        if verdict == "given":
            facts = json.loads(reference)
            continue
        for answer in answers:
            cases.append(
                pytest.param(
                    reference,
                    answer,
                    AnswerSpec.of(facts),
                    VERDICTS[verdict],
                    id=f"{reference} {'~' if verdict == 'algebra' else '='} {answer}",
                )
            )
    return cases
