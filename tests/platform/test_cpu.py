"""The CPU platform against veRL's own interface, and against the veRL code that asks it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest
import torch
import verl
from verl.plugin.platform import platform_manager
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.utils import device as verl_device

from ovr_plugin.platform.cpu import PlatformCPU, register_platform

VERL = Path(verl.__file__).parent
# veRL's code on the way of FSDP and vLLM.
ASKING = (
    "trainer/sft_trainer.py",
    "trainer/ppo/v1",
    "single_controller/base",
    "workers/engine_workers.py",
    "workers/engine/fsdp",
    "workers/rollout/vllm_rollout",
    "protocol.py",
    "utils/device.py",
    "utils/distributed.py",
    "utils/flops_counter.py",
    "utils/fsdp_utils.py",
    "utils/memory_utils.py",
    "utils/torch_functional.py",
    "utils/profiler",
    "utils/debug",
    "utils/checkpoint",
)
# Asked for only by functions that veRL does not call, or by the memory profiler, which is off
# unless `global_profiler.tool=torch_memory` and catches what goes wrong.
NOT_ASKED = {
    "set_per_process_memory_fraction",
    "reset_accumulated_memory_stats",
    "get_device_properties",
    "memory",
}
# What veRL's base class answers, and why that is right here.
LEFT_TO_VERL = {
    "apply_model_patches",  # no model needs one
    "check_smi_command",  # a helper of platforms that have such a command
    "get_collective_module",  # None: no NCCL
    "get_device_uuid",  # asked only for CUDA IPC, see is_ipc_supported
    "ray_resource_options",  # num_gpus, from ray_resource_name
}


@pytest.fixture
def platform():
    return PlatformCPU()


def test_every_method_of_verls_interface_is_ours_or_left_on_purpose():
    public = {name for name in vars(PlatformBase) if not name.startswith("_")}
    assert len(public) > 20
    assert public - set(vars(PlatformCPU)) == LEFT_TO_VERL


def _asked_names(source: str) -> set[str]:
    """Attributes of ``get_torch_device()``, also by way of a variable."""
    tree = ast.parse(source)
    variables = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_call(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            _is_call(node.value)
            or (isinstance(node.value, ast.Name) and node.value.id in variables)
        )
    }


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "get_torch_device"


def _files() -> list[Path]:
    paths = [VERL / name for name in ASKING]
    assert all(path.exists() for path in paths), "verl has moved; adjust ASKING"
    return [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]


def test_the_device_module_answers_all_that_verl_asks_on_our_way(platform):
    asked = {name: file for file in _files() for name in _asked_names(file.read_text())}
    assert {"empty_cache", "mem_get_info", "set_device", "get_rng_state"} <= set(asked)
    missing = {name for name in asked if not hasattr(platform.device_module, name)}
    new = {name: str(asked[name]) for name in missing - NOT_ASKED}
    assert new == {}, "add them to ovr_plugin/platform/cpu.py"
    assert NOT_ASKED <= missing, "no longer an exception"


def test_the_platform_answers_all_that_verl_asks_of_it(platform):
    """`get_platform().NAME`, anywhere in verl."""
    asked = set()
    for file in VERL.rglob("*.py"):
        text = file.read_text()
        if "get_platform()" in text:
            asked |= {
                node.attr
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Call)
                and getattr(node.value.func, "id", "") == "get_platform"
            }
    assert "device_name" in asked
    assert {name for name in asked if not hasattr(platform, name)} == set()


def test_verls_own_helpers_run_on_it():
    """The very functions through which the trainers use the platform."""
    from verl.utils.checkpoint.checkpoint_manager import BaseCheckpointManager
    from verl.utils.flops_counter import get_device_flops
    from verl.utils.memory_utils import aggressive_empty_cache
    from verl.utils.profiler.performance import GPUMemoryLogger, log_gpu_memory_usage

    assert verl_device.get_device_name() == "cpu"
    assert verl_device.get_nccl_backend() == "gloo"
    assert verl_device.get_resource_name() == "GPU"
    assert torch.zeros(2).to(verl_device.get_device_id()).device.type == "cpu"
    verl_device.set_expandable_segments(True)
    verl_device.get_torch_device().set_device(0)
    aggressive_empty_cache(force_sync=True)
    log_gpu_memory_usage("test")
    assert GPUMemoryLogger(role="test")(lambda: 7)() == 7
    assert get_device_flops() > 0
    state = BaseCheckpointManager.get_rng_state()
    drawn = torch.rand(4)
    BaseCheckpointManager.load_rng_state(state)
    assert torch.equal(torch.rand(4), drawn)


def test_seeds_are_torchs_own(platform):
    torch.manual_seed(3)
    drawn = torch.rand(4)
    for seed in (
        platform.manual_seed,
        platform.manual_seed_all,
        platform.device_module.manual_seed,
        platform.device_module.manual_seed_all,
    ):
        torch.manual_seed(0)
        seed(3)
        assert torch.equal(torch.rand(4), drawn)


def test_generator_state_can_be_put_back(platform):
    state = platform.device_module.get_rng_state()
    drawn = torch.rand(4)
    platform.device_module.set_rng_state(state)
    assert torch.equal(torch.rand(4), drawn)


def test_memory_is_the_hosts(platform):
    meminfo = dict(
        line.split(":") for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )
    free, total = platform.device_module.mem_get_info()
    assert total == int(meminfo["MemTotal"].split()[0]) * 1024
    assert 0 < free <= total
    # Against the kernel's own count; a machine that reclaims idle pages may lower it at any time.
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = n_pages * os.sysconf("SC_PAGE_SIZE")
    assert 0.5 * resident < platform.device_module.memory_allocated() < 2 * resident


def test_what_a_cpu_has_nothing_for_is_quietly_accepted(platform):
    for nothing in (
        platform.profiler_start,
        platform.profiler_stop,
        platform.empty_cache,
        platform.synchronize,
        platform.cudart,
        platform.device_module.ipc_collect,
        platform.device_module.empty_cache,
        platform.device_module.reset_peak_memory_stats,
    ):
        assert nothing() is None
    platform.set_device(3)
    platform.set_allocator_settings("expandable_segments:True")
    with platform.nvtx_range("work"):
        done = True
    assert done
    with pytest.raises(ZeroDivisionError), platform.nvtx_range("work"):
        1 / 0  # noqa: B018 (it has to raise)
    assert platform.is_available()
    assert platform.get_device_capability() == (None, None)
    assert platform.device_module.get_device_name() == "cpu"
    assert platform.device_count() == 1
    assert not platform.is_ipc_supported()


def test_what_torch_cpu_lacks_is_an_attribute_error(platform):
    with pytest.raises(AttributeError, match="no_such_thing"):
        platform.device_module.no_such_thing  # noqa: B018 (it has to raise)


def test_a_gpu_that_torch_sees_is_not_passed_over(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RuntimeError, match=r"torch sees a GPU\. Unset VERL_PLATFORM"):
        PlatformCPU()


def test_stock_platforms_are_asked_first():
    names = PlatformRegistry.registered_names()
    stock = [
        name
        for name in names
        if PlatformRegistry.get(name).__module__.startswith("verl.plugin.platform")
    ]
    assert len(stock) >= 3
    assert all(names.index(name) < names.index("cpu") for name in stock)


@pytest.mark.parametrize(
    ("argv", "accelerator", "detected"),
    [
        (["+ovr=ppo_tiny"], False, "cpu"),
        (["+ovr=ppo_tiny"], True, "nvidia"),
        (["+ovr=ppo_7b"], False, "nvidia"),  # say, the head node of a cluster
        ([], False, "nvidia"),
    ],
)
def test_detection_chooses_the_cpu_only_without_accelerator_and_where_asked(
    argv, accelerator, detected, monkeypatch
):
    for variable in ("VERL_PLATFORM", "OVR_RECIPE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "argv", ["main_ppo.py", *argv])
    for name in PlatformRegistry.registered_names():
        if name != "cpu":
            found = accelerator and name == "nvidia"
            monkeypatch.setattr(
                PlatformRegistry.get(name),
                "is_platform_available",
                lambda self, use_smi_check=False, found=found: found,
            )
    assert platform_manager._detect_platform_name() == detected


def test_another_plugins_cpu_platform_is_left_alone(monkeypatch):
    theirs = type("Theirs", (PlatformCPU,), {})
    monkeypatch.setitem(PlatformRegistry._platforms, "cpu", theirs)
    register_platform()
    assert PlatformRegistry.get("cpu") is theirs
    monkeypatch.delitem(PlatformRegistry._platforms, "cpu")
    register_platform()
    assert PlatformRegistry.get("cpu") is PlatformCPU
