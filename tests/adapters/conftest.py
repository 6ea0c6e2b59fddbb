"""Hosts in folders of their own, and examples run with one of them on the path.

A host is installed without its requirements, which this environment mostly has; what it lacks of
those that the tests reach is listed with the host in ``hosts/``, pinned. The folders are kept in
pytest's cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples" / "rewards"


@pytest.fixture(scope="session")
def toy_rows() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toy_rows", EXAMPLES / "toy_rows.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_rows"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def host_folder(pytestconfig, tmp_path_factory) -> Callable[[str], Path]:
    """Return the folder with the packages of ``hosts/NAME.txt``, installed when first needed."""
    cache = getattr(pytestconfig, "cache", None)
    root = Path(cache.mkdir("hosts")) if cache else tmp_path_factory.mktemp("hosts")

    def folder(name: str) -> Path:
        requirements = HERE / "hosts" / f"{name}.txt"
        content = requirements.read_bytes() + sys.version.encode()
        path = root / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
        if path.is_dir():
            return path
        for stale in root.glob(f"{name}-*"):
            shutil.rmtree(stale)
        making = Path(tempfile.mkdtemp(dir=root))  # two runs of the tests may be at it at once
        command = [*_installer(), "--no-deps", "--target", str(making), "-r", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            shutil.rmtree(making)
            message = f"{requirements.name} cannot be installed:\n{done.stderr[-2000:]}"
            # A developer may be offline; in CI a host that is not tested must not pass unseen.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
        try:
            making.rename(path)
        except OSError:  # the other run was first
            shutil.rmtree(making)
        return path

    return folder


def _installer() -> list[str]:
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        return [str(uv), "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="session")
def run_example(host_folder, tmp_path_factory) -> Callable[..., list[dict[str, Any]]]:
    """Run ``examples/rewards/SCRIPT ARGV...`` with a host; return the JSON lines that it prints."""

    def run(script: str, *argv: str, host: str | None = None) -> list[dict[str, Any]]:
        ours = ("VERL_", "OVR_", "PYTHONPATH")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        if host:
            environment["PYTHONPATH"] = str(host_folder(host))
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / script), *argv],
            cwd=tmp_path_factory.mktemp("run"),
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]

    return run
