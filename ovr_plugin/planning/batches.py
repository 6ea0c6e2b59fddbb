"""Whether an iteration's responses divide into the optimizer steps that the recipe asks for.

veRL 0.9.1 refuses none that do not: it fills the batch with padding rows up to the next common
multiple of both mini-batches and the data-parallel groups (``_get_required_batch_multiple`` in
verl/trainer/ppo/v1/trainer_base.py), and what should have been one step of the policy becomes
several: three on three nodes of eight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MiniBatches:
    """Of the policy or the critic.

    Attributes:
        key: of the mini-batch's size.
        n_prompts: that size, which veRL counts in prompts.
        sequence_key: of ``sequence_ranks``.
        sequence_ranks: GPUs that share a sequence (Ulysses).
    """

    key: str
    n_prompts: int
    sequence_key: str
    sequence_ranks: int


def mini_batches_of(config: Any) -> list[MiniBatches]:
    """Read both roles of a trainer's config."""
    found = []
    for prefix, role, name in (
        ("actor_rollout_ref.actor", config.actor_rollout_ref.actor, "fsdp_config"),
        ("critic", config.critic, "fsdp"),
    ):
        sequence_key = f"{prefix}.{name}.ulysses_sequence_parallel_size"
        n_ranks = int(role[name].get("ulysses_sequence_parallel_size") or 1)
        size = int(role.ppo_mini_batch_size)
        found.append(MiniBatches(f"{prefix}.ppo_mini_batch_size", size, sequence_key, n_ranks))
    return found


def batch_problems(
    n_prompts: int, n_samples: int, n_gpus: int, roles: Sequence[MiniBatches]
) -> list[str]:
    """Return what would not divide; empty if every optimizer step has its share of responses.

    Args:
        n_prompts: of an iteration.
        n_samples: of a prompt.
        n_gpus: of the whole cluster.
        roles: the policy's mini-batches and the critic's.
    """
    wrong = []
    for role in roles:
        if role.n_prompts < 1 or n_prompts % role.n_prompts:
            wrong.append(f"{role.key}={role.n_prompts} does not divide {n_prompts} prompts")
        if n_gpus % role.sequence_ranks:
            wrong.append(f"{role.sequence_key}={role.sequence_ranks} does not divide {n_gpus} GPUs")
            continue
        n_groups = n_gpus // role.sequence_ranks
        if role.n_prompts * n_samples % n_groups:
            wrong.append(
                f"a mini-batch of {role.n_prompts} x {n_samples} responses ({role.key}) does not "
                f"divide among {n_groups} groups of {role.sequence_ranks} GPUs"
            )
    return wrong


def check_batches(config: Any) -> None:
    """Check a trainer's config.

    Raises:
        ValueError: naming all that does not divide.
    """
    n_gpus = int(config.trainer.nnodes) * int(config.trainer.n_gpus_per_node)
    n_prompts, n_samples = (
        int(config.data.train_batch_size),
        int(config.actor_rollout_ref.rollout.n),
    )
    if wrong := batch_problems(n_prompts, n_samples, n_gpus, mini_batches_of(config)):
        raise ValueError(
            f"{'; '.join(wrong)}: veRL would fill up with padding and take more optimizer steps "
            "than asked for. Change these sizes, or the number of GPUs"
        )
