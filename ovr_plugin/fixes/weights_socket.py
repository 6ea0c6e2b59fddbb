"""Two runs on one machine send new weights to each other's vLLM, or wait for ever.

Versions: veRL 0.9.1. Where: the trainer (verl/workers/rollout/vllm_rollout/vllm_rollout.py,
``ServerAdapter``) and vLLM's worker (utils.py beside it, by ``VERL_RAY_JOB_ID``, which
vllm_async_server.py sets) meet at a socket in /tmp that is named by Ray's job id, and the first job
of every Ray that a run starts for itself has the same. Here the id of the Ray node stands before
it: both sides are always on one node, and no two nodes share an id.
"""

from __future__ import annotations

import functools
import os
from typing import Any

JOB_VARIABLE = "VERL_RAY_JOB_ID"
N_NODE_DIGITS = 16  # of 56: a socket's path has at most 107 bytes


def apply_to_server(vllm_async_server: Any) -> None:
    """Wrap ``vLLMHttpServer.__init__``: what vLLM's workers, its children, read the name from."""
    server = vllm_async_server.vLLMHttpServer

    def rename(_: Any) -> None:
        os.environ[JOB_VARIABLE] = f"{_node()}-{os.environ[JOB_VARIABLE]}"

    _run_after_init(server, rename)


def apply_to_trainer(vllm_rollout: Any) -> None:
    """Wrap ``ServerAdapter.__init__``: the side that sends."""

    def rename(adapter: Any) -> None:
        job = f"-{_job()}-replica-"
        if job not in adapter.zmq_handle:
            raise RuntimeError(
                f"the socket {adapter.zmq_handle} is not named by Ray's job: this verl is not "
                "0.9.1, which fixes/weights_socket.py is made for"
            )
        adapter.zmq_handle = adapter.zmq_handle.replace(job, f"-{_node()}{job}")

    _run_after_init(vllm_rollout.ServerAdapter, rename)


def _run_after_init(kind: Any, then: Any) -> None:
    stock = kind.__init__
    if getattr(stock, "ovr_fix", False):
        return

    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        then(self)

    __init__.ovr_fix = True  # type: ignore[attr-defined]
    kind.__init__ = __init__


def _node() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()[:N_NODE_DIGITS]


def _job() -> str:
    import ray

    return ray.get_runtime_context().get_job_id()
