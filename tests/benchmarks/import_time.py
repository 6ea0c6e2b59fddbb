"""What importing costs: the reward by itself, and ``import verl`` with the plugin and without.

usage: python tests/benchmarks/import_time.py [--rounds 7]

Each figure is a fresh process, timed inside it; the two ways to import verl alternate.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from statistics import median

TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str, **environment: str) -> float:
    """Return how long ``import module`` takes in a new process."""
    process = subprocess.run(
        [sys.executable, "-c", TIMED.format(module)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(process.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    n_rounds = parser.parse_args().rounds
    reward = [seconds("ovr_plugin.reward") for _ in range(n_rounds)]
    pairs = [
        (
            seconds("verl", VERL_USE_EXTERNAL_PLUGINS="none"),
            seconds("verl"),
            seconds("verl", OVR_RECIPE="ppo_tiny", VERL_PLATFORM="cpu"),
        )
        for _ in range(n_rounds)
    ]
    without, with_plugin, asked = (median(column) for column in zip(*pairs, strict=True))
    print(f"import ovr_plugin.reward: {median(reward):.3f} s (median of {n_rounds})")
    print(f"import verl: {without:.2f} s without the plugin, {with_plugin:.2f} s with it, ", end="")
    print(f"{asked:.2f} s in a run of ppo_tiny")
    added = median(b - a for a, b, _ in pairs), median(c - a for a, _, c in pairs)
    print(
        f"added (median of differences): {added[0]:+.3f} s; in a run of ppo_tiny {added[1]:+.3f} s"
    )


if __name__ == "__main__":
    main()
