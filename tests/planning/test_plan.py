"""Plans: exact terms, published sizes, and what is said when something does not fit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.planning.batches import batch_problems, check_batches
from ovr_plugin.planning.cold_start import plan_cold_start
from ovr_plugin.planning.memory import (
    GIB,
    cache_bytes,
    kv_bytes_per_token,
    make_plan,
    resident_terms,
)
from ovr_plugin.planning.models import model_sizes, n_elements, shard_elements
from ovr_plugin.planning.recipe import compose_cold_start, compose_recipe


@pytest.fixture(scope="module")
def sizes():
    return model_sizes("7b")


@pytest.fixture(scope="module")
def settings():
    return compose_recipe("ppo_7b")


@pytest.mark.parametrize(
    ("name", "n_parameters"),
    [  # "Total parameters" of the safetensors index of Qwen's releases
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656),
        ("qwen2.5-vl-3b", 3_754_622_976),
        ("qwen3-vl-2b", 2_127_532_032),
        ("Qwen/Qwen3-VL-4B-Thinking", 4_437_815_808),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
    ],
)
def test_sizes_are_those_of_the_published_models(name, n_parameters):
    found = model_sizes(name)
    assert n_elements(found.policy.values()) == n_parameters
    # The heads of the small ones are tied.
    head = found.vocabulary * found.hidden if re.search("[78]b", name.lower()) else 0
    assert n_elements(found.critic.values()) == n_parameters - head + found.hidden


@pytest.mark.parametrize("folder", ["tiny_model_dir", "tiny_qwen3_dir"])
def test_a_folder_gives_the_sizes_of_its_model(request, folder):
    from transformers import AutoModelForImageTextToText

    folder = request.getfixturevalue(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    found = model_sizes(str(folder))
    assert found.policy == {name: tuple(w.shape) for name, w in model.named_parameters()}


def test_heads_of_qwen3_are_wider_than_its_hidden_states_divided_by_them():
    four = model_sizes("qwen3-vl-4b")
    assert (four.title, four.hidden, four.heads, four.head_dim) == ("Qwen3-VL", 2560, 32, 128)
    assert kv_bytes_per_token(four) == 36 * 2 * 8 * 128 * 2
    assert model_sizes("32b").title == "Qwen2.5-VL"


def test_shards_are_whole_rows():
    assert shard_elements([(341, 4), (3,), ()], 2) == 171 * 4 + 2 + 1
    assert shard_elements([(341, 4)], 1) == 341 * 4


def test_keys_and_values_of_a_token(sizes):
    """28 layers, keys and values, 4 heads of 128, two bytes."""
    assert kv_bytes_per_token(sizes) == 28 * 2 * 4 * 128 * 2


def test_one_node_of_80_gb_needs_offloading_and_eight_do_not(settings, sizes):
    tight = make_plan(settings, sizes, 80 * 10**9)
    assert [problem.partition(":")[0] for problem in tight.problems] == ["rollout"]
    assert "critic.fsdp.optimizer_offload=true" in tight.problems[0]
    assert not make_plan(replace(settings, n_nodes=8), sizes, 80 * 10**9).problems
    offloaded = compose_recipe(
        "ppo_7b",
        [
            "actor_rollout_ref.actor.fsdp_config.optimizer_offload=true",
            "critic.fsdp.optimizer_offload=true",
        ],
    )
    fitting = make_plan(offloaded, sizes, 80 * 10**9)
    assert not fitting.problems
    saved = tight.phases[0].n_bytes - fitting.phases[0].n_bytes
    moments = 8 * (n_elements(sizes.policy.values()) + n_elements(sizes.critic.values())) / 8
    assert saved == pytest.approx(moments, rel=1e-3)


def test_a_frozen_tower_has_neither_gradients_nor_moments(settings, sizes):
    frozen = replace(settings.roles[0], frozen_tower=True)
    tower = [shape for name, shape in sizes.policy.items() if ".visual." in name]
    for role, wanted in ((settings.roles[0], 0), (frozen, shard_elements(tower, 8))):
        terms = {term.name: term.n_bytes for term in resident_terms(role, sizes.policy, 8, True)}
        weights = terms["policy: weights"]
        assert weights - terms["policy: gradients"] == 4 * wanted
        assert 2 * weights - terms["policy: Adam's moments"] == 8 * wanted


@pytest.mark.parametrize(("n_gpus", "is_there"), [(1, True), (8, False)])
def test_adams_step_counts_where_it_needs_more_than_the_passes(settings, sizes, n_gpus, is_there):
    critic = replace(settings.roles[1], tokens_per_gpu=8192)
    settings = replace(settings, n_nodes=1, gpus_per_node=n_gpus, roles=(critic,))
    terms = {
        term.name: term.n_bytes for term in make_plan(settings, sizes, 80 * 10**9).phases[1].terms
    }
    assert ("Adam's step" in terms, "activations kept" in terms) == (is_there, not is_there)
    if is_there:
        assert terms["Adam's step"] == terms["critic: gradients"]


def test_what_does_not_fit_is_named_with_its_key(settings, sizes):
    long = replace(settings, stages=((1, 24576), (301, 90000)), max_model_len=30000)
    first, second = make_plan(long, sizes, 80 * 10**9).stages
    assert not first.problems
    assert [re.sub(r"\d+", "N", problem)[:46] for problem in second.problems] == [
        "rollout.max_model_len=N is below N",
        "the policy's budget of N x N tokens is below N",
        "the critic's budget of N x N tokens is below N",
    ]
    [stage, *_] = make_plan(settings, sizes, 24 * 10**9).stages
    assert stage.n_sequences == 0
    assert "raise rollout.tensor_model_parallel_size" in stage.problems[0]
    odd = make_plan(replace(settings, gpus_per_node=3, tensor_parallel=2), sizes, 80 * 10**9)
    text = "\n".join(odd.problems)
    assert "ulysses_sequence_parallel_size=4 does not divide 3 GPUs" in text
    assert "tensor_model_parallel_size=2 does not divide 3 GPUs of a node" in text
    small = make_plan(settings, sizes, 30 * 10**9)
    assert any(problem.startswith("training the policy: ") for problem in small.problems)


def test_more_gpus_than_heads_hold_copies_of_them(settings, sizes):
    """7B has four heads of keys and values: eight GPUs need as much for a sequence as four."""

    def room(n: int) -> int:
        wide = replace(settings, tensor_parallel=n, kv_share=0.7)
        free = cache_bytes(wide, sizes, 80 * 10**9)
        longest = settings.prompt_length + 24576
        return make_plan(wide, sizes, 80 * 10**9).stages[0].n_sequences * longest // (free // 2**20)

    assert room(8) == pytest.approx(room(4), rel=0.03)
    assert room(4) == pytest.approx(4 * room(1), rel=0.1)  # whole sequences


def test_longer_responses_leave_room_for_fewer(settings, sizes):
    stages = make_plan(settings, sizes, 80 * 10**9).stages
    assert [stage.tokens for stage in stages] == [24576, 32768, 49152]
    assert [s.n_sequences for s in stages] == sorted((s.n_sequences for s in stages), reverse=True)
    cache = make_plan(settings, sizes, 80 * 10**9).phases[0].terms[-1].n_bytes
    assert stages[0].n_sequences == cache // ((24576 + 2048) * kv_bytes_per_token(sizes))


def test_the_command_prints_every_phase_and_tells_by_its_exit_code():
    fits = CliRunner().invoke(app, ["plan", "ppo_7b", "--nodes", "8"])
    assert fits.exit_code == 0, fits.output
    for text in ("rollout", "training the policy", "training the critic", "49,152 tokens", "8 x 8"):
        assert text in fits.output
    tight = CliRunner().invoke(app, ["plan", "ppo_7b"])
    assert tight.exit_code == 1
    assert "too much" in tight.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "ppo_9b"], "no recipe ppo_9b; there are ppo_3b, ppo_7b"),
        (["plan", "ppo_7b", "no.such.key=1"], "no.such.key"),
        (["plan", "ppo_7b", "no[/x]=1"], "no[/x]=1"),
        (["plan", "sft_9b"], "no recipe sft_9b; there are ppo_3b, ppo_7b"),
        (["plan", "sft_7b", "critic.ppo_mini_batch_size=1"], "critic"),
        (["plan", "sft_7b", "engine.model_dtype=int8"], "engine.model_dtype=int8 is no type"),
        (["plan", "ppo_7b", "ovr.length_schedule=[]"], "ovr.length_schedule: it is empty"),
        (
            ["plan", "ppo_7b", "ovr.length_schedule=[[1,9],[301,99999]]"],
            "entry 2, [301, 99999], exceeds data.max_response_length=49152",
        ),
        (["plan", "ppo_7b", "trainer.nnodes=0"], "trainer.nnodes=0 must be 1 or more"),
        (["plan", "ppo_7b", "trainer.nnodes=-2"], "trainer.nnodes=-2 must be 1 or more"),
        (["plan", "ppo_7b", "data.train_batch_size=null"], "data.train_batch_size=null must be"),
        (["plan", "ppo_7b", "critic.ppo_mini_batch_size=null"], "critic.ppo_mini_batch_size=null"),
        (
            ["plan", "ppo_7b", "critic.fsdp.ulysses_sequence_parallel_size=0"],
            "critic.fsdp.ulysses_sequence_parallel_size=0 must be 1 or more",
        ),
        (["plan", "ppo_7b", "critic.fsdp.fsdp_size=0"], "critic.fsdp.fsdp_size=0 must be 1"),
        (
            ["plan", "ppo_7b", "actor_rollout_ref.rollout.gpu_memory_utilization=nan"],
            "gpu_memory_utilization=nan is no share from 0 to 1",
        ),
        (["plan", "ppo_7b", "ovr.length_plateau={window: 0}"], "window=0 must be"),
        (["plan", "ppo_7b", "--gpu-gb", "inf"], "Invalid value for '--gpu-gb'"),
        (["plan", "sft_7b", "data.max_length=null"], "data.max_length=null must be 1 or more"),
        (["plan", "sft_7b", "data.train_batch_size=0"], "data.train_batch_size=0 must be 1"),
        (
            ["plan", "sft_7b", "engine.strategy=megatron"],
            "engine.strategy=megatron: a plan knows fsdp",
        ),
        (["plan", "ppo_7b", "--model", "llama-8b"], "no known size (Qwen2.5-VL: 3b, 7b, 32b; "),
        (["plan", "ppo_7b", "--model", "qwen2.5-vl-8b"], "Qwen3-VL: 2b, 4b, 8b, 32b)"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, message):
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert message in refused.output


def test_lengths_that_name_other_settings_are_planned():
    """As they are trained: veRL resolves them before anything reads them."""
    named = compose_recipe("ppo_7b", ["ovr.length_schedule=[[1,${data.max_response_length}]]"])
    assert named.stages == ((1, 49152),)
    with pytest.raises(ValueError, match=r"no\.such\.key"):
        compose_recipe("ppo_7b", ["ovr.length_schedule=[[1,${no.such.key}]]"])


def test_the_model_of_the_command_line_is_the_one_planned():
    given = "actor_rollout_ref.model.path=Qwen/Qwen2.5-VL-3B-Instruct"
    planned = CliRunner().invoke(app, ["plan", "ppo_7b", "--nodes", "2", given])
    assert "Qwen2.5-VL Qwen/Qwen2.5-VL-3B-Instruct on 2 x 8" in planned.output


def test_weights_are_split_among_a_shard_group_only(settings, sizes):
    """``fsdp_size``: two groups of eight hold a copy each."""
    [policy, _] = settings.roles
    grouped = replace(policy, shard_ranks=8)
    assert resident_terms(grouped, sizes.policy, 16, True) == resident_terms(
        policy, sizes.policy, 8, True
    )
    five = make_plan(
        replace(settings, n_nodes=5, roles=(replace(policy, shard_ranks=16),)), sizes, 80 * 10**9
    )
    assert "fsdp_size=16 does not divide 40 GPUs" in "\n".join(five.problems)


@pytest.mark.parametrize(
    ("overrides", "n_nodes", "message"),
    [
        ([], 1, ""),
        ([], 8, ""),
        ([], 3, "512 x 16 responses (actor_rollout_ref.actor.ppo_mini_batch_size) does not divide"),
        ([], 3, "128 x 16 responses (critic.ppo_mini_batch_size) does not divide among 6 groups"),
        (["critic.ppo_mini_batch_size=100"], 1, "100 does not divide 512 prompts"),
        (["critic.ppo_mini_batch_size=0"], 1, "0 does not divide 512 prompts"),
        (
            ["critic.fsdp.ulysses_sequence_parallel_size=16"],
            1,
            "critic.fsdp.ulysses_sequence_parallel_size=16 does not divide 8 GPUs",
        ),
    ],
)
def test_steps_that_veRL_would_fill_up_with_padding_are_refused(overrides, n_nodes, message):
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        nodes = f"trainer.nnodes={n_nodes}"
        config = compose("ppo_trainer", overrides=["+ovr=ppo_7b", nodes, *overrides])
    if not message:
        check_batches(config)
        return
    with pytest.raises(ValueError, match=re.escape(message)):
        check_batches(config)


@pytest.mark.parametrize("n_nodes", [1, 2, 3, 5, 6, 8, 16])
def test_what_passes_is_what_veRL_does_not_pad(settings, n_nodes):
    """Against veRL's own multiple: no padding is one step of the policy, four of the critic."""
    from math import lcm

    groups = n_nodes * 8 // 4
    multiple = lcm(groups, 128 * 16, 512 * 16)  # as _get_required_batch_multiple
    wrong = batch_problems(512, 16, n_nodes * 8, [role.mini_batches for role in settings.roles])
    assert bool(wrong) == (multiple != 512 * 16)


