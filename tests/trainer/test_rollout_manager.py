"""Which limit travels with a batch: the trainer's real manager, without the workers behind it."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils import tensordict_utils as tu

from ovr_plugin.trainer.agent_loop import MAX_TOKENS
from ovr_plugin.trainer.rollout_manager import OVRAgentLoopManager

SCHEDULE = [[1, 24], [3, 48], [5, 64]]


@pytest.fixture
def make(monkeypatch):
    """A manager, and the limits of what it dispatched."""

    def make(**ovr):
        config = OmegaConf.create(
            {"data": {"max_response_length": 64, "max_prompt_length": 8}, "ovr": ovr}
        )
        limits = []
        monkeypatch.setattr(AgentLoopManagerTQ, "__init__", lambda self, *_: None)
        monkeypatch.setattr(
            AgentLoopManagerTQ,
            "generate_sequences",
            lambda self, prompts: limits.append(prompts[MAX_TOKENS]),
        )
        return OVRAgentLoopManager(config), limits

    return make


def batch(iteration: int, validate: bool = False) -> TensorDict:
    """As veRL's trainer makes it (trainer_base.py, _next_train_batch and _validate)."""
    made = tu.get_tensordict({"uid": ["a", "b"]})
    tu.assign_non_tensor_data(made, "global_steps", iteration)
    if validate:
        tu.assign_non_tensor_data(made, "validate", True)
    return made


def test_the_limit_is_that_of_the_iteration_also_right_after_a_resume(make):
    expected = {1: 24, 2: 24, 3: 48, 4: 48, 5: 64, 6: 64}
    for first in expected:  # a run that was resumed and begins there
        manager, limits = make(length_schedule=SCHEDULE)
        for iteration in range(first, 7):
            manager.generate_sequences(batch(iteration))
        assert limits == [expected[iteration] for iteration in range(first, 7)]


def test_validation_is_not_bound_to_the_stage(make):
    manager, limits = make(length_schedule=SCHEDULE)
    manager.generate_sequences(batch(1, validate=True))
    manager.generate_sequences(batch(1))
    assert limits == [64, 24]
    manager, limits = make(length_schedule=SCHEDULE, validation_response_length=32)
    manager.generate_sequences(batch(6, validate=True))
    manager.generate_sequences(batch(6))
    assert limits == [32, 64]


def test_without_a_schedule_the_longest_length_holds(make):
    manager, limits = make()
    manager.generate_sequences(batch(7))
    assert limits == [64]
