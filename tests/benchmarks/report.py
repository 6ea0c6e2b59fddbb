"""The report of a long run: time to make it, size, and time until a browser can use it.

usage: python tests/benchmarks/report.py [--iterations 900] [--rollouts 10000] [--folder FOLDER]

``--rollouts`` counts those of one iteration in the dump, of which the page takes 10,000 in all; to
spare the disk, 20 dumps are made and the others are links to them. Six checkpoints are evaluated on
three benchmarks by `ovr eval` itself, whose endpoint is made up. What is generated stays in FOLDER
for another try; by default it is a temporary one. The report is made by the command in a process
of its own. The browser is a headless chromium from the PATH; without one its part is left out.

Prints a line for each measure beside its limit; exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "analysis"), str(REPOSITORY / "tests" / "endpoint")]

import browser as browsers  # noqa: E402 (of the tests)
from fake_server import completion, fake_server  # noqa: E402 (of the tests)

SOURCES = ("math", "numinamath", "geometry3k", "iconqa", "chartqa", "puzzlevqa", "scienceqa")
N_DISTINCT = 20
BENCHMARKS = ("math500", "aime24", "aime25")
CHECKPOINTS = ("base", "cold_start_450", "cold_start_900", "ppo_300", "ppo_600", "ppo_900")
N_ITEMS = 100
OVR = (sys.executable, "-c", "from ovr_plugin.cli import app; app()")
MAKE_S, PAGE_MB, USABLE_MS = 60.0, 30.0, 2000.0  # the limits
WORDS = (
    "we look at the figure again so angle x is half of y therefore let me check that 3 + 4 = 7 "
    "which matches the diagram but wait this is wrong because the second row holds \\frac{1}{2}"
).split()


def make_metrics(folder: Path, n_iterations: int, rng: random.Random) -> None:
    """Two stages with as many series as the trainer logs, and a hundred others."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "cold_start_001.jsonl").open("w") as file:
        for step in range(1, n_iterations + 1):
            loss = 0.45 + 1.2 * math.exp(-step / 20) + rng.gauss(0, 0.01)
            file.write(json.dumps({"step": step, "data": {"train/loss": loss}}) + "\n")
    with (logs / "ppo_001.jsonl").open("w") as file:
        for step in range(1, n_iterations + 1):
            done = step / n_iterations
            metrics = {f"other/{number}": rng.random() for number in range(100)}
            for name in ("all", "text", "image", *(f"source/{each}" for each in SOURCES)):
                metrics[f"ovr/reward/{name}"] = 0.25 + 0.15 * done + rng.gauss(0, 0.02)
                metrics[f"ovr/response_length/{name}"] = 7000 + 5000 * done + rng.gauss(0, 200)
                metrics[f"ovr/truncated/{name}"] = abs(rng.gauss(0.03, 0.01))
            for name, share in (("correct", 0.3), ("wrong", 0.6), ("no_answer", 0.1)):
                metrics[f"ovr/outcome/{name}"] = int(8192 * share)
            file.write(json.dumps({"step": step, "data": metrics}) + "\n")


