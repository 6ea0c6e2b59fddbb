"""veRL's file logger empties its file at every start, also when the run resumes.

Versions: veRL 0.9.1. Where: verl/utils/tracking.py, ``FileLogger.__init__`` opens with mode "wb".
Here it appends, after a last line that a killed run left torn was removed. A step that is trained
again after a crash is in the file twice; its last line counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def apply(tracking: Any) -> None:
    """Rebind ``FileLogger`` of ``verl.utils.tracking``."""
    stock = tracking.FileLogger
    if getattr(stock, "ovr_fix", False):
        return

    class FileLogger(stock):  # type: ignore[misc, valid-type]
        ovr_fix = True

        def __init__(self, project_name: str, experiment_name: str) -> None:
            from ovr_plugin.data.files import append_jsonl

            self.project_name, self.experiment_name = project_name, experiment_name
            root = Path(os.getenv("VERL_FILE_LOGGER_ROOT", ".")).expanduser()
            given = os.getenv("VERL_FILE_LOGGER_PATH")
            path = Path(given) if given else root / project_name / f"{experiment_name}.jsonl"
            append_jsonl(path)  # makes the folder, removes a torn last line
            self.filepath = str(path)
            self.fp = path.open("ab", buffering=0)

    tracking.FileLogger = FileLogger
