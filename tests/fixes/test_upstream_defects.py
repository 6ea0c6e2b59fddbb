"""Each defect of veRL that we carry a fix for is still there; a test that fails here retires a fix.

The defects are shown in a process without the plugin (``VERL_USE_EXTERNAL_PLUGINS=none``).
"""

from __future__ import annotations

import json

import pytest

PROBE = """
import inspect, json, sys
import torch
import verl
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration
found = {}
path = sys.argv[1]

# B1: a micro-batch without an image
from verl.models.transformers.monkey_patch import apply_monkey_patch
model = Qwen2_5_VLForConditionalGeneration.from_pretrained(path, attn_implementation="sdpa")
apply_monkey_patch(model, use_remove_padding=False)
ids = torch.arange(6)[None]
positions = torch.arange(6).expand(4, 1, 6)
try:
    model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=positions)
    found["B1"] = "works"
except AttributeError as error:
    found["B1"] = str(error)

# B2: an installed trl without the value head
import types
from importlib.machinery import ModuleSpec
trl = types.ModuleType("trl")
trl.__spec__ = ModuleSpec("trl", None)
sys.modules["trl"] = trl
from verl.utils.import_utils import is_trl_available
is_trl_available.cache_clear()
try:
    apply_monkey_patch(model, use_remove_padding=False)
    found["B2"] = "works"
except ImportError as error:
    found["B2"] = str(error)
del sys.modules["trl"]
is_trl_available.cache_clear()

# B3, B4: the critic of a Qwen2.5-VL
from verl.utils.model import load_valuehead_model
from transformers import AutoModelForTokenClassification
config = AutoConfig.from_pretrained(path, attn_implementation="sdpa")
found["B3"] = type(config) in AutoModelForTokenClassification._model_mapping
try:
    load_valuehead_model(path, torch.float32, config, False)
    found["B4"] = "works"
except Exception as error:
    found["B4"] = f"{type(error).__name__}: {error}"
source = inspect.getsource(load_valuehead_model)
found["B4 source"] = source.count('attn_implementation="flash_attention_2"')

# B5: freeze_vision_tower is declared and read by nothing
import pathlib
root = pathlib.Path(verl.__file__).parent
found["B5"] = sorted(str(p.relative_to(root)) for p in root.rglob("*.py")
                     if "freeze_vision_tower" in p.read_text(errors="ignore"))

# the process-group backend on a CPU
from verl.utils import distributed
backend = 'f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"'
found["gloo"] = inspect.getsource(distributed).count(backend)

# a metrics file that is there already
import os
from verl.utils import tracking
metrics = pathlib.Path(sys.argv[2])
os.environ["VERL_FILE_LOGGER_PATH"] = str(metrics)
tracking.FileLogger("project", "experiment").finish()
found["file logger"] = metrics.read_text()

# the socket that weights pass through
sender = (root / "workers/rollout/vllm_rollout/vllm_rollout.py").read_text()
found["socket"] = sender.count('f"ipc:///tmp/rl-colocate-zmq-{job_id}-replica-')

# vLLM's CPU build drops the weights that veRL writes to
linear = pathlib.Path(__import__("importlib.util").util.find_spec("vllm").origin).parent
found["vllm"] = (linear / "model_executor/layers/linear.py").read_text().count("remove_weight=True")

# attention that packs without flash-attn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention
stock = Qwen2_5_VLAttention.forward
apply_monkey_patch(model, use_remove_padding=True)
found["attention"] = Qwen2_5_VLAttention.forward is stock

# one long row among short ones, without packing
from verl.utils import tensordict_utils as tu
from verl.workers.engine.fsdp import transformer_impl
ids = torch.nested.nested_tensor([torch.arange(n) for n in [100] + [10] * 20], layout=torch.jagged)
data = tu.get_tensordict({"input_ids": ids}, non_tensor_dict={
    "use_dynamic_bsz": True, "max_token_len_per_gpu": 300, "use_remove_padding": False})
micro_batches, _ = transformer_impl.prepare_micro_batches(data)
lengths = [each["input_ids"].offsets().diff() for each in micro_batches]
found["padded"] = max(len(each) * int(each.max()) for each in lengths)

# log-probabilities of packed tokens
from torch.overrides import TorchFunctionMode
from verl.utils.torch_functional import logprobs_from_logits
class Count(TorchFunctionMode):
    n = 0
    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.logsumexp
        return function(*args, **(kwargs or {}))
with Count() as count:
    logprobs_from_logits(torch.zeros(50, 7), torch.zeros(50, dtype=torch.long))
found["log-probabilities"] = count.n
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(run_warm_python, tiny_model_dir, tmp_path_factory) -> dict:
    metrics = tmp_path_factory.mktemp("logs") / "metrics.jsonl"
    metrics.write_text('{"step": 1, "data": {}}\n')
    process = run_warm_python(
        PROBE, str(tiny_model_dir), str(metrics), VERL_USE_EXTERNAL_PLUGINS="none"
    )
    [line] = [x for x in process.stdout.splitlines() if x.startswith("FOUND")] or [""]
    assert line, process.stderr[-3000:]
    return json.loads(line.removeprefix("FOUND"))


def test_b1_text_only_batches_crash(found):
    assert "has no attribute 'mean'" in found["B1"], "fixed: drop fixes/text_only_batches.py"


def test_b2_a_trl_without_the_class_breaks_every_engine(found):
    assert "AutoModelForCausalLMWithValueHead" in found["B2"], "fixed: drop fixes/trl_import.py"


def test_b3_qwen2_5_vl_has_no_value_model(found):
    assert found["B3"] is False, "transformers has one: see whether models/value_model.py can go"


def test_b4_the_critics_attention_is_hard_coded(found):
    assert found["B4 source"] == 2, "fixed: trainer/engine.py may use veRL's loader"
    assert found["B4"] != "works"


def test_b5_nothing_reads_freeze_vision_tower(found):
    declared_only = ["workers/config/actor.py"]
    assert found["B5"] == declared_only, "fixed: drop freeze_vision_tower of trainer/engine.py"


def test_gloo_backend_is_named_twice(found):
    assert found["gloo"] == 2, "changed: see whether fixes/gloo_backend.py can go"


def test_the_file_logger_empties_its_file(found):
    assert found["file logger"] == "", "fixed: drop fixes/file_logger.py"


def test_a_socket_is_named_by_the_job_which_is_the_first_of_many_rays(found):
    assert found["socket"] == 1, "changed: see whether fixes/weights_socket.py can go"


def test_packing_replaces_the_attention_that_was_asked_for(found):
    assert found["attention"] is False, "fixed: drop fixes/attention_without_flash.py"


def test_without_packing_a_micro_batch_is_padded_beyond_its_budget(found):
    assert found["padded"] > 2 * 300, "fixed: drop fixes/padded_micro_batches.py"


def test_packed_tokens_get_their_log_probabilities_one_by_one(found):
    assert found["log-probabilities"] == 50, "fixed: drop fixes/logprobs_of_packed_rows.py"


def test_vllm_cpu_drops_linear_weights(found):
    assert found["vllm"] == 1, "changed: see whether platform/vllm_cpu.keep_linear_weights can go"
