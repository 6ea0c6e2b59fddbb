"""What veRL makes of this machine, found out in a process of its own, with a time limit.

``python -m ovr_plugin.cli.probe +ovr=ppo_tiny`` behaves as a run with that recipe would up to its
first step: it imports torch, then veRL, and lets veRL choose the platform. Each finding is printed
at once, so that a crash keeps what was found before it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

MARK = "OVR_PROBE "  # veRL and its libraries print to stdout as well


@dataclass(frozen=True)
class Probe:
    """Findings of the process in their order; what it did not come to is left empty.

    ``gpus`` are the names that torch sees (None: torch could not be asked), ``platform`` is the
    class veRL chose, ``error`` is the cause if the process failed.
    """

    gpus: tuple[str, ...] | None = None
    registered: bool = False
    recipes: tuple[str, ...] = ()
    platform: str = ""
    error: str = ""


def run_probe(timeout_s: float) -> Probe:
    """Run the probe with this interpreter and environment."""
    command = [sys.executable, "-m", "ovr_plugin.cli.probe", "+ovr=ppo_tiny"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)  # noqa: S603
        out, error = done.stdout, _cause(done.stderr) if done.returncode else ""
    except subprocess.TimeoutExpired as expired:
        out = expired.stdout.decode() if isinstance(expired.stdout, bytes) else ""
        error = f"import verl took more than {timeout_s:g} s (the limit is --timeout)"
    found: dict[str, Any] = {}
    for line in out.splitlines():
        if line.startswith(MARK):
            found |= json.loads(line.removeprefix(MARK))
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    return Probe(**{**found, **lists, "error": error})


def _cause(stderr: str) -> str:
    """Return what the registration gave as cause, else the last line of the traceback."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    causes = [line.removeprefix("Cause: ") for line in lines if line.startswith("Cause: ")]
    return (causes or lines or ["the process ended without a word"])[-1]


def main() -> None:
    """Find out and print, one line of JSON after another."""
    import torch

    _print(gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())])
    import verl  # noqa: F401 (loading it is the probe)

    # Not imported here: the question is whether veRL did.
    registration = sys.modules.get("ovr_plugin.registration")
    _print(registered=bool(getattr(registration, "_done", False)))
    _print(recipes=_recipes())
    from verl.plugin.platform import get_platform

    _print(platform=type(get_platform()).__name__)


def _recipes() -> list[str]:
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_module("verl.trainer.config", version_base=None):
        return GlobalHydra.instance().config_loader().get_group_options("ovr")


def _print(**found: object) -> None:
    print(MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
