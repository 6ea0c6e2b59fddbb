"""veRL's engines: one rank, two ranks with unlike rows, packs, frozen vision tower, bfloat16.

On the CPU platform, and where the machine has a GPU also there (``-m gpu`` for these alone).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ovr_plugin.models.value_model import load_value_model
from ovr_plugin.planning.memory import make_plan
from ovr_plugin.planning.models import model_sizes
from ovr_plugin.planning.recipe import compose_recipe
from ovr_plugin.trainer.engine import freeze_vision_tower
from ovr_plugin.trainer.engine_config import OVREngineConfig

# Of a first step of Adam, 0.01: where a gradient is near its epsilon, rounding is a share of it.
ATOL = 5e-4


@pytest.fixture(scope="module")
def run_ranks(request, tiny_model_dir, tmp_path_factory):
    """Run a script of this folder by torchrun on a platform; gives the folder it wrote to."""

    def run(
        script: str,
        *argv: str,
        n_ranks: int = 1,
        platform: str = "cpu",
        model: Path = tiny_model_dir,
    ) -> Path:
        folder = tmp_path_factory.mktemp("ranks")
        if platform == "cpu":
            python, env = request.getfixturevalue("warm_python"), os.environ
        else:
            python, env = sys.executable, request.getfixturevalue("gpu_env")
        command = [
            *(python, "-m", "torch.distributed.run", "--standalone"),
            f"--nproc_per_node={n_ranks}",
            *(str(Path(__file__).with_name(script)), str(model), str(folder), *argv),
        ]
        n_threads = 1 if platform == "cpu" else os.cpu_count()
        env = {**env, "PYTHON_EXEC": python, "OMP_NUM_THREADS": str(n_threads)}
        with (folder / "log").open("wb") as log:
            process = subprocess.run(command, env=env, stdout=log, stderr=log, timeout=300)
        assert process.returncode == 0, (folder / "log").read_text("utf-8", "replace")[-8000:]
        return folder

    return run


@pytest.fixture(scope="module")
def take_steps(run_ranks):
    """Run the script; gives (run, number of ranks) -> (report, weights after one step)."""

    def take(
        n_ranks: int, param_dtype: str = "fp32", platform: str = "cpu", *runs: str, **model: Path
    ) -> dict:
        folder = run_ranks(
            "engine_ranks.py", param_dtype, *runs, n_ranks=n_ranks, platform=platform, **model
        )
        found = {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}
        return {
            (path.stem[:-1], n_ranks): (json.loads(path.read_text()), found[path.stem])
            for path in folder.glob("*.json")
        } | ({"packs": found["packs"]} if n_ranks == 1 else {})

    return take


@pytest.fixture(scope="module")
def steps(take_steps) -> dict:
    """One rank and two, in float32."""
    return take_steps(1) | take_steps(2)


@pytest.fixture(scope="module")
def steps_of_qwen3(take_steps, tiny_qwen3_dir) -> dict:
    """One rank of a Qwen3-VL, in float32."""
    return take_steps(1, "fp32", "cpu", "critic", "frozen", model=tiny_qwen3_dir)


@pytest.fixture(scope="module")
def steps_on_gpu(take_steps) -> dict:
    return take_steps(1, "fp32", "nvidia")


@pytest.mark.parametrize("arrangement", ["two_packs", "one_pack"])
def test_packed_samples_train_as_unpacked_ones_do(steps, arrangement):
    """The loss and every gradient: attention stays within a sample."""
    report, gradients = steps["packs"]["padded"]
    packed, packed_gradients = steps["packs"][arrangement]
    assert packed["loss"] == pytest.approx(report["loss"], rel=1e-6)
    assert packed["grad_norm"] == pytest.approx(report["grad_norm"], rel=1e-6)
    assert packed_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(packed_gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("run", ["policy", "critic", "frozen", "alike"])
def test_text_on_one_rank_and_images_on_the_other_train_as_one_rank_does(steps, run):
    """It finishes, and the step is the one that a single rank makes of the same four rows."""
    one, one_weights = steps[run, 1]
    two, two_weights = steps[run, 2]
    assert (one["world_size"], two["world_size"]) == (1, 2)
    assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)
    assert one_weights.keys() == two_weights.keys()
    for name, weight in one_weights.items():
        torch.testing.assert_close(weight, two_weights[name], rtol=1e-3, atol=ATOL, msg=name)


def test_rows_of_like_length_train_as_rows_one_by_one_do(steps):
    """And a rank whose rows fit into one micro-batch takes as many as the rank whose do not."""
    one_by_one, weights = steps["policy", 1]
    for n_ranks, n_micro_batches in ((1, 3), (2, 2)):
        alike, alike_weights = steps["alike", n_ranks]
        assert alike["micro_batches"] == n_micro_batches
        assert alike["grad_norm"] == pytest.approx(one_by_one["grad_norm"], rel=1e-3)
        for name, weight in weights.items():
            torch.testing.assert_close(
                alike_weights[name], weight, rtol=1e-3, atol=ATOL, msg=f"{n_ranks} {name}"
            )


@pytest.mark.parametrize(
    "part", ["model.visual.blocks", "model.visual.merger", "model.language_model", "score"]
)
def test_every_part_of_the_critic_was_trained(steps, tiny_model_dir, part):
    before = load_value_model(tiny_model_dir).state_dict()
    report, after = steps["critic", 2]
    assert report["engine"] == "OVREngineWithValueHead"
    assert "Qwen2_5_VLForTokenClassification" in report["module"]
    names = [name for name in before if name.startswith(part)]
    assert [name for name in names if not torch.equal(before[name], after[name])]


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_a_frozen_tower_stays_bit_identical_under_weight_decay(steps, tiny_model_dir, n_ranks):
    from transformers import Qwen2_5_VLForConditionalGeneration

    before = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_model_dir).state_dict()
    _, after = steps["frozen", n_ranks]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if "visual" in name]
    assert "lm_head.weight" in moved
    assert len(moved) > 30
    _, unfrozen = steps["policy", n_ranks]
    assert [
        name
        for name in before
        if not torch.equal(before[name], unfrozen[name]) and "visual" in name
    ]


@pytest.mark.parametrize("run", ["critic", "frozen"])
def test_every_part_of_a_qwen3_moves_but_for_a_frozen_tower(steps_of_qwen3, tiny_qwen3_dir, run):
    """Bit by bit, under weight decay; the tower's mergers of inner layers are parts of it."""
    report, after = steps_of_qwen3[run, 1]
    assert report["grad_norm"] > 0
    before = load_value_model(tiny_qwen3_dir).state_dict()
    common = before.keys() & after.keys()
    still = {name for name in common if torch.equal(before[name], after[name])}
    tower = {name for name in common if ".visual." in name}
    assert still == (tower if run == "frozen" else set())
    assert any("deepstack_merger_list" in name for name in tower)


