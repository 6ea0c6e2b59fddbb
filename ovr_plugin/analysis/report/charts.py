"""What a report draws: runs in, charts as plain data out, the same for the page and for files.

The numbers of the figures are the paper's. A chart without any data is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ovr_plugin.analysis.report.chart import (
    COLD,
    LIMIT,
    PPO,
    Chart,
    Series,
    curves,
    length_marks,
    prefixed,
)
from ovr_plugin.analysis.report.checkpoint_charts import behaviour_charts, benchmark_charts
from ovr_plugin.analysis.report.runs import Run

# "Visual discrimination" in the paper's appendix A: where Fig. 6 says that length does not grow.
PERCEPTION = ("iconqa", "pixmo", "chartqa", "clevr")
LAST = 0.25  # of the iterations that have rollouts, for the lengths of answers
N_BINS = 40


def charts_of(
    runs: Sequence[Run],
    rollouts: Sequence[dict[str, Any]] = (),
    perception: Sequence[str] = PERCEPTION,
) -> list[Chart]:
    """Return all charts that ``runs`` have something for, in the order of the page.

    Args:
        runs: in the order of their colours.
        rollouts: a sample of theirs (`sample_rollouts`), for what metrics do not say.
        perception: parts of the names of the sources of Fig. 6.
    """
    made = [
        *_training(runs),
        *benchmark_charts(runs),
        *behaviour_charts(runs),
        *_perception(runs, perception),
        *_sources(runs),
        *_answers(runs),
        *(_lengths(run, number, rollouts) for number, run in enumerate(runs)),
    ]
    return [chart for chart in made if any(series.x for series in chart.series)]


def _training(runs: Sequence[Run]) -> Iterator[Chart]:
    yield Chart(
        "fig3a_loss",
        "training",
        "Cold start: loss",
        "Fig. 3a. The paper's falls below 0.5 quickly, then by one step per epoch.",
        "loss per response token",
        curves(runs, COLD, {"train/loss": "loss"}),
        "step",
    )
    by = {"all": "all", "text": "text", "image": "image"}
    yield Chart(
        "fig3b_reward",
        "training",
        "PPO: reward",
        "Fig. 3b. The paper's rises from about 0.25 to 0.40 over 900 iterations.",
        "share of right answers",
        curves(runs, PPO, {f"ovr/reward/{key}": name for key, name in by.items()})
        or curves(runs, PPO, {"critic/score/mean": "all"}),
        marks=length_marks(runs),
        percent=True,
    )
    yield Chart(
        "fig3b_length",
        "training",
        "PPO: response length",
        "Fig. 3b. The paper's grows from 7k to over 12k tokens, with a surge after each longer "
        "limit; vertical lines are the limits.",
        "tokens",
        curves(runs, PPO, {f"ovr/response_length/{key}": name for key, name in by.items()})
        or curves(runs, PPO, {"response_length/mean": "all"}),
        marks=length_marks(runs),
    )
    yield Chart(
        "critic_loss",
        "training",
        "PPO: loss of the critic",
        "Half the squared error. The policy's own loss says nothing: one on-policy step on "
        "whitened advantages makes it 0.",
        "loss",
        curves(runs, PPO, {"critic/vf_loss": "critic"}),
        marks=length_marks(runs),
    )


def _perception(runs: Sequence[Run], perception: Sequence[str]) -> Iterator[Chart]:
    def keep(name: str) -> bool:
        return any(each in name.lower() for each in perception)

    for metric, what, percent in (("reward", "reward", True), ("response_length", "length", False)):
        yield Chart(
            f"fig6_{what}",
            "perception",
            f"Perception tasks: {what}",
            "Fig. 6. RL on perception (OCR, counting) raises the reward but not the length. "
            f"Sources taken for perception: {', '.join(perception)}.",
            "share of right answers" if percent else "tokens",
            prefixed(runs, f"ovr/{metric}/source/", keep),
            marks=length_marks(runs),
            percent=percent,
        )


def _sources(runs: Sequence[Run]) -> Iterator[Chart]:
    for metric, title, y_label, percent in (
        ("reward", "Reward by source", "share of right answers", True),
        ("response_length", "Response length by source", "tokens", False),
        ("truncated", "Truncated by source", "share of responses", True),
    ):
        yield Chart(
            f"source_{metric}",
            "sources",
            title,
            "",
            y_label,
            prefixed(runs, f"ovr/{metric}/source/"),
            marks=length_marks(runs),
            percent=percent,
        )


# By the score, so that both together are all responses, as in the reward's mean.
OTHERS = "score 0"
OTHERS_ARE = "Score 0 is all that is not right: wrong, cut off, no answer, not graded in time."


def _answers(runs: Sequence[Run]) -> Iterator[Chart]:
    by = {"right": "right answers", "wrong": OTHERS}
    yield Chart(
        "length_right_wrong",
        "answers",
        "Length of right answers and of all others",
        OTHERS_ARE,
        "tokens",
        curves(runs, PPO, {f"ovr/response_length/{key}": name for key, name in by.items()}),
        marks=length_marks(runs),
    )
    by = {"all": "all", "text": "text", "image": "image"}
    truncated = {f"ovr/truncated/{key}": f"cut off, {name}" for key, name in by.items()}
    yield Chart(
        "truncated",
        "answers",
        "Truncated and without an answer",
        "A truncated response scores 0, as in ORZ.",
        "share of responses",
        curves(runs, PPO, {**truncated, "ovr/no_answer/all": "no answer"}),
        marks=length_marks(runs),
        percent=True,
    )
    for run in runs:
        outcomes = prefixed([run], "ovr/outcome/")
        yield Chart(
            f"outcomes_{run.name}",
            "answers",
            "What the verifier said" + (f": {run.name}" if len(runs) > 1 else ""),
            "Responses of an iteration by outcome; all but correct score 0.",
            "share of responses",
            _shares(outcomes),
            kind="area",
            percent=True,
        )


def _shares(outcomes: Sequence[Series]) -> list[Series]:
    """Counts as shares of their iteration; an outcome that was not logged did not occur."""
    steps = sorted({x for series in outcomes for x in series.x})
    tables = [dict(zip(series.x, series.y, strict=True)) for series in outcomes]
    totals = {step: sum(float(table.get(step) or 0) for table in tables) for step in steps}
    order = sorted(zip(outcomes, tables, strict=True), key=lambda pair: pair[0].name != "correct")
    return [
        Series(
            each.name,
            each.run,
            [float(step) for step in steps],
            [
                float(table.get(step) or 0) / totals[step] if totals[step] else None
                for step in steps
            ],
        )
        for each, table in order
    ]


def _lengths(run: Run, number: int, rollouts: Sequence[dict[str, Any]]) -> Chart:
    """How long right and wrong answers are towards the end of training."""
    of_run = [each for each in rollouts if each["run"] == number]
    steps = sorted({each["step"] for each in of_run})
    last = steps[-max(1, int(len(steps) * LAST)) :] if steps else [0]
    late = [each for each in of_run if each["step"] >= last[0]]
    right = [each["tokens"] for each in late if each["score"] > 0]
    wrong = [each["tokens"] for each in late if each["score"] <= 0]
    _, limits = run.points(PPO, LIMIT)
    return Chart(
        f"lengths_{number}",
        "answers",
        f"Lengths of right answers and of all others: {run.name}",
        f"{len(late):,} of the rollouts below, iterations {last[0]} to {last[-1]}; both curves "
        f"together are all of them. {OTHERS_ARE}",
        "share of responses",
        [
            _histogram(name, run.name, tokens, [*right, *wrong])
            for name, tokens in (("right answers", right), (OTHERS, wrong))
            if late
        ],
        "tokens of a response",
        marks=[(limits[-1], "limit")] if limits else [],
        kind="steps",
        percent=True,
    )


def _histogram(name: str, run: str, values: Sequence[int], everything: Sequence[int]) -> Series:
    """Shares of ``everything`` by equal bins: their lower edges, and the last one's upper."""
    width = 1
    while width * N_BINS <= max(everything):
        width *= 2
    counts = [0] * (max(everything) // width + 1)
    for value in values:
        counts[value // width] += 1
    edges = [float(width * place) for place in range(len(counts) + 1)]
    shares = [count / len(everything) for count in counts]
    return Series(name, run, edges, [*shares, shares[-1]])
