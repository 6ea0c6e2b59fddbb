"""A recipe composed as veRL would compose it, and the settings that memory depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ovr_plugin.planning.batches import MiniBatches, mini_batches_of


@dataclass(frozen=True)
class Role:
    """The policy or the critic as FSDP trains it.

    Attributes:
        name: policy or critic.
        prefix: of its engine's keys in the configuration.
        tokens_per_gpu: budget of a micro-batch on one GPU.
        sequence_ranks: GPUs that share a sequence (Ulysses).
        shard_ranks: GPUs among which its weights are split (``fsdp_size``); -1: all.
        mini_batches: of its optimizer steps.
        param_offload: whether its weights leave the GPU while others work.
        optimizer_offload: whether its optimizer's state does.
        frozen_tower: whether the vision tower is not trained.
        has_logits: whether it makes logits over the vocabulary.
        chunked_logits: whether these are never held in one piece.
    """

    name: str
    prefix: str
    tokens_per_gpu: int
    sequence_ranks: int
    shard_ranks: int
    mini_batches: MiniBatches
    param_offload: bool
    optimizer_offload: bool
    frozen_tower: bool
    has_logits: bool
    chunked_logits: bool


@dataclass(frozen=True)
class RecipeSettings:
    """What a plan reads of a composed PPO recipe; lengths in tokens."""

    model: str
    n_nodes: int
    gpus_per_node: int
    prompt_length: int
    stages: tuple[tuple[int, int], ...]
    max_model_len: int
    n_prompts: int
    n_samples: int
    kv_share: float
    tensor_parallel: int
    roles: tuple[Role, ...]


def compose_recipe(recipe: str, overrides: Sequence[str] = ()) -> RecipeSettings:
    """Compose ``+ovr=recipe`` with overrides of the command line.

    Raises:
        ValueError: the recipe or an override does not exist, which Hydra tells; or the recipe is
            none of PPO, or its length schedule is wrong.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ovr_plugin.config.search_path import register_search_path

    register_search_path()
    verl = find_spec("verl")
    if verl is None or verl.origin is None:
        raise ValueError("verl is not installed, and a plan reads its defaults: see `ovr doctor`")
    folder = Path(verl.origin).parent / "trainer" / "config"
    try:
        with initialize_config_dir(str(folder), version_base=None):
            config = compose("ppo_trainer", overrides=[f"+ovr={recipe}", *overrides])
        if "ovr" not in config:
            raise ValueError(f"{recipe} is no PPO recipe; plans are of those: {_recipes()}")
        return _settings(config)
    except (HydraException, OmegaConfBaseException) as error:
        message = str(error).splitlines()[0]
        if f"ovr/{recipe}" in message:
            message = f"there is no recipe {recipe}; there are {_recipes()}"
        raise ValueError(message) from error


def _recipes() -> str:
    """Ours; a user's own may lie elsewhere on Hydra's search path."""
    folder = Path(__file__).parents[1] / "config" / "ovr"
    return ", ".join(sorted(path.stem for path in folder.glob("ppo_*.yaml")))


def _settings(config: Any) -> RecipeSettings:
    from ovr_plugin.trainer.length_schedule import stages_of

    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    critic = config.critic
    policy_batches, critic_batches = mini_batches_of(config)
    fused = bool(config.actor_rollout_ref.model.get("use_fused_kernels"))
    return RecipeSettings(
        model=str(config.actor_rollout_ref.model.path),
        n_nodes=int(config.trainer.nnodes),
        gpus_per_node=int(config.trainer.n_gpus_per_node),
        prompt_length=int(config.data.max_prompt_length),
        stages=stages_of(config),
        max_model_len=int(rollout.max_model_len or 0)
        or int(config.data.max_prompt_length + config.data.max_response_length),
        n_prompts=int(config.data.train_batch_size),
        n_samples=int(rollout.n),
        kv_share=float(rollout.gpu_memory_utilization),
        tensor_parallel=int(rollout.tensor_model_parallel_size),
        roles=(
            _role(
                "policy", "actor_rollout_ref.actor", actor.fsdp_config, actor, policy_batches, fused
            ),
            _role("critic", "critic", critic.fsdp, critic, critic_batches, True),
        ),
    )


def _role(
    name: str, prefix: str, engine: Any, config: Any, mini_batches: MiniBatches, chunked: bool
) -> Role:
    is_policy = name == "policy"
    budget = (
        config.ppo_max_token_len_per_gpu if is_policy else config.ppo_infer_max_token_len_per_gpu
    )
    return Role(
        name=name,
        prefix=f"{prefix}.{'fsdp_config' if is_policy else 'fsdp'}",
        tokens_per_gpu=int(budget),
        sequence_ranks=int(engine.ulysses_sequence_parallel_size),
        shard_ranks=int(engine.get("fsdp_size", -1)),
        mini_batches=mini_batches,
        param_offload=bool(engine.param_offload),
        optimizer_offload=bool(engine.optimizer_offload),
        frozen_tower=bool(engine.get("freeze_vision_tower", False)),
        has_logits=is_policy,
        chunked_logits=chunked,
    )
