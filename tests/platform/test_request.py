"""What a process was asked for, read off its command line and environment."""

from __future__ import annotations

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ovr_plugin.platform.request import (
    asked_recipe,
    cpu_was_asked_for,
    forked_workers_were_asked_for,
)

PROGRAM = "main_ppo.py"
DRIVER = {"OVR_RECIPE": "ppo_tiny"}


@pytest.mark.parametrize(
    ("argv", "env", "recipe", "cpu"),
    [
        # the command line
        (["+ovr=ppo_tiny"], {}, "ppo_tiny", True),
        (["+ovr=sft_tiny"], {}, "sft_tiny", True),
        (["+ovr=ppo_7b"], {}, "ppo_7b", False),
        (["++ovr=ppo_tiny"], {}, "ppo_tiny", True),
        (["+ovr=[ppo_7b,mine]"], {}, "ppo_7b,mine", False),
        (["+ovr=[mine,ppo_tiny]"], {}, "mine,ppo_tiny", True),
        (["+ovr=[mine, ppo_tiny]"], {}, "mine, ppo_tiny", True),
        (["a.b=c", "+ovr=ppo_tiny", "ovr.length_schedule=null"], {}, "ppo_tiny", True),
        (["ovr.length_schedule=null", "+ovr=ppo_7b"], {}, "ppo_7b", False),
        # look-alikes
        ([], {}, "", False),
        (["ovr.length_schedule=null"], {}, "", False),
        (["+ovr.length_schedule=null"], {}, "", False),
        (["data.ovr=ppo_tiny"], {}, "", False),
        (["+data.ovr=ppo_tiny"], {}, "", False),
        (["+ovr_x=ppo_tiny"], {}, "", False),
        (["trainer.project_name=+ovr=ppo_tiny"], {}, "", False),
        (["~ovr"], {}, "", False),
        (["+ovr=my_ppo_tiny"], {}, "my_ppo_tiny", False),
        (["+ovr=ppo_tiny_2"], {}, "ppo_tiny_2", False),
        (["ovr=ppo_tiny"], {}, "", False),  # Hydra refuses it: nothing to change without "+"
        # a worker: the driver's answer in the environment
        ([], DRIVER, "ppo_tiny", True),
        ([], {"OVR_RECIPE": "ppo_7b"}, "ppo_7b", False),
        ([], {"OVR_RECIPE": ""}, "", False),
        ([], {"OVR_RECIPE": "mine,sft_tiny"}, "mine,sft_tiny", True),
        (["+ovr=ppo_7b"], DRIVER, "ppo_7b", False),
        # a platform that was named wins
        (["+ovr=ppo_tiny"], {"VERL_PLATFORM": "nvidia"}, "ppo_tiny", False),
        ([], {**DRIVER, "VERL_PLATFORM": "npu"}, "ppo_tiny", False),
        (["+ovr=ppo_7b"], {"VERL_PLATFORM": "cpu"}, "ppo_7b", True),
        ([], {"VERL_PLATFORM": " CPU "}, "", True),
        (["+ovr=ppo_tiny"], {"VERL_PLATFORM": ""}, "ppo_tiny", True),
    ],
)
def test_what_was_asked_for(argv, env, recipe, cpu):
    assert asked_recipe([PROGRAM, *argv], env) == recipe
    assert cpu_was_asked_for([PROGRAM, *argv], env) is cpu


def test_the_program_itself_is_no_override():
    assert asked_recipe(["+ovr=ppo_tiny"], {}) == ""
    assert asked_recipe([], DRIVER) == "ppo_tiny"


@pytest.mark.parametrize("override", ["+ovr=ppo_tiny", "++ovr=ppo_7b", "+ovr=[a,b]", "+ovr=[a, b]"])
def test_hydra_reads_the_same_names(override):
    value = OverridesParser.create().parse_override(override).value()
    names = value if isinstance(value, list) else [value]
    assert [name.strip() for name in asked_recipe([PROGRAM, override], {}).split(",")] == names


def test_by_default_it_is_this_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", [PROGRAM, "+ovr=ppo_7b"])
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    assert asked_recipe() == "ppo_7b"
    assert not cpu_was_asked_for()
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    monkeypatch.setenv("OVR_RECIPE", "sft_tiny")
    monkeypatch.delenv("VERL_PLATFORM")
    assert asked_recipe() == "sft_tiny"
    assert cpu_was_asked_for()


PPO = ["python", "-m", "verl.trainer.main_ppo", "+ovr=ppo_tiny"]


@pytest.mark.parametrize(
    ("argv", "env", "asked"),
    [
        (PPO, {}, True),
        (["python", "-u", *PPO[1:]], {}, True),
        (["python", "-m", "verl.trainer.sft_trainer"], {}, False),
        (["python", "verl.trainer.main_ppo"], {}, False),
        (["python", "default_worker.py"], {}, False),
        (PPO, {"OVR_FORK_SERVER": "0"}, False),
        (PPO, {"RAY_RUNTIME_ENV_HOOK": "mine.hook"}, False),  # the user's own stays
    ],
)
def test_only_the_driver_of_a_ppo_run_has_its_workers_forked(argv, env, asked):
    assert forked_workers_were_asked_for(argv, env) is asked
