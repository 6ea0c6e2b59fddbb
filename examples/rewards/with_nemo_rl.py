"""Score toy responses as NeMo-RL does, whose name on the registry is a placeholder.

usage: python examples/rewards/with_nemo_rl.py

Made up here: the few names of NeMo-RL that the adapter imports. Real: the environment is registered
and found by its name as a class of Ray actors, as NeMo-RL finds it. The calls then go to the
environment itself, without Ray's processes. Prints the scores as JSON.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any, NamedTuple

import torch
from hydra.utils import get_object
from toy_rows import TOY_ROWS

from ovr_plugin.adapters import nemo_rl


class EnvironmentReturn(NamedTuple):
    """The fields of ``nemo_rl.environments.interfaces.EnvironmentReturn``."""

    observations: list
    metadata: list
    next_stop_strings: list
    rewards: Any
    terminateds: Any
    answers: list | None = None


def make_nemo_rl(registry: dict[str, str], actors: dict[str, str]) -> None:
    """Put stand-ins where the adapter imports from."""
    attributes = {
        "nemo_rl": {},
        "nemo_rl.distributed": {},
        "nemo_rl.distributed.ray_actor_environment_registry": {
            "ACTOR_ENVIRONMENT_REGISTRY": actors
        },
        "nemo_rl.distributed.virtual_cluster": {
            "PY_EXECUTABLES": type("PY_EXECUTABLES", (), {"SYSTEM": sys.executable})
        },
        "nemo_rl.environments": {},
        "nemo_rl.environments.interfaces": {"EnvironmentReturn": EnvironmentReturn},
        "nemo_rl.environments.utils": {"register_env": registry.__setitem__},
    }
    for name, values in attributes.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(values)


def main() -> None:
    """Score and print."""
    registry: dict[str, str] = {}
    actors: dict[str, str] = {}
    make_nemo_rl(registry, actors)
    nemo_rl.register("ovr")
    actor_class = get_object(registry["ovr"])

    environment = nemo_rl.OVREnvironment({"num_workers": 1, "answer_tags": True})
    conversations = [
        [{"role": "user", "content": "?"}, {"role": "assistant", "content": row.response}]
        for row in TOY_ROWS
    ]
    metadata = [{"ground_truth": row.answer, **row.facts} for row in TOY_ROWS]
    returned = environment.step(conversations, metadata, return_extracted_answer=True)
    ended = torch.tensor([0.0 if row.cut_off else 1.0 for row in TOY_ROWS])
    batch, metrics = environment.global_post_process_and_metrics(
        {"rewards": returned.rewards, "is_end": ended}
    )
    print(
        json.dumps(
            {
                "actor": [registry["ovr"] in actors, hasattr(actor_class, "remote")],
                "scores": batch["rewards"].tolist(),
                "answers": returned.answers,
                "metrics": metrics,
            }
        )
    )


if __name__ == "__main__":
    main()
