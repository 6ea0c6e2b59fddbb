"""What this process was asked for: command line and environment in, recipe and platform out.

A worker process has no command line of its own, so the driver's answer travels in the environment
(``OVR_RECIPE``, ``VERL_PLATFORM``): local Ray workers and vLLM's engine processes inherit it, and
the recipes put it into Ray's runtime environment for the other nodes.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Mapping, Sequence

RECIPE_VARIABLE = "OVR_RECIPE"
PLATFORM_VARIABLE = "VERL_PLATFORM"
FORK_SWITCH_VARIABLE = "OVR_FORK_SERVER"
RAY_HOOK_VARIABLE = "RAY_RUNTIME_ENV_HOOK"  # Ray's: the name of a function that ray.init calls
# Made for a machine without an accelerator; other recipes run there with VERL_PLATFORM=cpu.
CPU_RECIPES = ("ppo_tiny", "sft_tiny")
_OVERRIDE = re.compile(r"\+{1,2}ovr(?:@[\w.]*)?=(?P<names>.*)")


def asked_recipe(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return the recipe named by ``+ovr=NAME`` on the command line or by the driver, else ''."""
    argv = sys.argv if argv is None else argv
    env = os.environ if env is None else env
    for argument in argv[1:]:
        match = _OVERRIDE.fullmatch(argument)
        if match:
            return match["names"].strip("[]'\"")
    return env.get(RECIPE_VARIABLE, "")


def cpu_was_asked_for(
    argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None
) -> bool:
    """Return whether this process may fall back to the CPU platform.

    A machine without a GPU is not reason enough: the head node of a GPU cluster often has none, and
    veRL's driver there must stay on CUDA.
    """
    env = os.environ if env is None else env
    named = env.get(PLATFORM_VARIABLE, "").strip().lower()
    if named:
        return named == "cpu"
    recipes = asked_recipe(argv, env).split(",")
    return any(name.strip() in CPU_RECIPES for name in recipes)


def forked_workers_were_asked_for(
    argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None
) -> bool:
    """Return whether this process is the driver of a PPO run, and nobody said otherwise.

    ``argv`` is that of the interpreter, ``-m`` included.
    """
    argv = sys.orig_argv if argv is None else argv
    env = os.environ if env is None else env
    is_driver = ("-m", "verl.trainer.main_ppo") in itertools.pairwise(argv)
    return is_driver and env.get(FORK_SWITCH_VARIABLE) != "0" and RAY_HOOK_VARIABLE not in env
