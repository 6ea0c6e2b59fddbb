"""A forked interpreter against the real one: the same program, and the same seen from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ovr_plugin.platform import fork_server
from ovr_plugin.platform.fork_server import split
from ovr_plugin.platform.request import RAY_HOOK_VARIABLE

pytestmark = pytest.mark.process

HOLD = """
import sys
from pathlib import Path
from ovr_plugin.platform.fork_server import start
print(start(["json", "no_such_module"]), flush=True)
assert start() == start()
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    """A process that has started a server, as the trainer's driver would."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, text=True) as held:
        yield held


@pytest.fixture(scope="module")
def forked(driver: subprocess.Popen[str]) -> str:
    """The program that takes the place of ``python``."""
    assert driver.stdout is not None
    return driver.stdout.readline().strip()


@pytest.fixture
def both(forked: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command under both interpreters; they agree, and one result is returned."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
        results = [
            subprocess.run(
                [python, *arguments],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                timeout=60,
                **options,
            )
            for python in (sys.executable, forked)
        ]
        ours, theirs = ((done.returncode, done.stdout, done.stderr) for done in results)
        assert ours == theirs
        return results[1]

    return run


def test_streams_arguments_folder_environment_and_status(both):
    code = (
        "import os, sys; print(sys.argv, os.getcwd(), os.environ['A'], input(), __name__);"
        "print('e', file=sys.stderr); sys.exit(3)"
    )
    done = both("-u", "-c", code, "x", "--y", input="in\n", env={**os.environ, "A": "b"})
    assert done.returncode == 3
    assert done.stdout.startswith("['-c', 'x', '--y']")
    assert "b in __main__" in done.stdout


def test_files_and_modules_run_as_main(both, tmp_path):
    (tmp_path / "beside.py").write_text("value = 7\n")
    (tmp_path / "program.py").write_text(
        "import beside, sys\nif __name__ == '__main__': print(beside.value, sys.argv, __file__)\n"
    )
    assert both(str(tmp_path / "program.py"), "a").stdout.startswith("7 ")
    assert both("-m", "beside").returncode == 0
    assert "[]" in both("-m", "json.tool", input="[]").stdout


def test_inherited_files_keep_their_numbers(forked, tmp_path):
    (tmp_path / "a").write_text("in a")
    (tmp_path / "b").write_text("in b")
    # In an order in which a careless exchange would overwrite one by the other.
    files = [os.open(tmp_path / name, os.O_RDONLY) for name in "ab"]
    first, second = files
    code = (
        f"import os; print(os.read({second}, 9), os.read({first}, 9), os.listdir('/proc/self/fd'))"
    )
    done = subprocess.run([forked, "-c", code], pass_fds=files, capture_output=True, text=True)
    for file in files:
        os.close(file)
    assert done.stdout.startswith("b'in b' b'in a'"), done.stderr
    left_open = set(json.loads(done.stdout[done.stdout.index("[") :].replace("'", '"')))
    plain = {"0", "1", "2", *map(str, files)}
    assert plain <= left_open
    assert len(left_open - plain) <= 2  # the folder being listed; nothing of the server


SPAWN = """
import multiprocessing, os
from multiprocessing import shared_memory
def square(x, queue): queue.put((x * x, os.getppid() != os.getpid()))
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=square, args=(n, queue)) for n in range(3)]
    for process in processes: process.start()
    print(sorted(queue.get() for _ in processes))
    for process in processes: process.join()
    print([process.exitcode for process in processes])
    shared = shared_memory.SharedMemory(create=True, size=8)
    shared.close()
    shared.unlink()
"""


def test_multiprocessing_spawns_through_it(both, tmp_path):
    (tmp_path / "spawning.py").write_text(SPAWN)
    done = both(str(tmp_path / "spawning.py"))
    assert done.stdout == "[(0, True), (1, True), (4, True)]\n[0, 0, 0]\n"
    assert done.stderr == ""


def test_errors_and_fatal_signals_arrive(both, forked):
    failed = subprocess.run([forked, "-c", "1 / 0"], capture_output=True, text=True)
    assert (failed.returncode, "ZeroDivisionError" in failed.stderr) == (1, True)
    killed = both("-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_stand_in_ends_the_process(forked, number):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen([forked, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        worker = psutil.Process(int(process.stdout.readline()))
        process.send_signal(number)
        assert process.wait(10) == -number
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running()


def test_a_process_ends_when_all_that_could_end_it_is_killed(tmp_path):
    """As by ``kill -9 -GROUP``: stand-in, server and driver at once."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, text=True) as held:
        program = held.stdout.readline().strip()
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        with subprocess.Popen([program, "-c", code], stdout=pipe, text=True) as stand_in:
            worker = psutil.Process(int(stand_in.stdout.readline()))
            [server] = psutil.Process(held.pid).children()
            for process in (server, stand_in, held):
                process.kill()
    assert not psutil.wait_procs([worker], timeout=10)[1]


def test_it_survives_processes_that_end_as_their_parents_do(forked):
    """Both ends of a process close at once, in any order, and the next one still gets a fork."""
    for _ in range(20):
        with subprocess.Popen([forked, "-c", "import os; os._exit(0)"]) as process:
            process.kill()
    code = "import sys; print('ovr_plugin.platform.forked_python' in sys.modules)"
    assert subprocess.check_output([forked, "-c", code], text=True) == "True\n"


def test_forks_share_no_random_numbers(forked):
    pytest.importorskip("numpy")
    code = "import random; print(random.random())"
    printed = {subprocess.check_output([forked, "-c", code], text=True) for _ in range(3)}
    assert len(printed) == 3


def test_without_a_server_the_real_interpreter_runs(forked, tmp_path):
    program = Path(forked).read_text()
    server = str(Path(forked).parent / "server")
    assert server in program
    alone = tmp_path / "python"
    alone.write_text(program.replace(server, str(tmp_path / "nobody")))
    alone.chmod(0o700)
    done = subprocess.run([alone, "-c", "print(6 * 7)"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "42\n")


def test_the_server_ends_with_its_driver_and_leaves_nothing(forked, driver):
    """Last in this file: it ends the fixtures' processes."""
    [server] = psutil.Process(driver.pid).children()
    driver.kill()
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running()
    deadline = time.monotonic() + 5
    while Path(forked).parent.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(forked).parent.exists()


def test_an_interpreter_that_was_named_stays(monkeypatch):
    monkeypatch.setenv(RAY_HOOK_VARIABLE, "x")
    monkeypatch.setenv(fork_server.PYTHON_VARIABLE, "/warm/python")
    assert fork_server.give_to_ray(None) == {"py_executable": "/warm/python"}
    monkeypatch.setenv(RAY_HOOK_VARIABLE, "x")
    assert fork_server.give_to_ray({"py_executable": "mine"}) == {"py_executable": "mine"}


def test_nothing_to_run_is_an_error():
    assert split(["-u", "-c", "code", "-u"]) == (["-u"], ["-c", "code", "-u"])
    with pytest.raises(ValueError, match="no program"):
        split(["-u"])
