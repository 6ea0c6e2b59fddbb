"""The paper in miniature against its targets: what is learned, and how long it takes.

usage: python tests/benchmarks/miniature.py OUT [--seeds 3] [--smoke]

Runs `ovr quickstart` once a seed in OUT/seed_N, alone on the machine (a quarter of an hour each and
more on two cores), then one short PPO of 256 responses of up to 64 tokens a step from the first
seed's cold start. A run that is there already is not timed, and its accuracies are read. Prints a
line per measure: what was reached by each seed, the target, met or missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from ovr_plugin.cli.quickstart_results import scores_of
from ovr_plugin.cli.trainer_process import METRICS_VARIABLE, override
from ovr_plugin.run_folder import RunFolder, read_metrics

OVR = str(Path(sys.executable).with_name("ovr"))
POLL_S = 0.2
WARM_UP_STEPS, STEPS = 2, 8
LARGE = (
    "data.train_batch_size=64",
    "actor_rollout_ref.rollout.n=4",
    "critic.ppo_mini_batch_size=16",
)
LENGTH = 64


def quickstart(run: RunFolder, seed: int, smoke: bool) -> dict[str, float]:
    """Return measure -> value of one run; times are of runs that were not there."""
    was_there = run.root.exists()
    command = [OVR, "quickstart", "--out", str(run.root), "--seed", str(seed)]
    begun = time.monotonic()
    ppo_begun = first_step = 0.0
    with subprocess.Popen([*command, *["--smoke"] * smoke]) as process:
        while process.poll() is None:
            if not ppo_begun and any(run.logs.glob("ppo_*.log")):
                ppo_begun = time.monotonic()
            if not first_step and any(path.stat().st_size for path in run.logs.glob("ppo_*.jsonl")):
                first_step = time.monotonic()
            time.sleep(POLL_S)
    if process.returncode:
        raise SystemExit(f"seed {seed}: the quickstart ended with status {process.returncode}")
    values = {} if smoke else accuracies(run)
    if not was_there:
        values["whole quickstart, s"] = time.monotonic() - begun
        values["from PPO's command to its first step, s"] = first_step - ppo_begun
        [metrics] = run.starts("ppo")
        values["PPO's steps together, s"] = sum(step_times(metrics))
    return values


def accuracies(run: RunFolder) -> dict[str, float]:
    """Return what PPO added in points, by the served `ovr eval`."""
    evaluations = run.root / "eval"
    before = scores_of(evaluations / f"cold_start_{run.latest_step('cold_start')}")
    after = scores_of(evaluations / f"ppo_{run.latest_step('ppo')}")
    return {f"{kind} rows, points": after[kind] - before[kind] for kind in ("text", "image")}


def large_step(run: RunFolder) -> float:
    """Return the median seconds of a step of 256 responses of up to 64 tokens."""
    metrics, log = run.root / "large_step.jsonl", run.root / "large_step.log"
    metrics.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+ovr=ppo_tiny", *LARGE),
        f"data.max_response_length={LENGTH}",
        override("actor_rollout_ref.model.path", run.export("cold_start")),
        override("data.train_files", run.data / "train.parquet"),
        override("data.val_files", run.data / "val.parquet"),
        override("hydra.run.dir", run.root / "large_step"),
        override("trainer.default_local_dir", run.root / "large_step"),
        f"trainer.total_training_steps={STEPS}",
        *("trainer.val_before_train=false", "trainer.resume_mode=disable"),
    ]
    with log.open("wb") as output:
        told = {METRICS_VARIABLE: str(metrics), "HF_HUB_OFFLINE": "1"}
        environment = {**os.environ, **told}
        subprocess.run(command, env=environment, stdout=output, stderr=output, check=True)
    return median(step_times(metrics)[WARM_UP_STEPS:])


def step_times(metrics: Path) -> list[float]:
    """Return the seconds of each step."""
    name = "timing_s/step"
    return [values[name] for _, values in read_metrics(metrics) if name in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    runs = [RunFolder(arguments.out / f"seed_{seed}") for seed in range(arguments.seeds)]
    found = [quickstart(run, seed, arguments.smoke) for seed, run in enumerate(runs)]
    found[0][f"a step of 256 responses of up to {LENGTH} tokens, s"] = large_step(runs[0])
    targets = {
        "text rows, points": (">=", 0.0),
        "image rows, points": (">=", 40.0),
        "PPO's steps together, s": ("<=", 1200.0),
        "whole quickstart, s": ("<=", 240.0 if arguments.smoke else 1800.0),
        "from PPO's command to its first step, s": ("<=", 60.0),
        f"a step of 256 responses of up to {LENGTH} tokens, s": ("<=", 5.0),
    }
    for measure, (sign, target) in targets.items():
        values = [each[measure] for each in found if measure in each]
        if not values:
            continue
        met = all(value >= target if sign == ">=" else value <= target for value in values)
        reached = ", ".join(f"{value:.1f}" for value in values)
        print(f"{measure}: {reached}  (target {sign} {target:g}: {'met' if met else 'missed'})")


if __name__ == "__main__":
    main()
