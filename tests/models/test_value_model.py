"""The critic's network against the checkpoint it came from and an independent computation."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForTokenClassification
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from ovr_plugin.models.value_model import (
    HeadInit,
    Qwen2_5_VLForTokenClassification,
    load_value_model,
)


def _inputs(path, image: bool) -> dict:
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(path)
    text = "<|vision_start|><|image_pad|><|vision_end|>What colour?" if image else "What colour?"
    pictures = [Image.new("RGB", (84, 56), "red")] if image else None
    return dict(processor(text=[text], images=pictures, return_tensors="pt"))


def test_backbone_equals_the_checkpoint_tensor_by_tensor(tiny_model_dir):
    model = load_value_model(tiny_model_dir)
    policy = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_model_dir).state_dict()
    ours = model.state_dict()
    assert set(ours) - set(policy) == {"score.weight"}
    assert set(policy) - set(ours) == {"lm_head.weight"}
    for name in set(ours) & set(policy):
        assert torch.equal(ours[name], policy[name]), name


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("image", [False, True], ids=["text", "image"])
def test_values_equal_the_heads_product_with_the_policys_hidden_states(
    tiny_model_dir, image, attention
):
    """Unpatched classes in a process of their own would do the same; veRL patches them in ours."""
    config = AutoConfig.from_pretrained(tiny_model_dir, attn_implementation=attention)
    model = load_value_model(tiny_model_dir, config).eval()
    assert model.model.language_model.config._attn_implementation == attention
    policy = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_model_dir).eval()
    policy.lm_head = torch.nn.Identity()
    inputs = _inputs(tiny_model_dir, image)
    n_tokens = inputs["input_ids"].shape[1]
    inputs["position_ids"] = torch.arange(n_tokens).expand(4, 1, n_tokens)
    inputs.pop("mm_token_type_ids", None)
    with torch.no_grad():
        values_bt = model(**inputs).logits.squeeze(-1)
        hidden_bth = policy(**inputs).logits
    expected_bt = hidden_bth.double() @ model.score.weight[0].double()
    torch.testing.assert_close(values_bt.double(), expected_bt, rtol=1e-4, atol=1e-5)


def test_there_is_no_language_model_head_and_no_bias(tiny_model_dir):
    model = load_value_model(tiny_model_dir)
    vocabulary = model.config.text_config.vocab_size
    heads = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == vocabulary
    ]
    assert heads == []
    assert model.score.bias is None


@pytest.mark.parametrize(
    ("kind", "bound", "std"),
    [
        # of U(-b, b): b / sqrt(3); of N(0, s): s; h is 4096
        ("linear_default", 1.0, 1 / 64 / math.sqrt(3)),
        ("orz_normal", 1.0, 1 / 4097),
        ("uniform", math.sqrt(5), math.sqrt(5) / math.sqrt(3)),
    ],
)
def test_head_initialisations(kind, bound, std):
    head = torch.nn.Linear(4096, 1, bias=False)
    told = HeadInit(kind, bound).apply(head)
    assert kind in told
    assert head.weight.std().item() == pytest.approx(std, rel=0.05)
    assert abs(head.weight.mean().item()) < 4 * std / 64
    if kind == "uniform":
        assert head.weight.abs().max() <= bound
        assert head.weight.abs().max() > 0.99 * bound


def test_linear_default_has_the_spread_of_torchs_own_linear():
    ours, torchs = (torch.nn.Linear(8192, 1, bias=False) for _ in range(2))
    HeadInit("linear_default").apply(ours)
    for statistic in (torch.std, lambda w: w.abs().max()):
        ratio = statistic(ours.weight) / statistic(torchs.weight)
        assert ratio.item() == pytest.approx(1, rel=0.05)


def test_head_initialisation_depends_on_the_seed_alone():
    heads = [torch.nn.Linear(16, 1, bias=False) for _ in range(3)]
    for head, seed in zip(heads, (1, 1, 2), strict=True):
        torch.rand(3)  # another state of the global generator each time
        HeadInit(seed=seed).apply(head)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)


def test_head_initialisation_is_logged(tiny_model_dir, caplog):
    load_value_model(tiny_model_dir, head_init=HeadInit("orz_normal"))
    assert "value head (orz_normal, h=128" in caplog.text


def test_unknown_head_initialisations_are_refused():
    with pytest.raises(ValueError, match=r"'zeros'.*linear_default, orz_normal, uniform"):
        HeadInit("zeros")
    with pytest.raises(ValueError, match="value_head_bound is 0"):
        HeadInit("uniform", bound=0)


def test_a_saved_value_model_comes_back_with_its_head(tiny_model_dir, tmp_path, caplog):
    model = load_value_model(tiny_model_dir)
    torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(tmp_path)
    again = load_value_model(tmp_path)
    assert torch.equal(model.score.weight, again.score.weight)
    assert "value head loaded" in caplog.text
    automatic = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert isinstance(automatic, Qwen2_5_VLForTokenClassification)
    assert torch.equal(model.score.weight, automatic.score.weight)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda weights, name: weights.pop(name), "1 weights missing"),
        (
            lambda weights, name: weights.update({name: weights[name][:-1].clone()}),
            "of another shape",
        ),
    ],
    ids=["missing", "reshaped"],
)
def test_an_incomplete_backbone_is_refused(tiny_model_dir, tmp_path, spoil, message):
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny_model_dir, folder)
    weights = load_file(folder / "model.safetensors")
    spoil(weights, "model.layers.1.mlp.down_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=message) as caught:
        load_value_model(folder)
    assert "layers.1.mlp.down_proj" in str(caught.value)
    assert "critic.model.path" in str(caught.value)


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(TypeError, match=r"made for Qwen2\.5-VL.*'qwen2' model"):
        load_value_model(tmp_path)
