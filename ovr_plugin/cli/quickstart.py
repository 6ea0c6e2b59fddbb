"""``ovr quickstart``: both stages of the paper on this machine, with the upstream trainers.

It makes the data and a tiny model, runs the cold start and PPO with the commands it prints,
averages the last checkpoints, serves and evaluates what came of each stage, and leaves a run
folder. What is there already is kept, so that a second start goes on where the first one stopped.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ovr_plugin.cli.quickstart_results import count_behaviours, evaluate, report
from ovr_plugin.cli.quickstart_settings import delete, keep_settings
from ovr_plugin.cli.quickstart_stages import (
    Size,
    average_last,
    cold_start,
    make_model,
    ppo,
    prepare_data,
    python,
)
from ovr_plugin.cli.trainer_process import TrainerFailed
from ovr_plugin.platform.vllm_cpu import cpu_build_is_installed
from ovr_plugin.run_folder import RunFolder

MAX_SEED = 2**32 - 1  # NumPy's
STOPPING = (TrainerFailed, ValueError, OSError, KeyboardInterrupt)
FULL = Size(4096, 3, 4096, 64, 400, 90, 64, 2, ((1, 32), (21, 40), (41, 48)))
SMOKE = Size(768, 2, 28, 4, 16, 4, 8, 4, ((1, 32), (2, 40), (3, 48)))


def quickstart(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; default runs/quickstart, runs/smoke with --smoke."),
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The shortest real run of the same steps.")
    ] = False,
    corpora: Annotated[
        Path | None,
        typer.Option(help="Raw corpora in their own layouts (orz/, puzzlevqa/); none: generated."),
    ] = None,
    ppo_steps: Annotated[
        int | None, typer.Option(min=1, help="PPO iterations; more than before goes on.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of rows, weights, order and sampling.")
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the folder first.")] = False,
) -> None:
    """Train a tiny Qwen2.5-VL as the paper does: text-only cold start, then PPO on text and images.

    Needs no GPU and downloads nothing. The two trainers are veRL's own; their commands are printed
    as they are run, with the recipes sft_tiny and ppo_tiny, which differ from sft_7b and ppo_7b in
    sizes, in rates, and in what a CPU lacks.
    """
    console = Console(soft_wrap=True, markup=False)  # logs and paths may hold [brackets]
    size = SMOKE if smoke else FULL
    if ppo_steps is not None:
        size = replace(size, n_steps=ppo_steps)
    run = RunFolder(out or Path("runs/smoke" if smoke else "runs/quickstart"))
    try:
        _check_corpora(corpora)
        prepare_environment(console)
        with run.in_use():
            if fresh:
                delete(run)
            keep_settings(run, size, seed, corpora)
            if run.latest_step("ppo") < size.n_steps:
                python()  # warms up while data and model are made
            start = up_to_cold_start(run, size, seed, corpora, console)
            found = {start.name: start}
            ppo(run, size, seed, console)
            last = f"ppo_{run.latest_step('ppo')}"
            averaged = average_last(run, console)
            if not (smoke and averaged):  # a server takes half a minute
                found[last] = evaluate(run, run.export("ppo"), last, console)
            if averaged:
                found[averaged.name] = evaluate(run, averaged, averaged.name, console)
            count_behaviours(run, found, console)
            report(run, found, console)
    except STOPPING as error:
        stopped(console, error)


def up_to_cold_start(
    run: RunFolder, size: Size, seed: int, corpora: Path | None, console: Console
) -> Path:
    """Data, model and cold start; returns the folder of its evaluation, which has its name."""
    up_to_model(run, size, seed, corpora, console)
    cold_start(run, size, console)
    name = f"cold_start_{run.latest_step('cold_start')}"
    return evaluate(run, run.export("cold_start"), name, console)


def up_to_model(
    run: RunFolder, size: Size, seed: int, corpora: Path | None, console: Console
) -> None:
    """Data, and the model before any training."""
    prepare_data(run, size, seed, corpora, console)
    make_model(run, seed, console)


def stopped(console: Console, error: BaseException) -> None:
    """Say why it ended before its end, and end with the status of that."""
    if isinstance(error, KeyboardInterrupt):
        console.print("Interrupted; the same command goes on from the last checkpoint.")
        raise typer.Exit(130) from error
    console.print(Text.assemble(("Stopped:", "bold red"), f" {error}"))
    raise typer.Exit(1) from error


def prepare_environment(console: Console) -> None:
    """Of this process and its trainers: nothing is fetched, and the GPU left where vLLM lacks it.

    On a machine with a GPU the environment of setup.sh still has to run on the CPU.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not cpu_build_is_installed() or not shutil.which("nvidia-smi"):
        return
    chosen = {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    os.environ.update(chosen)
    words = " ".join(f"{name}={value}" for name, value in chosen.items())
    console.print("A GPU is here, but vLLM's CPU build is installed, so all runs on the CPU:")
    console.print(f"$ export {words}", highlight=False)


def _check_corpora(corpora: Path | None) -> None:
    """Find a row to use in each, before anything is made or deleted."""
    from ovr_plugin.cli.quickstart_data import CORPORA
    from ovr_plugin.data.readers import get_reader
    from ovr_plugin.data.sample import Sample

    if corpora is None:
        return
    way_out = "leave it out to generate all rows"
    if missing := [name for name in CORPORA if not (corpora / name).is_dir()]:
        folders = " and ".join(f"{name}/" for name in missing)
        raise FileNotFoundError(f"--corpora {corpora}: no {folders} there; {way_out}")
    for name in CORPORA:
        try:
            rows = get_reader(name)(corpora / name)
            is_good = any(isinstance(row, Sample) for row in rows)  # looks no further
        except (OSError, ValueError) as error:
            raise ValueError(f"--corpora {corpora}: {error}; {way_out}") from error
        if not is_good:
            raise ValueError(f"--corpora {corpora}: {name}/ has no row to use; {way_out}")
