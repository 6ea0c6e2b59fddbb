"""What a report draws: runs in, charts as plain data out, the same for the page and for files.

The numbers of the figures are the paper's. A chart without any data is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ovr_plugin.analysis.report.runs import Run

COLD, PPO = "cold_start", "ppo"
# "Visual discrimination" in the paper's appendix A: where Fig. 6 says that length does not grow.
PERCEPTION = ("iconqa", "pixmo", "chartqa", "clevr")
LIMIT = "ovr/response_limit"


@dataclass(frozen=True)
class Series:
    """One curve; ``low`` and ``high`` are its interval where it has one."""

    name: str
    run: str
    x: list[float]
    y: list[float | None]
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """One picture. ``marks`` are vertical lines (x, label); ``kind`` is line, area or bar.

    Bars have their names in ``categories``, and ``x`` counts these.
    """

    id: str
    section: str
    title: str
    caption: str
    y_label: str
    series: list[Series]
    x_label: str = "iteration"
    marks: list[tuple[float, str]] = field(default_factory=list)
    kind: str = "line"
    percent: bool = False
    categories: list[str] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def charts_of(runs: Sequence[Run], perception: Sequence[str] = PERCEPTION) -> list[Chart]:
    """Return all charts that ``runs`` have something for, in the order of the page."""
    made = [
        *_training(runs),
        *_benchmarks(runs),
        *_behaviours(runs),
        *_perception(runs, perception),
        *_sources(runs),
        *_answers(runs),
    ]
    return [chart for chart in made if any(series.x for series in chart.series)]


def _curves(runs: Sequence[Run], stage: str, metrics: dict[str, str]) -> list[Series]:
    found = []
    for run in runs:
        for metric, name in metrics.items():
            steps, values = run.points(stage, metric)
            found.append(Series(name, run.name, [*steps], [*values]))
    return [series for series in found if series.x]


def _prefixed(
    runs: Sequence[Run], prefix: str, keep: Callable[[str], bool] = lambda _: True
) -> list[Series]:
    names = sorted({name for run in runs for name in run.metrics(PPO, prefix)})
    shown = {name: name.removeprefix(prefix) for name in names if keep(name.removeprefix(prefix))}
    return _curves(runs, PPO, shown)


def length_stages(run: Run) -> list[tuple[float, str]]:
    """Where the response limit changed (OVR 4.1), as the trainer logged it."""
    marks: list[tuple[float, str]] = []
    limit = None
    for step, value in zip(*run.points(PPO, LIMIT), strict=True):
        if value != limit:
            marks.append((step, f"{value / 1024:g}k" if value % 1024 == 0 else f"{value:g}"))
            limit = value
    return marks


def _marks(runs: Sequence[Run]) -> list[tuple[float, str]]:
    return sorted({mark for run in runs for mark in length_stages(run)})


def _training(runs: Sequence[Run]) -> Iterator[Chart]:
    yield Chart(
        "fig3a_loss",
        "training",
        "Cold start: loss",
        "Fig. 3a. The paper's falls below 0.5 quickly, then by one step per epoch.",
        "loss per response token",
        _curves(runs, COLD, {"train/loss": "loss"}),
        "step",
    )
    by = {"all": "all", "text": "text", "image": "image"}
    yield Chart(
        "fig3b_reward",
        "training",
        "PPO: reward",
        "Fig. 3b. The paper's rises from about 0.25 to 0.40 over 900 iterations.",
        "share of right answers",
        _curves(runs, PPO, {f"ovr/reward/{key}": name for key, name in by.items()})
        or _curves(runs, PPO, {"critic/score/mean": "all"}),
        marks=_marks(runs),
        percent=True,
    )
    yield Chart(
        "fig3b_length",
        "training",
        "PPO: response length",
        "Fig. 3b. The paper's grows from 7k to over 12k tokens, with a surge after each longer "
        "limit; vertical lines are the limits.",
        "tokens",
        _curves(runs, PPO, {f"ovr/response_length/{key}": name for key, name in by.items()})
        or _curves(runs, PPO, {"response_length/mean": "all"}),
        marks=_marks(runs),
    )
    yield Chart(
        "critic_loss",
        "training",
        "PPO: loss of the critic",
        "Half the squared error. The policy's own loss says nothing: one on-policy step on "
        "whitened advantages makes it 0.",
        "loss",
        _curves(runs, PPO, {"critic/vf_loss": "critic"}),
        marks=_marks(runs),
    )


def _benchmarks(runs: Sequence[Run]) -> Iterator[Chart]:
    names = sorted({result["benchmark"] for run in runs for result in run.evals})
    for number, name in enumerate(names):
        series = []
        start = 0
        for run in runs:
            steps = [record["step"] for record in run.records if record["stage"] == COLD]
            start = max([start, *steps])
        for run in runs:
            points = sorted(
                {
                    (each["step"] + (start if each["stage"] == PPO else 0), each["score"])
                    for each in run.evals
                    if each["benchmark"] == name
                }
            )
            series.append(
                Series(name, run.name, [x for x, _ in points], [score for _, score in points])
            )
        yield Chart(
            f"fig4_{number}",
            "benchmarks",
            name,
            "Fig. 4. Steps of both stages one after the other.",
            "score",
            [each for each in series if each.x],
            "step (cold start, then PPO)",
            marks=[(start, "PPO")] if start else [],
            percent=True,
        )


def _behaviours(runs: Sequence[Run]) -> Iterator[Chart]:
    studied = [run for run in runs if run.behaviours and run.behaviours.get("checkpoints")]
    for modality, figure in (("vision", "Fig. 5a"), ("language", "Section 5.2")):
        yield Chart(
            f"fig5a_{modality}",
            "behaviours",
            f"Behaviours of {modality}: emergence",
            f"{figure}. Share of responses with at least one instance, with its 95 % interval.",
            "emergence rate",
            [each for run in studied for each in _emergence(run, modality)],
            "checkpoint, in the order of training",
            percent=True,
        )
    bars = [series for run in studied for series in _transfer(run)]
    yield Chart(
        "fig5b_transfer",
        "behaviours",
        "Behaviour transfer rate",
        "Fig. 5b. Emergence of the visual behaviour over that of its language counterpart, on the "
        "same responses; where the latter is 0 it is undefined and not drawn.",
        "BTR",
        bars,
        "",
        kind="bar",
        percent=True,
        categories=_pairs(),
    )


def _detector(checkpoint: dict[str, Any]) -> str:
    return "judge" if "judge" in checkpoint else "keywords"


def _emergence(run: Run, modality: str) -> Iterator[Series]:
    from ovr_plugin.analysis.behaviours.definitions import BEHAVIOURS

    checkpoints = (run.behaviours or {})["checkpoints"]
    for behaviour in BEHAVIOURS:
        rates = [
            checkpoint[_detector(checkpoint)]["behaviours"]
            .get(behaviour.name, {})
            .get("emergence_rate", {})
            for checkpoint in checkpoints
        ]
        if behaviour.modality == modality and any(rates):
            x = [float(checkpoint["step"]) for checkpoint in checkpoints]
            if len(set(x)) < len(x):
                x = [float(number) for number in range(1, len(rates) + 1)]
            columns = [[rate.get(key) for rate in rates] for key in ("value", "low", "high")]
            yield Series(behaviour.title, run.name, x, *columns)


def _pairs() -> list[str]:
    from ovr_plugin.analysis.behaviours.definitions import PAIRS

    return [name.replace("_", " ") for name in PAIRS]


def _transfer(run: Run) -> Iterator[Series]:
    from ovr_plugin.analysis.behaviours.definitions import PAIRS

    checkpoints = (run.behaviours or {})["checkpoints"]
    shown = checkpoints if len(checkpoints) <= 3 else [checkpoints[0], checkpoints[-1]]
    for checkpoint in shown:
        btr = checkpoint[_detector(checkpoint)]["btr"]
        estimates = [btr.get(name, {}) for name in PAIRS]
        columns = [[each.get(key) for each in estimates] for key in ("value", "low", "high")]
        x = [float(number) for number in range(len(PAIRS))]
        yield Series(checkpoint["name"], run.name, x, *columns)


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
            _prefixed(runs, f"ovr/{metric}/source/", keep),
            marks=_marks(runs),
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
            _prefixed(runs, f"ovr/{metric}/source/"),
            marks=_marks(runs),
            percent=percent,
        )


def _answers(runs: Sequence[Run]) -> Iterator[Chart]:
    by = {"right": "right answers", "wrong": "wrong answers"}
    yield Chart(
        "length_right_wrong",
        "answers",
        "Length of right and wrong answers",
        "",
        "tokens",
        _curves(runs, PPO, {f"ovr/response_length/{key}": name for key, name in by.items()}),
        marks=_marks(runs),
    )
    by = {"all": "all", "text": "text", "image": "image"}
    truncated = {f"ovr/truncated/{key}": f"cut off, {name}" for key, name in by.items()}
    yield Chart(
        "truncated",
        "answers",
        "Truncated and without an answer",
        "A truncated response scores 0, as in ORZ.",
        "share of responses",
        _curves(runs, PPO, {**truncated, "ovr/no_answer/all": "no answer"}),
        marks=_marks(runs),
        percent=True,
    )
    for run in runs:
        outcomes = _prefixed([run], "ovr/outcome/")
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
