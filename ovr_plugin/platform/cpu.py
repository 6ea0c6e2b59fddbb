"""veRL's platform interface for plain CPUs: torch.cpu and gloo under the names veRL asks for.

Ray still counts "GPU"s: they are logical slots (``ray_kwargs.ray_init.num_gpus``), one per training
rank, because veRL places workers by that resource alone. Registered by name, and chosen by veRL's
detection only where no accelerator was found and the run asked for it (``request.py``).
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from ovr_plugin.platform.request import cpu_was_asked_for

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
MAX_SLOTS = 16


class CpuDeviceModule(types.ModuleType):
    """``torch.cpu`` plus neutral answers to what veRL asks of ``torch.cuda``."""

    def __init__(self) -> None:
        super().__init__("ovr_plugin.platform.cpu_device")

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def is_available(self) -> bool:
        """A CPU is always there."""
        return True

    def empty_cache(self) -> None:
        """Nothing is cached."""

    def ipc_collect(self) -> None:
        """There is no device IPC."""

    def get_device_name(self, device: Any = None) -> str:
        """Name used in throughput tables; they hold no CPU."""
        return "cpu"

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Return (free, total) bytes of the host."""
        import psutil

        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def memory_allocated(self, device: Any = None) -> int:
        """Return the resident bytes of this process."""
        import psutil

        return psutil.Process().memory_info().rss

    memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        """There are no peaks to reset."""

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        """Return torch's own generator state, the device's being the same."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        """Set torch's own generator state."""
        torch.set_rng_state(state)

    def manual_seed(self, seed: int) -> None:
        """Seed torch's own generator."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed


_DEVICE_MODULE = CpuDeviceModule()


class PlatformCPU(PlatformBase):
    """veRL 0.9.1's ``PlatformBase`` (plugin/platform/platform_base.py) on CPUs."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            raise RuntimeError(
                "VERL_PLATFORM=cpu asks for the CPU platform, but torch sees a GPU. Unset "
                "VERL_PLATFORM to use the GPU, or hide it with CUDA_VISIBLE_DEVICES=''."
            )

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _DEVICE_MODULE

    def is_available(self) -> bool:
        """A CPU is always there."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Return whether detection, having found no accelerator, may choose the CPU."""
        return cpu_was_asked_for()

    def current_device(self) -> str:  # type: ignore[override]
        """Return what tensors are moved to; an index would mean ``cuda:index`` to torch."""
        return "cpu"

    def device_count(self) -> int:
        """Return 1: a process has one CPU device."""
        return 1

    def set_device(self, device_index: int) -> None:
        """There is only one."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Work on CPU tensors is done when the call returns."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch's own generator."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        """The host allocator has none of CUDA's settings."""

    def empty_cache(self) -> None:
        """Nothing is cached."""

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        """CPUs have no compute capability."""
        return None, None

    def communication_backend_name(self) -> str:
        """Collectives run over gloo."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """Return the variable by which Ray numbers its logical GPU slots."""
        return VISIBLE_DEVICES

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """Profiler ranges exist on NVIDIA devices only."""
        yield

    def profiler_start(self) -> None:
        """There is no device profiler."""

    def profiler_stop(self) -> None:
        """There is no device profiler."""

    def ray_resource_name(self) -> str:
        """Return "GPU": veRL's placement counts only accelerators, so slots carry that name."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Return the variables that keep Ray from renumbering devices."""
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def rollout_env_vars(self) -> dict[str, str]:
        """Return what vLLM's processes start with; both settings halve the engine's start-up."""
        return {
            # Its warm-up otherwise compiles for 17 s, also with enforce_eager.
            "TORCHDYNAMO_DISABLE": "1",
            # Lets distributed_executor_backend=uni stand: no second process to import vLLM in.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }

    def is_ipc_supported(self) -> bool:
        """Weights go to vLLM through shared memory instead."""
        return False

    def cudart(self) -> None:
        """There is no CUDA runtime."""


def keep_hidden_gpus_countable() -> None:
    """Let Ray count slots where ``CUDA_VISIBLE_DEVICES=''`` hides the GPUs.

    Ray refuses more GPUs than that variable lists, and the slots of this platform carry the name
    "GPU". Negative numbers are ids to Ray and, as the empty string, no device to CUDA.
    """
    if os.environ.get(VISIBLE_DEVICES) in ("", "NoDevFiles"):  # the latter is Slurm's
        os.environ[VISIBLE_DEVICES] = ",".join(str(-n) for n in range(1, MAX_SLOTS + 1))


def register_platform() -> None:
    """Offer the platform to veRL under the name "cpu"; stock platforms are asked first."""
    if PlatformRegistry.get("cpu") is None:
        PlatformRegistry.register("cpu")(PlatformCPU)


def cpu_is_active() -> bool:
    """Return whether veRL runs, or will run, on the CPU platform in this process."""
    from verl.plugin.platform import get_platform

    return cpu_was_asked_for() and isinstance(get_platform(), PlatformCPU)
