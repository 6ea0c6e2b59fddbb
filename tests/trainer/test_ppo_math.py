"""PPO as the paper has it (3.2, 4.1, B), against identities and a computation from scratch.

One update's losses and gradients, as veRL's engines make them with the recipe's settings, are
compared with float64 on transformers' own model: no code is shared but the model's.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module

SCRIPT = Path(__file__).with_name("ppo_gradients.py")
CLIP = 0.2  # OVR 3.2


@pytest.fixture(scope="module", params=["ppo_7b", "ppo_tiny"])
def algorithm(request):
    import verl  # noqa: F401 (loads the plugin)

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=[f"+ovr={request.param}"]).algorithm


@pytest.fixture
def responses():
    """Values and a right or wrong outcome for responses of different lengths: masked, padded."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 1, 12, 5])
    mask = (torch.arange(12) < lengths[:, None]).float()
    values = torch.randn(4, 12, generator=generator) * mask
    rewards = torch.zeros(4, 12)
    rewards[torch.arange(4), lengths - 1] = torch.tensor([1.0, 0.0, 1.0, 1.0])
    return values, rewards, mask


def test_with_gamma_and_lambda_one_every_token_gets_the_outcome(algorithm, responses):
    from verl.trainer.ppo.core_algos import compute_gae_advantage_return

    values, rewards, mask = responses
    advantages, returns = compute_gae_advantage_return(
        rewards, values, mask, algorithm.gamma, algorithm.lam
    )
    outcome = rewards.sum(1, keepdim=True)
    torch.testing.assert_close(returns * mask, outcome * mask)
    # Before whitening advantage + value = return; whitening is one shift and scale for the batch.
    raw = (outcome - values)[mask.bool()].double()
    whitened = advantages[mask.bool()].double()
    torch.testing.assert_close(whitened, (raw - raw.mean()) / raw.std(), rtol=1e-4, atol=1e-5)
    assert abs(float(whitened.mean())) < 1e-6
    assert float(whitened.std()) == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def rows(tiny_model_dir):
    """Four responses, two to a picture; old log-probabilities far enough to clip some tokens."""
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny_model_dir)
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    pictures = [None, Image.new("RGB", (56, 84), "red"), None, Image.new("RGB", (56, 56), "blue")]
    made = []
    for number, picture in enumerate(pictures):
        generator = torch.Generator().manual_seed(number)
        text = f"{vision if picture else ''}What colour is the box?"
        inputs = processor(text=[text], images=[picture] if picture else None, return_tensors="pt")
        prompt = inputs["input_ids"][0]
        response = torch.randint(5, 300, (4 + 3 * number,), generator=generator)
        noise = torch.randn(len(response), generator=generator)
        made.append(
            {
                "prompts": prompt,
                "responses": response,
                "pixels": {k: inputs[k] for k in ("pixel_values", "image_grid_thw") if k in inputs},
                "noise": 0.3 * noise,
                "advantages": torch.randn(len(response), generator=generator),
                "returns": torch.full((len(response),), float(number % 2)),
            }
        )
    return made


