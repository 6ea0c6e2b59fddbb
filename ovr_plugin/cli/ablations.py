"""``ovr ablations``: the quickstart's PPO with one thing changed, over seeds, as one table.

Each seed's data, model and cold start are made once and shared; each variant then trains by the
command that is printed and is evaluated as the quickstart is. What is there already is kept, so
that hours of runs can be interrupted, and a variant or a seed added. A run that fails is told, and
the others go on. ``table.md`` has all runs of the folder that have these settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ovr_plugin.cli import quickstart_results as results
from ovr_plugin.cli import quickstart_stages as stages
from ovr_plugin.cli.ablation_results import (
    BASE,
    SHARED,
    markdown_of,
    scores_in,
    seeds_in,
    table_of,
)
from ovr_plugin.cli.quickstart import (
    FULL,
    SMOKE,
    STOPPING,
    prepare_environment,
    stopped,
    up_to_cold_start,
    up_to_model,
)
from ovr_plugin.cli.quickstart_settings import keep_settings
from ovr_plugin.cli.quickstart_stages import Size, Variant
from ovr_plugin.cli.trainer_process import TrainerFailed
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

    Exit code 1: a run failed; the same command tries it again.
    """
    console = Console(soft_wrap=True, markup=False)
    size = SMOKE if smoke else FULL
    if ppo_steps is not None:
        size = replace(size, n_steps=ppo_steps)
    names = list(dict.fromkeys(variants or VARIANTS))
    if unknown := [name for name in names if name not in VARIANTS]:
        raise typer.BadParameter(f"no variant {', '.join(unknown)}; of {', '.join(VARIANTS)}")
    failed = []
    try:
        prepare_environment(console)
        for seed in range(seeds):
            for name in names:
                stages.title(console, f"{name}, seed {seed}")
                try:
                    _run(out / f"seed_{seed}", name, size, seed, console)
                except TrainerFailed as error:
                    failed.append(f"{name}, seed {seed}")
                    console.print(Text.assemble(("Failed:", "bold red"), f" {error}"))
                _show(out, names, seeds, size, console)
    except STOPPING as error:
        stopped(console, error)
    if failed:
        console.print(f"Failed: {'; '.join(failed)}. The same command tries them again.")
        raise typer.Exit(1)


def _run(folder: Path, name: str, size: Size, seed: int, console: Console) -> None:
    """Train and evaluate one variant, and before it what all of a seed share."""
    shared, run = RunFolder(folder / SHARED), RunFolder(folder / name)
    variant = VARIANTS[name]
    way_out = f"choose another --out, or delete {folder}"
    with run.in_use(_waiting(run, console)):
        keep_settings(run, size, seed, None, variant, way_out)
        with shared.in_use(_waiting(shared, console)):  # no longer: others may start
            keep_settings(shared, size, seed, None, way_out=way_out)
            if variant.from_cold_start:
                up_to_cold_start(shared, size, seed, None, console)
            else:
                up_to_model(shared, size, seed, None, console)
                results.evaluate(shared, shared.model, BASE, console)
        for part in ("data", "model", *["cold_start"] * variant.from_cold_start):
            if not (run.root / part).is_symlink():
                (run.root / part).symlink_to(Path("..") / SHARED / part)
        stages.ppo(run, size, seed, console, variant)
        results.evaluate(run, run.export("ppo"), f"ppo_{run.latest_step('ppo')}", console)


def _show(out: Path, names: Sequence[str], seeds: int, size: Size, console: Console) -> None:
    """Print what was asked for, and write all that the folder holds."""
    from ovr_plugin.data.files import replacing

    asked = {name: VARIANTS[name] for name in names}
    console.print(table_of(scores_in(out, asked, range(seeds), size)))
    path = out / "table.md"
    with replacing(path) as file:
        table = markdown_of(scores_in(out, VARIANTS, seeds_in(out), size))
        file.write_text(table, encoding="utf-8")
    console.print(f"  all runs of this folder: {path}", highlight=False)


def _waiting(run: RunFolder, console: Console) -> Callable[[], None]:
    return lambda: console.print(f"  waiting for another start, which holds {run.root}")
