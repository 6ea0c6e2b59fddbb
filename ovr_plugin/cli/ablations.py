"""``ovr ablations``: the quickstart's PPO with one thing changed, over seeds, as one table.

Each seed's data, model and cold start are made once and shared; each variant then trains by the
command that is printed and is evaluated as the quickstart is. What is there already is kept, so
that hours of runs can be interrupted, and a variant or a seed added.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ovr_plugin.cli import quickstart_results as results
from ovr_plugin.cli import quickstart_stages as stages
from ovr_plugin.cli.quickstart import (
    FULL,
    SMOKE,
    STOPPING,
    keep_settings,
    prepare_environment,
    stopped,
    up_to_cold_start,
)
from ovr_plugin.cli.quickstart_stages import Size, Variant
from ovr_plugin.run_folder import RunFolder

HEAD = "critic.fsdp.value_head_init"


VARIANTS = {
    "baseline": Variant(),
    "no_cold_start": Variant(from_cold_start=False),
    "image_only": Variant(modality="image"),
    "text_only": Variant(modality="text"),
    "gae_lambda_0.95": Variant(("algorithm.lam=0.95",)),
    "head_orz_normal": Variant((f"{HEAD}=orz_normal",)),
    "head_uniform": Variant((f"{HEAD}=uniform",)),
}


def ablations(
    variants: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(VARIANTS)}; all by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/ablations"),
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0.", min=1)] = 3,
    ppo_steps: Annotated[
        int | None, typer.Option(min=1, help="PPO iterations; by default the quickstart's.")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The smallest real runs.")] = False,
) -> None:
    """Train variants of the quickstart over several seeds and print what became of each.

    Every run is a folder that `ovr report` shows; several of them, over each other:
    ovr report runs/ablations/seed_0/*
    """
    console = Console(soft_wrap=True, markup=False)
    size = SMOKE if smoke else FULL
    if ppo_steps is not None:
        size = replace(size, n_steps=ppo_steps)
    names = list(dict.fromkeys(variants or VARIANTS))
    if unknown := [name for name in names if name not in VARIANTS]:
        raise typer.BadParameter(f"no variant {', '.join(unknown)}; of {', '.join(VARIANTS)}")
    found: dict[str, list[dict[str, float]]] = {}
    try:
        prepare_environment(console)
        for seed in range(seeds):
            for name in names:
                stages.title(console, f"{name}, seed {seed}")
                scores = _run(out / f"seed_{seed}", name, size, seed, console)
                found.setdefault(name, []).append(scores)
                console.print(table_of(found))
    except STOPPING as error:
        stopped(console, error)


def _run(folder: Path, name: str, size: Size, seed: int, console: Console) -> dict[str, float]:
    """Return the percentages of both modalities before and after PPO, and its iterations."""
    shared, run = RunFolder(folder / "shared"), RunFolder(folder / name)
    variant = VARIANTS[name]
    way_out = f"choose another --out, or delete {folder}"
    with run.in_use(_waiting(run, console)):
        keep_settings(run, size, seed, None, variant, way_out)
        with shared.in_use(_waiting(shared, console)):  # no longer: others may start
            keep_settings(shared, size, seed, None, way_out=way_out)
            start = up_to_cold_start(shared, size, seed, None, console)
            if not variant.from_cold_start:
                start = results.evaluate(shared, shared.model, "base", console)
        for part in ("data", "model", "cold_start"):
            if not (run.root / part).exists():
                (run.root / part).symlink_to(Path("..") / "shared" / part)
        stages.ppo(run, size, seed, console, variant)
        last = run.latest_step("ppo")
        end = results.evaluate(run, run.export("ppo"), f"ppo_{last}", console)
    scores = {"iterations": float(last)}
    scores |= {f"{modality} before": score for modality, score in results.scores_of(start).items()}
    return scores | {
        f"{modality} after": score for modality, score in results.scores_of(end).items()
    }


def _waiting(run: RunFolder, console: Console) -> Callable[[], None]:
    return lambda: console.print(f"  waiting for another start, which holds {run.root}")


def table_of(found: dict[str, list[dict[str, float]]]) -> Table:
    """Return median and range over the seeds, in percent, before and after PPO.

    Before it: of what the variant starts from. The iterations are those that the runs have: a
    folder may hold longer runs than were asked for.
    """
    columns = ["iterations", "text before", "text after", "image before", "image after"]
    table = Table("variant", "seeds", *columns)
    for name, runs in found.items():
        table.add_row(name, str(len(runs)), *(spread([run[c] for run in runs]) for c in columns))
    return table


def spread(values: Sequence[float]) -> str:
    """Median, with the range where there is one."""
    middle = f"{statistics.median(values):.0f}"
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{middle} ({low} to {high})" if low != high else middle
