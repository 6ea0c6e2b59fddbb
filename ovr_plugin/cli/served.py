"""A checkpoint behind ``vllm serve`` for as long as it is asked: a folder in, an address out.

The line that is run is the one that `ovr serving` prints, with a free port, and with
TORCHDYNAMO_DISABLE=1 where it is eager; the server's own output goes to a log file. It ends with
the block, and with the process that started it.
"""

from __future__ import annotations

import os
import shlex
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ovr_plugin.cli.trainer_process import Process, TrainerFailed, failure, start, stop

HOST = "127.0.0.1"
START_TIMEOUT_S = 600.0
POLL_S = 0.2
VLLM = ("-m", "vllm.entrypoints.cli.main")  # what the script ``vllm`` runs


@contextmanager
def served(
    checkpoint: Path, name: str, recipe: str, python: str, log: Path, console: Console
) -> Iterator[str]:
    """Serve ``checkpoint`` as ``recipe`` samples while the block runs.

    Args:
        checkpoint: an HF folder.
        name: what the server answers to, and to nothing else.
        recipe: whose sampling and lengths.
        python: the interpreter of the server.
        log: where its output goes.
        console: where the command is printed.

    Yields:
        Its address, up to where ``/chat/completions`` begins.

    Raises:
        ValueError: the folder cannot be served.
        TrainerFailed: the server did not start; the message has the end of its log.
    """
    from ovr_plugin.checkpoint.serving import prepare_serving

    _never_by_proxy(HOST)
    port = _free_port()
    line = prepare_serving(checkpoint, recipe).command(checkpoint)
    line += f" --served-model-name {shlex.quote(name)} --host {HOST} --port {port}"
    console.print(Text.assemble(("$ ", "dim"), line), soft_wrap=True)
    words = shlex.split(line)[1:]
    # Its warm-up otherwise compiles for 40 s on two cores, also with --enforce-eager.
    eager = {"TORCHDYNAMO_DISABLE": "1"} if "--enforce-eager" in words else {}
    process = start([python, *VLLM, *words], log, {**os.environ, **eager})
    try:
        with console.status("  starting the server"):
            _wait(process, f"http://{HOST}:{port}/health", log)
        yield f"http://{HOST}:{port}/v1"
    finally:
        stop(process)


def _wait(process: Process, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrainerFailed(failure(process.returncode, log, "the server"))
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (our own address)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    raise TrainerFailed(f"the server did not answer within {START_TIMEOUT_S:g} s; its log: {log}")


def _never_by_proxy(host: str) -> None:
    """Where the environment names a proxy, urllib and httpx would ask it for our own server."""
    told = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    hosts = [each.strip() for each in told.split(",") if each.strip()]
    if not {host, "*"} & set(hosts):
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*hosts, host])


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port
