"""``ovr quickstart``: both stages of the paper on this machine, with the upstream trainers.

It makes the data and a tiny model, runs the cold start and PPO with the commands it prints, loads
the checkpoints back and evaluates them, and leaves a run folder. What is there already is kept, so
that a second start goes on where the first one stopped.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ovr_plugin.cli.trainer_process import Shown, TrainerFailed, override, run_trainer
from ovr_plugin.platform import fork_server
from ovr_plugin.platform.request import FORK_SWITCH_VARIABLE
from ovr_plugin.platform.vllm_cpu import cpu_build_is_installed
from ovr_plugin.run_folder import RunFolder

SETTINGS = "run.json"
MAX_RESPONSE_TOKENS = 48  # ppo_tiny's data.max_response_length
MAX_PIXELS = 25088  # ppo_tiny's data.max_pixels
PPO_SHOWN = (
    Shown("ovr/reward/all", "reward"),
    Shown("ovr/reward/text", "text"),
    Shown("ovr/reward/image", "image"),
    Shown("ovr/response_length/all", "tokens", "{:.0f}"),
    Shown("timing_s/step", "time", "{:.1f} s"),
)
SFT_SHOWN = (Shown("train/loss", "loss"), Shown("train/lr", "lr", "{:.1e}"))


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    n_cold_start: int
    cold_start_epochs: int
    n_toy: int
    n_real: int
    n_val: int
    n_steps: int
    prompts_per_step: int
    samples_per_prompt: int


FULL = Size(2048, 3, 320, 64, 64, 22, 16, 8)
SMOKE = Size(1024, 2, 28, 4, 16, 4, 8, 4)  # 32 rows, 8 a step: one epoch


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
    seed: Annotated[int, typer.Option(help="Of the data and the model.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the folder first.")] = False,
) -> None:
    """Train a tiny Qwen2.5-VL as the paper does: text-only cold start, then PPO on text and images.

    Needs no GPU and downloads nothing. The two trainers are veRL's own; their commands are printed
    as they are run, with the recipes sft_tiny and ppo_tiny, which differ from sft_7b and ppo_7b in
    sizes only.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # here and in the trainers: nothing is fetched
    console = Console(soft_wrap=True, markup=False)  # logs and paths may hold [brackets]
    size = SMOKE if smoke else FULL
    if ppo_steps is not None:
        size = replace(size, n_steps=ppo_steps)
    run = RunFolder(out or Path("runs/smoke" if smoke else "runs/quickstart"))
    try:
        _check_corpora(corpora)
        _use_cpu_where_vllm_is_its_cpu_build(console)
        with run.in_use():
            if fresh:
                _delete(run)
            _keep_settings(run, size, seed, corpora)
            if run.latest_step("ppo") < size.n_steps:
                _python()  # warms up while data and model are made
            prepare_data(run, size, seed, corpora, console)
            make_model(run, seed, console)
            cold_start(run, size, console)
            before = check_checkpoint(run, "cold_start", console)
            ppo(run, size, console)
            after = check_checkpoint(run, "ppo", console)
            report(run, before, after, console)
    except (TrainerFailed, ValueError, OSError) as error:
        console.print(Text.assemble(("Stopped:", "bold red"), f" {error}"))
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        console.print("Interrupted; the same command goes on from the last checkpoint.")
        raise typer.Exit(130) from interrupt


