"""Registration seen from veRL's side: real processes that import verl."""

from __future__ import annotations

import json
import pickle
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

STATE = """
import json, sys
import verl
from verl.plugin.platform import PlatformRegistry
import ovr_plugin.registration as registration
import verl.models.transformers.qwen2_vl as qwen2_vl
import verl.utils.distributed as distributed
from verl.plugin.platform import get_platform
from verl.workers.engine import EngineRegistry
registration.register()  # again: must change nothing and raise nothing
from importlib.metadata import version, PackageNotFoundError
sockets = None  # without a vLLM veRL's modules cannot be imported
if "--sockets" in sys.argv:
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer
    from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter
    sockets = [hasattr(side.__init__, "ovr_fix") for side in (vLLMHttpServer, ServerAdapter)]
try:
    vllm = version("vllm")
except PackageNotFoundError:
    vllm = None
print("STATE" + json.dumps({
    "b1": getattr(qwen2_vl._get_input_embeds, "ovr_fix", False),
    "gloo": getattr(distributed.initialize_global_process_group_ray, "ovr_fix", False),
    "platform": get_platform().device_name,
    "engines": {key: [str(k) for k in backends["fsdp2"]]
                for key, backends in EngineRegistry._engines.items() if "fsdp2" in backends},
    "vllm": vllm,
    "sockets": sockets,
}))
"""


def _state(process) -> dict:
    lines = [line for line in process.stdout.splitlines() if line.startswith("STATE")]
    assert lines, process.stderr[-3000:]
    return json.loads(lines[0].removeprefix("STATE"))


def test_entry_points_name_things_that_exist():
    [verl] = [ep for ep in entry_points(group="verl.plugins") if ep.name == "ovr"]
    assert verl.load().__name__ == "ovr_plugin.registration"
    for group in ("vllm.general_plugins", "vllm.platform_plugins"):
        [vllm] = [ep for ep in entry_points(group=group) if ep.name == "ovr"]
        assert callable(vllm.load())


def test_a_run_that_does_not_ask_for_ovr_is_left_alone(run_warm_python):
    state = _state(run_warm_python(STATE, "trainer.total_epochs=1"))
    assert state["b1"] is False
    assert state["gloo"] is False
    assert state["platform"] == "cuda"
    assert state["vllm"] is None
    assert state["engines"]["language_model"] == ["cuda", "npu"]


def test_registration_imports_next_to_nothing(run_python):
    """Beyond what verl imports by itself: our own few files, wrapt and packaging."""
    code = "import sys, verl; print('STATE' + __import__('json').dumps(sorted(sys.modules)))"
    with_plugin = set(_state(run_python(code, "+ovr=ppo_tiny")))
    without = set(_state(run_python(code, VERL_USE_EXTERNAL_PLUGINS="none")))
    libraries = ("packaging", "wrapt")
    added = {name for name in with_plugin - without if name.split(".")[0] not in libraries}
    ours = {name for name in added if name.split(".")[0] == "ovr_plugin"}
    assert ours == {
        "ovr_plugin",
        "ovr_plugin.platform",
        "ovr_plugin.platform.allocator",
        "ovr_plugin.platform.cpu",
        "ovr_plugin.platform.request",
        "ovr_plugin.platform.vllm_cpu",
        "ovr_plugin.registration",
    }
    assert not [name for name in added - ours if name.split(".")[0] not in sys.stdlib_module_names]


@pytest.mark.parametrize(("argv", "platform"), [("+ovr=ppo_tiny", "cpu"), ("+ovr=ppo_7b", "cuda")])
def test_a_run_that_asks_for_ovr_gets_it(run_warm_python, argv, platform):
    state = _state(run_warm_python(STATE, argv))
    assert state["b1"] is True
    assert state["platform"] == platform
    assert state["gloo"] is (platform == "cpu")
    assert (state["vllm"] or "").endswith("+cpu") is (platform == "cpu")
    for model_type in ("language_model", "value_model"):
        assert "('cuda', 'nvidia')" in state["engines"][model_type]
        assert "cpu" in state["engines"][model_type]