def make_rollouts(
    folder: Path, n_iterations: int, n_rollouts: int, n_chars: int, rng: random.Random
) -> None:
    """Dumps of the trainer's form; texts are cut out of one long random one."""
    (folder / "rollouts").mkdir(parents=True, exist_ok=True)
    text = " ".join(rng.choice(WORDS) for _ in range(max(100_000, n_chars)))
    for step in range(1, n_iterations + 1):
        path = folder / "rollouts" / f"{step}.jsonl"
        if step > N_DISTINCT:
            path.hardlink_to(path.with_name(f"{(step - 1) % N_DISTINCT + 1}.jsonl"))
            continue
        with path.open("w") as file:
            for number in range(n_rollouts):
                source = SOURCES[number // 16 % len(SOURCES)]
                start = rng.randrange(len(text) - n_chars)
                right = rng.random() < 0.3
                record = {
                    "step": step,
                    "key": f"{number // 16:05d}_{number % 16}_0",
                    "data_source": source,
                    "modality": "text" if source in SOURCES[:2] else "image",
                    "row_id": f"{source}#{number // 16}",
                    "prompt": f"Question {number // 16}: {text[start : start + 200]}",
                    "response": text[start : start + rng.randrange(n_chars // 2, n_chars)],
                    "reference": str(number),
                    "answer": str(number),
                    "outcome": "correct" if right else "wrong",
                    "score": float(right),
                    "truncated": False,
                    "n_prompt_tokens": 80,
                    "n_response_tokens": n_chars // 4,
                }
                file.write(json.dumps(record) + "\n")


def make_evaluations(folder: Path, rng: random.Random) -> None:
    """What `ovr eval` leaves of a model that gets better."""
    rows = [
        json.dumps({"problem": f"What is {i} + 1?", "answer": str(i + 1)}) for i in range(N_ITEMS)
    ]
    data = folder / "benchmarks"
    for name in BENCHMARKS:
        (data / name).mkdir(parents=True)
        (data / name / "test.jsonl").write_text("\n".join(rows))

    def behave(body: dict, _: int) -> tuple:
        number = int(re.search(r"What is (\d+) ", str(body["messages"]))[1])
        is_right = rng.random() < 0.3 + 0.1 * CHECKPOINTS.index(body["model"])
        return 200, completion(f"\\boxed{{{number + is_right}}}")

    with fake_server(behave, CHECKPOINTS) as server:
        for name in CHECKPOINTS:
            where = ("--url", server.url, "--data", data, "--out", folder / "eval" / name)
            command = [*OVR, "eval", *BENCHMARKS, "--model", name, *where]
            subprocess.run(command, check=True, capture_output=True)


def report(folder: Path) -> tuple[Path, dict[str, tuple[float, float]]]:
    """Make the page and the figures by the command; returns the page and measure -> (it, limit)."""
    began = time.perf_counter()
    with subprocess.Popen(
        [*OVR, "report", str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        told = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, told
    print(told.strip())
    page = folder / "report.html"
    return page, {
        "page and figures made, in s": (time.perf_counter() - began, MAKE_S),
        "... of processor time, in s": (usage.ru_utime + usage.ru_stime, MAKE_S),
        "... with peak memory, in MiB": (usage.ru_maxrss / 1024, 1024.0),
        "size of the page, in MB": (page.stat().st_size / 1e6, PAGE_MB),
    }


def use(page: Path, n_times: int = 3) -> dict[str, tuple[float, float]]:
    """Open the page in a browser and filter; the slowest of ``n_times`` counts."""
    executable = browsers.find()
    if executable is None:
        print("no chromium: the page was not opened")
        return {}
    measures = {}
    with browsers.browser(executable) as window:
        for width, height in ((1280, 900), (390, 844)):
            window.window(width, height)
            ready, filtered = [], []
            for _ in range(n_times):
                window.open(page)
                ready.append(float(window.run("document.documentElement.dataset.readyMs")))
                filtered.append(
                    window.run(
                        "(async () => { document.getElementById('filters').elements.outcome.value"
                        " = '0'; const began = performance.now(); await filter();"
                        " return performance.now() - began })()"
                    )
                )
            at = f"at {width} pixels, in ms"
            measures[f"usable {at}"] = (max(ready), USABLE_MS)
            measures[f"filtered {at}"] = (max(filtered), 200.0)
        print(f"{window.run('columns().step.length'):,} rollouts in the page")
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=900)
    parser.add_argument("--rollouts", type=int, default=10_000)
    parser.add_argument("--chars", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "rollouts").is_dir():
            make_metrics(folder, args.iterations, random.Random(0))
            make_evaluations(folder, random.Random(2))
            make_rollouts(folder, args.iterations, args.rollouts, args.chars, random.Random(1))
        n_bytes = sum(path.stat().st_size for path in (folder / "rollouts").iterdir())
        print(f"{args.iterations} iterations, dumps of {n_bytes / 1e9:.2f} GB")
        page, measures = report(folder)
        measures |= use(page)
    for name, (value, limit) in measures.items():
        print(f"{name:32} {value:10.1f} of {limit:7,.0f}{'' if value <= limit else '  MISSED'}")
    raise SystemExit(any(value > limit for value, limit in measures.values()))


if __name__ == "__main__":
    main()
