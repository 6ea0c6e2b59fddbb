"""What the fixes do, on veRL's own patched model."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from verl.utils import tracking

from ovr_plugin.run_folder import read_metrics


@pytest.fixture(scope="module")
def patched_model(tiny_model_dir):
    """veRL's patch replaces methods of the classes: they are put back for the tests to come."""
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl
    from verl.models.transformers import qwen2_vl
    from verl.models.transformers.monkey_patch import apply_monkey_patch

    from ovr_plugin.fixes import text_only_batches

    stock = {
        kind: dict(vars(kind))
        for kind in vars(modeling_qwen2_5_vl).values()
        if isinstance(kind, type) and kind.__module__ == modeling_qwen2_5_vl.__name__
    }
    text_only_batches.apply(qwen2_vl)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tiny_model_dir, attn_implementation="sdpa"
    )
    apply_monkey_patch(model, use_remove_padding=False)
    yield model
    for kind, attributes in stock.items():
        for name, attribute in attributes.items():
            if vars(kind).get(name) is not attribute:
                setattr(kind, name, attribute)


def _text(model, n_tokens: int = 6) -> dict:
    ids = torch.arange(n_tokens)[None]
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "position_ids": torch.arange(n_tokens).expand(4, 1, n_tokens),
    }


def test_text_only_logits_equal_the_unpatched_language_model(patched_model):
    """The blank picture adds exactly nothing to what the language model computes by itself."""
    inputs = _text(patched_model)
    logits = patched_model(**inputs).logits
    core = patched_model.model.language_model
    embeds = core.embed_tokens(inputs["input_ids"])
    hidden = core(inputs_embeds=embeds, position_ids=inputs["position_ids"]).last_hidden_state
    torch.testing.assert_close(logits, patched_model.lm_head(hidden))


def test_the_vision_tower_runs_on_text_so_that_ranks_stay_in_step(patched_model):
    calls = []
    handle = patched_model.model.visual.register_forward_hook(lambda *_: calls.append(1))
    patched_model(**_text(patched_model)).logits.sum().backward()
    handle.remove()
    assert calls == [1]
    grads = [parameter.grad for parameter in patched_model.model.visual.parameters()]
    # Zero, not None: FSDP reduces the gradient of every weight on every rank.
    assert all(grad is not None and not grad.any() for grad in grads)


def test_a_batch_with_an_image_is_left_to_verl(patched_model, tiny_model_dir):
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny_model_dir)
    text = "<|vision_start|><|image_pad|><|vision_end|>What colour?"
    red, blue = (
        processor(text=[text], images=[Image.new("RGB", (56, 56), colour)], return_tensors="pt")
        for colour in ("red", "blue")
    )
    n_tokens = red["input_ids"].shape[1]
    positions = torch.arange(n_tokens).expand(4, 1, n_tokens)
    logits = [
        patched_model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            position_ids=positions,
            pixel_values=batch["pixel_values"],
            image_grid_thw=batch["image_grid_thw"],
        ).logits
        for batch in (red, blue)
    ]
    assert not torch.allclose(*logits)


def test_applying_twice_wraps_once():
    from verl.models.transformers import qwen2_vl

    from ovr_plugin.fixes import text_only_batches

    text_only_batches.apply(qwen2_vl)
    once = qwen2_vl._get_input_embeds
    text_only_batches.apply(qwen2_vl)
    assert qwen2_vl._get_input_embeds is once


@pytest.mark.parametrize(
    ("place", "has_it"), [("trl.experimental.ppo", True), ("trl", True), (None, False)]
)
def test_trl_counts_only_where_the_class_is(monkeypatch, place, has_it):
    from ovr_plugin.fixes.trl_import import trl_has_value_head

    modules = {name: types.ModuleType(name) for name in ("trl", "trl.experimental")}
    if place == "trl.experimental.ppo":
        modules[place] = types.ModuleType(place)
    if place:
        modules[place].AutoModelForCausalLMWithValueHead = object
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert trl_has_value_head() is has_it


def test_an_unusable_trl_no_longer_breaks_verls_patch(monkeypatch, patched_model):
    from verl.models.transformers import monkey_patch

    from ovr_plugin.fixes import trl_import

    monkeypatch.setitem(sys.modules, "trl", types.ModuleType("trl"))
    monkeypatch.setattr(monkey_patch, "is_trl_available", lambda: True)
    with pytest.raises(ImportError):
        monkey_patch.apply_monkey_patch(patched_model, use_remove_padding=False)
    trl_import.apply(monkey_patch)
    monkey_patch.apply_monkey_patch(patched_model, use_remove_padding=False)


