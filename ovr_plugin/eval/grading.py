"""Responses of a benchmark in, graded lines and scores out; the grader is the one of training.

A response that was cut off scores 0, as in training (ORZ). A sample that the endpoint never gave is
missing, not wrong: it takes no part in a score, and results name how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import append_jsonl, write_jsonl
from ovr_plugin.endpoint.jobs import read_results
from ovr_plugin.eval.responses import Questions, is_response
from ovr_plugin.eval.scoring import Item
from ovr_plugin.reward import Grade, Outcome, grade, grade_batch

AT_ONCE = 512  # responses held in memory


@dataclass(frozen=True)
class Graded:
    """One sample's verdict, without its response."""

    item: Item
    sample: int
    grade: Grade
    n_tokens: int | None
    seconds: float

    @property
    def score(self) -> float:
        """1.0 or 0.0."""
        return self.grade.score


def grade_responses(questions: Questions, responses: Path, n: int, out: Path) -> list[Graded]:
    """Grade the first ``n`` samples of every item, and write a line for each to ``out``.

    The lines have what `ovr score` and `ovr behaviours` read: question, response, reference.
    """
    items = {item.id: without_pictures(item) for item in questions.items()}
    wanted = _first_of_each(
        line
        for line in read_results(responses)
        if is_response(line) and line["item"] in items and line["sample"] < n
    )
    write_jsonl(out, [])
    graded: list[Graded] = []
    while lines := list(islice(wanted, AT_ONCE)):
        found = list(_graded(items, lines))
        append_jsonl(out, *map(_line, found, lines))
        graded += found
    return graded


def _first_of_each(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One line for each sample, also of a file that was put together of several."""
    seen: set[tuple[str, int]] = set()
    for line in lines:
        sample = (line["item"], line["sample"])
        if sample not in seen:
            seen.add(sample)
            yield line


def without_pictures(item: Item) -> Item:
    """The item as scoring needs it: a whole benchmark of these fits into memory."""
    return replace(item, sample=replace(item.sample, images=[]))


def _graded(items: dict[str, Item], lines: Sequence[dict[str, Any]]) -> Iterator[Graded]:
    asked = [items[line["item"]] for line in lines]
    references = [item.sample.ground_truth for item in asked]
    grades = _grade(lines, asked, references)
    for line, item, first in zip(lines, asked, grades, strict=True):
        best = first
        for other in item.alternatives:
            if best.outcome is Outcome.CORRECT:
                break
            [again] = _grade([line], [item], [other])
            best = again if again.outcome is Outcome.CORRECT else best
        yield Graded(item, line["sample"], best, line.get("n_tokens"), line["seconds"])


def _grade(
    lines: Sequence[dict[str, Any]], items: Sequence[Item], references: Sequence[str]
) -> list[Grade]:
    return grade_batch(
        [line["response"] for line in lines],
        references,
        [
            {**item.sample.extra_info(), "truncated": line["truncated"]}
            for line, item in zip(lines, items, strict=True)
        ],
        [item.sample.data_source for item in items],
    )


def _line(graded: Graded, line: dict[str, Any]) -> dict[str, Any]:
    sample = graded.item.sample
    return {
        "item": graded.item.id,
        "sample": graded.sample,
        "data_source": sample.data_source,
        "question": "\n".join(message["content"] for message in sample.prompt),
        "response": line["response"],
        "reference": sample.ground_truth,
        "choices": sample.choices or None,
        "answer_type": sample.answer_type,
        "tolerance": sample.tolerance,
        "truncated": line["truncated"],
        "score": graded.score,
        "outcome": graded.grade.outcome.value,
        "pred": graded.grade.extracted,
        "reason": graded.grade.reason,
        "n_tokens": graded.n_tokens,
        "seconds": graded.seconds,
    }


def votes(samples: Iterable[Graded]) -> list[str | None]:
    r"""What each sample of one item votes for: equal answers vote for the same.

    All right answers are equal. Wrong ones are compared with each other by the grader, as it
    compares them with a reference; no answer is None.
    """
    found: list[str | None] = []
    wrong: list[str] = []
    for graded in samples:
        if graded.score == 1.0:
            found.append(RIGHT)
        elif graded.grade.outcome is not Outcome.WRONG:
            found.append(None)
        else:
            answer = graded.grade.extracted
            same = next((each for each in wrong if _equal(each, answer, graded.item)), None)
            if same is None:
                wrong.append(answer)
            found.append(f"wrong: {same or answer}")
    return found


RIGHT = "right"


def _equal(one: str, other: str, item: Item) -> bool:
    if one == other:
        return True
    return grade(rf"\boxed{{{other}}}", one, item.sample.extra_info()).score == 1.0


def outcomes(graded: Iterable[Graded]) -> Counter[str]:
    """Count the outcomes."""
    return Counter(each.grade.outcome.value for each in graded)
