"""``examples/rewards/README.md``: every example of its tables is graded as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ovr_plugin.reward import Grade, grade
from ovr_plugin.reward.spec import AnswerType

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples" / "rewards"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
_CODE = re.compile(r"`([^`]+)`")
FACTS = {"type": None, "choices": "choices", "extra_info": "extra_info"}


def tables() -> list[Any]:
    """Each row as a parameter: what the row knows, its reference, right answers, wrong ones."""
    rows, head = [], ""
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) != 4 or line.startswith("|---"):
            continue
        if cells[0] in FACTS:
            head = cells[0]
            continue
        facts: dict[str, Any] = {}
        if head != "type":
            told = json.loads(_CODE.findall(cells[0])[0])
            facts = {"choices": told} if head == "choices" else told
        [reference], right, wrong = (_CODE.findall(cell) for cell in cells[1:])
        rows.append(pytest.param(facts, reference, right, wrong, id=f"{cells[0]}: {reference}"))
    return rows


@pytest.mark.parametrize(("facts", "reference", "right", "wrong"), tables())
def test_the_policy_is_what_the_page_says(facts, reference, right, wrong):
    def graded(answer: str) -> Grade:
        return grade(rf"\boxed{{{answer}}}", reference, facts)

    assert [answer for answer in right if not graded(answer).score] == []
    assert [answer for answer in wrong if graded(answer).outcome.value != "wrong"] == []


def test_the_page_names_every_type_and_every_script():
    assert len(tables()) >= 30
    for kind in AnswerType:
        assert f"`{kind.value}`" in README, kind
    scripts = {path.name for path in FOLDER.glob("*.py")} - {"toy_rows.py"}
    assert {name for name in scripts if f"`{name}`" not in README} == set()