@pytest.fixture(scope="module")
def critic_dir(tiny_model_dir, tmp_path_factory):
    """A critic with its head on disk, so that both sides start from the same weights."""
    from ovr_plugin.models.value_model import load_value_model

    folder = tmp_path_factory.mktemp("critic")
    model = load_value_model(tiny_model_dir)
    with torch.no_grad():
        model.score.weight.normal_(generator=torch.Generator().manual_seed(7))
    model.save_pretrained(folder)
    from transformers import AutoProcessor

    AutoProcessor.from_pretrained(tiny_model_dir).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def from_scratch(rows, tiny_model_dir, critic_dir):
    """Losses and gradients in float64; fills in every row's positions, old values and so on."""
    from transformers import AutoModelForImageTextToText

    from ovr_plugin.models.value_model import load_value_model

    policy = AutoModelForImageTextToText.from_pretrained(
        tiny_model_dir, dtype=torch.float64, attn_implementation="eager"
    )
    critic = load_value_model(critic_dir).double()
    n_tokens = sum(len(row["responses"]) for row in rows)
    losses = {"policy": torch.zeros((), dtype=torch.float64), "critic": 0.0}
    for row in rows:
        ids = torch.cat([row["prompts"], row["responses"]])[None]
        pixels = {
            key: value.double() if value.is_floating_point() else value
            for key, value in row["pixels"].items()
        }
        grid = row["pixels"].get("image_grid_thw")
        types = (ids == policy.config.image_token_id).int()
        positions, _ = policy.model.get_rope_index(
            ids, mm_token_type_ids=types, image_grid_thw=grid, attention_mask=torch.ones_like(ids)
        )
        row["position_ids"] = torch.cat([torch.arange(ids.shape[1])[None, None], positions])[:, 0]
        n_prompt = len(row["prompts"])
        given = {"input_ids": ids, "position_ids": positions, **pixels}
        logits = policy(**given, mm_token_type_ids=types).logits[0, n_prompt - 1 : -1]
        log_probs = logits.log_softmax(-1).gather(-1, row["responses"][:, None])[:, 0]
        row["old_log_probs"] = log_probs.detach() + row["noise"].double()
        ratio = (log_probs - row["old_log_probs"]).exp()
        advantages = row["advantages"].double()
        gain = torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages)
        losses["policy"] = losses["policy"] - gain.sum() / n_tokens
        values = critic(**given).logits[0, n_prompt - 1 : -1, 0]
        row["values"] = values.detach() - 3 * row["noise"].double()
        error = (values - row["returns"].double()) ** 2
        losses["critic"] = losses["critic"] + 0.5 * error.sum() / n_tokens
    found = {}
    for name, model in (("policy", policy), ("critic", critic)):
        losses[name].backward()
        grads = {key: weight.grad for key, weight in model.named_parameters()}
        found[name] = (float(losses[name].detach()), grads)
    return found


@pytest.fixture(scope="module")
def verls(warm_python, from_scratch, rows, tiny_model_dir, critic_dir, tmp_path_factory):
    """The same through veRL's engines; the rows are complete once ``from_scratch`` is."""
    folder = tmp_path_factory.mktemp("gradients")
    items = [
        {
            "input_ids": torch.cat([row["prompts"], row["responses"]]),
            "position_ids": row["position_ids"],
            "prompts": row["prompts"],
            "responses": row["responses"],
            "response_mask": torch.ones(len(row["responses"]), dtype=torch.long),
            "loss_mask": torch.ones(len(row["responses"]), dtype=torch.long),
            **{
                name: row[name].float()
                for name in ("old_log_probs", "advantages", "values", "returns")
            },
            "multi_modal_inputs": row["pixels"],
        }
        for row in rows
    ]
    torch.save(items, folder / "rows.pt")
    command = [
        *(warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"),
        *(str(SCRIPT), str(tiny_model_dir), str(critic_dir)),
        *(str(folder / "rows.pt"), str(folder / "out.pt")),
    ]
    environment = {
        **os.environ,
        "VERL_PLATFORM": "cpu",
        "PYTHON_EXEC": warm_python,
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(folder / "out.pt", weights_only=True)


@pytest.mark.process
@pytest.mark.parametrize("part", ["policy", "critic"])
def test_one_update_is_that_of_a_computation_from_scratch(from_scratch, verls, part):
    """Clipped objective and unclipped squared error, means over all tokens of the batch."""
    loss, gradients = from_scratch[part]
    their_loss, theirs = verls[part]
    assert their_loss == pytest.approx(loss, rel=1e-4)
    compared = 0
    for name, gradient in gradients.items():
        if gradient is None:  # rows of a vision tower's last layers that nothing reads
            continue
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            theirs[name].double(), gradient, rtol=2e-3, atol=2e-4 * scale + 1e-9, msg=name
        )
        compared += 1
    assert compared > 60


@pytest.mark.process
def test_some_tokens_were_clipped_and_some_values_moved_far(from_scratch, rows):
    """Otherwise the comparison above would not see a wrong clip range or clipped values."""
    noise = torch.cat([row["noise"] for row in rows])
    assert int((noise.abs() > 0.2).sum()) > 5
    assert int(((3 * noise).abs() > 0.5).sum()) > 5
