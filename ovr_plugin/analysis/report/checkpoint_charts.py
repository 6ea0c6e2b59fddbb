"""Charts over checkpoints: benchmarks (Fig. 4), behaviours and their transfer (Fig. 5).

Their axis is that of training: the base model at 0, the cold start's steps, and PPO's after them.
Where several runs are shown, PPO starts behind the longest cold start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ovr_plugin.analysis.checkpoints import Checkpoint, cold_start_steps
from ovr_plugin.analysis.report.chart import COLD, Chart, Series
from ovr_plugin.analysis.report.evaluations import Evaluation
from ovr_plugin.analysis.report.runs import Run

AXIS = "step (cold start, then PPO)"
TRUNCATED, NO_ANSWER = "truncated", "no_answer"


def benchmark_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """A chart for each benchmark, and how all of their responses ended."""
    start = _start_of_ppo(runs)
    marks: list[tuple[float, str]] = [(start, "PPO")] if start else []
    for name in sorted({each.benchmark for run in runs for each in run.evaluations}):
        found = [each for run in runs for each in run.evaluations if each.benchmark == name]
        told = next((each for each in found if each.result), found[0])
        yield Chart(
            f"fig4_{name}",
            "benchmarks",
            told.title,
            "Fig. 4. Steps of both stages one after the other; bands are 95 % intervals.",
            told.metric,
            [series for run in runs for series in _scores(run, name, start)],
            AXIS,
            marks=marks,
            percent=not told.points,
        )
    for key, title, y_label, of_result in (
        ("truncated", "Benchmarks: truncated", "share of responses", _rate(TRUNCATED)),
        ("no_answer", "Benchmarks: no answer", "share of responses", _rate(NO_ANSWER)),
        ("tokens", "Benchmarks: response length", "tokens", _mean_tokens),
    ):
        yield Chart(
            f"benchmarks_{key}",
            "benchmarks",
            title,
            "",
            y_label,
            [series for run in runs for series in _of_results(run, start, of_result)],
            AXIS,
            marks=marks,
            percent=key != "tokens",
        )


def _scores(run: Run, name: str, start: int) -> Iterator[Series]:
    of_it = [each for each in run.evaluations if each.benchmark == name and each.score is not None]
    for kind, group in (
        ("ovr eval", [each for each in of_it if each.result]),
        ("validation", [each for each in of_it if not each.result]),
    ):
        placed = _placed(group, start)
        if placed:
            x, found = [float(at) for at, _ in placed], [each for _, each in placed]
            low, high = [each.low for each in found], [each.high for each in found]
            has_interval = kind == "ovr eval"
            yield Series(
                kind,
                run.name,
                x,
                [each.score for each in found],
                low if has_interval else [],
                high if has_interval else [],
            )


def _of_results(
    run: Run, start: int, value: Callable[[dict[str, Any]], float | None]
) -> Iterator[Series]:
    results = [each for each in run.evaluations if each.result]
    for name in dict.fromkeys(each.benchmark for each in results):
        placed = _placed([each for each in results if each.benchmark == name], start)
        if placed:
            y = [value(each.result or {}) for _, each in placed]
            yield Series(placed[0][1].title, run.name, [float(at) for at, _ in placed], y)


def _placed(evaluations: Sequence[Evaluation], start: int) -> list[tuple[int, Evaluation]]:
    """Those of a known checkpoint, along training."""
    placed = [(each.checkpoint.position(start), each) for each in evaluations]
    known = [(at, each) for at, each in placed if at is not None]
    return sorted(known, key=lambda pair: pair[0])


def _rate(outcome: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda result: result["rates"].get(outcome, 0.0) / 100.0


def _mean_tokens(result: dict[str, Any]) -> float | None:
    return result["tokens"] and result["tokens"]["mean"]


def behaviour_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """Emergence over checkpoints, and transfer at the first and the last one."""
    studied = [run for run in runs if run.behaviours and run.behaviours.get("checkpoints")]
    start = _start_of_ppo(runs)
    # Where a name tells no stage, nothing but the order is known.
    ordered = any(
        each.position(start) is None for run in studied for each in _studied_checkpoints(run)
    )
    for modality, figure in (("vision", "Fig. 5a"), ("language", "Section 5.2")):
        yield Chart(
            f"fig5a_{modality}",
            "behaviours",
            f"Behaviours of {modality}: emergence",
            f"{figure}. Share of responses with at least one instance, with its 95 % interval.",
            "emergence rate",
            [
                each
                for run in studied
                for each in _emergence(run, modality, None if ordered else start)
            ],
            "checkpoint, in the order of training" if ordered else AXIS,
            marks=[(start, "PPO")] if start and not ordered else [],
            percent=True,
        )
    yield Chart(
        "fig5b_transfer",
        "behaviours",
        "Behaviour transfer rate",
        "Fig. 5b. Emergence of the visual behaviour over that of its language counterpart, on the "
        "same responses; where the latter is 0 it is undefined and not drawn. Faint: the paper's, "
        "on MathVision (mini), without intervals. Its overall rate, 54.2 %, is not defined there.",
        "BTR",
        [*(series for run in studied for series in _transfer(run)), *_papers_transfer(studied)],
        "",
        kind="bar",
        percent=True,
        categories=_pairs(),
    )


def _studied_checkpoints(run: Run) -> list[Checkpoint]:
    return [
        Checkpoint.of(each["name"], each.get("stage") or None, int(each["step"]))
        for each in (run.behaviours or {}).get("checkpoints", [])
    ]


def _start_of_ppo(runs: Sequence[Run]) -> int:
    """Where PPO begins on the axis: after the longest cold start that is known of."""
    logged = [record["step"] for run in runs for record in run.records if record["stage"] == COLD]
    known = [each.checkpoint for run in runs for each in run.evaluations]
    known += [each for run in runs for each in _studied_checkpoints(run)]
    return cold_start_steps(known, max(logged, default=0))


def _detector(checkpoint: dict[str, Any]) -> str:
    return "judge" if "judge" in checkpoint else "keywords"


def _emergence(run: Run, modality: str, start: int | None) -> Iterator[Series]:
    from ovr_plugin.analysis.behaviours.definitions import BEHAVIOURS

    checkpoints = (run.behaviours or {})["checkpoints"]
    known = _studied_checkpoints(run)
    x = [
        float(number if start is None else each.position(start) or 0)
        for number, each in enumerate(known, start=1)
    ]
    for behaviour in BEHAVIOURS:
        rates = [
            checkpoint[_detector(checkpoint)]["behaviours"]
            .get(behaviour.name, {})
            .get("emergence_rate", {})
            for checkpoint in checkpoints
        ]
        if behaviour.modality == modality and any(rates):
            columns = [[rate.get(key) for rate in rates] for key in ("value", "low", "high")]
            yield Series(behaviour.title, run.name, x, *columns)


def _pairs() -> list[str]:
    return [name.replace("_", " ") for name in _names()]


def _names() -> list[str]:
    from ovr_plugin.analysis.behaviours.definitions import PAIRS

    return list(PAIRS)


def _transfer(run: Run) -> Iterator[Series]:
    checkpoints = (run.behaviours or {})["checkpoints"]
    shown = checkpoints if len(checkpoints) <= 3 else [checkpoints[0], checkpoints[-1]]
    for checkpoint in shown:
        btr = checkpoint[_detector(checkpoint)]["btr"]
        estimates = [btr.get(name, {}) for name in _names()]
        columns = [[each.get(key) for each in estimates] for key in ("value", "low", "high")]
        x = [float(number) for number in range(len(estimates))]
        yield Series(checkpoint["name"], run.name, x, *columns)


def _papers_transfer(studied: Sequence[Run]) -> Iterator[Series]:
    from ovr_plugin.analysis.behaviours.transfer import PAPER_BTR

    x = [float(number) for number in range(len(PAPER_BTR))]
    for number, stage in enumerate(("base", "cold start", "RL") if studied else ()):
        yield Series(f"paper: {stage}", "", x, [PAPER_BTR[name][number] for name in _names()])
