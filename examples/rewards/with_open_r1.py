"""Score toy responses as Open R1's GRPO script does, which does not install from a registry.

usage: python examples/rewards/with_open_r1.py

Made up here: the package ``open_r1``, with a registry of reward functions that is built when its
script asks, as Open R1's is. The trainer that calls them is TRL's, see ``with_trl.py``. Prints the
scores as JSON. In a run it is
``accelerate launch -m ovr_plugin.adapters.open_r1 --config recipes/.../config_demo.yaml``.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType

from toy_rows import TOY_ROWS

from ovr_plugin.adapters.open_r1 import install


def make_open_r1() -> ModuleType:
    """A stand-in for ``open_r1.rewards``."""
    package, rewards = ModuleType("open_r1"), ModuleType("open_r1.rewards")
    rewards.accuracy_reward = lambda completions, solution, **_: [0.0 for _ in completions]
    rewards.get_reward_funcs = lambda names: [
        {"accuracy": rewards.accuracy_reward}[name] for name in names
    ]
    package.rewards = rewards
    sys.modules.update({"open_r1": package, "open_r1.rewards": rewards})
    return rewards


def main() -> None:
    """Score and print."""
    rewards = make_open_r1()
    install()
    [reward] = rewards.get_reward_funcs(["accuracy"])
    names = sorted({name for row in TOY_ROWS for name in row.facts})
    scores = reward(
        prompts=[[{"role": "user", "content": "?"}] for _ in TOY_ROWS],
        completions=[[{"role": "assistant", "content": row.response}] for row in TOY_ROWS],
        solution=[row.answer for row in TOY_ROWS],
        truncated=[row.cut_off for row in TOY_ROWS],
        **{name: [row.facts.get(name) for row in TOY_ROWS] for name in names},
    )
    print(json.dumps({"name": reward.__name__, "scores": scores}))


if __name__ == "__main__":
    main()
