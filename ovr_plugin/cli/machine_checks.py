"""What ``ovr doctor`` asks of the machine: accelerator, platform, host memory and cores.

In: the ``Probe`` of a real ``import verl``, ``nvidia-smi`` and the operating system. Out: one
``Check`` each. A machine without a GPU is fine (the tiny recipes run on it); a GPU that torch
cannot use, or a platform that contradicts the hardware, is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovr_plugin.cli.checks import INSTALL_CPU, INSTALL_GPU, Check, installed_version
from ovr_plugin.platform.vllm_cpu import is_cpu_build

if TYPE_CHECKING:
    from ovr_plugin.cli.probe import Probe

GIB = 2**30
# Measured: the 23 processes of a ``+ovr=ppo_tiny`` run hold 8.1 GiB between them (proportional set
# size), and Ray ends workers from 95 % of the memory on.
MIN_MEMORY_CPU = 10 * GIB
# The first rank reads the 8.3 billion weights of the 7B in float32, 31 GiB, into host memory, and
# Ray sets 30 % aside for its object store.
MIN_MEMORY_GPU = 48 * GIB
# Ray's rule (ray/_private/utils.py): 30 % of the memory, but at /dev/shm's own size from 10 GB up.
RAY_STORE_SHARE, RAY_STORE_ENOUGH = 0.3, 10**10
MIN_CORES_CPU = 2  # where ppo_tiny was measured: about 100 s of start-up, 3 s per step
MIN_CORES_PER_GPU = 4  # trainer rank, vLLM engine, vLLM server, and rewards with image decoding
SMI_TIMEOUT_S = 20.0


def check_machine(probe: Probe, smi_lists: Sequence[str]) -> list[Check]:
    """Run every check of this file; ``smi_lists`` is what ``list_with_smi`` returned."""
    gpus = probe.gpus or ()
    checks = [check_gpu(probe, smi_lists), check_platform(probe)]
    if probe.gpus is not None:
        checks += [check_vllm_build(gpus), check_flash_attention(gpus)]
    memory_bytes = host_memory_bytes()
    checks += [
        check_memory(memory_bytes, gpus),
        check_shared_memory(shared_memory_bytes(), memory_bytes),
        check_cores(n_cores(), gpus),
    ]
    return [check for check in checks if check]


def check_gpu(probe: Probe, smi_lists: Sequence[str]) -> Check:
    """Compare the GPUs that torch can use with those that ``nvidia-smi`` lists."""
    if probe.gpus is None:
        return Check(
            "GPU",
            "fail",
            "unknown: torch could not be asked",
            f"{probe.error}. See what torch says by itself:",
            'python -c "import torch; print(torch.cuda.device_count())"',
        )
    if probe.gpus:
        return Check("GPU", "ok", ", ".join(probe.gpus))
    if not smi_lists:
        return Check("GPU", "ok", "none; ppo_tiny and sft_tiny run on the CPU")
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        value = os.environ["CUDA_VISIBLE_DEVICES"]
        advice = f"CUDA_VISIBLE_DEVICES={value!r} hides them. To use them:"
        command = "unset CUDA_VISIBLE_DEVICES"
    else:
        advice = "The driver does not fit torch's CUDA, or torch is a CPU build. Compare:"
        command = 'nvidia-smi; python -c "import torch; print(torch.version.cuda)"'
    found = f"torch sees none, nvidia-smi lists {len(smi_lists)}"
    return Check("GPU", "warn", found, advice, command)


def list_with_smi() -> list[str]:
    """Return nvidia-smi's lines, one per GPU; none where it is missing, fails or hangs."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603 (our own command)
            [smi, "-L"], capture_output=True, text=True, timeout=SMI_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.startswith("GPU ")]


def check_platform(probe: Probe, env: Mapping[str, str] | None = None) -> Check | None:
    """Check that the platform veRL chooses for ``+ovr=ppo_tiny`` is one this machine has.

    None where veRL did not get that far, for a reason that is reported elsewhere.
    """
    named = (os.environ if env is None else env).get("VERL_PLATFORM", "")
    name = "platform for ppo_tiny"
    variable = f"VERL_PLATFORM={named}: " if named else ""
    blamed = bool(named) and "platform" in probe.error.lower()
    if not probe.platform and (blamed or (probe.recipes and probe.error)):
        advice = "veRL can use none. Try it with veRL's own choice, and look at the GPU's driver:"
        if blamed:
            advice = "veRL cannot use what the variable names. Let it choose by itself:"
        return Check(name, "fail", f"{variable}{probe.error}", advice, "unset VERL_PLATFORM")
    if not (probe.registered and probe.platform):
        return None
    if probe.platform == "PlatformCPU" or probe.gpus:
        return Check(name, "ok", f"{variable}{probe.platform}")
    return Check(
        name,
        "warn",
        f"{variable}{probe.platform}, but torch sees no such device",
        "Right on the head node of a GPU cluster. To run on this machine's CPU:",
        "export VERL_PLATFORM=cpu CUDA_VISIBLE_DEVICES=''",
    )


