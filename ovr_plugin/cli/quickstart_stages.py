"""The quickstart's stages, each a command of its own that is printed as it is run.

Data, model, cold start, PPO, average. Every stage keeps what is there already.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ovr_plugin.checkpoint.resume import (
    PREFIX,
    TRACKER,
    missing_parts,
    steps_up_to_tracker,
    tracked_step,
)
from ovr_plugin.cli.trainer_process import Shown, override, run_trainer
from ovr_plugin.platform import fork_server
from ovr_plugin.platform.request import FORK_SWITCH_VARIABLE
from ovr_plugin.run_folder import RunFolder

RECIPE = "ppo_tiny"
AVERAGED = 3  # the last checkpoints
N_SAVED = 20  # over a run of PPO
N_KEPT = AVERAGED + 1  # of them; one to go on from where a save was cut off
SAVED = dict.fromkeys(("actor", "critic"), ("model", "optimizer", "extra"))  # what one must hold
VALIDATED = 64  # rows that the trainer itself asks, at its end
COLD_START_BATCH = 32
IMAGE_FRACTION = 0.75  # of the questions of an iteration: what has to be learned is to see
PPO_SHOWN = (
    Shown("ovr/reward/all", "reward"),
    Shown("ovr/reward/text", "text"),
    Shown("ovr/reward/image", "image"),
    Shown("ovr/response_length/all", "tokens", "{:.0f}"),
    Shown("ovr/response_limit", "of", "{:.0f}"),
    Shown("timing_s/step", "time", "{:.1f} s"),
)
SFT_LINES = 80  # about as many of its steps are printed
SFT_SHOWN = (Shown("train/loss", "loss"), Shown("train/lr", "lr", "{:.1e}"))


@dataclass(frozen=True)
class Size:
    """How much of everything; ``lengths`` are PPO's stages: (first iteration, tokens) (OVR 4.1)."""

    n_cold_start: int
    cold_start_epochs: int
    n_toy: int
    n_real: int
    n_val: int
    n_steps: int
    prompts_per_step: int
    samples_per_prompt: int
    lengths: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Variant:
    """What an ablation changes: overrides of PPO, the modality of its rows, its start."""

    overrides: tuple[str, ...] = ()
    modality: str | None = None
    from_cold_start: bool = True


def python() -> str:
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

    title(console, "Data")
    if (run.data / "val.parquet").is_file():
        console.print(f"  there already: {run.data}")
        return
    for line in write_data(run.data, size, seed, corpora):
        console.print(f"  {line}", highlight=False)


def make_model(run: RunFolder, seed: int, console: Console) -> None:
    """Make the tiny model and its tokenizer from the texts of the data."""
    title(console, "Model")
    if (run.model / "generation_config.json").is_file():
        console.print(f"  there already: {run.model}")
        return
    from transformers.utils import logging

    from ovr_plugin.cli.quickstart_data import texts_of
    from ovr_plugin.models.tiny import make_tiny

    logging.disable_progress_bar()  # of a file that is written at once
    partial = run.model.with_name("model.partial")  # transformers writes its configs first
    for unfinished in (partial, run.model):
        shutil.rmtree(unfinished, ignore_errors=True)
    with console.status("  making a tiny Qwen2.5-VL and its tokenizer"):
        make_tiny(partial, texts_of(run.data), seed=seed, vocab_size=1536)
    partial.rename(run.model)
    console.print(f"  a random Qwen2.5-VL of {_n_parameters(run.model):,} parameters: {run.model}")