def test_heads_must_divide(settings, sizes):
    roles = tuple(
        replace(role, sequence_ranks=8, mini_batches=replace(role.mini_batches, sequence_ranks=8))
        for role in settings.roles
    )
    odd = make_plan(replace(settings, roles=roles, tensor_parallel=8), sizes, 80 * 10**9)
    assert [problem.partition("=")[0] for problem in odd.problems if "28 heads" in problem] == [
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
        "critic.fsdp.ulysses_sequence_parallel_size",
        "rollout.tensor_model_parallel_size",
    ]


def test_no_advice_contradicts_another(settings):
    """Weights that fill the GPU: less for vLLM would not help."""
    large = make_plan(replace(settings, n_nodes=8), model_sizes("32b"), 80 * 10**9)
    assert large.stages[0].problems
    text = "\n".join(large.problems)
    assert "a larger actor_rollout_ref.rollout.tensor_model_parallel_size" in text
    assert "smaller actor_rollout_ref.rollout.gpu_memory" not in text


def test_another_architecture_is_refused(tmp_path):
    from transformers import Qwen2Config

    Qwen2Config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is a qwen2; plans know Qwen2\.5-VL"):
        model_sizes(str(tmp_path))


def test_gib_is_binary():
    assert GIB == 1024**3


def terms_of(plan) -> dict[str, int]:
    return {term.name.removeprefix("cold start: "): term.n_bytes for term in plan.phases[-1].terms}