def check_vllm_build(gpus: Sequence[str]) -> Check | None:
    """Check that vLLM is built for the hardware: ``vllm`` for GPUs, ``vllm-cpu`` without.

    None where neither is installed, which the line on versions says.
    """
    installed = {build: installed_version(build) for build in ("vllm", "vllm-cpu")}
    present = [build for build, version in installed.items() if version is not None]
    if not present:
        return None
    if len(present) == 2:
        advice = "Both own the module vllm and overwrite each other. Keep one:"
    elif is_cpu_build(present[0], installed[present[0]] or "") == bool(gpus):
        advice = f"It is of no use {'with' if gpus else 'without'} a GPU. Replace it:"
    else:
        return Check("vLLM build", "ok", present[0])
    install = INSTALL_GPU if gpus else INSTALL_CPU
    command = f"pip uninstall -y {' '.join(present)}\n{install}"
    return Check("vLLM build", "fail", " and ".join(present), advice, command)


def check_flash_attention(gpus: Sequence[str]) -> Check:
    """Check for flash-attn, which packing (``use_remove_padding=true``) needs on a GPU."""
    version = installed_version("flash-attn")
    if version is not None or not gpus:
        return Check("flash-attn", "ok", version or "not installed; of no use without a GPU")
    return Check(
        "flash-attn",
        "warn",
        "not installed",
        "ppo_7b and sft_7b pack samples (use_remove_padding=true) and need it. Without it: "
        "actor_rollout_ref.model.use_remove_padding=false and "
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa.",
        "pip install 'flash-attn==2.8.3' --no-build-isolation",
    )


def check_memory(n_bytes: int, gpus: Sequence[str]) -> Check:
    """Check the host memory, in bytes, against a run that suits the hardware."""
    run, needed = ("ppo_7b", MIN_MEMORY_GPU) if gpus else ("ppo_tiny", MIN_MEMORY_CPU)
    found = f"{n_bytes / GIB:.0f} GiB"
    if n_bytes >= needed:
        return Check("host memory", "ok", found)
    advice = (
        f"{run} wants {needed // GIB} GiB, or Ray ends workers half-way. Raise the limit if it is "
        "a container's (docker run --memory=...), or take a larger machine."
    )
    return Check("host memory", "warn", found, advice)


def check_shared_memory(free_bytes: int, memory_bytes: int) -> Check:
    """Check the free space of ``/dev/shm``: Ray's objects, and on CPUs each weight update."""
    needed = min(RAY_STORE_SHARE * memory_bytes, RAY_STORE_ENOUGH)
    found = f"{free_bytes / GIB:.1f} GiB free in /dev/shm"
    if free_bytes >= needed:
        return Check("shared memory", "ok", found)
    return Check(
        "shared memory",
        "warn",
        found,
        f"Below {needed / GIB:.1f} GiB Ray keeps its objects on disk, which is slow; vLLM and the "
        "weight update use it, too. Enlarge it; in a container that is an option at its start.",
        "mount -o remount,size=10g /dev/shm  # or: docker run --shm-size=10g",
    )


def check_cores(n_cores: int, gpus: Sequence[str]) -> Check:
    """Check the number of cores this process may use."""
    needed = MIN_CORES_PER_GPU * len(gpus) if gpus else MIN_CORES_CPU
    if n_cores >= needed:
        return Check("CPU cores", "ok", str(n_cores))
    who = f"{MIN_CORES_PER_GPU} busy processes per GPU" if gpus else "more than ten processes"
    advice = (
        f"A run starts {who}, which would wait for one another. Allow it {needed} cores "
        "(docker run --cpus=..., taskset, or the batch system's setting)."
    )
    return Check("CPU cores", "warn", str(n_cores), advice)


def host_memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory of the machine or, if smaller, of this container (cgroup v2 or v1)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        file = cgroup / name
        text = file.read_text().strip() if file.is_file() else ""
        limits += [int(text)] if text.isdigit() else []
    return min(limits)


def shared_memory_bytes() -> int:
    """Return the free bytes of ``/dev/shm``; 0 where there is none."""
    return shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0  # noqa: S108


def n_cores() -> int:
    """Return the number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
