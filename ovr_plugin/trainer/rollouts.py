"""What one iteration's responses say: records in, metrics by modality and by source out.

veRL's own training metrics do not look at where a response came from nor at why it scored nothing;
a silent loss (padding instead of rows, answers never boxed) shows only here. Names start with
``ovr/``; a mean over nothing is left out rather than reported as 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

EMBEDDED = "embedded"  # a picture that lies in the parquet file itself


@dataclass(frozen=True)
class Rollout:
    """One graded response of one iteration."""

    step: int
    key: str  # veRL's: {prompt uid}_{sample number}_{output number}
    data_source: str
    modality: str
    row_id: str
    prompt: str
    response: str
    reference: str
    answer: str
    outcome: str
    score: float
    truncated: bool
    n_prompt_tokens: int
    n_response_tokens: int
    repetition: float = 0.0  # both as ORZ logs them, see text_scores.py
    reflection_words: int = 0
    images: list[str] = field(default_factory=list)  # paths, or EMBEDDED

    def to_record(self) -> dict[str, Any]:
        """Return the flat record of the rollout dump."""
        return asdict(self)


def rollout_metrics(rollouts: Sequence[Rollout], n_padding: int = 0) -> dict[str, float]:
    """Return ``ovr/*`` metrics of one iteration; ``n_padding`` rows took the place of lost ones."""
    metrics: dict[str, float] = {"ovr/rows/padding": n_padding, "ovr/rows/all": len(rollouts)}
    for modality, group in _grouped(rollouts, lambda rollout: rollout.modality or "unknown"):
        metrics |= _of_group(group, modality)
    for source, group in _grouped(rollouts, lambda rollout: rollout.data_source):
        metrics |= _of_group(group, f"source/{source}")
    metrics |= _means(rollouts, "all")
    for outcome, count in _outcomes(rollouts):
        metrics[f"ovr/outcome/{outcome}"] = count
    return metrics


def _of_group(group: Sequence[Rollout], name: str) -> dict[str, float]:
    metrics = {f"ovr/rows/{name}": len(group), **_means(group, name)}
    for outcome, count in _outcomes(group):
        metrics[f"ovr/outcome_of/{name}/{outcome}"] = count
    return metrics


def _outcomes(group: Iterable[Rollout]) -> list[tuple[str, int]]:
    return sorted(Counter(rollout.outcome for rollout in group).items())


def _means(group: Sequence[Rollout], name: str) -> dict[str, float]:
    if not group:
        return {}
    n_right = [
        (sum(rollout.score > 0 for rollout in samples), len(samples))
        for _, samples in _grouped(group, lambda rollout: rollout.key.rsplit("_", 2)[0])
    ]
    return {
        f"ovr/reward/{name}": fmean(rollout.score for rollout in group),
        f"ovr/response_length/{name}": _mean_length(group),
        **_lengths_by_verdict(group, name),
        f"ovr/truncated/{name}": fmean(rollout.truncated for rollout in group),
        f"ovr/no_answer/{name}": fmean(rollout.outcome == "no_answer" for rollout in group),
        # Of prompts: those with any sample right (ORZ's avg_pass_at_n), and with all of them.
        f"ovr/pass_at_n/{name}": fmean(right > 0 for right, _ in n_right),
        f"ovr/all_right/{name}": fmean(right == n for right, n in n_right),
        f"ovr/repetition/{name}": fmean(rollout.repetition for rollout in group),
        f"ovr/reflection_words/{name}": fmean(rollout.reflection_words for rollout in group),
    }


def _lengths_by_verdict(group: Sequence[Rollout], name: str) -> dict[str, float]:
    # By the score: "wrong" is also what was cut off, had no answer or was not graded in time.
    right = [rollout for rollout in group if rollout.score > 0]
    wrong = [rollout for rollout in group if rollout.score <= 0]
    suffix = "" if name == "all" else f"/{name}"
    return {
        f"ovr/response_length/{verdict}{suffix}": _mean_length(members)
        for verdict, members in (("right", right), ("wrong", wrong))
        if members
    }


def _mean_length(group: Iterable[Rollout]) -> float:
    return fmean(rollout.n_response_tokens for rollout in group)


def _grouped(
    rollouts: Iterable[Rollout], key: Callable[[Rollout], str]
) -> list[tuple[str, list[Rollout]]]:
    groups: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        groups.setdefault(key(rollout), []).append(rollout)
    return sorted(groups.items())
