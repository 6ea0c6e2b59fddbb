"""The report of a long run: time to make it, size, and time until a browser can use it.

usage: python tests/benchmarks/report.py [--iterations 900] [--rollouts 10000] [--folder FOLDER]

``--rollouts`` counts those of one iteration in the dump, of which the page takes 10,000 in all; to
spare the disk, 20 dumps are made and the others are links to them. What is generated stays in
FOLDER for another try; by default it is a temporary one. The browser is a headless chromium from
the PATH; without one its part is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "analysis"))

import browser as browsers  # noqa: E402

SOURCES = ("math", "numinamath", "geometry3k", "iconqa", "chartqa", "puzzlevqa", "scienceqa")
N_DISTINCT = 20
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


def report(folder: Path) -> Path:
    """Make the page and the figures, as ``ovr report`` does, and print what they took."""
    from ovr_plugin.analysis.plots import draw_charts
    from ovr_plugin.analysis.report.charts import charts_of
    from ovr_plugin.analysis.report.page import write_page
    from ovr_plugin.analysis.report.runs import read_run

    began, began_cpu = time.perf_counter(), time.process_time()
    run = read_run(folder)
    charts = charts_of([run])
    page = write_page(folder / "report.html", [run], charts)
    page_s = time.perf_counter() - began
    draw_charts(charts, folder / "figures")
    all_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    print(
        f"page {page_s:.1f} s, with figures {all_s:.1f} s ({cpu_s:.1f} s of processor); "
        f"{page.stat().st_size / 1e6:.1f} MB"
    )
    return page


def use(page: Path, n_times: int = 3) -> None:
    """Open the page in a browser and filter; print milliseconds."""
    executable = browsers.find()
    if executable is None:
        print("no chromium: not opened")
        return
    with browsers.browser(executable) as window:
        for width, height in ((1280, 900), (390, 844)):
            window.window(width, height)
            ready, filtered = [], []
            for _ in range(n_times):
                window.open(page)
                ready.append(int(window.run("document.documentElement.dataset.readyMs")))
                filtered.append(
                    window.run(
                        "(async () => { document.getElementById('filters').elements.outcome.value"
                        " = '0'; const began = performance.now(); await filter();"
                        " return performance.now() - began })()"
                    )
                )
            n = window.run("columns().step.length")
            print(
                f"{width} pixels wide, {n} rollouts: usable after {min(ready)} to {max(ready)} ms, "
                f"filtered in {min(filtered):.0f} to {max(filtered):.0f} ms"
            )


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
            make_rollouts(folder, args.iterations, args.rollouts, args.chars, random.Random(1))
        n_bytes = sum(path.stat().st_size for path in (folder / "rollouts").iterdir())
        print(f"{args.iterations} iterations, dumps of {n_bytes / 1e9:.2f} GB")
        use(report(folder))


if __name__ == "__main__":
    main()
