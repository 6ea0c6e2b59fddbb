"""Every shipped recipe, composed against its own trainer and put through veRL's own checks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import ovr_plugin.config

FOLDER = Path(ovr_plugin.config.__file__).parent / "ovr"
RECIPES = sorted(path.stem for path in FOLDER.rglob("*.yaml") if not path.stem.startswith("_"))
PPO = [name for name in RECIPES if name.startswith("ppo")]
SFT = [name for name in RECIPES if name.startswith("sft")]
OF_ORZ = "ppo_7b_orz"  # ORZ's own numbers
PAPERS = [name for name in PPO if name != OF_ORZ]


# Keys that veRL's YAML files lack: read by us, by a dataclass of veRL's, or by Ray and vLLM.
OURS = (
    "ovr.",
    "data.bad_rows",
    "data.check_images",
    "data.max_broken_rows",
    "data.max_pixels",
    "data.min_pixels",
    "data.mix",
    "actor_rollout_ref.model.override_config.attn_implementation",
    "actor_rollout_ref.actor.fsdp_config.freeze_vision_tower",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision.",
    "actor_rollout_ref.actor.optim.override_optimizer_config.",
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class",
    "actor_rollout_ref.rollout.enable_sleep_mode",
    "actor_rollout_ref.rollout.engine_kwargs.vllm.",
    "critic.fsdp.mixed_precision.",
    "critic.fsdp.value_head_init",
    "critic.fsdp.value_head_bound",
    "critic.model.override_config",
    "critic.optim.override_optimizer_config.",
    "critic.ppo_infer_max_token_len_per_gpu",
    "engine.freeze_vision_tower",
    "engine.mixed_precision.",
    "optim.override_optimizer_config.",
    "model.override_config.attn_implementation",
    "ray_kwargs.ray_init.",
)


def composed(recipe: str, *overrides: str):
    import verl  # noqa: F401 (loads the plugin)

    trainer = "ppo_trainer" if recipe in PPO else "sft_trainer_engine"
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(trainer, overrides=[f"+ovr={recipe}", *overrides])


def ppo(recipe: str, model: Path, *overrides: str):
    files = ("data.train_files=t.parquet", "data.val_files=v.parquet")
    return composed(recipe, f"actor_rollout_ref.model.path={model}", *files, *overrides)


def test_every_recipe_belongs_to_a_trainer():
    assert sorted(PPO + SFT) == RECIPES
    assert {"ppo_7b", "ppo_tiny", "sft_7b", "sft_tiny"} <= set(RECIPES)


@pytest.mark.parametrize("recipe", PPO)
def test_ppo_recipe_passes_verls_validation_and_dataclasses(recipe, tiny_model_dir):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = ppo(recipe, tiny_model_dir)
    assert need_critic(config)
    assert not need_reference_policy(config)
    validate_config(config, use_reference_policy=False, use_critic=True)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    critic = omega_conf_to_dataclass(config.critic)
    omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    omega_conf_to_dataclass(config.algorithm)
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    assert model.processor is not None
    assert type(actor.engine).__name__ == type(critic.engine).__name__ == "OVREngineConfig"


@pytest.mark.parametrize("recipe", SFT)
def test_sft_recipe_passes_verls_dataclasses(recipe, tiny_model_dir):
    from verl.utils.config import omega_conf_to_dataclass

    config = composed(recipe, f"model.path={tiny_model_dir}", "data.train_files=t.parquet")
    OmegaConf.to_container(config, resolve=True)
    engine = omega_conf_to_dataclass(config.engine)
    omega_conf_to_dataclass(config.optim)
    omega_conf_to_dataclass(config.checkpoint)
    omega_conf_to_dataclass(config.model)
    assert engine.freeze_vision_tower is True


@pytest.mark.parametrize("recipe", PAPERS)
def test_what_the_paper_says_of_ppo_reaches_what_verl_reads(recipe, tiny_model_dir):
    """OVR 3.2, 4.1, B, read off the objects that veRL's trainer and engines use."""
    from verl.utils.config import omega_conf_to_dataclass

    config = ppo(recipe, tiny_model_dir)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    critic = omega_conf_to_dataclass(config.critic)
    rollout = config.actor_rollout_ref.rollout
    assert (config.algorithm.adv_estimator, config.algorithm.gamma, config.algorithm.lam) == (
        "gae",
        1.0,
        1.0,
    )
    assert (config.algorithm.use_kl_in_reward, actor.use_kl_loss, actor.entropy_coeff) == (
        False,
        False,
        0,
    )
    assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.2)
    assert (rollout.temperature, rollout.top_p, rollout.top_k) == (1.0, 1.0, -1)
    # Both mini-batches count prompts: one policy step and four critic steps an iteration.
    batch = config.data.train_batch_size
    assert batch / actor.ppo_mini_batch_size * actor.ppo_epochs == 1
    assert batch / critic.ppo_mini_batch_size * critic.ppo_epochs == 4
    assert critic.shuffle is True
    assert critic.cliprange_value == float("inf")
    assert actor.loss_agg_mode == critic.loss_agg_mode == "token-mean"
    for optim in (actor.optim, critic.optim):
        assert list(optim.betas) == [0.9, 0.95]
        assert optim.weight_decay == 0.0
        assert optim.lr_scheduler_type == "constant"
    assert config.critic.model.path == config.actor_rollout_ref.model.path