def cold_start(run: RunFolder, size: Size, console: Console) -> None:
    """Stage 1 (OVR 3.1): supervised, text only, the language model alone."""
    title(console, "Cold start: text only, vision tower frozen (OVR 3.1)")
    if run.latest_step("cold_start"):
        console.print(f"  there already: {run.export('cold_start')}")
        return
    metrics, log = run.next_start("cold_start")
    command = [
        *(python(), "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"),
        *("-m", "verl.trainer.sft_trainer", "+ovr=sft_tiny"),
        override("model.path", run.model),
        override("data.train_files", run.data / "cold_start.parquet"),
        override("trainer.default_local_dir", run.checkpoints("cold_start")),
        override("hydra.run.dir", run.logs / "hydra"),  # else outputs/ where one stands
        *cold_start_settings(size),
    ]
    n_steps = size.n_cold_start // COLD_START_BATCH * size.cold_start_epochs
    every = max(1, n_steps // SFT_LINES)
    run_trainer(command, metrics, log, n_steps, SFT_SHOWN, console, every)
    run.merge_metrics()


def cold_start_settings(size: Size) -> list[str]:
    """What is set beside the recipe, but for paths."""
    return [
        f"data.train_batch_size={COLD_START_BATCH}",
        f"trainer.total_epochs={size.cold_start_epochs}",
    ]


def ppo(
    run: RunFolder, size: Size, seed: int, console: Console, variant: Variant | None = None
) -> None:
    """Stage 2 (OVR 3.2): PPO on text and image rows, reward 1 or 0; resumes by itself."""
    variant = variant or Variant()
    rows = f"{variant.modality} alone" if variant.modality else "text and images mixed"
    title(console, f"PPO: {rows}, reward 1 or 0, growing length (OVR 3.2, 4.1)")
    _go_back_to_what_is_known(run)
    done = run.latest_step("ppo")
    if done >= size.n_steps:
        console.print(f"  there already: {run.export('ppo')}")
        return
    if done:
        console.print(f"  going on after iteration {done}")
    metrics, log = run.next_start("ppo")
    every = max(1, size.n_steps // N_SAVED)
    start = run.export("cold_start") if variant.from_cold_start else run.model
    command = [
        *(python(), "-m", "verl.trainer.main_ppo", f"+ovr={RECIPE}"),
        override("actor_rollout_ref.model.path", start),
        override("data.train_files", _train_rows(run, variant.modality)),
        override("data.val_files", run.data / "val.parquet"),
        override("trainer.default_local_dir", run.checkpoints("ppo")),
        override("trainer.rollout_data_dir", run.rollouts),
        override("trainer.validation_data_dir", run.validations),
        override("hydra.run.dir", run.logs / "hydra"),
        f"trainer.total_training_steps={size.n_steps}",
        f"trainer.save_freq={every}",
        f"trainer.test_freq={size.n_steps}",
        *ppo_settings(size, seed, variant),
    ]
    run_trainer(command, metrics, log, size.n_steps, PPO_SHOWN, console)
    run.merge_metrics()


def ppo_settings(size: Size, seed: int, variant: Variant) -> list[str]:
    """What is set beside the recipe, but for paths and for what changes with a longer run."""
    mix = [f"data.mix={{image_fraction: {IMAGE_FRACTION}}}"]
    return [
        f"data.train_batch_size={size.prompts_per_step}",
        f"data.seed={seed}",  # of the order of rows, and of what is sampled
        f"critic.fsdp.seed={seed}",  # of the value head
        *(mix if variant.modality is None else []),
        f"actor_rollout_ref.rollout.n={size.samples_per_prompt}",
        f"critic.ppo_mini_batch_size={size.prompts_per_step // 4}",
        f"ovr.length_schedule={[list(stage) for stage in size.lengths]}".replace(" ", ""),
        f"trainer.max_actor_ckpt_to_keep={N_KEPT}",
        f"trainer.max_critic_ckpt_to_keep={N_KEPT}",
        "trainer.val_before_train=false",  # `ovr eval` has asked all of them
        f"data.val_max_samples={VALIDATED}",
        *variant.overrides,
    ]


def _go_back_to_what_is_known(run: RunFolder) -> None:
    """Point the tracker at the last checkpoint that is whole and that the metrics tell of.

    A kill can leave the tracker empty, a crash of the machine a checkpoint that is cut short. And
    veRL saves an iteration and then records it: killed in between, a run would go on behind one
    that no log and no rollout tells of; done again it is the same, for sampling is seeded.
    """
    folder, recorded = run.checkpoints("ppo"), run.recorded_step("ppo")
    saved, whole = steps_up_to_tracker(folder), _whole_steps(folder)
    known = [step for step in whole if step <= recorded]
    has_logs = any(run.logs.glob("ppo_*"))
    if len(saved) == 1 and not known and has_logs:
        shutil.rmtree(folder)
    elif (settled := (known or whole)[-1:]) and settled != [tracked_step(folder)]:
        (folder / TRACKER).write_text(str(settled[0]))


def _whole_steps(folder: Path) -> list[int]:
    """The steps up to the tracker of which all is there: a kill may have cut off one's save."""
    return [
        step
        for step in steps_up_to_tracker(folder)
        if not missing_parts(folder / f"{PREFIX}{step}", SAVED)
    ]


def _train_rows(run: RunFolder, modality: str | None) -> Path:
    """The training rows, or a file of those of one modality alone."""
    from ovr_plugin.data.files import read_parquet, write_parquet
    from ovr_plugin.data.sample import Sample, at_place

    rows = run.data / "train.parquet"
    if modality is None:
        return rows
    chosen = [sample for sample in read_parquet(rows, Sample) if sample.modality == modality]
    path = run.root / f"train_{modality}.parquet"
    write_parquet(path, [at_place(row, n, "train") for n, row in enumerate(chosen)], Sample)
    return path


def average_last(run: RunFolder, console: Console) -> Path | None:
    """Average the last checkpoints of PPO, as the paper's final model is made (OVR 4.1).

    None: there is but one. One that a kill cut off is none.
    """
    from ovr_plugin.cli.average import average

    title(console, "Average of the last checkpoints (OVR 4.1)")
    folder = run.checkpoints("ppo")
    steps = _whole_steps(folder)
    averaged = [folder / f"{PREFIX}{step}" for step in steps[-AVERAGED:]]
    if len(averaged) < 2:
        console.print("  there is one checkpoint; nothing to average")
        return None
    target = run.root / f"average_{steps[-1]}"
    if (target / "config.json").is_file():
        console.print(f"  there already: {target}")
        return target
    print_command(console, ["ovr", "average", target, *averaged, "--dtype", "float32"])
    average(target, averaged, dtype="float32")
    return target


def title(console: Console, text: str) -> None:
    """Print a stage's heading."""
    console.print(f"\n{text}", style="bold", highlight=False)


def print_command(console: Console, words: Sequence[Any]) -> None:
    """Print a command of ours as a shell takes it."""
    line = shlex.join(map(str, words))
    console.print(Text.assemble(("$ ", "dim"), line), soft_wrap=True)


def _n_parameters(folder: Path) -> int:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        shapes = (weights.get_slice(name).get_shape() for name in weights.keys())
        return sum(math.prod(shape) for shape in shapes)
