"""The real thing: both upstream trainers on this machine, judged by what they left behind.

One smoke quickstart (cold start, PPO, both checkpoints loaded back); a copy of it, set back to its
first PPO checkpoint, whose worker is killed while it saves the second; a start after that, which is
killed itself while the third is saved; and one more, which goes on from there to the end.
Everything is read from metrics.jsonl, the rollout dump and the checkpoints.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from ovr_plugin.checkpoint.resume import TRACKER
from ovr_plugin.data.files import read_json, read_jsonl, read_parquet
from ovr_plugin.data.sample import Sample
from ovr_plugin.run_folder import RunFolder, read_metrics

pytestmark = pytest.mark.trainer

N_COLD, N_STEPS = 48, 4  # steps of the smoke run
N_MORE = 2
NEAR_TIE = 0.02  # in logits; a fair choice between two tokens moves by half a percent
# Idle helpers of Ray, which look for its head for a minute or two before they end.
RAY_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
CORPORA = Path(__file__).parent.parent / "data" / "rows"


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("ovr")), "quickstart", "--smoke"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "OVR_"))}
    return subprocess.Popen(
        [*command, "--out", str(out), "--corpora", str(CORPORA), *arguments],
        env=environment,
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def quickstart(out: Path, *arguments: str) -> str:
    with start(out, *arguments) as process:
        output = end(process)
    assert process.returncode == 0, output[-6000:]
    return output


def end(process: subprocess.Popen[str]) -> str:
    """Its output, when it has ended; interrupted, it ends its trainer as well."""
    try:
        return process.communicate(timeout=1200)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        raise


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished smoke run."""
    folder = RunFolder(tmp_path_factory.mktemp("e2e") / "run")
    folder_output = quickstart(folder.root)
    (folder.root / "console.txt").write_text(folder_output)
    return folder


@pytest.fixture(scope="module")
def metrics(run: RunFolder) -> dict[str, list[dict]]:
    """Stage -> records of the smoke run, in order."""
    stages: dict[str, list[dict]] = {}
    for record in read_jsonl(run.metrics):
        stages.setdefault(record["stage"], []).append(record)
    return stages


