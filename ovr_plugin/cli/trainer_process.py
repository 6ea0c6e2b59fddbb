"""An upstream trainer as a subprocess: a command in, one readable line per step on the console.

The command is printed as it is run, so that it can be copied. Its own output, hundreds of lines,
goes to a log file; progress is read from the metrics file that veRL's file logger appends to.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ovr_plugin.reward.worker import die_with
from ovr_plugin.run_folder import read_metrics

POLL_S = 0.5
LOG_TAIL = 25  # lines shown of a log when its trainer failed
METRICS_VARIABLE = "VERL_FILE_LOGGER_PATH"

Process = subprocess.Popen[bytes]


class TrainerFailed(Exception):
    """The upstream trainer ended with an error; the message says where to look."""


@dataclass(frozen=True)
class Shown:
    """A metric of the progress line: its name in the metrics, its label."""

    metric: str
    label: str
    form: str = "{:.3f}"


def run_trainer(
    command: Sequence[str],
    metrics: Path,
    log: Path,
    n_steps: int,
    shown: Sequence[Shown],
    console: Console,
    every: int = 1,
) -> None:
    """Run ``command`` to its end, or stop it when interrupted.

    Args:
        command: the upstream trainer and its overrides.
        metrics: where its file logger is to write.
        log: where its output goes.
        n_steps: the step at which it will be done, for the progress bar.
        shown: what to print of each step.
        console: where to print.
        every: of so many steps one is printed; the bar counts them all.

    Raises:
        TrainerFailed: it ended with a non-zero status.
    """
    # As text, for in a string Rich takes [console,file] for its own markup and leaves it out.
    console.print(Text.assemble(("$ ", "dim"), printable(command, metrics)), soft_wrap=True)
    environment = {**os.environ, METRICS_VARIABLE: str(metrics), "PYTHONUNBUFFERED": "1"}
    process = start(command, log, environment)
    try:
        _show_progress(process, metrics, n_steps, shown, console, every)
    except BaseException:
        stop(process)
        raise
    if process.returncode:
        raise TrainerFailed(failure(process.returncode, log))


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Start a process in a session of its own, output in ``log``; it ends when we are killed.

    What it starts itself ends with it where it is forked by our fork server, as the trainers' ranks
    are on a CPU; without it, a rank of ``torch.distributed.run`` would train on.
    """
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (our own command)
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Killed, we could not end it, and it would train on beside the next start's.
            preexec_fn=partial(die_with, os.getpid()),
        )


def override(key: str, path: Path) -> str:
    """Return ``key=path`` as Hydra reads it, in quotes where it needs them."""
    plain = re.fullmatch(r"[\w./+@:%-]+", str(path), re.ASCII)
    escaped = str(path).replace("'", "\\'")
    return f"{key}={path}" if plain else f"{key}='{escaped}'"


def printable(command: Sequence[str], metrics: Path) -> str:
    """Return the command as a shell takes it, on lines of one override each."""
    words = [Path(command[0]).name, *command[1:]]
    head = [word for word in words if "=" not in word or word.startswith("-")]
    overrides = [word for word in words if word not in head]
    lines = [f"{METRICS_VARIABLE}={shlex.quote(str(metrics))} {shlex.join(head)}"]
    return " \\\n    ".join([*lines, *map(shlex.quote, overrides)])


def _show_progress(
    process: Process,
    metrics: Path,
    n_steps: int,
    shown: Sequence[Shown],
    console: Console,
    every: int,
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting (about a minute)", total=n_steps)
        for step, line in _lines(process, metrics, shown):
            progress.update(task, completed=step, description="training")
            if line and (step % every == 0 or step in (1, n_steps)):
                progress.console.print(f"  step {step:>4}  {line}", highlight=False)


def _lines(process: Process, metrics: Path, shown: Sequence[Shown]) -> Iterator[tuple[int, str]]:
    """Yield (step, text) as the metrics file grows, until the process has ended."""
    n_seen = n_bytes_seen = 0
    while True:
        ended = process.poll() is not None
        n_bytes = metrics.stat().st_size if metrics.exists() else 0
        if n_bytes != n_bytes_seen and _ends_whole(metrics):
            n_bytes_seen = n_bytes
            steps = list(read_metrics(metrics))
            for step, values in steps[n_seen:]:
                known = [item for item in shown if values.get(item.metric) is not None]
                yield step, "  ".join(f"{x.label} {x.form.format(values[x.metric])}" for x in known)
            n_seen = max(n_seen, len(steps))
        if ended:
            return
        time.sleep(POLL_S)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def stop(process: Process) -> None:
    """End the whole session of the trainer: Ray and vLLM are its children."""
    for signal_, patience_s in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, signal_)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            continue


def failure(status: int, log: Path, who: str = "the trainer") -> str:
    """Return what to say of a process that ended with ``status``: the end of its log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(lines[-LOG_TAIL:])
    return (
        f"{who} ended with status {status}. The end of its log:\n{tail}\n\n"
        f"The whole log: {log}\nIf the cause is the installation, `ovr doctor` says how to mend it."
    )