def test_the_cold_start_has_moments_and_gradients_of_the_language_model_alone(sizes):
    plan = plan_cold_start(compose_cold_start("sft_7b"), sizes, 80 * 10**9)
    terms = terms_of(plan)
    tower = [shape for name, shape in sizes.policy.items() if ".visual." in name]
    frozen = 4 * shard_elements(tower, 8)
    assert n_elements(tower) == 676_550_144  # of Qwen2.5-VL-7B's 8.29 billion
    assert terms["weights"] - terms["gradients"] == frozen > 0
    assert terms["Adam's moments"] == 2 * terms["gradients"]
    # 28 layers keep their input of 65536 / 4 tokens of width 3584.
    assert terms["activations kept"] == 28 * 16384 * 3584 * 2
    assert not plan.problems
    assert "a step of 640 is 320 packs for each of 2 groups" in plan.notes[0]


@pytest.mark.parametrize(
    ("overrides", "gpu_gb", "problem"),
    [
        ([], 20, "cold start: .* GiB too much .*engine.offload_policy=true"),
        (["data.max_token_len_per_gpu=8192"], 80, "8192 x 4 tokens is below a pack of 65536"),
        (["trainer.nnodes=3"], 80, "640 does not divide among 6 groups of 4 GPUs"),
        (["trainer.n_gpus_per_node=6"], 80, "sequence_parallel_size=4 does not divide 6 GPUs"),
        (
            ["engine.ulysses_sequence_parallel_size=8"],
            80,
            "=8 does not divide the model's 28",
        ),
        (["model.use_fused_kernels=false"], 40, "model.use_fused_kernels=true"),
        (["engine.use_no_sync_for_gradient_accumulation=true"], 50, "_accumulation=false"),
    ],
)
def test_a_cold_start_that_does_not_fit_says_what_to_change(sizes, overrides, gpu_gb, problem):
    settings = compose_cold_start("sft_7b", overrides)
    plan = plan_cold_start(settings, sizes, gpu_gb * 10**9)
    assert re.search(problem, "\n".join(plan.problems))
    assert not plan.notes