@pytest.fixture(scope="module")
def killed(run: RunFolder, metrics: dict, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the run as it was after one PPO iteration; its worker died saving the second."""
    copy = RunFolder(tmp_path_factory.mktemp("killed") / "run")
    shutil.copytree(run.root, copy.root)
    checkpoints = copy.checkpoints("ppo")
    for step in range(2, N_STEPS + 1):
        shutil.rmtree(checkpoints / f"global_step_{step}")
    (checkpoints / TRACKER).write_text("1")
    [log] = copy.logs.glob("ppo_*.jsonl")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:1]))
    with start(copy.root) as process:
        wait_for_save(process, copy, 2)
        assert process.poll() is None, end(process)[-6000:]
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "WorkerDict" in " ".join(child.cmdline())
        ]
        for worker in workers:
            worker.kill()
        output = end(process)
    assert len(workers) == 1, output[-6000:]
    assert process.returncode == 1
    assert "the trainer ended with status" in output  # by itself, and with the end of its log
    return copy


@pytest.fixture(scope="module")
def killed_again(killed: RunFolder) -> RunFolder:
    """The copy, started again and killed as a whole from outside, the trainer's driver with it."""
    with start(killed.root) as process:
        wait_for_save(process, killed, 3)
        assert process.poll() is None, end(process)[-6000:]
        children = psutil.Process(process.pid).children(recursive=True)
        started = [child for child in children if child.name() not in RAY_AGENTS]
        workers = [child for child in started if "WorkerDict" in child.name()]
        for each in (process, *workers):  # the workers might end the save before they are told
            each.kill()
        _, alive = psutil.wait_procs(started, timeout=60)
    assert len(started) > 10
    assert not alive
    return killed


def wait_for_save(process: subprocess.Popen[str], run: RunFolder, step: int) -> None:
    """Return in the middle of the save of PPO's ``step``, or when the process has ended."""
    actor = run.checkpoints("ppo") / f"global_step_{step}" / "actor"
    while process.poll() is None and not actor.exists():
        time.sleep(0.002)


@pytest.fixture(scope="module")
def resumed(killed_again: RunFolder) -> RunFolder:
    """The copy, started once more and asked for more PPO iterations."""
    output = quickstart(killed_again.root, "--ppo-steps", str(N_STEPS + N_MORE))
    assert "going on after iteration" in output
    assert output.count("there already") == 4  # data, model, cold start and its evaluation
    return killed_again


def test_the_cold_start_learns(metrics):
    losses = [record["train/loss"] for record in metrics["cold_start"]]
    assert len(losses) == metrics["cold_start"][-1]["step"] == N_COLD
    assert losses[0] > 5  # a random model: log of the vocabulary
    assert losses[-1] < losses[0] / 4


def test_the_cold_start_left_the_vision_tower_alone(run):
    before = load_file(run.model / "model.safetensors")
    after = load_file(run.export("cold_start") / "model.safetensors")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not [name for name in moved if name.startswith("visual.")]


def test_ppo_finishes_and_every_row_of_both_modalities_is_trained_on(run, metrics):
    steps = [record for record in metrics["ppo"] if record["step"] > 0]
    assert [record["step"] for record in steps] == [1, 2, 3, 4]
    samples = list(read_parquet(run.data / "train.parquet", Sample))
    samples_per_prompt = 4
    met: Counter[str] = Counter()
    for step in range(1, N_STEPS + 1):
        met.update(record["row_id"] for record in read_jsonl(run.rollouts / f"{step}.jsonl"))
    for modality, n_prompts in (("text", 8), ("image", 24)):  # of four steps of 8 prompts
        times = [met[sample.id] for sample in samples if sample.modality == modality]
        assert sum(times) == n_prompts * samples_per_prompt
        assert max(times) - min(times) == samples_per_prompt  # none twice before another came once
        assert all(n % samples_per_prompt == 0 for n in times)
        counted = sum(record[f"ovr/rows/{modality}"] for record in steps)
        assert counted == n_prompts * samples_per_prompt
    assert sum(record["ovr/rows/padding"] for record in steps) == 0


def test_every_batch_holds_the_ratio_that_data_mix_asks_for(metrics, resumed):
    """Also after a start in the middle of an epoch, and in the next epoch."""
    resumed_steps = [r for r in read_jsonl(resumed.metrics) if r["stage"] == "ppo"]
    assert [record["step"] for record in resumed_steps[-N_MORE:]] == [N_STEPS + 1, N_STEPS + 2]
    for record in [*metrics["ppo"], *resumed_steps]:
        # Of 8 prompts 6 have a picture; 4 responses to each.
        assert (record["ovr/rows/text"], record["ovr/rows/image"]) == (8, 24)
    samples = read_parquet(resumed.data / "train.parquet", Sample)
    modality = {sample.id: sample.modality for sample in samples}
    met = Counter(
        record["row_id"]
        for step in range(1, N_STEPS + N_MORE + 1)
        for record in read_jsonl(resumed.rollouts / f"{step}.jsonl")
    )
    for which in ("text", "image"):  # none comes again before another has come as often
        times = {met[row_id] for row_id in modality if modality[row_id] == which}
        assert max(times) - min(times) == 4


def test_reward_is_zero_or_one_and_counted(metrics):
    for record in metrics["ppo"]:
        outcomes = {key: n for key, n in record.items() if key.startswith("ovr/outcome/")}
        assert sum(outcomes.values()) == record["ovr/rows/all"]
        assert (
            outcomes.get("ovr/outcome/correct", 0)
            == record["ovr/reward/all"] * record["ovr/rows/all"]
        )
        assert record["critic/score/mean"] == pytest.approx(record["ovr/reward/all"])


def test_rollout_and_trainer_agree_after_every_weight_update(metrics):
    """vLLM's log-probabilities are the trainer's: the in-place update reached the server."""
    for record in metrics["ppo"]:
        assert record["training/rollout_probs_diff_max"] < 5e-3
        # Not quite 0: the server gives the two image placeholders no chance, the trainer does.
        assert abs(record["rollout_corr/kl"]) < 1e-3
        assert record["training/rollout_actor_probs_pearson_corr"] > 0.999


def test_one_policy_step_and_four_critic_steps_an_iteration(run):
    """Read off the optimizers' own counters in the checkpoint (OVR B)."""
    step = run.checkpoints("ppo") / f"global_step_{N_STEPS}"
    for role, n_steps in (("actor", N_STEPS), ("critic", 4 * N_STEPS)):
        [file] = (step / role).glob("optim_world_size_1_rank_0.pt")
        state = torch.load(file, weights_only=False)["state"]
        counts = {int(entry["step"]) for entry in state.values()}
        assert counts == {n_steps}, role


def test_weights_of_actor_and_critic_changed(run):
    cold_start = load_file(run.export("cold_start") / "model.safetensors")
    actor = load_file(run.export("ppo") / "model.safetensors")
    for part in ("visual.blocks", "visual.merger", "model.layers", "lm_head"):
        names = [name for name in cold_start if name.startswith(part)]
        assert [name for name in names if not torch.equal(cold_start[name], actor[name])], part
    [file] = (run.checkpoints("ppo") / f"global_step_{N_STEPS}" / "critic").glob("model_*.pt")
    critic = {
        name: getattr(weight, "to_local", lambda weight=weight: weight)()
        for name, weight in torch.load(file, weights_only=False).items()
    }
    assert critic["score.weight"].shape == (1, 128)
    assert not [name for name in critic if name.startswith("lm_head")]
    first = critic["model.language_model.layers.0.mlp.up_proj.weight"]
    assert not torch.equal(first, cold_start["model.layers.0.mlp.up_proj.weight"])
    assert not torch.equal(first, actor["model.layers.0.mlp.up_proj.weight"])  # weights not shared


def test_a_plan_is_exact_where_it_says_so(run):
    """Weights and moments of `ovr plan` against what a rank of the real trainer had to save."""
    from ovr_plugin.planning.memory import resident_terms
    from ovr_plugin.planning.models import model_sizes
    from ovr_plugin.planning.recipe import compose_recipe

    sizes = model_sizes(str(run.model))
    step = run.checkpoints("ppo") / f"global_step_{N_STEPS}"
    shapes = {"policy": ("actor", sizes.policy), "critic": ("critic", sizes.critic)}
    for role in compose_recipe("ppo_tiny").roles:
        folder, model_shapes = shapes[role.name]
        terms = {t.name: t.n_bytes for t in resident_terms(role, model_shapes, 1, at_work=True)}
        weights = torch.load(step / folder / "model_world_size_1_rank_0.pt", weights_only=False)
        moments = torch.load(step / folder / "optim_world_size_1_rank_0.pt", weights_only=False)
        n_weights = sum(weight._local_tensor.nbytes for weight in weights.values())
        n_moments = sum(
            getattr(entry[name], "_local_tensor", entry[name]).nbytes
            for entry in moments["state"].values()
            for name in ("exp_avg", "exp_avg_sq")
        )
        assert terms[f"{role.name}: weights"] == n_weights
        assert terms[f"{role.name}: Adam's moments"] == n_moments


LOAD_BACK = Path(__file__).with_name("load_back.py")


def test_validation_of_the_trainer_equals_the_checkpoint_loaded_back(
    run, metrics, run_python, tmp_path
):
    """veRL's last validation and transformers alone (a process without veRL), both greedy.

    Where two tokens are as good as equally likely, the engines may choose either.
    """
    samples = list(read_parquet(run.data / "val.parquet", Sample))
    dumped = {row["row_id"]: row for row in read_jsonl(run.validations / f"{N_STEPS}.jsonl")}
    assert dumped.keys() == {sample.id for sample in samples}
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps({row_id: row["output"] for row_id, row in dumped.items()}))
    rows = str(run.data / "val.parquet")
    done = run_python(LOAD_BACK.read_text(), str(run.export("ppo")), rows, str(theirs))
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)
    assert ours.keys() == dumped.keys()
    for row_id, (response, score, margin) in ours.items():
        assert margin < NEAR_TIE, (row_id, response, dumped[row_id]["output"])
        if response == dumped[row_id]["output"]:
            assert score == dumped[row_id]["score"], row_id
    n_same = sum(response == dumped[row_id]["output"] for row_id, (response, *_) in ours.items())
    assert n_same >= len(ours) / 2
    for source in {sample.data_source for sample in samples}:
        scores = [dumped[sample.id]["score"] for sample in samples if sample.data_source == source]
        reported = metrics["ppo"][-1][f"val-core/{source}/acc/mean@1"]
        assert reported == pytest.approx(sum(scores) / len(scores))


