"""What a benchmark makes of right and wrong answers: its official protocol as sums over units.

A unit is what is drawn together: one question, or the questions that a protocol scores as one (a
pair, all variants of a seed question, a problem with its steps). Of each unit a protocol gives
``metric -> (numerator, denominator)``; a metric is the ratio of the two sums, in percent. So a
bootstrap resamples units, whatever the protocol. `Scoring.derived` are weighted sums of metrics.

Every answer's verdict comes from `ovr_plugin.reward`; nothing here looks at a response.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ovr_plugin.data.sample import Sample
from ovr_plugin.reward import grade

Parts = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        sample: the row, as in training.
        facts: what the protocol groups by; not shown to the model.
        alternatives: other references that are as right.
    """

    sample: Sample
    facts: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The sample's, unique within the benchmark."""
        return self.sample.id


@dataclass(frozen=True)
class Scored:
    """One answer to an item: its score, 1.0 or 0.0, and the answer that was found ('' none).

    One that is ``missing`` was asked and never came: it is neither right nor wrong.
    """

    item: Item
    score: float
    answer: str = ""
    missing: bool = False


def own_unit(item: Item) -> Hashable:
    """Every question by itself."""
    return item.id


def same(*facts: str) -> Callable[[Item], Hashable]:
    """Questions that agree in these facts are one unit."""
    return lambda item: tuple(item.facts.get(fact) for fact in facts)


def accuracy(*by: str) -> Callable[[Sequence[Scored]], Parts]:
    """The share of right answers, over all and for each value of the facts ``by``."""

    def parts(unit: Sequence[Scored]) -> Parts:
        found: Parts = {}
        for scored in unit:
            add(found, "accuracy", scored.score)
            for fact in by:
                if (value := scored.item.facts.get(fact)) not in (None, ""):
                    add(found, f"accuracy, {value}", scored.score)
        return found

    return parts


def add(parts: Parts, metric: str, numerator: float, denominator: float = 1.0) -> None:
    """Add to both sums of a metric."""
    before = parts.get(metric, (0.0, 0.0))
    parts[metric] = (before[0] + numerator, before[1] + denominator)


def answered(unit: Sequence[Scored]) -> list[Scored]:
    """The answers that came."""
    return [scored for scored in unit if not scored.missing]


def right_as_one(group: Sequence[Scored]) -> float | None:
    """1.0 where all are right; None where one is missing: it might have been wrong."""
    if any(scored.missing for scored in group):
        return None
    return min(scored.score for scored in group)


def worst_case(unit: Sequence[Scored]) -> Parts:
    """DynaMath: the average over variants, and 1 only where every variant is right."""
    scores = [scored.score for scored in answered(unit)]
    found: Parts = {"average": (sum(scores) / len(scores), 1.0)} if scores else {}
    worst = right_as_one(unit)
    return found if worst is None else {**found, "worst case": (worst, 1.0)}


def all_right(unit: Sequence[Scored]) -> Parts:
    """MMBench's CircularEval: right only if right under every order of the options."""
    right = right_as_one(unit)
    return {} if right is None else {"accuracy": (right, 1.0)}


def yes_no_f1(unit: Sequence[Scored]) -> Parts:
    """POPE: F1 of "yes", with its accuracy, precision, recall and share of "yes".

    An answer that is neither yes nor no counts as not yes.
    """
    found: Parts = {}
    for scored in unit:
        category = scored.item.facts.get("category")
        is_yes = scored.item.sample.ground_truth == "yes"
        says_yes = bool(scored.score) if is_yes else says(scored.answer, "yes")
        hit = float(is_yes and says_yes)
        for suffix in ("", f", {category}"):
            add(found, f"F1{suffix}", 2 * hit, float(is_yes) + float(says_yes))
            add(found, f"accuracy{suffix}", scored.score)
        add(found, "precision", hit, float(says_yes))
        add(found, "recall", hit, float(is_yes))
        add(found, "yes", float(says_yes))
    return found


def says(answer: str, word: str) -> bool:
    """Whether the grader takes an answer for this word."""
    if not answer:
        return False
    return grade(rf"\boxed{{{answer}}}", word, {"answer_type": "yes_no"}).score == 1.0


@dataclass(frozen=True)
class Scoring:
    """A protocol.

    Attributes:
        headline: the metric that stands for the benchmark.
        unit: what is resampled, and scored, together.
        parts: what one unit adds to each metric's numerator and denominator.
        derived: metric -> weights of the metrics it is the sum of.
        points: metrics that are points and not percent.
        groups: items that agree in one of these are scored as one, so that a group that lacks an
            answer has no score; `parts` is given the missing answers too.
    """

    headline: str = "accuracy"
    unit: Callable[[Item], Hashable] = own_unit
    parts: Callable[[Sequence[Scored]], Parts] = field(default_factory=accuracy)
    derived: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    points: bool = False
    groups: Sequence[Callable[[Item], Hashable]] = ()

    def per_unit(self, answers: Sequence[Scored]) -> list[Parts]:
        """Return each unit's parts, units in the order of their first item."""
        units: dict[Hashable, list[Scored]] = {}
        for scored in answers:
            units.setdefault(self.unit(scored.item), []).append(scored)
        return [self.parts(unit) for unit in units.values()]

    def metrics(self, answers: Sequence[Scored]) -> dict[str, float]:
        """Return every metric of one answer to each item; one that is undefined is left out."""
        return self.totals(self.per_unit(answers))

    def totals(self, units: Sequence[Parts]) -> dict[str, float]:
        """Return every metric of these units; one that is undefined is left out."""
        sums: Parts = {}
        for parts in units:
            for metric, (numerator, denominator) in parts.items():
                add(sums, metric, numerator, denominator)
        values = {
            metric: 100.0 * numerator / denominator
            for metric, (numerator, denominator) in sums.items()
            if denominator
        }
        for metric, weights in self.derived.items():
            if set(weights) <= set(values):
                values[metric] = sum(weight * values[name] for name, weight in weights.items())
        return values
