"""A trainer as a subprocess: small scripts stand in for it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.console import Console

from ovr_plugin.cli import trainer_process
from ovr_plugin.cli.trainer_process import (
    Shown,
    TrainerFailed,
    override,
    printable,
    run_trainer,
)

SHOWN = (Shown("reward", "reward"), Shown("time", "time", "{:.1f} s"))
LOGS_STEPS = """
import json, os, time
with open(os.environ["VERL_FILE_LOGGER_PATH"], "wb", buffering=0) as file:
    for step in range(1, 4):
        line = json.dumps({"step": step, "data": {"reward": step / 8, "noise": 1}}) + "\\n"
        file.write(line[:9].encode())
        time.sleep(0.06)  # seen torn by whoever reads now
        file.write(line[9:].encode())
print("done", os.environ["PYTHONUNBUFFERED"])
"""
ECHOES = """
import json, os, sys
with open(os.environ["VERL_FILE_LOGGER_PATH"] + ".argv", "w") as file:
    json.dump(sys.argv, file)
"""


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(trainer_process, "POLL_S", 0.02)


@pytest.fixture
def run(tmp_path):
    """Run a script as the trainer; gives the console's text."""

    def start(script, *argv, n_steps=3, shown=SHOWN):
        file = tmp_path / "trainer.py"
        file.write_text(script)
        out = io.StringIO()
        console = Console(file=out, width=80, soft_wrap=True)
        try:
            run_trainer(
                [sys.executable, str(file), *argv],
                tmp_path / "metrics.jsonl",
                tmp_path / "trainer.log",
                n_steps,
                shown,
                console,
            )
        finally:
            start.text = out.getvalue()
        return start.text

    return start


def test_one_line_per_step_and_the_output_in_the_log(run, tmp_path):
    text = run(LOGS_STEPS)
    lines = [line for line in text.splitlines() if line.startswith("  step")]
    assert lines == [
        "  step    1  reward 0.125",
        "  step    2  reward 0.250",
        "  step    3  reward 0.375",
    ]
    assert (tmp_path / "trainer.log").read_text() == "done 1\n"


def test_steps_are_shown_while_it_runs(tmp_path):
    """The script ends well only if its last step was shown before its end."""
    (tmp_path / "trainer.py").write_text(
        LOGS_STEPS
        + "deadline = time.monotonic() + 20\n"
        + "while not os.path.exists('seen') and time.monotonic() < deadline: time.sleep(0.01)\n"
        + "raise SystemExit(not os.path.exists('seen'))\n"
    )

    class Watching(io.StringIO):
        def write(self, text: str) -> int:
            if "step    3" in text:
                (tmp_path / "seen").touch()
            return super().write(text)

    command = ["env", f"--chdir={tmp_path}", sys.executable, "trainer.py"]
    console = Console(file=Watching(), width=80)
    run_trainer(command, tmp_path / "m.jsonl", tmp_path / "log", 3, SHOWN, console)


@pytest.mark.parametrize("status", [1, 3])
def test_a_failure_shows_the_end_of_the_log_and_where_it_is(status, run, tmp_path):
    script = (
        "import sys\n"
        "for n in range(100): print('line', n)\n"
        "print('[rank0]: Traceback [/usr/lib/x.py]', file=sys.stderr)\n"
        f"raise SystemExit({status})\n"
    )
    with pytest.raises(TrainerFailed) as caught:
        run(script)
    message = str(caught.value)
    assert f"ended with status {status}" in message
    assert "[rank0]: Traceback [/usr/lib/x.py]" in message
    assert "line 99" in message
    assert "line 0\n" not in message
    assert f"The whole log: {tmp_path / 'trainer.log'}" in message
    assert "ovr doctor" in message