def test_the_run_folder_holds_what_was_promised(run):
    from PIL import Image

    names = {path.stem for path in run.plots.glob("*.png")}
    assert names == {"cold_start_loss", "reward", "response_length", "critic_loss"}
    for path in run.plots.glob("*.png"):
        assert len(Image.open(path).convert("L").getcolors(256) or range(257)) > 10
    page = (run.root / "report.html").read_text()
    assert re.search(r'id="pictures-0">\s*[\w+/=]{100,}', page)  # of the rollouts, packed
    console = (run.root / "console.txt").read_text()
    assert "verl.trainer.sft_trainer" in console
    assert "-m verl.trainer.main_ppo" in console


def test_what_came_of_each_stage_was_served_and_asked_the_held_out_rows(run):
    samples = {sample.id for sample in read_parquet(run.data / "val.parquet", Sample)}
    evaluations = {path.name: path for path in (run.root / "eval").iterdir()}
    last = run.latest_step("ppo")
    assert evaluations.keys() == {f"cold_start_{N_COLD}", f"average_{last}"}
    console = (run.root / "console.txt").read_text()
    for name, folder in evaluations.items():
        [result] = read_json(folder / "results.json")
        assert result["n_items"] == len(samples), name
        assert {"accuracy, toy_text", "accuracy, toy_image"} <= result["metrics"].keys()
        assert f"--out {folder}" in console
    assert "$ vllm serve" in console