def _use_cpu_where_vllm_is_its_cpu_build(console: Console) -> None:
    """On a machine with a GPU the environment of setup.sh still has to run on the CPU."""
    if not cpu_build_is_installed() or not shutil.which("nvidia-smi"):
        return
    chosen = {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    os.environ.update(chosen)
    words = " ".join(f"{name}={value}" for name, value in chosen.items())
    console.print("A GPU is here, but vLLM's CPU build is installed, so all runs on the CPU:")
    console.print(f"$ export {words}", highlight=False)


def _python() -> str:
    """Return the trainers' interpreter: on a CPU one whose processes are forked, imports done."""
    has_gpu = os.environ.get("VERL_PLATFORM") != "cpu" and shutil.which("nvidia-smi")
    if has_gpu or os.environ.get(FORK_SWITCH_VARIABLE) == "0":
        return sys.executable
    program = str(fork_server.start())
    os.environ["PYTHON_EXEC"] = program  # what torch.distributed.run starts its ranks with
    return program


def prepare_data(
    run: RunFolder, size: Size, seed: int, corpora: Path | None, console: Console
) -> None:
    """Write the cold start's text pairs, and RL rows with pictures, real ones where there are."""
    from ovr_plugin.cli.quickstart_data import write_data

    _title(console, "Data")
    if (run.data / "val.parquet").is_file():
        console.print(f"  there already: {run.data}")
        return
    for line in write_data(run.data, size, seed, corpora):
        console.print(f"  {line}", highlight=False)


def make_model(run: RunFolder, seed: int, console: Console) -> None:
    """Make the tiny model and its tokenizer from the texts of the data."""
    _title(console, "Model")
    if (run.model / "generation_config.json").is_file():
        console.print(f"  there already: {run.model}")
        return
    from ovr_plugin.cli.quickstart_data import texts_of
    from ovr_plugin.models.tiny import make_tiny

    with console.status("  making a tiny Qwen2.5-VL and its tokenizer"):
        make_tiny(run.model, texts_of(run.data), seed=seed, vocab_size=1536)
    console.print(f"  a random Qwen2.5-VL of {_n_parameters(run.model):,} parameters: {run.model}")


def cold_start(run: RunFolder, size: Size, console: Console) -> None:
    """Stage 1 (OVR 3.1): supervised, text only, the language model alone."""
    _title(console, "Cold start: text only, vision tower frozen (OVR 3.1)")
    if run.latest_step("cold_start"):
        console.print(f"  there already: {run.export('cold_start')}")
        return
    metrics, log = run.next_start("cold_start")
    command = [
        *(_python(), "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"),
        *("-m", "verl.trainer.sft_trainer", "+ovr=sft_tiny"),
        override("model.path", run.model),
        override("data.train_files", run.data / "cold_start.parquet"),
        override("trainer.default_local_dir", run.checkpoints("cold_start")),
        f"trainer.total_epochs={size.cold_start_epochs}",
    ]
    n_steps = size.n_cold_start // 32 * size.cold_start_epochs
    run_trainer(command, metrics, log, n_steps, SFT_SHOWN, console)
    run.merge_metrics()


def ppo(run: RunFolder, size: Size, console: Console) -> None:
    """Stage 2 (OVR 3.2): PPO on text and image rows, reward 1 or 0; resumes by itself."""
    _title(console, "PPO: text and images mixed, reward 1 or 0 (OVR 3.2)")
    done = run.latest_step("ppo")
    if done >= size.n_steps:
        console.print(f"  there already: {run.export('ppo')}")
        return
    if done:
        console.print(f"  going on after iteration {done}")
    metrics, log = run.next_start("ppo")
    command = [
        *(_python(), "-m", "verl.trainer.main_ppo", "+ovr=ppo_tiny"),
        override("actor_rollout_ref.model.path", run.export("cold_start")),
        override("data.train_files", run.data / "train.parquet"),
        override("data.val_files", run.data / "val.parquet"),
        f"data.train_batch_size={size.prompts_per_step}",
        "data.mix={image_fraction: 0.5}",  # of every batch, see data/mix.py
        f"actor_rollout_ref.rollout.n={size.samples_per_prompt}",
        f"critic.ppo_mini_batch_size={size.prompts_per_step // 4}",
        f"trainer.total_training_steps={size.n_steps}",
        override("trainer.default_local_dir", run.checkpoints("ppo")),
        override("trainer.rollout_data_dir", run.rollouts),
        override("trainer.validation_data_dir", run.validations),
        f"trainer.save_freq={max(1, size.n_steps // 4)}",
        f"trainer.test_freq={size.n_steps}",
    ]
    run_trainer(command, metrics, log, size.n_steps, PPO_SHOWN, console)
    run.merge_metrics()


def check_checkpoint(run: RunFolder, stage: str, console: Console) -> list[Any]:
    """Load the stage's checkpoint with transformers and answer the validation rows."""
    from ovr_plugin.data.files import read_parquet
    from ovr_plugin.data.sample import Sample
    from ovr_plugin.eval.local import evaluate

    samples = list(read_parquet(run.data / "val.parquet", Sample))
    answers = []
    with console.status("") as status:
        for answer in evaluate(
            run.export(stage), samples, MAX_RESPONSE_TOKENS, max_pixels=MAX_PIXELS
        ):
            answers.append(answer)
            status.update(f"  loaded back, answering: {len(answers)} of {len(samples)} rows")
    right = sum(answer.grade.score for answer in answers)
    console.print(
        f"  loaded back from {run.export(stage)}: {right:.0f} of {len(answers)} validation rows "
        "right (greedy)",
        highlight=False,
    )
    return answers


def report(run: RunFolder, before: list[Any], after: list[Any], console: Console) -> None:
    """Draw the plots, write the page of answers, and print accuracies."""
    from ovr_plugin.analysis.answers_page import write_answers_page
    from ovr_plugin.analysis.plots import draw_plots
    from ovr_plugin.eval.local import accuracy_by_source

    _title(console, "Result")
    records = run.merge_metrics()
    plots = draw_plots(records, run.plots)
    columns: dict[str, Any] = {"after the cold start": before, "after PPO": after}
    page = write_answers_page(run.root / "answers.html", "Answers to validation rows", columns)
    table = Table("source", "rows", "after the cold start", "after PPO")
    accuracies = [accuracy_by_source(answers) for answers in (before, after)]
    for source in accuracies[0]:
        n_rows = sum(answer.sample.data_source == source for answer in before)
        table.add_row(source, str(n_rows), *(f"{each[source]:.0%}" for each in accuracies))
    console.print(table)
    for what, path in (
        ("metrics of every step", run.metrics),
        ("plots", run.plots),
        ("answers with their pictures", page),
        ("rollouts of every iteration", run.rollouts),
        ("checkpoint (HF folder)", run.export("ppo")),
        ("logs of the trainers", run.logs),
    ):
        console.print(f"  {what}: {path}", highlight=False)
    if not plots:
        console.print("  no plot: the metrics hold nothing to draw")


def _check_corpora(corpora: Path | None) -> None:
    if corpora is not None and not corpora.is_dir():
        raise FileNotFoundError(f"--corpora {corpora}: no such folder; leave it out to generate")


def _delete(run: RunFolder) -> None:
    """Delete an earlier run, and nothing that is none, whatever ``--out`` names."""
    if any(run.root.iterdir()) and not (run.root / SETTINGS).is_file():
        raise ValueError(
            f"{run.root} was not deleted: it is no run of the quickstart (it has no {SETTINGS}); "
            "choose another --out"
        )
    for path in run.root.iterdir():  # not the folder itself, which is held
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _keep_settings(run: RunFolder, size: Size, seed: int, corpora: Path | None) -> None:
    """Refuse to mix a run with one of other settings; more PPO iterations are fine."""
    from ovr_plugin.data.files import read_json, write_json

    wanted = {**asdict(size), "seed": seed, "corpora": bool(corpora)}
    path = run.root / SETTINGS
    if path.is_file():
        found = read_json(path)
        differing = [
            f"{key} {found.get(key)} -> {value}"
            for key, value in wanted.items()
            if key != "n_steps" and found.get(key) != value
        ]
        if differing:
            raise ValueError(
                f"{run.root} holds a run with other settings ({', '.join(differing)}); "
                "choose another --out, or --fresh to delete it"
            )
    write_json(path, wanted)


def _n_parameters(folder: Path) -> int:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        shapes = (weights.get_slice(name).get_shape() for name in weights.keys())
        return sum(math.prod(shape) for shape in shapes)


def _title(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold", highlight=False)
