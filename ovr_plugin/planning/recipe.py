"""A recipe composed as veRL would compose it, and the settings that memory depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from ovr_plugin.planning.batches import MiniBatches, mini_batches_of

Settings = TypeVar("Settings")
N_BYTES = {
    **dict.fromkeys(("fp32", "float32", 32, "32"), 4),
    **dict.fromkeys(("bf16", "bfloat16", "fp16", "float16", "half", 16, "16"), 2),
}


@dataclass(frozen=True)
class Role:
    """A model as FSDP trains it.

    Attributes:
        name: policy, critic or cold start.
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
        weight_bytes: of one weight, its gradient and each moment (``model_dtype``).
        reduce_bytes: of one gradient that is not reduced yet (``mixed_precision``).
        shards_on_cpu: whether all shards stay in the CPU's memory (``offload_policy`` of FSDP2).
        whole_gradients: whether gradients are reduced after the last micro-batch only, and held
            whole until then (``use_no_sync_for_gradient_accumulation``).
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
    weight_bytes: int = 4
    reduce_bytes: int = 4
    shards_on_cpu: bool = False
    whole_gradients: bool = False


@dataclass(frozen=True)
class ColdStartSettings:
    """What a plan reads of a composed recipe of the cold start; lengths in tokens."""

    model: str
    n_nodes: int
    gpus_per_node: int
    n_packs: int
    pack_length: int
    role: Role


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


def is_cold_start(recipe: str) -> bool:
    """Whether a recipe is one of veRL's SFT trainer, by its name."""
    return recipe.startswith("sft")


def compose_recipe(recipe: str, overrides: Sequence[str] = ()) -> RecipeSettings:
    """Compose ``+ovr=recipe`` of PPO with overrides of the command line.

    Raises:
        ValueError: the recipe or an override does not exist, which Hydra tells; or the recipe is
            none of PPO, or its length schedule is wrong.
    """
    return _compose("ppo_trainer", recipe, overrides, _settings)


def compose_cold_start(recipe: str, overrides: Sequence[str] = ()) -> ColdStartSettings:
    """Compose ``+ovr=recipe`` of the cold start, likewise.

    Raises:
        ValueError: the recipe or an override does not exist, which Hydra tells.
    """
    return _compose("sft_trainer_engine", recipe, overrides, _cold_start_settings)


def _compose(
    trainer: str, recipe: str, overrides: Sequence[str], settings: Callable[[Any], Settings]
) -> Settings:
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
            config = compose(trainer, overrides=[f"+ovr={recipe}", *overrides])
        return settings(config)
    except (HydraException, OmegaConfBaseException) as error:
        message = str(error).splitlines()[0]
        if f"ovr/{recipe}" in message:
            message = f"there is no recipe {recipe}; there are {_recipes()}"
        raise ValueError(message) from error


def _recipes() -> str:
    """Ours; a user's own may lie elsewhere on Hydra's search path."""
    folder = Path(__file__).parents[1] / "config" / "ovr"
    return ", ".join(sorted(path.stem for path in folder.glob("[!_]*.yaml")))


