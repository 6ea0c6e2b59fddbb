"""Fixtures for all tests: a tiny checkpoint, the folder of raw corpora, subprocesses of our Python.

The tests run as an OVR process on the CPU platform, which has to be said before verl is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["VERL_PLATFORM"] = "cpu"
os.environ["HF_HUB_OFFLINE"] = "1"
VISIBLE_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # for processes that want them
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OVR_FORK_SERVER"] = "0"  # for what runs in this process; see warm_python

REPOSITORY = Path(__file__).resolve().parent.parent
TEXTS = [
    "You are a helpful assistant.",
    "system user assistant",
    "The box is red. What colour is the box?",
    "Let me look again. There are 2 red squares. \\boxed{red}",
]


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Qwen2.5-VL with tokenizer and processor; read only."""
    from ovr_plugin.models.tiny import make_tiny

    return make_tiny(tmp_path_factory.mktemp("tiny"), TEXTS)


@pytest.fixture(scope="session")
def tiny_qwen3_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise a tiny random Qwen3-VL."""
    from ovr_plugin.models.tiny import make_tiny

    return make_tiny(tmp_path_factory.mktemp("tiny_qwen3"), TEXTS, model_type="qwen3_vl")


@pytest.fixture(scope="session")
def gpu_env() -> dict[str, str]:
    """The environment of a process on the machine's GPU; a machine without one skips the test."""
    from ovr_plugin.cli.machine_checks import list_with_smi

    if VISIBLE_GPUS == "" or not list_with_smi():
        pytest.skip("needs a GPU")
    env = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    visible = {} if VISIBLE_GPUS is None else {"CUDA_VISIBLE_DEVICES": VISIBLE_GPUS}
    return {**env, **visible, "VERL_PLATFORM": "nvidia"}


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` beside the checkout, with real rows of public corpora."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the checkout")
    return folder


def runner(python: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python -c CODE ARGV...`` away from the checkout, without our environment variables."""

    def run(
        code: str, *argv: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        ours = ("VERL_", "OVR_")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        return subprocess.run(
            [python, "-c", code, *argv],
            cwd=cwd or Path(__file__).anchor,
            env={**clean, **env},
            capture_output=True,
            text=True,
            timeout=180,
        )

    return run


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a Python of its own; see ``runner``."""
    return runner(sys.executable)


@pytest.fixture(scope="session")
def warm_python() -> str:
    """A Python whose processes have imported what is slow already, and neither verl nor ours."""
    from ovr_plugin.platform import fork_server

    modules = ["torch._dynamo", "tensordict", "datasets", "transformers.processing_utils", "hydra"]
    program = str(fork_server.start(modules))
    os.environ.pop(fork_server.PYTHON_VARIABLE)  # not what a trainer of the tests is to find
    return program


@pytest.fixture(scope="session")
def run_warm_python(warm_python: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in such a Python; see ``runner``."""
    return runner(warm_python)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts processes through these fixtures is no quick unit test."""
    for item in items:
        if {"run_python", "warm_python", "run_ranks"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
