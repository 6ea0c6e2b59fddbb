"""The one file with import-time side effects: importing it makes veRL know OVR.

veRL imports it in every process (entry point group ``verl.plugins``) and swallows whatever goes
wrong at DEBUG level; Hydra would then take ``+ovr=ppo_7b`` for a stray key and veRL would train its
own default recipe. So a failure here ends the process where the run asked for OVR: by ``+ovr=`` on
the command line, or by ``OVR_RECIPE`` in the environment of a worker.

Always: the recipes on Hydra's search path, and the name of the CPU platform. Only where OVR was
asked for: engines, agent loop and fixes. All of them wait for the module they belong to
(post-import hooks), so that ``import verl`` costs no more than before.
"""

from __future__ import annotations

import importlib
import operator
import os
from collections.abc import Callable
from types import ModuleType

from ovr_plugin.platform.request import (
    PLATFORM_VARIABLE,
    RECIPE_VARIABLE,
    asked_recipe,
    cpu_was_asked_for,
    forked_workers_were_asked_for,
)

SUPPORTED_VERL = ">=0.9.1,<0.10"
_done = False
_hooked = False


def register() -> None:
    """Register everything with veRL, Hydra and vLLM; once per process, however often called."""
    global _done
    if _done:
        return
    _add_recipes_to_hydra()
    from ovr_plugin.platform.cpu import register_platform

    register_platform()
    recipe = asked_recipe()
    if recipe or cpu_was_asked_for():
        _check_verl_version()
        hook_into_verl()
        _keep_weights_apart()
        os.environ[RECIPE_VARIABLE] = recipe
    if cpu_was_asked_for():
        _use_cpu_platform()
    _done = True


def _add_recipes_to_hydra() -> None:
    def add(hydra: ModuleType) -> None:
        from ovr_plugin.config.search_path import register_search_path

        register_search_path()

    _when_imported("hydra", add)


def hook_into_verl() -> None:
    """Put engines, agent loop, trainer and fixes in place as veRL's modules are imported.

    Also called by ``ovr_plugin.trainer``: a process that reads an OVR config, from a notebook or a
    pickle, has asked for OVR without a command line to say so.
    """
    global _hooked
    if _hooked:
        return
    _hooked = True

    def import_ours(name: str) -> Callable[[ModuleType], object]:
        return lambda _: importlib.import_module(name)

    def fix_text_only_batches(qwen2_vl: ModuleType) -> None:
        from ovr_plugin.fixes import text_only_batches

        text_only_batches.apply(qwen2_vl)

    def fix_trl_import(monkey_patch: ModuleType) -> None:
        from ovr_plugin.fixes import trl_import

        trl_import.apply(monkey_patch)

    def fix_file_logger(tracking: ModuleType) -> None:
        from ovr_plugin.fixes import file_logger

        file_logger.apply(tracking)

    def fix_micro_batches(transformer_impl: ModuleType) -> None:
        from ovr_plugin.fixes import logprobs_of_packed_rows, padded_micro_batches

        padded_micro_batches.apply(transformer_impl)
        logprobs_of_packed_rows.apply(transformer_impl.verl_F)

    # Two hooks each, so that it does not matter whether veRL's module or ours is imported first.
    for theirs, ours, register_function in (
        ("verl.workers.engine", "engine", "register_engines"),
        ("verl.experimental.agent_loop", "agent_loop", "register_agent_loop"),
        ("verl.trainer.ppo.v1", "ppo_trainer", "register_ppo_trainer"),
    ):
        name = f"ovr_plugin.trainer.{ours}"
        _when_imported(theirs, import_ours(name))
        _when_imported(name, operator.methodcaller(register_function))
    _when_imported("verl.models.transformers.qwen2_vl", fix_text_only_batches)
    _when_imported("verl.models.transformers.monkey_patch", fix_trl_import)
    _when_imported("verl.utils.tracking", fix_file_logger)
    _when_imported("verl.workers.engine.fsdp.transformer_impl", fix_micro_batches)


def _keep_weights_apart() -> None:
    # Not where a config alone has asked for OVR: vLLM's side gets none, and the two must agree.
    def fix_sender(vllm_rollout: ModuleType) -> None:
        from ovr_plugin.fixes import weights_socket

        weights_socket.apply_to_trainer(vllm_rollout)

    def fix_receiver(vllm_async_server: ModuleType) -> None:
        from ovr_plugin.fixes import weights_socket

        weights_socket.apply_to_server(vllm_async_server)

    rollout = "verl.workers.rollout.vllm_rollout"
    _when_imported(f"{rollout}.vllm_rollout", fix_sender)
    _when_imported(f"{rollout}.vllm_async_server", fix_receiver)


def _use_cpu_platform() -> None:
    from ovr_plugin.platform.allocator import keep_freed_memory
    from ovr_plugin.platform.cpu import cpu_is_active, keep_hidden_gpus_countable
    from ovr_plugin.platform.vllm_cpu import offer_vllm_distribution

    if not cpu_is_active():
        return

    def fix_gloo_backend(distributed: ModuleType) -> None:
        from ovr_plugin.fixes import gloo_backend

        gloo_backend.apply(distributed)

    os.environ[PLATFORM_VARIABLE] = "cpu"  # workers have no command line to read it from
    keep_freed_memory()
    keep_hidden_gpus_countable()
    offer_vllm_distribution()
    _when_imported("verl.utils.distributed", fix_gloo_backend)
    if forked_workers_were_asked_for():
        from ovr_plugin.platform import fork_server

        fork_server.start()
        fork_server.offer_to_ray()


def _when_imported(name: str, hook: Callable[[ModuleType], object]) -> None:
    from wrapt import register_post_import_hook

    register_post_import_hook(hook, name)


def _check_verl_version() -> None:
    from importlib.metadata import version

    from packaging.specifiers import SpecifierSet

    installed = version("verl")
    if installed not in SpecifierSet(SUPPORTED_VERL):
        raise ImportError(
            f"ovr-plugin is made for verl {SUPPORTED_VERL}, and {installed} is installed; "
            "pip install 'verl==0.9.1'"
        )


def _stop_if_ovr_was_asked_for(error: BaseException) -> None:
    recipe = asked_recipe()
    if not (recipe or cpu_was_asked_for()):
        return
    # SystemExit is no Exception, hence the one thing that veRL's loader lets through.
    raise SystemExit(
        f"ovr-plugin could not be loaded, so this run ({recipe or 'VERL_PLATFORM=cpu'}) would be "
        f"veRL's own default and was stopped.\nCause: {type(error).__name__}: {error}\n"
        "`ovr doctor` says what is wrong with the installation and how to mend it."
    ) from error


try:
    register()
except Exception as error:  # the boundary to veRL's loader, which would hide it
    _stop_if_ovr_was_asked_for(error)
    raise
