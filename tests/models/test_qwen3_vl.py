"""The critic of a Qwen3-VL against its decoder written anew, and its checkpoint in our tools."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import silu
from transformers import AutoModelForTokenClassification, AutoProcessor
from typer.testing import CliRunner

from ovr_plugin.checkpoint.average import average
from ovr_plugin.cli import app
from ovr_plugin.models.value_model import Qwen3VLForTokenClassification, load_value_model
from ovr_plugin.trainer.engine import freeze_vision_tower

QUESTION = "<|vision_start|><|image_pad|><|vision_end|>What colour is the box?"


@pytest.fixture
def critic(tiny_qwen3_dir):
    """In float64, with norms, biases and positions away from what they start as."""
    torch.manual_seed(0)
    model = load_value_model(tiny_qwen3_dir, dtype=torch.float64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    return model


@pytest.fixture
def inputs(tiny_qwen3_dir) -> dict[str, torch.Tensor]:
    """One question about a picture of 3 x 2 tokens; text, row and column positions differ."""
    from PIL import Image

    picture = Image.effect_noise((96, 64), 80).convert("RGB")
    processor = AutoProcessor.from_pretrained(tiny_qwen3_dir)
    made = processor(text=[QUESTION], images=[picture], return_tensors="pt")
    n_tokens = made["input_ids"].shape[1]
    generator = torch.Generator().manual_seed(1)
    grid = torch.randint(0, 9, (3, 1, n_tokens), generator=generator)
    text = torch.arange(n_tokens).expand(1, 1, n_tokens)
    return {
        "input_ids": made["input_ids"],
        "pixel_values": made["pixel_values"].double(),
        "image_grid_thw": made["image_grid_thw"],
        "position_ids": torch.cat([text, grid]),
        "use_cache": False,
    }


def values_from_scratch(weights, config, inputs, picture, deep_pictures) -> torch.Tensor:
    """Qwen3's decoder for one sequence, from its paper; the tower's output is given."""
    text = config.text_config
    n_heads, n_kv, dim = text.num_attention_heads, text.num_key_value_heads, text.head_dim
    ids = inputs["input_ids"][0]
    is_picture = ids == config.image_token_id
    # Interleaved M-RoPE: frequencies go time, row, column, time, ...; what is left is time's.
    n_rows, n_columns = text.rope_parameters["mrope_section"][1:]
    axis = torch.zeros(dim // 2, dtype=torch.long)
    axis[1 : 3 * n_rows : 3], axis[2 : 3 * n_columns : 3] = 1, 2
    rates = text.rope_parameters["rope_theta"] ** (-torch.arange(0, dim, 2).double() / dim)
    # transformers has the angles in float32, whatever the weights are.
    angles = (inputs["position_ids"][1:, 0][axis].T.float() * rates.float()).repeat(1, 2)
    cos, sin = angles.cos().double(), angles.sin().double()

    def norm(name, states):
        # Likewise the norms' means.
        scale = (states.float().pow(2).mean(-1, keepdim=True) + text.rms_norm_eps).rsqrt()
        return weights[f"{name}.weight"] * (states.float() * scale).double()

    def linear(name, states):
        return states @ weights[f"{name}.weight"].T

    def turned(states_htd):
        first, second = states_htd.chunk(2, dim=-1)
        return states_htd * cos + torch.cat([-second, first], dim=-1) * sin

    model = "model.language_model"
    states = weights[f"{model}.embed_tokens.weight"][ids]
    states = states.masked_scatter(is_picture[:, None], picture)
    future = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
    for number in range(text.num_hidden_layers):
        layer = f"{model}.layers.{number}"
        read = norm(f"{layer}.input_layernorm", states)
        q, k, v = (
            linear(f"{layer}.self_attn.{each}_proj", read).unflatten(-1, (-1, dim))
            for each in "qkv"
        )
        q = turned(norm(f"{layer}.self_attn.q_norm", q).transpose(0, 1))
        k = turned(norm(f"{layer}.self_attn.k_norm", k).transpose(0, 1))
        k, v = (each.repeat_interleave(n_heads // n_kv, 0) for each in (k, v.transpose(0, 1)))
        scores = (q @ k.mT / dim**0.5).masked_fill(future, float("-inf"))
        heard = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
        states = states + linear(f"{layer}.self_attn.o_proj", heard)
        read = norm(f"{layer}.post_attention_layernorm", states)
        gate = silu(linear(f"{layer}.mlp.gate_proj", read))
        states = states + linear(
            f"{layer}.mlp.down_proj", gate * linear(f"{layer}.mlp.up_proj", read)
        )
        if number < len(deep_pictures):  # DeepStack
            states = states.index_add(0, is_picture.nonzero()[:, 0], deep_pictures[number])
    return linear("score", norm(f"{model}.norm", states))[:, 0]


def test_values_and_gradients_are_those_of_a_decoder_written_anew(critic, inputs):
    target = torch.linspace(-1, 1, inputs["input_ids"].shape[1], dtype=torch.float64)
    found = critic(**inputs).logits[0, :, 0]
    ((found - target) ** 2).mean().backward()
    gradients = {name: weight.grad.clone() for name, weight in critic.named_parameters()}

    critic.zero_grad()
    tower = critic.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    assert len(tower.deepstack_features) == 2
    expected = values_from_scratch(
        dict(critic.named_parameters()),
        critic.config,
        inputs,
        tower.pooler_output,
        tower.deepstack_features,
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    ((expected - target) ** 2).mean().backward()
    for name, weight in critic.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-7, msg=name)
        assert weight.grad.abs().max() > 0, name


def test_the_backbone_is_the_checkpoints_and_a_saved_critic_comes_back(tiny_qwen3_dir, tmp_path):
    model = load_value_model(tiny_qwen3_dir)
    stored = load_file(tiny_qwen3_dir / "model.safetensors")
    ours = model.state_dict()
    assert ours.keys() ^ stored.keys() == {"score.weight", "lm_head.weight"}
    assert all(torch.equal(ours[name], stored[name]) for name in ours.keys() & stored.keys())
    torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(tmp_path)
    again = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert isinstance(again, Qwen3VLForTokenClassification)
    assert torch.equal(again.score.weight, model.score.weight)
    assert torch.equal(load_value_model(tmp_path).score.weight, model.score.weight)


def test_the_frozen_tower_has_its_mergers_of_inner_layers_too(tiny_qwen3_dir):
    model = load_value_model(tiny_qwen3_dir)
    freeze_vision_tower(model)
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen == {name for name in model.state_dict() if name.startswith("model.visual.")}
    assert any("deepstack_merger_list.1" in name for name in frozen)


def test_the_average_of_two_is_loadable(tiny_qwen3_dir, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_qwen3_dir, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: w + 1 for name, w in weights.items()}, other / "model.safetensors")
    mean = average([tiny_qwen3_dir, other], tmp_path / "mean")
    found = load_value_model(mean).state_dict()
    for name in found.keys() & weights.keys():
        torch.testing.assert_close(found[name], weights[name] + 0.5)
    assert AutoProcessor.from_pretrained(mean).image_processor.patch_size == 16


def test_doctor_knows_it_and_sees_another_familys_processor(tiny_qwen3_dir, tmp_path):
    from ovr_plugin.cli.model_checks import check_model

    assert {check.status for check in check_model(str(tiny_qwen3_dir))} == {"ok"}
    mixed = tmp_path / "mixed"
    shutil.copytree(tiny_qwen3_dir, mixed)
    settings = json.loads((mixed / "processor_config.json").read_text())
    settings["processor_class"] = "Qwen2_5_VLProcessor"
    (mixed / "processor_config.json").write_text(json.dumps(settings))
    [failed] = [check for check in check_model(str(mixed)) if check.status != "ok"]
    assert (failed.name, failed.found) == ("processor", "it is a Qwen2_5_VLProcessor")


def test_serving_prints_its_line(tiny_qwen3_dir, tmp_path):
    folder = tmp_path / "served"
    shutil.copytree(tiny_qwen3_dir, folder)
    printed = CliRunner().invoke(app, ["serving", str(folder), "--recipe", "ppo_tiny"])
    assert printed.exit_code == 0, printed.output
    assert "vllm serve" in printed.output
