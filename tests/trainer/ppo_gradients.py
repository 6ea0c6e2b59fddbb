"""Run by torchrun on one rank: the gradients of veRL's PPO losses under the recipe's settings.

usage: ppo_gradients.py MODEL CRITIC_MODEL ROWS.pt OUT.pt

ROWS holds for every response its tokens and what the losses need; see `test_ppo_math.rows`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
import verl  # noqa: F401 (loads the plugin)
from engine_ranks import batch, build_engine
from hydra import compose, initialize_config_module
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.distributed import initialize_global_process_group
from verl.workers.utils.losses import ppo_loss, value_loss


def main(model: str, critic: str, rows_path: str, out: str) -> None:
    initialize_global_process_group()
    rows = torch.load(rows_path, weights_only=True)
    with initialize_config_module("verl.trainer.config", version_base=None):
        overrides = ["+ovr=ppo_tiny", f"actor_rollout_ref.model.path={model}"]
        config = compose("ppo_trainer", overrides=[*overrides, f"critic.model.path={critic}"])
    actor_config = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    critic_config = omega_conf_to_dataclass(config.critic)
    found = {
        "policy": gradients(model, "language_model", partial(ppo_loss, actor_config), rows),
        "critic": gradients(critic, "value_model", partial(value_loss, critic_config), rows),
    }
    torch.save(found, out)
    torch.distributed.destroy_process_group()


def gradients(path: str, model_type: str, loss: Any, rows: list[dict[str, Any]]) -> Any:
    """(loss of the batch, name -> gradient before clipping), one row a micro-batch."""
    engine = build_engine(path, model_type, {})
    losses: list[float] = []

    def recorded(model_output: dict, data: Any, dp_group: Any = None) -> Any:
        value, _ = loss(model_output=model_output, data=data, dp_group=dp_group)
        losses.append(float(value))
        return value, {}

    with engine.train_mode():
        engine.optimizer_zero_grad()
        engine.forward_backward_batch(batch(rows), recorded, forward_only=False)
        found = {
            name: weight.grad.full_tensor().clone()
            for name, weight in engine.module.named_parameters()
        }
    return sum(losses), found


if __name__ == "__main__":
    main(*sys.argv[1:])