def _cold_start_settings(config: Any) -> ColdStartSettings:
    key = "engine.ulysses_sequence_parallel_size"
    sequence_ranks = _count(config, key)
    pack_length = _count(config, "data.max_length")
    if config.data.use_dynamic_bsz:
        budget = _count(config, "data.max_token_len_per_gpu")
    else:
        budget = -(-_count(config, "data.micro_batch_size_per_gpu") * pack_length // sequence_ranks)
    n_packs = _count(config, "data.train_batch_size")
    batches = MiniBatches("data.train_batch_size", n_packs, key, sequence_ranks)
    fused = bool(config.model.get("use_fused_kernels"))
    return ColdStartSettings(
        model=str(config.model.path),
        n_nodes=_count(config, "trainer.nnodes"),
        gpus_per_node=_count(config, "trainer.n_gpus_per_node"),
        n_packs=n_packs,
        pack_length=pack_length,
        role=_role("cold start", "engine", config, budget, batches, True, fused),
    )


def _settings(config: Any) -> RecipeSettings:
    from ovr_plugin.trainer.length_schedule import schedule_of, stages_of

    rollout = config.actor_rollout_ref.rollout
    prompt_length = _count(config, "data.max_prompt_length")
    longest = prompt_length + _count(config, "data.max_response_length")
    n_prompts = _count(config, "data.train_batch_size")
    for role in ("actor_rollout_ref.actor", "critic"):
        _count(config, f"{role}.ppo_mini_batch_size")
    share = rollout.gpu_memory_utilization
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(
            f"actor_rollout_ref.rollout.gpu_memory_utilization={share} is no share from 0 to 1"
        )
    schedule_of(config)  # refuses ovr.length_plateau too
    policy_batches, critic_batches = mini_batches_of(config)
    fused = bool(config.actor_rollout_ref.model.get("use_fused_kernels"))
    return RecipeSettings(
        model=str(config.actor_rollout_ref.model.path),
        n_nodes=_count(config, "trainer.nnodes"),
        gpus_per_node=_count(config, "trainer.n_gpus_per_node"),
        prompt_length=prompt_length,
        stages=stages_of(config),
        max_model_len=int(rollout.max_model_len or 0) or longest,
        n_prompts=n_prompts,
        n_samples=_count(config, "actor_rollout_ref.rollout.n"),
        kv_share=float(share),
        tensor_parallel=_count(config, "actor_rollout_ref.rollout.tensor_model_parallel_size"),
        roles=(
            _role(
                "policy",
                "actor_rollout_ref.actor.fsdp_config",
                config,
                _count(config, "actor_rollout_ref.actor.ppo_max_token_len_per_gpu"),
                policy_batches,
                True,
                fused,
            ),
            _role(
                "critic",
                "critic.fsdp",
                config,
                _count(config, "critic.ppo_infer_max_token_len_per_gpu"),
                critic_batches,
                False,
                True,
            ),
        ),
    )


def _role(
    name: str,
    prefix: str,
    config: Any,
    budget: int,
    mini_batches: MiniBatches,
    has_logits: bool,
    chunked: bool,
) -> Role:
    engine = OmegaConf.select(config, prefix)
    if engine.strategy not in ("fsdp", "fsdp2"):
        raise ValueError(f"{prefix}.strategy={engine.strategy}: a plan knows fsdp and fsdp2 only")
    split_among = engine.get("fsdp_size", -1)
    precision = engine.get("mixed_precision") or {}
    return Role(
        name=name,
        prefix=prefix,
        tokens_per_gpu=budget,
        sequence_ranks=_count(config, f"{prefix}.ulysses_sequence_parallel_size"),
        shard_ranks=-1 if split_among == -1 else _count(config, f"{prefix}.fsdp_size"),
        mini_batches=mini_batches,
        param_offload=bool(engine.param_offload),
        optimizer_offload=bool(engine.optimizer_offload),
        frozen_tower=bool(engine.get("freeze_vision_tower", False)),
        has_logits=has_logits,
        chunked_logits=chunked,
        weight_bytes=_n_bytes(f"{prefix}.model_dtype", engine.get("model_dtype") or "fp32"),
        reduce_bytes=_n_bytes(
            f"{prefix}.mixed_precision.reduce_dtype", precision.get("reduce_dtype", "fp32")
        ),
        shards_on_cpu=engine.strategy == "fsdp2" and bool(engine.get("offload_policy")),
        # Not in the YAML, the dataclass of the engine would have it true.
        whole_gradients=bool(engine.get("use_no_sync_for_gradient_accumulation", True)),
    )


def _count(config: Any, key: str) -> int:
    """A whole number of something of which there must be one at least."""
    value = OmegaConf.select(config, key)
    if type(value) is not int or value < 1:
        raise ValueError(f"{key}={'null' if value is None else value} must be 1 or more")
    return value


def _n_bytes(key: str, dtype: Any) -> int:
    """Of one element, by veRL's names of types (``PrecisionType`` in utils/torch_dtypes.py)."""
    if dtype not in N_BYTES:
        raise ValueError(f"{key}={dtype} is no type of veRL's: {', '.join(map(str, N_BYTES))}")
    return N_BYTES[dtype]
