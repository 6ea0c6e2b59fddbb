"""Workers that need not import torch, transformers and vLLM: forked from a process that has.

A PPO run on a CPU is eight Python processes, and every one of them spends 20 s and more of one core
on the same imports before it does anything. Here one process does most of them, beside the
driver's own, and each worker is a fork of it. In: names of modules. Out: a program that takes the
place of ``python`` (``forked_python.py``): Ray's hook for runtime environments makes it every
worker's ``py_executable``, and a forked worker gives it to multiprocessing, so that vLLM's engine
is forked as well.

Only for the CPU platform, where no driver of a device minds a fork, and on one machine.
``OVR_FORK_SERVER=0`` turns it off. The server ends when the driver does.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Sequence
from pathlib import Path

from ovr_plugin.platform import forked_python
from ovr_plugin.platform.forked_python import LENGTH
from ovr_plugin.platform.request import RAY_HOOK_VARIABLE
from ovr_plugin.reward.worker import die_with

PYTHON_VARIABLE = "OVR_PYTHON"
# Nine tenths of what a worker imports. Nothing that imports Ray may be here, veRL included: Ray
# reads a worker's identity (RAY_JOB_ID) from the environment once, when it is imported.
MODULES = (
    "torch._dynamo",
    "tensordict",
    "datasets",
    "transformers.processing_utils",
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl",
    "transformers.models.qwen2_5_vl.processing_qwen2_5_vl",
    "transformers.models.qwen3_vl.modeling_qwen3_vl",
    "transformers.models.qwen3_vl.processing_qwen3_vl",
    "accelerate",
    "peft",
    "hydra",
    "fastapi",
    "vllm.engine.arg_utils",
    "vllm.model_executor.models.qwen2_5_vl",
    "vllm.model_executor.models.qwen3_vl",
    "vllm.v1.worker.cpu_worker",
)
MAX_FILES = 512  # numbers below are kept free for the files that a forked process inherits
MAX_REQUEST_BYTES = 1 << 24


def start(modules: Sequence[str] = MODULES) -> Path:
    """Start a server that ends with this process; return what takes the place of ``python``.

    The server imports while this process goes on; who asks it for a process waits until it is done.
    Where a server runs already (a parent's, say), its program is returned.
    """
    running = os.environ.get(PYTHON_VARIABLE, "")
    if Path(running).is_file():
        return Path(running)
    folder = Path(tempfile.mkdtemp(prefix="ovr-fork-"))
    program, server = folder / "python", folder / "server"
    ours = [sys.executable, "-I", "-S", forked_python.__file__, str(server), sys.executable]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(ours)} "$@"\n')
    program.chmod(0o700)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(server))
    listening.listen(64)
    with (folder / "log").open("wb") as log:  # what imports say, which is nobody's business
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", __name__, str(folder), str(listening.fileno()), *modules],
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            stdout=log,
            stderr=log,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            pass_fds=[listening.fileno()],
            start_new_session=True,  # a Ctrl-C is the driver's to handle
        )
    listening.close()
    atexit.register(_end, process, folder)  # also keeps the pipe open until then
    os.environ[PYTHON_VARIABLE] = str(program)
    return program


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def offer_to_ray() -> None:
    """Have the next ``ray.init`` start its workers with the forked interpreter."""
    os.environ[RAY_HOOK_VARIABLE] = f"{give_to_ray.__module__}.{give_to_ray.__name__}"


def give_to_ray(runtime_env: dict | None) -> dict:
    """Make the forked interpreter that of all workers, where no other one was named."""
    os.environ.pop(RAY_HOOK_VARIABLE)  # the driver's alone
    runtime_env = dict(runtime_env or {})
    if not runtime_env.get("py_executable"):
        runtime_env["py_executable"] = os.environ[PYTHON_VARIABLE]
    return runtime_env


class Server:
    """Forks itself once per request; see ``serve``."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ, self._accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self._driver_spoke)
        self.children: dict[int, tuple[int, socket.socket]] = {}  # connection -> process
        self.is_over = False
        self.task: dict | None = None

    def serve(self) -> dict | None:
        """Return in each forked process with its request, and in the server, at its end, None."""
        while not self.is_over and self.task is None:
            # One at a time: it may be the end of what the next one speaks of.
            key, _ = self.selector.select()[0]
            key.data(key.fileobj)
        return self.task

    def _driver_spoke(self, _: object) -> None:
        self.is_over = not os.read(0, 1)

    def _accept(self, _: object) -> None:
        connection, _address = self.listening.accept()
        connection.settimeout(10)
        try:
            task, received = read_request(connection)
        except (OSError, ValueError, KeyError) as error:  # the asker starts a process of its own
            print(f"a worker's request was not understood: {error}", file=sys.stderr)
            connection.close()
            return
        connection.settimeout(None)
        sys.stdout.flush()
        sys.stderr.flush()
        server = os.getpid()
        process = os.fork()
        if process == 0:
            die_with(server)  # for then nobody is left who knows when its asker is
            self._leave(connection)
            inherit(task["files"], received)
            self.task = task
            return
        for number in received:
            os.close(number)
        watch = os.pidfd_open(process)
        self.children[connection.fileno()] = (process, connection)
        self.selector.register(connection, selectors.EVENT_READ, self._asker_left)
        self.selector.register(
            watch, selectors.EVENT_READ, lambda _: self._ended(process, watch, connection)
        )
        _send(connection, process)

    def _leave(self, connection: socket.socket) -> None:
        """In the child: nothing of the server stays open."""
        watches = [key.fileobj for key in self.selector.get_map().values()]
        self.selector.close()
        for watch in watches:
            if isinstance(watch, int):
                os.close(watch)
        for _, other in self.children.values():
            other.close()
        connection.close()
        self.listening.close()

    def _asker_left(self, connection: socket.socket) -> None:
        """The process that stands for the child was killed, so the child is."""
        process, _ = self.children[connection.fileno()]
        self.selector.unregister(connection)
        os.kill(process, signal.SIGKILL)

    def _ended(self, process: int, watch: int, connection: socket.socket) -> None:
        _, status = os.waitpid(process, 0)
        self.selector.unregister(watch)
        os.close(watch)
        if connection in self.selector.get_map():
            self.selector.unregister(connection)
        del self.children[connection.fileno()]
        _send(connection, status)
        connection.close()


def _send(connection: socket.socket, number: int) -> None:
    try:
        connection.sendall(LENGTH.pack(number))
    except OSError:  # the asker is gone
        pass


def read_request(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return what is asked for, and the files sent along, in the order of ``task["files"]``."""
    data, received, _, _ = socket.recv_fds(connection, 1 << 16, 253)
    try:
        while len(data) < LENGTH.size:
            data += _receive(connection)
        [length] = LENGTH.unpack(data[: LENGTH.size])
        if length > MAX_REQUEST_BYTES:
            raise ValueError(f"a request of {length} bytes")
        while len(data) < LENGTH.size + length:
            data += _receive(connection)
        task = json.loads(data[LENGTH.size :].decode("utf-8", "surrogateescape"))
        if len(task["files"]) != len(received) or max(task["files"], default=0) >= MAX_FILES:
            raise ValueError(f"files {task['files']}")
    except BaseException:
        for number in received:
            os.close(number)
        raise
    return task, received


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ValueError("the connection ended early")
    return data


def inherit(numbers: Sequence[int], received: Sequence[int]) -> None:
    """Give the received files the numbers they had in the process that sent them."""
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, MAX_FILES) for file in received]
    for file in received:  # out of the way first: they may lie on each other's numbers
        os.close(file)
    for number, file in zip(numbers, moved, strict=True):
        os.dup2(file, number, inheritable=True)
        os.close(file)
    for number in {0, 1, 2} - set(numbers):  # closed in the asker
        os.close(number)


def become(task: dict, python: str) -> None:
    """Run what ``python ARGUMENTS`` would run, with the asker's environment, in this process."""
    os.setsid()
    gc.unfreeze()
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    _settings_read_at_import()
    options, arguments = split(task["argv"])
    unbuffered = "-u" in options or bool(os.environ.get("PYTHONUNBUFFERED"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=unbuffered)
    from multiprocessing import spawn

    spawn.set_executable(python)
    sys.orig_argv = [sys.executable, *task["argv"]]
    kind, *rest = arguments
    if kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)  # noqa: S102  # as python -c would
    elif kind == "-m":
        sys.argv = rest
        sys.path.insert(0, os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(kind).resolve().parent))
        runpy.run_path(kind, run_name="__main__")


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the interpreter's options and what comes after: -c CODE, -m MODULE or a file.

    Raises:
        ValueError: nothing is there to run.
    """
    for n, argument in enumerate(argv):
        if argument in ("-c", "-m") or not argument.startswith("-"):
            return list(argv[:n]), list(argv[n:])
    raise ValueError(f"no program in {list(argv)}")


def _settings_read_at_import() -> None:
    """What a fresh process would have read from its environment while it imported."""
    import random

    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if (torch := sys.modules.get("torch")) and (n_threads := os.environ.get("OMP_NUM_THREADS")):
        torch.set_num_threads(int(n_threads))
    if dynamo := sys.modules.get("torch._dynamo.config"):
        setattr(dynamo, "disable", os.environ.get("TORCHDYNAMO_DISABLE") == "1")  # noqa: B010
    for path in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if path and path not in sys.path:
            sys.path.insert(0, path)


def import_all(modules: Sequence[str]) -> None:
    """Import what can be imported; a module that is missing is each worker's own to miss."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # the boundary to any library's import
            print(f"not imported ahead: {name}: {error}", file=sys.stderr)


def main() -> None:
    """Entry of the server process: argv is its folder, its listening socket, modules."""
    folder, listening, *modules = sys.argv[1:]
    holes = [os.open(os.devnull, os.O_RDONLY) for _ in range(MAX_FILES)]
    server_socket = socket.socket(fileno=os.dup(int(listening)))
    os.close(int(listening))
    import_all(modules)
    for hole in holes:
        os.close(hole)
    gc.collect()
    gc.freeze()  # or the first collection in each fork would copy every page
    task = Server(server_socket).serve()
    if task is not None:
        become(task, str(Path(folder) / "python"))
        return
    for path in Path(folder).iterdir():
        path.unlink()
    Path(folder).rmdir()


if __name__ == "__main__":
    main()