def test_a_worker_learns_it_from_the_environment(run_warm_python):
    state = _state(run_warm_python(STATE, OVR_RECIPE="ppo_tiny", VERL_PLATFORM="cpu"))
    assert state["b1"] is True
    assert state["platform"] == "cpu"


def test_both_sides_name_the_weights_socket_alike(run_warm_python):
    """Also where a config alone asks for OVR, which one side has and the other has not."""
    asked = _state(run_warm_python(STATE, "--sockets", OVR_RECIPE="ppo_tiny", VERL_PLATFORM="cpu"))
    assert asked["sockets"] == [True, True]
    unasked = "import ovr_plugin.platform.vllm_cpu as cpu, ovr_plugin.trainer.engine_config\n" + (
        "cpu.offer_vllm_distribution()\n" + STATE
    )
    assert _state(run_warm_python(unasked, "--sockets"))["sockets"] == [False, False]


def test_another_platform_that_is_asked_for_wins(run_warm_python):
    state = _state(run_warm_python(STATE, "+ovr=ppo_tiny", VERL_PLATFORM="nvidia"))
    assert state["platform"] == "cuda"


def _break_wrapt(folder: Path) -> dict[str, str]:
    (folder / "wrapt.py").write_text("raise ImportError('wrapt is broken here')\n")
    return {"PYTHONPATH": str(folder)}


def test_a_broken_install_stops_a_run_that_asks_for_ovr(run_warm_python, tmp_path):
    code = "import verl; print('the run goes on')"
    process = run_warm_python(code, "+ovr=ppo_7b", **_break_wrapt(tmp_path))
    assert process.returncode == 1
    assert "the run goes on" not in process.stdout
    assert "ovr-plugin could not be loaded" in process.stderr
    assert "ImportError: wrapt is broken here" in process.stderr
    assert "ovr doctor" in process.stderr


def test_a_broken_install_leaves_other_runs_alone(run_warm_python, tmp_path):
    process = run_warm_python("import verl; print('the run goes on')", **_break_wrapt(tmp_path))
    assert "the run goes on" in process.stdout, process.stderr[-2000:]


def test_an_unsupported_verl_stops_the_run(run_warm_python, tmp_path):
    code = (
        "import importlib.metadata as metadata; real = metadata.version\n"
        "metadata.version = lambda name: '0.8.0' if name == 'verl' else real(name)\n"
        "import verl; print('the run goes on')"
    )
    process = run_warm_python(code, "+ovr=ppo_7b")
    assert process.returncode == 1
    assert "0.8.0 is installed" in process.stderr
    assert "pip install 'verl==0.9.1'" in process.stderr


@pytest.mark.parametrize(
    ("visible", "ray_counts", "torch_sees"), [("", 16, 0), ("3", 1, 0)], ids=["hidden", "chosen"]
)
def test_rays_slots_survive_hidden_gpus(run_warm_python, visible, ray_counts, torch_sees):
    code = (
        "import verl, torch\n"
        "from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager as manager\n"
        "ids = manager.get_current_process_visible_accelerator_ids()\n"
        "print('STATE' + __import__('json').dumps([len(ids), torch.cuda.device_count()]))"
    )
    state = _state(run_warm_python(code, "+ovr=ppo_tiny", CUDA_VISIBLE_DEVICES=visible))
    assert state == [ray_counts, torch_sees]


def test_a_config_of_ours_is_request_enough(run_warm_python):
    """A worker without command line or variable, on an existing Ray cluster say, unpickles it."""
    code = (
        "import json, pickle, sys, verl, verl.workers.engine\n"
        "pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "from verl.workers.engine import EngineRegistry\n"
        "names = [EngineRegistry.get_engine_cls(kind, 'fsdp2').__name__\n"
        "         for kind in ('language_model', 'value_model')]\n"
        "print('STATE' + json.dumps(names))"
    )
    from ovr_plugin.trainer.engine_config import OVREngineConfig

    pickled = pickle.dumps(OVREngineConfig(strategy="fsdp2")).hex()
    assert _state(run_warm_python(code, pickled)) == [
        "OVREngineWithLMHead",
        "OVREngineWithValueHead",
    ]