@pytest.mark.parametrize("by", ["path", "root", "neither"])
def test_metrics_are_appended_where_verl_would_write_them(by, monkeypatch, tmp_path):
    """Three starts into one file, the second killed while it wrote; through veRL's own Tracking."""
    monkeypatch.chdir(tmp_path)
    for name in ("VERL_FILE_LOGGER_PATH", "VERL_FILE_LOGGER_ROOT"):
        monkeypatch.delenv(name, raising=False)
    if by == "path":
        monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(tmp_path / "some" / "where.jsonl"))
    elif by == "root":
        monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", str(tmp_path / "root"))

    def log(step: int) -> Path:
        tracker = tracking.Tracking("ovr", "ppo", ["file"], {})
        tracker.log({"ovr/reward/all": np.float32(0.25), "ovr/rows/all": step}, step=step)
        tracker.finish()
        return Path(tracker.logger["file"].filepath)

    path = log(1)
    assert (
        path.resolve()
        == {
            "path": tmp_path / "some" / "where.jsonl",
            "root": tmp_path / "root" / "ovr" / "ppo.jsonl",
            "neither": tmp_path / "ovr" / "ppo.jsonl",
        }[by]
    )
    with path.open("a") as file:
        file.write('{"step": 2, "da')
    with pytest.warns(UserWarning, match="torn last line"):
        log(2)
    log(3)
    assert [(step, values["ovr/rows/all"]) for step, values in read_metrics(path)] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


def test_tensorboard_gets_every_metric_as_well(monkeypatch, tmp_path):
    """A tracker with files to look into; all of veRL's are handed the same numbers."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path))
    tracker = tracking.Tracking("ovr", "ppo", ["tensorboard"], {})
    metrics = {"ovr/reward/source/a-b.c": 0.5, "ovr/outcome_of/text/correct": 3}
    tracker.log(metrics, step=7)
    tracker.finish()
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {name: events.Scalars(name)[0] for name in events.Tags()["scalars"]}
    assert {name: (event.step, event.value) for name, event in found.items()} == {
        name: (7, value) for name, value in metrics.items()
    }


@pytest.fixture
def sockets(monkeypatch):
    """What veRL's own two classes name the socket by, on a given node of Ray."""
    from verl.workers.config import RolloutConfig
    from verl.workers.rollout.vllm_rollout import utils, vllm_async_server, vllm_rollout

    from ovr_plugin.fixes import weights_socket

    # Their own __init__, which the fixes wrap, is put back after the test.
    for kind in (vllm_rollout.ServerAdapter, vllm_async_server.vLLMHttpServer):
        monkeypatch.setattr(kind, "__init__", kind.__init__)
    weights_socket.apply_to_trainer(vllm_rollout)
    weights_socket.apply_to_server(vllm_async_server)
    for name, value in {"RANK": "0", "RAY_LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("CUDA_VISIBLE_DEVICES", "VERL_REPLICA_RANK", "VERL_RAY_JOB_ID"):
        monkeypatch.setenv(name, "")  # the server sets them
    config = RolloutConfig(name="vllm", tensor_model_parallel_size=1)

    class Halted(vllm_async_server.vLLMHttpServer):
        """A server whose start ends where it would look at its model."""

        def _init_config(self, config):
            return config

        def _init_model_config(self, model_config):
            return model_config

        def _validate_configs(self):
            pass

    def names(node: str) -> tuple[str, str]:
        context = types.SimpleNamespace(get_job_id=lambda: "01000000", get_node_id=lambda: node)
        monkeypatch.setattr("ray.get_runtime_context", lambda: context)
        sender = vllm_rollout.ServerAdapter(config, None, None)
        Halted(config, None, None, [], 0, 0, 1, 1, "")
        receiver = utils.vLLMColocateWorkerExtension()
        receiver.local_rank, receiver.model_runner = 0, None
        return sender.zmq_handle, receiver._get_zmq_handle()

    return names


def test_trainer_and_vllm_meet_at_a_socket_that_no_other_run_has(sockets):
    (sender, receiver), (other_sender, other_receiver) = sockets("a" * 56), sockets("b" * 56)
    assert sender == receiver
    assert other_sender == other_receiver
    assert other_sender != sender
    assert len(sender.removeprefix("ipc://")) < 108  # of a socket's path, in bytes


def test_a_socket_that_another_verl_names_otherwise_stops_the_run(sockets):
    from ovr_plugin.fixes import weights_socket

    class Later:
        def __init__(self):
            self.zmq_handle = "ipc:///tmp/weights.sock"

    sockets("a" * 56)
    weights_socket.apply_to_trainer(types.SimpleNamespace(ServerAdapter=Later))
    with pytest.raises(RuntimeError, match=r"weights\.sock is not named by Ray's job: this verl"):
        Later()