def test_a_killed_trainer_and_a_log_that_is_not_text(run):
    script = (
        "import os, sys\n"
        "sys.stdout.buffer.write(b'\\xff\\xfe broken'); sys.stdout.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with pytest.raises(TrainerFailed, match=r"status -9(.|\n)*broken"):
        run(script)


def test_steps_logged_before_a_failure_are_shown(run):
    with pytest.raises(TrainerFailed):
        run(LOGS_STEPS + "raise SystemExit(1)")
    assert "step    3  reward 0.375" in run.text


def test_a_trainer_that_logs_nothing(run):
    assert "step" not in run("pass")


def test_metrics_that_were_not_logged_are_left_out(run):
    shown = (Shown("absent", "absent"), Shown("reward", "r", "{:.1f}"))
    assert "  step    1  r 0.1\n" in run(LOGS_STEPS, shown=shown)


@pytest.mark.parametrize(
    "overrides",
    [
        ["+ovr=ppo_tiny", "trainer.total_training_steps=4"],
        ["trainer.logger=[console,file]", "ovr.length_schedule=[[1,24],[3,48]]"],
        ["data.train_files=/tmp/a folder/it's.parquet", "x='$HOME'", 'y="a;b&c"', "z=`ls`"],
        ["--standalone", "--nproc_per_node=1", "-m", "some.module", "+ovr=sft_tiny", "x=\\boxed{}"],
    ],
)
def test_the_printed_command_runs_the_same_in_a_shell(overrides, run, tmp_path):
    text = run(ECHOES, *overrides)
    note = tmp_path / "metrics.jsonl.argv"
    ran = json.loads(note.read_text())
    note.unlink()
    assert ran[1:] == overrides
    prompt, _, command = text.partition(" ")
    assert prompt == "$"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.run(["bash", "-c", command], env={"PATH": path}, capture_output=True)
    assert process.returncode == 0, process.stderr
    assert json.loads(note.read_text()) == ran


@pytest.mark.parametrize(
    "path",
    [
        "runs/quickstart",
        "/home/a/run 1",
        "/home/jürgen/läufe",
        "/a/it's",
        "/a/run [1]",
        "/a/b=c",
        "/a/b,c",
        "/a/(b) #1 ~ & {x}",
        '/a/"b"',
    ],
)
def test_hydra_reads_any_path(path):
    read = OverridesParser.create().parse_override(override("data.val_files", Path(path)))
    assert (read.key_or_group, read.value()) == ("data.val_files", path)


def test_a_plain_path_is_printed_plainly():
    assert override("model.path", Path("runs/a-b_1")) == "model.path=runs/a-b_1"


def test_the_command_is_printed_one_override_a_line(tmp_path):
    command = [sys.executable, "-m", "a.b", "+ovr=x", "c.d=e"]
    assert printable(command, tmp_path / "m").splitlines() == [
        f"VERL_FILE_LOGGER_PATH={tmp_path / 'm'} {Path(sys.executable).name} -m a.b \\",
        "    +ovr=x \\",
        "    c.d=e",
    ]


STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
code = "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); " \\
       "print('up', flush=True); time.sleep(120)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
(folder / "pids.tmp").write_text(f"{os.getpid()} {child.pid}")
(folder / "pids.tmp").rename(folder / "pids")
time.sleep(120)
"""
MAIN = """
import pathlib, sys
from rich.console import Console
from ovr_plugin.cli.trainer_process import run_trainer
folder = pathlib.Path(sys.argv[1])
try:
    run_trainer([sys.executable, str(folder / "stubborn.py"), str(folder)],
                folder / "m.jsonl", folder / "log", 3, (), Console())
except KeyboardInterrupt:
    print("interrupted")
    raise SystemExit(130)
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(what, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def test_an_interrupt_stops_the_trainer_and_its_children(tmp_path):
    """Also a grandchild that ignores the interrupt, as Ray's and vLLM's processes may."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    main = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    pids = []
    try:
        _wait_for((tmp_path / "pids").exists)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(_alive(pid) for pid in pids)
        main.send_signal(signal.SIGINT)
        output, _ = main.communicate(timeout=30)
        assert main.returncode == 130
        assert output.endswith("interrupted\n")
        _wait_for(lambda: not any(_alive(pid) for pid in pids), timeout_s=5)
    finally:
        main.kill()
        for pid in filter(_alive, pids):
            os.kill(pid, signal.SIGKILL)


STARTS_A_TRAINER = """
import sys
from pathlib import Path
from rich.console import Console
from ovr_plugin.cli.trainer_process import run_trainer
folder = Path(sys.argv[1])
code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
command = [sys.executable, "-c", code]
run_trainer(command, folder / "metrics.jsonl", folder / "log", 1, (), Console())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of a killed parent")
def test_a_trainer_does_not_outlive_a_killed_quickstart(tmp_path):
    command = [sys.executable, "-c", STARTS_A_TRAINER, str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        trainer = psutil.Process(int((tmp_path / "pid").read_text()))
        process.kill()
    assert not psutil.wait_procs([trainer], timeout=10)[1]
