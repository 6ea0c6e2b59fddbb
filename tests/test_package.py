"""What may import what, what the wheel holds, and what lies in the repository's top folder."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "ovr_plugin"

# Upstream may move: these, and no others, are the files to look at when it does.
IMPORT_VERL = {
    "cli/probe.py",
    "platform/cpu.py",
    "reward/verl_legacy_manager.py",
    "reward/verl_manager.py",
    "trainer/__init__.py",
    "trainer/agent_loop.py",
    "trainer/checkpoint_callback.py",
    "trainer/engine.py",
    "trainer/engine_config.py",
    "trainer/ppo_trainer.py",
    "trainer/rollout_manager.py",
    "trainer/rollout_worker.py",
}
IMPORT_VLLM = {"platform/vllm_cpu.py"}
DRAW = {"analysis/plots.py"}
START_PROCESSES = {
    "cli/machine_checks.py",  # ovr doctor asks the machine's own tools
    "cli/probe.py",  # ... and runs its checks away from this process
    "cli/trainer_process.py",  # the upstream trainers
    "platform/fork_server.py",  # workers of the trainer, forked warm
    "eval/regrade.py",  # files of responses, graded on all cores
    "data/executors.py",  # ovr prepare, one chunk of rows per task
    "reward/processes.py",  # algebra that can be killed
    "reward/zygote.py",
}
READ_AND_WRITE_TABLES = {"data/files.py", "data/csv_files.py"}
# JSON that goes to no file: standard output, pipes, the metadata of a parquet schema.
JSON_TEXT = {
    "analysis/behaviours/judge.py",  # the name of a request
    "analysis/report/rollouts.py",  # data inside a page
    "checkpoint/average.py",
    "checkpoint/serving.py",
    "cli/doctor.py",
    "cli/grade_output.py",
    "cli/probe.py",
    "data/files.py",
    "data/schema.py",
    "endpoint/client.py",  # the body of a request
    "platform/forked_python.py",
    "reward/http_server.py",
    "reward/processes.py",
    "reward/worker.py",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported anywhere, inside functions too, also by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _name(node.func) == "import_module":
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def used(tree: ast.AST) -> Iterator[str]:
    """``module.attribute`` as it is written, and what was imported from a module."""
    yield from imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield f"{_name(node.value)}.{node.attr}"


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", None) or getattr(node, "id", "")


def files_with(
    names: Callable[[ast.AST], Iterator[str]], *wanted: str, among: Iterator | None = None
) -> set[str]:
    return {
        file
        for file, tree in among or trees()
        if any(f"{name}.".startswith(f"{each}.") for name in names(tree) for each in wanted)
    }


@pytest.mark.parametrize(
    ("names", "wanted", "expected", "advice"),
    [
        (imported, ["verl"], IMPORT_VERL, "reach verl through one of the files of IMPORT_VERL"),
        (imported, ["vllm"], IMPORT_VLLM, "reach vLLM through platform/vllm_cpu.py"),
        (imported, ["matplotlib", "plotly", "seaborn"], DRAW, "draw in analysis/plots.py"),
        (
            used,
            [
                *("subprocess", "multiprocessing", "concurrent.futures.ProcessPoolExecutor"),
                *("os.fork", "os.system", "os.popen", "pty", "asyncio.create_subprocess_exec"),
                *("asyncio.create_subprocess_shell", "torch.multiprocessing"),
            ],
            START_PROCESSES,
            "use reward/processes.py, or cli/trainer_process.py",
        ),
        (
            used,
            ["pyarrow.parquet", "pyarrow.json", "pyarrow.csv", "csv", "to_parquet", "df.to_json"],
            READ_AND_WRITE_TABLES,
            "read and write tables with data/files.py; CSV is only read, with data/csv_files.py",
        ),
        (used, ["json.dump", "pickle", "yaml.dump"], set(), "write files with data/files.py"),
        (used, ["json.dumps"], JSON_TEXT, "write JSON files with data/files.py"),
    ],
    ids=["verl", "vllm", "plots", "processes", "parquet", "json-files", "json-text"],
)
def test_each_thing_is_done_in_its_own_files(names, wanted, expected, advice):
    found = files_with(names, *wanted)
    assert found - expected == set(), f"{advice}; a new home is added to the list in this test"
    assert expected - found == set(), "take these off the list in this test"


def test_the_search_finds_what_it_should():
    """Imports inside functions, under other names, by string; calls by either spelling."""
    code = (
        "def f():\n    from verl.utils import fs\n"
        "import pyarrow.parquet as pq\nimport importlib\nimportlib.import_module('vllm.x')\n"
        "import json\njson.dump({}, None)\nimport verlinger\n"
    )
    tree = [("a.py", ast.parse(code)), ("b.py", ast.parse("import verlinger, jsonx"))]
    for names, wanted in (
        (imported, "verl"),
        (imported, "vllm"),
        (imported, "pyarrow.parquet"),
        (used, "json.dump"),
    ):
        assert files_with(names, wanted, among=iter(tree)) == {"a.py"}
    assert files_with(used, "json.dumps", among=iter(tree)) == set()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy, so that nothing stale gets in and nothing is left behind."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(PACKAGE, source / "ovr_plugin", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()  # a package that must not get in
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    [path] = (source / "dist").iterdir()
    return path


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked, which is all that installing a pure one does to a folder."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def python(installed, run_python, tmp_path):
    """Run code in an empty folder, with the unpacked wheel before the checkout."""

    def run(code: str, *argv: str) -> dict:
        path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
        head = f"import ovr_plugin; assert ovr_plugin.__file__.startswith({str(installed)!r})\n"
        process = run_python(head + code, *argv, cwd=tmp_path, PYTHONPATH=path)
        lines = [line for line in process.stdout.splitlines() if line.startswith("RESULT")]
        assert lines, process.stderr[-3000:]
        return json.loads(lines[0].removeprefix("RESULT"))

    return run


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    expected = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".yaml", ".html", ".css", ".js")
    }
    assert any(name.endswith("ppo_7b.yaml") for name in expected)
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert [name for name in names if name.endswith("/LICENSE")]
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_licence_and_the_version_are_those_of_the_repository(installed):
    import ovr_plugin

    [info] = installed.glob("*.dist-info")
    [licence] = info.rglob("LICENSE")
    assert licence.read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
    metadata = (info / "METADATA").read_text()
    assert f"\nVersion: {ovr_plugin.__version__}\n" in metadata
    assert "Apache-2.0" in metadata.partition("\n\n")[0]
    assert "verl" not in "".join(
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ), "the reward serves other trainers too"


def test_the_reward_alone_is_light(python):
    """For other trainers: no verl, torch or ray, and algebra only where it is needed."""
    heavy = ["verl", "torch", "ray", "vllm", "sympy", "math_verify", "numpy", "pyarrow"]
    code = (
        "import json, sys\nfrom ovr_plugin.reward import compute_score\n"
        "score = compute_score('x', 'It is \\\\boxed{red}', 'red')['score']\n"
        f"print('RESULT' + json.dumps([score, [m for m in {heavy} if m in sys.modules]]))"
    )
    assert python(code) == [1.0, []]


IN_A_RUN = """
import json, sys
from importlib.metadata import entry_points
import verl
from hydra import compose, initialize_config_module
with initialize_config_module("verl.trainer.config", version_base=None):
    config = compose("sft_trainer_engine", overrides=["+ovr=sft_tiny"])
