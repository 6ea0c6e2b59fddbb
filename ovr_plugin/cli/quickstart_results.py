"""What came of the quickstart's stages: checkpoints are served and asked, a report is written."""

from __future__ import annotations

import zlib
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ovr_plugin.cli.evaluate import INTERRUPTED
from ovr_plugin.cli.quickstart_stages import RECIPE, print_command, python, title
from ovr_plugin.cli.served import served
from ovr_plugin.cli.trainer_process import TrainerFailed
from ovr_plugin.run_folder import RunFolder

# What is printed of an evaluation; the real rows only where there are some.
METRICS = {
    "text": "accuracy, toy_text",
    "image": "accuracy, toy_image",
    "real text": "accuracy, orz",
    "real image": "accuracy, puzzlevqa",
}


def evaluate(run: RunFolder, checkpoint: Path, name: str, console: Console) -> Path:
    """Serve a checkpoint and ask it the held-out rows, greedily; returns the folder of results."""
    from ovr_plugin.cli.evaluate import evaluate as ask

    title(console, f"Evaluation of {name}: served by vLLM, asked what no training row shows")
    out = run.root / "eval" / name
    if has_every_answer(out):
        console.print(f"  there already: {out}")
        return out
    rows = run.data / "val.parquet"
    run.logs.mkdir(parents=True, exist_ok=True)
    served_as = f"{name}-{_digest(checkpoint)}"  # no other server would answer to this name
    log = run.logs / f"serve_{name}.log"
    with served(checkpoint, served_as, RECIPE, python(), log, console) as url:
        command = ["ovr", "eval", rows, "--out", out, "--url", url, "--model", served_as]
        print_command(console, [*command, "--temperature", "0"])
        try:
            ask([str(rows)], out, url=url, model=served_as, temperature=0.0)
        except typer.Exit as end:
            if end.exit_code == INTERRUPTED:
                raise KeyboardInterrupt from end
            if end.exit_code:
                raise TrainerFailed(f"ovr eval ended with status {end.exit_code}") from end
    return out


def _digest(checkpoint: Path) -> str:
    """Of its weights: answers are theirs, wherever the folder lies."""
    digest = 0
    for path in sorted(checkpoint.glob("*.safetensors")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return f"{digest:08x}"


def has_every_answer(evaluation: Path) -> bool:
    """Of one that was interrupted there are results too, of the rows that were answered."""
    from ovr_plugin.data.files import read_json

    path = evaluation / "results.json"
    results = read_json(path) if path.is_file() else []
    return bool(results) and not any(each["n_missing"] for each in results)


def count_behaviours(run: RunFolder, evaluations: dict[str, Path], console: Console) -> None:
    """Count what the held-out answers speak of, by keywords (OVR 5.2); the report draws it.

    A study of the user's own, such as a judge's, has the same place and is left there.
    """
    from ovr_plugin.analysis.behaviours.study import SUMMARY
    from ovr_plugin.cli.behaviours import behaviours as count
    from ovr_plugin.data.files import read_json

    title(console, "Behaviours in the answers: share that shows each, by keywords (OVR 5.2)")
    summary = run.root / "behaviours" / SUMMARY
    if summary.exists() and not _counts_keywords_of(summary, run):
        console.print(f"  there already, a study of another kind: {summary}", highlight=False)
        return
    files = [file for out in evaluations.values() for file in sorted(out.glob("*/graded.jsonl"))]
    print_command(console, ["ovr", "behaviours", *files])
    try:
        with (run.logs / "behaviours.log").open("w") as log, redirect_stdout(log):
            count(files)
    except typer.Exit as end:  # it has said why
        if end.exit_code == INTERRUPTED:
            raise KeyboardInterrupt from end
        return
    found = {each["name"]: each["keywords"] for each in read_json(summary)["checkpoints"]}
    console.print(_shares({name: found[name]["behaviours"] for name in evaluations}))


def _counts_keywords_of(summary: Path, run: RunFolder) -> bool:
    """Whether all it tells is what keywords find in the run's evaluations."""
    from ovr_plugin.data.files import read_json

    try:
        kept = read_json(summary)
        counted = {each["name"] for each in kept["checkpoints"]}
        return not kept["judge"] and counted <= {path.name for path in run.root.glob("eval/*")}
    except (ValueError, KeyError, TypeError):
        return False


def _shares(found: dict[str, dict[str, Any]]) -> Table:
    """Of each checkpoint's answers that show a behaviour, for those that any shows."""
    table = Table("behaviour", *found)
    for behaviour in next(iter(found.values())):
        rates = [shown[behaviour]["emergence_rate"]["value"] for shown in found.values()]
        if any(rates):
            table.add_row(behaviour.replace("_", " "), *(f"{rate:.0%}" for rate in rates))
    return table


def report(run: RunFolder, evaluations: dict[str, Path], console: Console) -> None:
    """Write the report's page and figures, and print what was learned."""
    from ovr_plugin.analysis.plots import draw_plots
    from ovr_plugin.cli.report import report as write_report

    title(console, "Result")
    plots = draw_plots(run.merge_metrics(), run.plots)
    print_command(console, ["ovr", "report", run.root])
    write_report([run.root])
    table = Table("held-out rows", *evaluations)
    found = [scores_of(out) for out in evaluations.values()]
    for rows in found[0]:
        table.add_row(rows, *(f"{scores[rows]:.0f} %" for scores in found))
    console.print(table)
    for what, path in (
        ("metrics of every step", run.metrics),
        ("plots", run.plots),
        ("report with rollouts and their pictures", run.root / "report.html"),
        ("rollouts of every iteration", run.rollouts),
        ("checkpoint (HF folder)", run.export("ppo")),
        ("logs of the trainers and servers", run.logs),
    ):
        console.print(f"  {what}: {path}", highlight=False)
    if not plots:
        console.print("  no plot: the metrics hold nothing to draw")


def scores_of(evaluation: Path) -> dict[str, float]:
    """Return the accuracy of each kind of rows, in percent, from a folder of results."""
    from ovr_plugin.data.files import read_json

    metrics = read_json(evaluation / "results.json")[0]["metrics"]
    return {rows: metrics[name]["value"] for rows, name in METRICS.items() if name in metrics}