@pytest.mark.parametrize("arrangement", ["two_packs", "one_pack"])
def test_packs_of_a_qwen3_train_as_unpacked_samples_do(steps_of_qwen3, arrangement):
    report, gradients = steps_of_qwen3["packs"]["padded"]
    packed, packed_gradients = steps_of_qwen3["packs"][arrangement]
    assert packed["loss"] == pytest.approx(report["loss"], rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(packed_gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


PLATFORMS = ["cpu", pytest.param("nvidia", marks=pytest.mark.gpu)]
ROUNDING = 2**-8  # of one bfloat16 number
MAX_ERROR = 8 * ROUNDING  # of six blocks' output, root mean square
BLOCKS = {"cpu": 6, "nvidia": 20}  # of the long pack's models; roundings add like a random walk


@pytest.fixture(scope="module", params=PLATFORMS)
def both(request, take_steps) -> tuple[dict, dict]:
    """One step in float32, and in bfloat16 with float32 masters, as the 7B recipes train."""
    platform = request.param
    exact = request.getfixturevalue("steps" if platform == "cpu" else "steps_on_gpu")
    return exact, take_steps(1, "bf16", platform)


def relative_error(found, exact) -> float:
    found, exact = torch.as_tensor(found).double(), torch.as_tensor(exact).double()
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("run", ["critic", "frozen"])
def test_bfloat16_gives_the_values_and_log_probabilities_of_float32(both, run):
    exact, rounded = (steps[run, 1][0] for steps in both)
    error = relative_error(rounded["outputs"], exact["outputs"])
    print(f"{run}: outputs differ by {error:.2%} in bfloat16")  # pytest -rP shows it
    assert ROUNDING / 64 < error < MAX_ERROR  # equal numbers would not be bfloat16's
    assert rounded["grad_norm"] == pytest.approx(exact["grad_norm"], rel=0.05)


@pytest.mark.parametrize("arrangement", ["two_packs", "one_pack"])
def test_packs_in_bfloat16_train_as_unpacked_samples_in_float32(both, arrangement):
    report, gradients = both[0]["packs"]["padded"]
    packed, packed_gradients = both[1]["packs"][arrangement]
    assert packed["loss"] == pytest.approx(report["loss"], rel=ROUNDING)
    errors = {name: relative_error(packed_gradients[name], g) for name, g in gradients.items()}
    whole = relative_error(
        *(torch.cat([x.flatten() for x in g.values()]) for g in (packed_gradients, gradients))
    )
    print(
        f"{arrangement}: gradient differs by {whole:.2%}, "
        f"loss by {packed['loss'] / report['loss'] - 1:.3%}"
    )
    assert whole < MAX_ERROR, sorted(errors.items(), key=lambda item: -item[1])[:5]


def test_a_frozen_tower_stays_bit_identical_in_bfloat16(both, tiny_model_dir):
    from transformers import Qwen2_5_VLForConditionalGeneration

    before = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_model_dir).state_dict()
    _, after = both[1]["frozen", 1]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "lm_head.weight" in moved
    assert not [name for name in moved if "visual" in name]


@pytest.mark.gpu
@pytest.mark.parametrize("run", ["policy", "critic", "frozen"])
def test_a_gpu_in_float32_takes_the_step_that_the_cpu_takes(steps, steps_on_gpu, run):
    (cpu, weights), (gpu, gpu_weights) = steps[run, 1], steps_on_gpu[run, 1]
    assert gpu["engine"] == cpu["engine"]
    error = relative_error(gpu["outputs"], cpu["outputs"])
    step = max(float((gpu_weights[name] - w).abs().max()) for name, w in weights.items())
    print(
        f"{run}: outputs differ by {error:.1e}, gradient norm by "
        f"{gpu['grad_norm'] / cpu['grad_norm'] - 1:.1e}, weights after the step by {step:.1e}"
    )
    assert error < 1e-5
    assert gpu["grad_norm"] == pytest.approx(cpu["grad_norm"], rel=1e-4)
    assert gpu_weights.keys() == weights.keys()


LONG = [("cpu", 128), pytest.param(("nvidia", 8192), marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=LONG, ids=["cpu", "nvidia"])
def long_pack(request, run_ranks) -> tuple[dict, Path, int, float]:
    """A tiny model and few tokens on the CPU; twenty blocks of the 3B's on a GPU."""
    platform, n_tokens = request.param
    grow = [] if platform == "cpu" else ["grow"]
    folder = run_ranks("long_pack.py", str(n_tokens), *grow, platform=platform)
    report = json.loads((folder / "report.json").read_text())
    return report, folder / "model", n_tokens, MAX_ERROR * (BLOCKS[platform] / 6) ** 0.5


@pytest.mark.parametrize("run", ["policy", "critic", "frozen"])
def test_a_long_pack_in_bfloat16_trains_as_its_rows_in_float32(long_pack, run):
    report, max_error = long_pack[0][run], long_pack[3]
    print(f"{run}: {report}")
    assert ROUNDING / 64 < report["outputs"] < max_error
    assert report["loss"] < max_error
    errors = {name: error for name, error in report.items() if name.startswith("gradient")}
    assert max(errors.values()) < max_error, errors
    assert (report["n_frozen"] > 0) == (run == "frozen")
    assert not report["frozen_moved"]


@pytest.mark.parametrize(("run", "role"), [("policy", 0), ("critic", 1), ("frozen", 0)])
def test_a_plan_covers_the_peak_memory(long_pack, run, role):
    report, model, n_tokens, _ = long_pack
    if not model.exists():
        pytest.skip("needs a GPU")
    settings = compose_recipe("ppo_7b")
    role = replace(
        settings.roles[role],
        tokens_per_gpu=n_tokens,
        sequence_ranks=1,
        frozen_tower=run == "frozen",
        param_offload=False,
        optimizer_offload=False,
        chunked_logits=False,
    )
    settings = replace(settings, n_nodes=1, gpus_per_node=1, roles=(role,))
    phase = make_plan(settings, model_sizes(str(model)), 80 * 10**9).phases[-1]
    peak_bytes = report[run]["peak_bytes"]
    terms = ", ".join(f"{term.name} {term.n_bytes / 1e9:.2f}" for term in phase.terms)
    print(
        f"{run}: {peak_bytes / 1e9:.2f} GB at the peak, {phase.n_bytes / 1e9:.2f} planned: {terms}"
    )
    # Weights, moments, gradients and Adam's step are exact but for what the allocator rounds up.
    assert phase.n_bytes / 2 < peak_bytes < 1.01 * phase.n_bytes


def test_freezing_needs_a_vision_tower():
    with pytest.raises(ValueError, match="Linear has no parameter under 'visual'"):
        freeze_vision_tower(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_head_init": "zeros"}, "choose one of linear_default"),
        ({"strategy": "fsdp", "freeze_vision_tower": True}, "use_orig_params=true"),
    ],
)
def test_bad_engine_settings_are_refused_before_anything_is_built(settings, message):
    with pytest.raises(ValueError, match=message):
        OVREngineConfig(**settings)