# Times and memory; the distance of two engines' rounding, which is noise itself; validation, which
# comes at the last step of either run.
NOT_OF_THE_TRAINING = re.compile(r"timing_|perf/|rollout_corr/|training/rollout_|^val-")


def trained_steps(log: Path) -> list[int]:
    return [step for step, values in read_metrics(log) if "actor/lr" in values]


def test_a_killed_run_goes_on_from_its_last_complete_checkpoint(resumed):
    """Killed while it saved iteration 2, then 3: each is made again, unless the save was done."""
    [*_, killed, killed_again, last] = map(trained_steps, sorted(resumed.logs.glob("ppo_*.jsonl")))
    assert killed == []
    assert killed_again[0] == 2
    assert last in (list(range(first, N_STEPS + N_MORE + 1)) for first in (3, 4))


def test_a_resumed_run_equals_the_uninterrupted_one(resumed, metrics, run):
    """Same rows, same responses, same weights; equal but for the rounding of another batching."""
    starts = sorted(resumed.logs.glob("ppo_*.jsonl"))[-2:]
    logged = [record for log in starts for record in read_metrics(log)]
    theirs = {step: values for step, values in logged if "actor/lr" in values}
    ours = {record["step"]: record for record in metrics["ppo"]}
    assert {2, 3, 4} <= theirs.keys()  # also where 3 was saved and then all killed
    for step in theirs.keys() & set(range(2, N_STEPS + 1)):
        responses = [
            {(r["row_id"], r["response"], r["score"]) for r in read_jsonl(folder / f"{step}.jsonl")}
            for folder in (run.rollouts, resumed.rollouts)
        ]
        assert responses[0] == responses[1]
        names = {name for name in theirs[step] if not NOT_OF_THE_TRAINING.search(name)}
        assert {"critic/vf_loss", "actor/grad_norm", "ovr/reward/all"} <= names
        for name in names:
            expected = pytest.approx(ours[step][name], rel=1e-3, abs=1e-5)
            assert theirs[step][name] == expected, (step, name)
    start, *ends = (
        load_file(folder / "model.safetensors")
        for folder in (run.export("cold_start"), weights_after(run), weights_after(resumed))
    )
    apart = sum((ends[0][name] - ends[1][name]).square().sum() for name in start).sqrt()
    moved = sum((ends[0][name] - start[name]).square().sum() for name in start).sqrt()
    assert apart < 0.02 * moved


def weights_after(folder: RunFolder) -> Path:
    return folder.checkpoints("ppo") / f"global_step_{N_STEPS}" / "actor" / "huggingface"


def test_a_resumed_run_trains_on(resumed, metrics):
    before = {record["step"]: record for record in metrics["ppo"]}
    records = [record for record in read_jsonl(resumed.metrics) if record["stage"] == "ppo"]
    assert [record["step"] for record in records] == list(range(1, N_STEPS + N_MORE + 1))
    for record in records[N_STEPS:]:
        assert record["training/global_step"] == record["step"]
        # The warm-up goes on; a restarted schedule would begin at 0 again.
        assert record["actor/lr"] > before[N_STEPS]["actor/lr"] > 0
        assert record["training/rollout_probs_diff_max"] < 5e-3


def test_checkpoints_of_the_trainer_are_averaged_directly(resumed, tmp_path):
    """The shards of two iterations, without an export, into a model that transformers loads."""
    from transformers import AutoModelForImageTextToText

    from ovr_plugin.checkpoint.average import average

    steps = [resumed.checkpoints("ppo") / f"global_step_{n}" for n in (N_STEPS, N_STEPS + N_MORE)]
    out = average(steps, tmp_path / "average", dtype="float32")
    found = AutoModelForImageTextToText.from_pretrained(out).state_dict()
    states = [
        torch.load(step / "actor" / "model_world_size_1_rank_0.pt", weights_only=False)
        for step in steps
    ]
    assert found.keys() == states[0].keys()
    for name, weight in found.items():
        exact = sum(state[name]._local_tensor.double() for state in states) / 2
        torch.testing.assert_close(weight.double(), exact, rtol=0, atol=1e-7, msg=name)
