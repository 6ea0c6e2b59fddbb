"""The real thing: a tiny model behind vLLM's own server, evaluated and asked to judge.

The server is started by the line that `ovr serving` prints. One `ovr eval` of it is killed in the
middle, torn line included, and goes on. As a judge the model writes rubbish, which is what is
tested: no count of rubbish is a missing value, and what was judged is not asked again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovr_plugin.data.files import read_json, read_jsonl, write_jsonl
from ovr_plugin.platform import fork_server

pytestmark = pytest.mark.trainer

BIN = Path(sys.executable).parent
N_ITEMS, N_SAMPLES, N_TOKENS = 24, 4, 32
START_S = 400.0
# Beside what the line says: a start that compiles nothing and fills less memory. The last one wins.
QUICK = ("--enforce-eager", "--distributed-executor-backend", "uni")
QUICK_ENVIRONMENT = {"TORCHDYNAMO_DISABLE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
WARM = [
    *("torch._dynamo", "vllm.entrypoints.openai.api_server", "vllm.v1.engine.core"),
    *("vllm.v1.worker.cpu_worker", "vllm.model_executor.models.qwen2_5_vl"),
]
MEMORY = ("--gpu-memory-utilization", "0.1")


def run_ovr(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "ovr"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "COLUMNS": "160"},
    )


@pytest.fixture(scope="module")
def url(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where vLLM serves the tiny model."""
    folder = tmp_path_factory.mktemp("server")
    checkpoint = shutil.copytree(tiny_model_dir, folder / "checkpoint")
    printed = run_ovr("serving", checkpoint)
    assert printed.returncode == 0, printed.stderr
    program, *line = shlex.split(printed.stdout.splitlines()[-1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    warm = fork_server.start(WARM)
    os.environ.pop(fork_server.PYTHON_VARIABLE)  # not what a trainer of the tests is to find
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(warm), str(BIN / program), *line, "--port", str(port), *QUICK, *MEMORY],
            env={**os.environ, **QUICK_ENVIRONMENT},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        deadline = time.monotonic() + START_S
        while not _answers(url):
            assert server.poll() is None, (folder / "log").read_text()[-4000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-4000:]
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=5):  # noqa: S310 - our server
            return True
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture(scope="module")
def evaluated(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that was killed and went on."""
    root = tmp_path_factory.mktemp("evaluated")
    rows = [{"problem": f"What is {i} + {2 * i}?", "answer": str(3 * i)} for i in range(N_ITEMS)]
    write_jsonl(root / "data/math500/test.jsonl", rows)
    out = root / "run/eval/ppo_2"
    command = [
        *("eval", "math500", "--data", root / "data", "--out", out, "--url", url),
        *("-n", N_SAMPLES, "--max-tokens", N_TOKENS, "--concurrency", 16),
    ]
    responses = out / "math500" / "responses.jsonl"
    with subprocess.Popen([str(BIN / "ovr"), *map(str, command)]) as asking:
        while not responses.exists() or responses.read_bytes().count(b"\n") < 20:
            assert asking.poll() is None
            time.sleep(0.02)
        asking.send_signal(signal.SIGKILL)
    assert asking.returncode == -signal.SIGKILL
    before = responses.read_bytes()
    assert before.count(b"\n") < N_ITEMS * N_SAMPLES, "killed too late"
    with responses.open("ab") as file:
        file.write(b'{"id": "torn')
    went_on = run_ovr(*command)
    assert went_on.returncode == 0, went_on.stderr
    (out / "console.txt").write_text(went_on.stdout)
    assert responses.read_bytes().startswith(before), "what was answered is kept"
    return out


def test_a_killed_evaluation_goes_on(evaluated):
    settings, *lines = read_jsonl(evaluated / "math500" / "responses.jsonl")
    assert Counter(Counter(line["id"] for line in lines).values()) == {1: N_ITEMS * N_SAMPLES}
    assert {line["finish_reason"] for line in lines} <= {"stop", "length"}
    assert all(1 <= line["n_tokens"] <= N_TOKENS for line in lines)
    assert all(line["truncated"] == (line["finish_reason"] == "length") for line in lines)
    assert settings["settings"]["temperature"] == 1.0
    of_an_item = {line["response"] for line in lines if line["item"] == lines[0]["item"]}
    assert len(of_an_item) == N_SAMPLES, "samples of one item differ"
    result = read_json(evaluated / "math500" / "result.json")
    assert (result["n_items"], result["n_missing"]) == (N_ITEMS, 0)


def test_the_table_has_the_papers_columns(evaluated):
    header, row = (
        line
        for line in (evaluated / "console.txt").read_text().splitlines()
        if (line.startswith(("benchmark  ", "MATH500")) and "samples" in line)
        or f"{N_ITEMS} x 4" in line
    )
    assert header.split()[:6] == ["benchmark", "Qwen2.5-VL-7B", "cold", "start", "OVR-7B", "ours"]
    assert row.split()[:4] == ["MATH500", "67.4", "-", "95.3"]


def test_a_sample_depends_on_its_seed_alone(evaluated, url, tmp_path):
    """Asked alone, with nothing else in the batch, a sample is what it was among others."""
    data = evaluated.parents[2] / "data"
    again = run_ovr(
        *("eval", "math500", "--data", data, "--out", tmp_path, "--url", url, "--limit", 2),
        *("-n", N_SAMPLES, "--max-tokens", N_TOKENS, "--concurrency", 1),
    )
    assert again.returncode == 0, again.stderr
    answers = {
        line["id"]: line["response"]
        for line in list(read_jsonl(evaluated / "math500/responses.jsonl"))[1:]
    }
    repeated = list(read_jsonl(tmp_path / "math500/responses.jsonl"))[1:]
    assert len(repeated) == 2 * N_SAMPLES
    same = sum(line["response"] == answers[line["id"]] for line in repeated)
    assert same >= len(repeated) - 1, "a near tie may fall otherwise in another batch"


def test_a_judge_that_writes_rubbish_gives_missing_values(evaluated, url):
    graded = evaluated / "math500" / "graded.jsonl"
    command = [
        *("behaviours", graded, "--endpoint", url, "--judge", _model(url), "--limit", 6),
        *("--behaviour", "backtracking", "--behaviour", "visual_reflection", "--max-tokens", 16),
    ]
    ran = run_ovr(*command)
    assert ran.returncode == 2, ran.stderr
    assert "no reply of the judge holds a count" in ran.stderr
    folder = evaluated.parents[1] / "behaviours"
    judged = read_json(folder / "summary.json")["checkpoints"][0]["judge"]["behaviours"]
    for numbers in judged.values():
        assert (numbers["n"], numbers["n_missing"]) == (0, 6)
        assert numbers["emergence_rate"]["value"] is None, "not zero"
    kept = (folder / "judgements.jsonl").read_bytes()
    assert kept.count(b"\n") == 1 + 2 * 6
    assert run_ovr(*command).returncode == 2
    assert (folder / "judgements.jsonl").read_bytes() == kept, "nothing was asked again"


def _model(url: str) -> str:
    import json

    with urllib.request.urlopen(f"{url}/models", timeout=5) as answer:  # noqa: S310 - our server
        return json.load(answer)["data"][0]["id"]
