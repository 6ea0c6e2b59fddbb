"""Open R1: its ``accuracy`` reward, graded here.

Start its GRPO script through this module::

    accelerate launch -m ovr_plugin.adapters.open_r1 --config recipes/.../config_demo.yaml

with ``accuracy`` among the recipe's ``reward_funcs``. That puts `accuracy_reward` in the place of
``open_r1.rewards.accuracy_reward`` and runs ``open_r1.grpo``; a script of your own does the same
before it imports ``open_r1.grpo``.

Open R1 trains with TRL, so `accuracy_reward` is `ovr_plugin.adapters.trl.CorrectnessReward`: the
reference is in the column ``solution``, or better in ``answer`` where a set has both.
"""

from __future__ import annotations

import runpy
from typing import Any

from ovr_plugin.adapters.trl import CorrectnessReward

accuracy_reward = CorrectnessReward(name="accuracy_reward")


def install(reward: CorrectnessReward = accuracy_reward) -> Any:
    """Put ``reward`` in the place of Open R1's ``accuracy``; returns the module ``rewards``.

    Raises:
        ImportError: if Open R1 is not installed.
    """
    import open_r1.rewards

    open_r1.rewards.accuracy_reward = reward
    return open_r1.rewards


if __name__ == "__main__":
    install()
    runpy.run_module("open_r1.grpo", run_name="__main__", alter_sys=True)
