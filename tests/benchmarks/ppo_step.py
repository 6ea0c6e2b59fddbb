"""Does a PPO step cost more with the plugin's parts than with veRL's own? Two runs, one ratio.

usage: python tests/benchmarks/ppo_step.py [--steps 12] [--rounds 1] [--model FOLDER]

Both runs use ppo_tiny, the same rows, the same model and learning rate 0, so that the policy and
hence the responses stay alike. "stock" takes veRL's RLHFDataset, naive reward manager with veRL's
geo3k score (mathruler, the quickest of its graders of mathematics), agent loop and trainer; the
CPU platform, the engines and the critic are ours in both, because veRL has none that would run.
The first steps of a run are left out (they warm caches). Prints the median of the others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from ovr_plugin.data.files import write_parquet
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows, toy_texts
from ovr_plugin.models.tiny import make_tiny
from ovr_plugin.run_folder import read_metrics

WARM_UP_STEPS = 2
DATA_SOURCE = "hiyouga/geometry3k"  # what veRL's default reward dispatches to its geo3k score
STOCK = (
    "data.custom_cls.path=null",
    "data.custom_cls.name=null",
    "reward.reward_manager.source=register",
    "reward.reward_manager.name=naive",
    "reward.reward_manager.module.path=null",
    "actor_rollout_ref.rollout.agent.default_agent_loop=single_turn_agent",
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
    "trainer.v1.trainer_mode=sync",
)
PHASES = ("timing_s/step", "timing_s/gen", "timing_s/update_actor", "timing_s/update_critic")


def run(name: str, folder: Path, model: Path, n_steps: int, overrides: tuple[str, ...]) -> dict:
    """Return phase -> median seconds of the steps after the warm-up."""
    metrics, log = folder / f"{name}.jsonl", folder / f"{name}.log"
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+ovr=ppo_tiny"),
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={folder / 'rows.parquet'}",
        f"data.val_files={folder / 'rows.parquet'}",
        f"trainer.total_training_steps={n_steps}",
        f"trainer.default_local_dir={folder / name}",
        *("trainer.val_before_train=false", "trainer.resume_mode=disable"),
        *("actor_rollout_ref.actor.optim.lr=0", "critic.optim.lr=0"),
        *overrides,
    ]
    with log.open("wb") as output:
        environment = {**os.environ, "VERL_FILE_LOGGER_PATH": str(metrics)}
        subprocess.run(command, env=environment, stdout=output, stderr=output, check=True)
    steps = [values for step, values in read_metrics(metrics) if step > WARM_UP_STEPS]
    return {phase: median(step[phase] for step in steps) for phase in PHASES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", type=Path, help="a checkpoint folder; default: a random one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = arguments.model or make_tiny(folder / "model", toy_texts())
        rows = [replace(row, data_source=DATA_SOURCE) for row in toy_rows(320)]
        write_parquet(folder / "rows.parquet", rows, Sample)
        ratios = []
        for round_ in range(arguments.rounds):
            seconds = {
                name: run(f"{name}{round_}", folder, model, arguments.steps, overrides)
                for name, overrides in (("stock", STOCK), ("plugin", ()))
            }
            for phase in PHASES:
                stock, plugin = seconds["stock"][phase], seconds["plugin"][phase]
                print(
                    f"{phase:24} stock {stock:.2f} s  plugin {plugin:.2f} s  {plugin / stock:.2f}"
                )
            ratios.append(seconds["plugin"]["timing_s/step"] / seconds["stock"]["timing_s/step"])
        print(f"step, plugin / stock: {median(ratios):.2f} (median of {len(ratios)})")


if __name__ == "__main__":
    main()