def test_sizes_of_the_7b_run(tiny_model_dir):
    from verl.utils.config import omega_conf_to_dataclass

    config = ppo("ppo_7b", tiny_model_dir)
    assert (config.data.train_batch_size, config.actor_rollout_ref.rollout.n) == (512, 16)
    assert config.trainer.total_training_steps == 900
    assert OmegaConf.to_container(config.ovr.length_schedule) == [
        [1, 24576],
        [301, 32768],
        [701, 49152],
    ]
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    critic = omega_conf_to_dataclass(config.critic)
    assert (actor.optim.lr, critic.optim.lr) == (1e-6, 5e-6)
    assert (actor.optim.lr_warmup_steps, critic.optim.lr_warmup_steps) == (50, 50)


NAMES = {"trainer.experiment_name", "ray_kwargs.ray_init.runtime_env.env_vars.OVR_RECIPE"}
DIFFERENCES = {
    OF_ORZ: {
        "data.train_batch_size": 128,
        "data.max_response_length": 8000,
        "actor_rollout_ref.rollout.n": 64,
        "actor_rollout_ref.rollout.max_model_len": 10048,
        "critic.ppo_mini_batch_size": 16,
        "critic.cliprange_value": 0.2,
        "critic.fsdp.value_head_init": "orz_normal",
        "trainer.total_training_steps": None,
        "trainer.total_epochs": 20,
        "trainer.save_freq": 50,
        "trainer.test_freq": 10,
        "ovr.length_schedule": None,
        "ovr.stop_strings": ["User:", "Human:", "Assistant:", "</answer>"],
    },
    "ppo_7b_perception": {
        "data.max_prompt_length": 4096,
        "data.max_pixels": 2007040,
        "data.max_response_length": 8192,
        "actor_rollout_ref.rollout.max_model_len": 12288,
        "ovr.length_schedule": None,
    },
    "ppo_8b_qwen3vl": {"data.max_pixels": 1280 * 32 * 32},
    "ppo_3b": {
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": 26624,
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size": 2,
        "critic.ppo_infer_max_token_len_per_gpu": 26624,
        "critic.fsdp.ulysses_sequence_parallel_size": 2,
    },
}


def test_every_variant_of_the_7b_run_is_known():
    assert set(DIFFERENCES) | {"ppo_7b", "ppo_tiny"} == set(PPO)


@pytest.mark.parametrize("recipe", DIFFERENCES)
def test_a_variant_differs_from_the_7b_run_in_this_alone(recipe):
    # As written: what veRL derives from others by interpolation is not the recipe's own.
    base, variant = (_leaves(composed(name)) for name in ("ppo_7b", recipe))
    assert base.keys() == variant.keys()
    differing = {key: value for key, value in variant.items() if base[key] != value}
    assert {key for key in NAMES if differing.pop(key) == recipe} == NAMES
    assert differing == DIFFERENCES[recipe]


