"""The launch scripts, with programs that note their call in place of Ray, Slurm and torchrun."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from ovr_plugin.run_folder import RunFolder, stage_of

FOLDER = Path(__file__).parent.parent.parent / "examples" / "launch"
PPO = ["actor_rollout_ref.model.path=/shared/cold start", "data.train_files=[a.parquet,b.parquet]"]


@pytest.fixture
def launch(tmp_path):
    """Run a script; gives the calls of other programs, each a list of words, and its result."""
    programs = tmp_path / "bin"
    programs.mkdir()
    note = f'printf "%s\\n" "${{0##*/}}" "$@" END >> {tmp_path}/calls\n'

    def program(name: str, body: str = "") -> None:
        path = programs / name
        path.write_text(f"#!/bin/bash\n{note}{body}\n")
        path.chmod(0o755)

    for name in ("torchrun", "ray"):
        program(name)
    program("python", '[[ $1 == -c ]] && echo "${ALIVE:-1}"; exit 0')
    program("scontrol", "printf 'n1\\nn2\\n'")
    program("sleep")
    # One task after the other on "nodes", as srun would at once.
    program(
        "srun",
        "while [[ $1 == --* ]]; do shift; done\nfor SLURM_PROCID in 1 0; do\n"
        'export SLURM_PROCID; "$@" || exit 1\ndone',
    )

    def run(script: str, *arguments: str, **environment: str):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "VERL"))}
        path = f"{programs}:{kept['PATH']}"
        done = subprocess.run(
            ["bash", str(FOLDER / script), *arguments],
            env={**kept, "PATH": path, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        log = tmp_path / "calls"
        text = log.read_text() if log.exists() else ""
        return [call.split("\n")[:-1] for call in text.split("END\n") if call], done

    return run


def trainer_call(calls: list[list[str]]) -> list[str]:
    [call] = [call for call in calls if "verl.trainer.main_ppo" in call]
    return call


def overrides(call: list[str]) -> list[str]:
    return [word for word in call if "=" in word and not word.startswith("--")]


def test_ppo_on_one_node_is_one_command(launch, tmp_path):
    [call], done = launch("ppo.sh", *PPO)
    assert done.returncode == 0, done.stderr
    assert call[:3] == ["python", "-m", "verl.trainer.main_ppo"]
    assert call[-2:] == PPO
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides(call))
    assert config.trainer.nnodes == 1
    assert config.actor_rollout_ref.model.path == "/shared/cold start"
    variables = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert variables.OVR_RECIPE == "ppo_7b"
    assert variables.VERL_FILE_LOGGER_PATH == f"{tmp_path}/logs/ppo_7b.jsonl"


def test_the_report_finds_what_the_scripts_leave(launch, tmp_path):
    folder = RunFolder(tmp_path / "my run")
    [call], _ = launch("ppo.sh", *PPO, RUN="my run")
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides(call))
    assert config.trainer.rollout_data_dir == str(folder.rollouts)
    assert config.trainer.validation_data_dir == str(folder.validations)
    log = Path(config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH)
    assert (log.parent, stage_of(log)) == (folder.logs, "ppo")
    other = "trainer.rollout_data_dir=/elsewhere"
    *_, call = launch("ppo.sh", *PPO, other)[0]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides(call))
    assert config.trainer.rollout_data_dir == "/elsewhere"
    assert config.trainer.validation_data_dir == str(tmp_path / "validations")


def test_the_log_of_the_cold_start_lies_in_the_runs_folder(launch, tmp_path):
    torchrun = tmp_path / "bin" / "torchrun"
    torchrun.write_text(f'#!/bin/bash\necho "$VERL_FILE_LOGGER_PATH" > "{tmp_path}/log"\n')
    _, done = launch("cold_start.sh", RUN="my run")
    assert done.returncode == 0, done.stderr
    log = Path((tmp_path / "log").read_text().strip())
    assert log.parent == RunFolder(tmp_path / "my run").logs
    assert stage_of(log) == "cold_start"


def test_ppo_on_the_head_waits_for_the_nodes_then_trains(launch):
    calls, done = launch(
        "ppo.sh", *PPO, NNODES="2", NODE_RANK="0", HEAD="n1", RECIPE="ppo_3b", ALIVE="2"
    )
    assert done.returncode == 0, done.stderr
    assert calls[0] == ["ray", "start", "--head", "--port=6379"]
    assert calls[-1] == ["ray", "stop"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides(trainer_call(calls)))
    assert (config.trainer.nnodes, config.trainer.experiment_name) == (2, "ppo_3b")
    assert config.ray_kwargs.ray_init.address == "auto"


def test_a_head_without_its_nodes_gives_up_and_says_so(launch):
    calls, done = launch(
        "ppo.sh", *PPO, NNODES="3", NODE_RANK="0", HEAD="n1", ALIVE="2", WAIT_S="0"
    )
    assert done.returncode == 1
    assert "only 2 of 3 nodes have joined" in done.stderr
    assert not [call for call in calls if "verl.trainer.main_ppo" in call]
    assert calls[-1] == ["ray", "stop"]


def test_other_nodes_join_and_do_not_train(launch):
    calls, done = launch("ppo.sh", *PPO, NNODES="2", NODE_RANK="1", HEAD="n1", PORT="7000")
    assert done.returncode == 0, done.stderr
    assert calls == [["ray", "start", "--address=n1:7000", "--block"]]


@pytest.mark.parametrize("script", ["ppo.sh", "cold_start.sh"])
def test_several_nodes_must_know_their_head(launch, script):
    calls, done = launch(script, NNODES="2", NODE_RANK="1")
    assert done.returncode != 0
    assert "set HEAD" in done.stderr
    assert calls == []


def test_slurm_makes_one_head_of_its_nodes(launch):
    calls, done = launch(
        *("slurm.sh", "ppo.sh", *PPO),
        SLURM_JOB_NUM_NODES="2",
        SLURM_JOB_NODELIST="n[1-2]",
        SLURM_SUBMIT_DIR=str(FOLDER.parent.parent),
        ALIVE="2",
    )
    assert done.returncode == 0, done.stderr
    starts = [call for call in calls if call[:2] == ["ray", "start"]]
    assert starts == [
        ["ray", "start", "--address=n1:6379", "--block"],
        ["ray", "start", "--head", "--port=6379"],
    ]
    assert trainer_call(calls)[-2:] == PPO


def test_the_cold_start_on_one_node_and_under_slurm(launch):
    [call], done = launch("cold_start.sh", "data.train_files=/shared/packs")
    assert done.returncode == 0, done.stderr
    assert call[:3] == ["torchrun", "--standalone", "--nproc_per_node=8"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("sft_trainer_engine", overrides=overrides(call))
    assert config.data.train_files == "/shared/packs"
    calls, done = launch(
        *("slurm.sh", "cold_start.sh", "data.train_files=/shared/packs"),
        SLURM_JOB_NUM_NODES="2",
        SLURM_JOB_NODELIST="n[1-2]",
        SLURM_JOB_ID="77",
        SLURM_SUBMIT_DIR=str(FOLDER.parent.parent),
    )
    assert done.returncode == 0, done.stderr
    first, second = [call for call in calls if call[0] == "torchrun"][1:]
    assert first == second
    assert first[1:5] == [
        *("--nnodes=2", "--rdzv_backend=c10d", "--rdzv_endpoint=n1:29500", "--rdzv_id=77")
    ]