groups = "console_scripts", "verl.plugins", "vllm.general_plugins", "vllm.platform_plugins"
points = [point for group in groups
          for point in entry_points(group=group) if point.name == "ovr"]
print("RESULT" + json.dumps({
    "recipe": [config.optim.clip_grad, config.data.custom_cls.name, config.trainer.device],
    "points": {point.group: str(getattr(point.load(), "__file__", "")) or point.attr
               for point in points},
    "from": sorted({str(point.dist.locate_file("")) for point in points}),
}))
"""


@pytest.mark.process
def test_an_installed_wheel_serves_a_run_of_verl(python, installed):
    """Recipes compose through Hydra, and every entry point loads, in a process that asks for us."""
    found = python(IN_A_RUN, "+ovr=sft_tiny")
    assert found["recipe"] == [1.0, "OVRColdStartDataset", "cpu"]
    assert found["points"] == {
        "console_scripts": "app",
        "verl.plugins": str(installed / "ovr_plugin" / "registration.py"),
        "vllm.general_plugins": "register",
        "vllm.platform_plugins": "name_platform",
    }
    assert found["from"] == [str(installed)]


def test_the_top_folder_stays_small():
    if not (REPOSITORY / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip(f"git cannot read this checkout: {listed.stderr.strip()}")
    top = {name.partition("/")[0] for name in listed.stdout.split("\0") if name}
    assert {name for name in top if not name.startswith(".")} == {
        "LICENSE",
        "README.md",
        "examples",
        "ovr_plugin",
        "pyproject.toml",
        "setup.cfg",
        "tests",
    }
