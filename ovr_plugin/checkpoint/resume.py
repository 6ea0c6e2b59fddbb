"""A run's folder in, the last complete checkpoint out: an incomplete one is never loaded.

veRL writes ``latest_checkpointed_iteration.txt`` after everything else, but neither that file nor
the others at one stroke: a run that is killed may leave it empty, and a machine that crashes may
leave files cut short behind a tracker that names them. So what a checkpoint must hold is looked at,
up to the end of each file (torch's files are zip archives, whose directory comes last).
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ovr_plugin.checkpoint.layout import CheckpointError

logger = logging.getLogger(__name__)

TRACKER = "latest_checkpointed_iteration.txt"
PREFIX = "global_step_"
# What veRL's settings call it -> the start of the files' names.
_FILES = {"model": "model", "optimizer": "optim", "extra": "extra_state"}

Saved = Mapping[str, Sequence[str]]  # role, such as actor -> contents, such as model


def choose_checkpoint(
    resume_mode: str, folder: str | Path, resume_from: str | None, saved: Saved
) -> Path | None:
    """Return the checkpoint that a run starts from, or None to start from scratch.

    Args:
        resume_mode: veRL's ``trainer.resume_mode``.
        folder: ``trainer.default_local_dir``.
        resume_from: ``trainer.resume_from_path``.
        saved: what has to be there to be loaded.

    Raises:
        CheckpointError: the one asked for is incomplete, or the run has a tracker and no complete
            checkpoint: starting anew would throw its work away.
    """
    if resume_mode == "disable":
        return None
    if resume_mode == "resume_path":
        asked = Path(str(resume_from)).absolute()
        if missing := missing_parts(asked, saved):
            raise CheckpointError(f"{asked} is not complete: {'; '.join(missing)}")
        return asked
    if resume_mode != "auto":
        raise ValueError(
            f"trainer.resume_mode={resume_mode!r} must be auto, disable or resume_path"
        )
    return last_complete(Path(folder).absolute(), saved)


def last_complete(folder: Path, saved: Saved) -> Path | None:
    """Return the last complete checkpoint up to the one that the tracker names.

    Raises:
        CheckpointError: the tracker names one, and none is complete.
    """
    tracked = tracked_step(folder)
    skipped = []
    for step in reversed(steps_up_to_tracker(folder)):
        candidate = folder / f"{PREFIX}{step}"
        missing = missing_parts(candidate, saved)
        if not missing:
            return candidate
        skipped.append(f"{candidate.name} is not complete: {'; '.join(missing)}")
        logger.warning("%s, %s; not loaded", folder, skipped[-1])
    if tracked:
        raise CheckpointError(
            f"{folder / TRACKER} names step {tracked}, but no checkpoint up to it is complete "
            f"({'. '.join(skipped) or 'there is none'}). Mend or restore one, or start anew with "
            "trainer.resume_mode=disable or another trainer.default_local_dir"
        )
    return None


def missing_parts(checkpoint: Path, saved: Saved) -> list[str]:
    """Return what a checkpoint lacks to be resumed from; empty if it is complete."""
    missing = [
        name
        for role, contents in saved.items()
        for name in _role_missing(checkpoint, role, contents)
    ]
    return missing + _not_whole(checkpoint, "data.pt")


def steps_in(folder: Path) -> list[int]:
    """Return the steps of which ``folder`` has something, in order."""
    names = [path.name.removeprefix(PREFIX) for path in folder.glob(f"{PREFIX}*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal())


def steps_up_to_tracker(folder: Path) -> list[int]:
    """Return the steps up to the one in the tracker, all of them where there is none to read."""
    tracked = tracked_step(folder)
    return [step for step in steps_in(folder) if tracked is None or step <= tracked]


def tracked_step(folder: Path) -> int | None:
    """Return the step in the tracker, None if there is none or it was being written."""
    try:
        return int((folder / TRACKER).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _role_missing(checkpoint: Path, role: str, contents: Sequence[str]) -> list[str]:
    path = checkpoint / role / "fsdp_config.json"
    try:
        n_ranks = int(json.loads(path.read_text())["world_size"])
    except (OSError, ValueError, KeyError):
        return [f"{role}/{path.name} not there"]
    return [
        problem
        for content in contents
        if content in _FILES
        for rank in range(n_ranks)
        for problem in _not_whole(
            checkpoint, f"{role}/{_FILES[content]}_world_size_{n_ranks}_rank_{rank}.pt"
        )
    ]


def _not_whole(checkpoint: Path, name: str) -> list[str]:
    if not (checkpoint / name).is_file():
        return [f"{name} not there"]
    return [] if zipfile.is_zipfile(checkpoint / name) else [f"{name} is cut off"]