def test_what_a_settings_keys_save_is_what_they_say(sizes):
    """bfloat16 halves what is kept; FSDP2's offload policy keeps it off the GPU, FSDP1 has none."""
    whole, half, none, ignored, unreduced = (
        terms_of(plan_cold_start(compose_cold_start("sft_7b", keys), sizes, 80 * 10**9))
        for keys in (
            [],
            ["engine.model_dtype=bf16"],
            ["engine.offload_policy=true"],
            ["engine.offload_policy=true", "engine.strategy=fsdp"],
            ["engine.use_no_sync_for_gradient_accumulation=true"],
        )
    )
    kept = ("weights", "Adam's moments", "gradients")
    assert [2 * half[name] for name in kept] == [whole[name] for name in kept]
    assert not none.keys() & set(kept)
    assert none["activations kept"] == whole["activations kept"]
    assert ignored == whole
    trained = [shape for name, shape in sizes.policy.items() if ".visual." not in name]
    assert unreduced["gradients not yet reduced"] == 4 * n_elements(trained)


def test_ppo_honours_them_too(settings, sizes):
    prefix = "actor_rollout_ref.actor.fsdp_config"
    keys = [f"{prefix}.model_dtype=bf16", "critic.fsdp.offload_policy=true"]
    policy, critic = compose_recipe("ppo_7b", keys).roles
    plain = resident_terms(settings.roles[0], sizes.policy, 8, True)
    half = resident_terms(policy, sizes.policy, 8, True)
    assert [2 * term.n_bytes for term in half] == [term.n_bytes for term in plain]
    assert resident_terms(critic, sizes.critic, 8, True) == []


def test_the_recipe_of_another_family_is_planned_with_its_model():
    planned = CliRunner().invoke(app, ["plan", "ppo_8b_qwen3vl", "--nodes", "2"])
    assert planned.exit_code == 0, planned.output
    assert "Qwen3-VL 8b on 2 x 8" in planned.output


def test_the_command_plans_the_cold_start():
    fits = CliRunner().invoke(app, ["plan", "sft_7b", "--nodes", "8", "--model", "qwen3-vl-8b"])
    assert fits.exit_code == 0, fits.output
    for text in ("Qwen3-VL qwen3-vl-8b on 8 x 8", "cold start: weights", "40 packs for each of 16"):
        assert text in fits.output
    assert CliRunner().invoke(app, ["plan", "sft_7b", "--gpu-gb", "16"]).exit_code == 1