@pytest.mark.parametrize("recipe", PPO)
def test_every_length_fits_the_engine_and_a_micro_batch(recipe, tiny_model_dir):
    from verl.utils.config import omega_conf_to_dataclass

    from ovr_plugin.trainer.agent_loop import stop_strings_of
    from ovr_plugin.trainer.checkpoint_callback import OVRCheckpointCallback
    from ovr_plugin.trainer.length_schedule import schedule_of, validation_limit

    config = ppo(recipe, tiny_model_dir)
    longest = config.data.max_prompt_length + config.data.max_response_length
    assert schedule_of(config).limit_at(10**6) == config.data.max_response_length
    assert validation_limit(config) == config.data.max_response_length
    assert longest <= config.actor_rollout_ref.rollout.max_model_len
    stop_strings_of(config)
    OVRCheckpointCallback(config)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    critic = omega_conf_to_dataclass(config.critic)
    # veRL asserts that a micro-batch's budget, over the sequence-parallel ranks, holds one sample.
    for budget, engine in (
        (actor.ppo_max_token_len_per_gpu, actor.engine),
        (critic.ppo_infer_max_token_len_per_gpu, critic.engine),
    ):
        assert longest <= budget * engine.ulysses_sequence_parallel_size


def test_the_7b_run_keeps_what_its_average_needs(tiny_model_dir):
    from ovr_plugin.trainer.checkpoint_callback import OVRCheckpointCallback

    config = ppo("ppo_7b", tiny_model_dir)
    kept = OVRCheckpointCallback(config).retention
    assert [step for step in range(1, 901) if kept.keeps_weights(step)] == list(range(50, 901, 50))


def test_the_plateau_is_one_setting_away(tiny_model_dir):
    from ovr_plugin.trainer.length_schedule import schedule_of

    config = ppo("ppo_7b", tiny_model_dir, "ovr.length_plateau={window:3,min_growth:0.05}")
    schedule = schedule_of(config)
    assert (schedule.lengths, schedule.window) == ([24576, 32768, 49152], 3)


def test_sizes_of_the_7b_cold_start():
    config = composed("sft_7b")
    assert (config.data.train_batch_size, config.data.max_length) == (640, 65536)
    assert config.trainer.total_epochs == 5
    assert config.optim.lr == 2e-4
    assert config.data.custom_cls.name == "OVRPackedDataset"
    assert config.model.use_remove_padding  # or attention would cross the samples of a pack
    budget = config.data.max_token_len_per_gpu * config.engine.ulysses_sequence_parallel_size
    assert budget >= config.data.max_length


def test_the_command_line_wins_in_any_order(tiny_model_dir):
    import verl  # noqa: F401 (loads the plugin)

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(
            "ppo_trainer",
            overrides=["algorithm.lam=0.95", "+ovr=ppo_7b", "ovr.length_schedule=null"],
        )
    assert config.algorithm.lam == 0.95
    assert config.ovr.length_schedule is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_set_that_verl_does_not_know(recipe):
    """A misspelt key would be read by nobody; new keys are the few that are ours."""
    trainer = "ppo_trainer" if recipe in PPO else "sft_trainer_engine"
    with initialize_config_module("verl.trainer.config", version_base=None):
        stock = _leaves(compose(trainer))
        recipe_keys = set(_leaves(compose(trainer, overrides=[f"+ovr={recipe}"])))
    assert {key for key in recipe_keys - set(stock) if not key.startswith(OURS)} == set()


def _leaves(config, prefix: str = "") -> dict[str, object]:
    leaves = {}
    for key, value in OmegaConf.to_container(config, resolve=False).items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            leaves |= _leaves(OmegaConf.create(value), f"{name}.")
        else:
            leaves[name] = value
    return leaves
