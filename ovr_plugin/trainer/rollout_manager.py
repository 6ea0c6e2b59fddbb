"""veRL's agent-loop manager that also tells each response the length limit in force.

It runs in the trainer's process, where the iteration and "this is validation" are both known; the
limit travels with the batch to the agent loop (``agent_loop.py``). The trainer shares its schedule
with it, so that a stage that begins when the length plateaus is known to both.
"""

from __future__ import annotations

import logging
from typing import Any

import ray
from tensordict import NonTensorData, TensorDict
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from ovr_plugin.trainer.agent_loop import MAX_TOKENS
from ovr_plugin.trainer.length_schedule import schedule_of, validation_limit
from ovr_plugin.trainer.rollout_worker import OVRAgentLoopWorker

logger = logging.getLogger(__name__)


class OVRAgentLoopManager(AgentLoopManagerTQ):
    """Select with ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        self.length_schedule = schedule_of(config)
        self.validation_limit = validation_limit(config)
        self._limit: int | None = None
        super().__init__(config, *args, **kwargs)
        self.agent_loop_workers_class = ray.remote(OVRAgentLoopWorker)

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Dispatch a batch; ``prompts`` carries the non-tensor ``global_steps``."""
        if _is_validation(prompts):
            limit = self.validation_limit
        else:
            iteration = int(prompts["global_steps"])
            limit = self.length_schedule.limit_at(iteration)
            if limit != self._limit:
                logger.warning("iteration %s: responses of up to %s tokens", iteration, limit)
                self._limit = limit
        prompts[MAX_TOKENS] = NonTensorData(limit)
        super().generate_sequences(prompts)


def _is_validation(prompts: TensorDict) -> bool:
    return bool(prompts["validate"]) if "validate" in prompts else False
