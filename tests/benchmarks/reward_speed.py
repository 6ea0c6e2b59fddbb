r"""How long grading takes: one PPO iteration, single answers, hostile answers; peers beside it.

usage: python tests/benchmarks/reward_speed.py [--cases FOLDER] [--responses 8192] [--peers NAME...]

An iteration is 8 responses to each of 1024 questions, 8 to 30 kB of real reasoning, about 60 % of
them right; references, right and wrong answers are drawn from the labelled cases in FOLDER (by
default ``../shared/cases`` beside the checkout). Everything runs on two worker processes. The
hostile run puts a hostile answer, each a different one, between any two of these responses.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from ovr_plugin.reward import Grade, Outcome, Pool, grade, grade_async, grade_batch
from ovr_plugin.reward.extract import extract_answer

REPOSITORY = Path(__file__).resolve().parents[2]
N_WORKERS = 2
N_ROLLOUTS = 8
WARM_UP_S = 5.0
RESPONSE_CHARS = (8_000, 30_000)
ORIGINS = (
    *("orz_self", "benchmark_gold_self", "qwen_math_rm", "tora_gsm8k"),
    *("mathvision_outputs", "theoremqa_outputs"),
)
REASONING = ("qwen_math_rm", "mathvision_outputs", "tora_gsm8k")


@dataclass(frozen=True)
class Row:
    """A response, its reference and whether it is right."""

    response: str
    reference: str
    choices: Any
    label: float


def read_cases(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def one_iteration(folder: Path, n_responses: int, draw: random.Random) -> list[Row]:
    """Draw questions, and for each how many of its responses are right."""
    cases = {name: read_cases(folder, name) for name in ORIGINS}
    questions: dict[tuple[str, str], dict[int, list[str]]] = {}
    for rows in cases.values():
        for case in rows:
            answer = extract_answer(case["response"])
            if answer and len(answer) < 1000:
                key = case["gold"], json.dumps(case.get("choices"))
                questions.setdefault(key, {0: [], 1: []})[case["label"]].append(answer)
    texts = [
        case["response"].replace("boxed", "text") for name in REASONING for case in cases[name]
    ]
    asked = [(key, answers) for key, answers in questions.items() if answers[1]]
    rows = []
    while len(rows) < n_responses:
        (reference, choices), answers = draw.choice(asked)
        wrong = answers[0] or draw.choice(asked)[1][1]
        share_right = draw.betavariate(0.9, 0.6)
        for _ in range(N_ROLLOUTS):
            label = int(draw.random() < share_right)
            answer = spelled(draw.choice(answers[1] if label else wrong), draw)
            rows.append(Row(respond(answer, texts, draw), reference, json.loads(choices), label))
    return rows[:n_responses]


def spelled(answer: str, draw: random.Random) -> str:
    """Another spelling of an answer, now and then."""
    return draw.choice(
        [answer] * 6 + [answer.replace(r"\frac", r"\dfrac"), f"{answer}.", f" {answer} "]
    )


def respond(answer: str, texts: list[str], draw: random.Random) -> str:
    n_chars, thoughts = draw.randint(*RESPONSE_CHARS), ""
    while len(thoughts) < n_chars:
        thoughts += draw.choice(texts) + "\n\n"
    closing = f"</think>\n\nWe checked it twice. The final answer is $\\boxed{{{answer}}}$."
    return f"<think>\n{thoughts[: n_chars - len(closing)]}{closing}"


def hostile_answers(draw: random.Random) -> Iterator[str]:
    """Answers that algebra might work on for ever, no two alike."""
    forms = (
        "{0}^{{{1}^{{{2}^{2}}}}}",
        "({0}{1}^{{{2}}})!",
        r"\binom{{10^{1}}}{{{0}\cdot 10^{2}}}",
        r"\sum_{{i=1}}^{{10^{{1{2}}}}} \frac{{{0}}}{{i^{1}+1}}",
        r"\prod_{{i=1}}^{{10^{2}}} (i+{0}{1})",
        r"\int_0^{{\infty}} e^{{-x^{0}}}\sin(x^{1})\cos(x^{2})\,dx",
        r"\sum_{{i=1}}^{{{0}00}}\sum_{{j=1}}^{{{1}000}}\sum_{{k=1}}^{{{2}000}} \frac{{i}}{{j+k}}",
        r"\prod_{{i=1}}^{{{0}00}}\prod_{{j=1}}^{{{1}00}}\sum_{{k=1}}^{{{2}00}} \frac{{i}}{{j+k}}",
        r"\int \frac{{\sin({0}x^x)}}{{\ln(\tan {1}x)+{2}}} dx",
        "(x+{0})^{{{1}000{2}}}",
        r"\sin({0}x)+e^{{{1}x}}=\ln({2}x)",
        r"\sqrt{{{0}x+\sqrt{{{1}x+\sqrt{{{2}x+\sqrt{{x}}}}}}}}^{{{0}{1}}}",
        "((((({0}!)!)!)!)!)+{1}{2}",
        "[{0},{1}{{{2}",
    )
    n = 0
    while True:
        n += 1
        numbers = draw.randint(2, 9), draw.randint(3, 9), draw.randint(5, 9)
        yield draw.choice(forms).format(*numbers) + f"+{n}"


def graded(rows: list[Row], pool: Pool) -> list[Grade]:
    return grade_batch(
        [row.response for row in rows],
        [row.reference for row in rows],
        [{"choices": row.choices} for row in rows],
        pool=pool,
    )


def one_by_one(rows: list[Row], pool: Pool) -> list[float]:
    """Seconds for each row."""
    taken = []
    for row in rows:
        began = time.perf_counter()
        grade(row.response, row.reference, {"choices": row.choices}, pool=pool)
        taken.append(time.perf_counter() - began)
    return taken


def together(rows: list[Row], pool: Pool) -> None:
    """From an event loop, as veRL does."""

    async def grade_all() -> None:
        await asyncio.gather(
            *(
                grade_async(row.response, row.reference, {"choices": row.choices}, pool=pool)
                for row in rows
            )
        )

    asyncio.run(grade_all())


def processor_seconds() -> float:
    """Of this process and its workers, as far as they still run."""
    total = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def warm_pool() -> Iterator[Pool]:
    """Workers as they are after the start of a run."""
    with Pool(N_WORKERS) as pool:
        pool.check("x+1", "1+x")
        time.sleep(WARM_UP_S)
        yield pool


def report_iteration(rows: list[Row]) -> float:
    """Print what one iteration takes, batched, from an event loop and one by one."""
    with Pool(N_WORKERS) as pool:
        print(f"first verdict of a new pool: {seconds(lambda: pool.check('x+1', '1+x')):.2f} s")
    with warm_pool() as pool:
        results: list[Grade] = []
        before_s = processor_seconds()
        batch_s = seconds(lambda: results.extend(graded(rows, pool)))
        processors_s = processor_seconds() - before_s
        again_s = seconds(lambda: graded(rows, pool))
    right = sum(result.score == row.label for result, row in zip(results, rows, strict=True))
    print(
        f"{len(rows)} responses, {sum(row.label for row in rows) / len(rows):.0%} right, ", end=""
    )
    print(f"{right / len(rows):.2%} graded as labelled, ", end="")
    print(f"{sum(r.reason == 'algebra' for r in results) / len(rows):.1%} by algebra, ", end="")
    print(f"{sum(r.outcome is Outcome.TIMEOUT for r in results)} time-outs")
    print(f"batch: {batch_s:.2f} s, {processors_s:.2f} s of processors; ", end="")
    print(f"the same again, all pairs known: {again_s:.2f} s")
    with warm_pool() as pool:
        print(f"event loop: {seconds(lambda: together(rows, pool)):.2f} s")
    with warm_pool() as pool:
        taken = one_by_one(rows, pool)
    cuts = quantiles(taken, n=1000)
    print(f"one by one: {sum(taken):.2f} s; p50 {cuts[499] * 1e3:.3f} ms, ", end="")
    print(f"p99 {cuts[989] * 1e3:.1f} ms, p99.9 {cuts[998] * 1e3:.0f} ms, max {max(taken):.2f} s")
    began = time.perf_counter()
    for row in rows:
        extract_answer(row.response)
    print(f"extraction: {(time.perf_counter() - began) / len(rows) * 1e6:.1f} microseconds")
    return batch_s


def report_hostile(rows: list[Row]) -> None:
    """Print what hostile answers cost, and whether the others are graded as without them."""
    draw = random.Random(1)
    answers = hostile_answers(draw)
    bad = [Row(f"\\boxed{{{next(answers)}}}", row.reference, None, 0.0) for row in rows]
    mixed = [row for pair in zip(bad, rows, strict=True) for row in pair]
    with warm_pool() as pool:
        expected = graded(rows, pool)
    with warm_pool() as pool:
        results: list[Grade] = []
        took_s = seconds(lambda: results.extend(graded(mixed, pool)))
    with warm_pool() as pool:
        slowest_s = max(one_by_one(bad[:50], pool))
    others = results[1::2]
    changed = sum(a.outcome is not b.outcome for a, b in zip(expected, others, strict=True))
    wronged = sum(a.score != b.score for a, b in zip(expected, others, strict=True))
    counts = Counter(result.outcome.value for result in results[::2])
    print(f"{len(bad)} hostile among {len(rows)} others: {took_s:.1f} s; {dict(counts)}")
    print(f"others with another outcome than without them: {changed}, another score: {wronged}")
    print(f"slowest of 50 hostile ones alone: {slowest_s:.2f} s, limit {pool.timeout_s:g} s")


# Peers, as their users call them; each in as many processes as our workers.


def math_verify_whole(response: str, reference: str) -> float:
    from math_verify import parse, verify

    return float(verify(parse(f"\\boxed{{{reference}}}"), parse(response)))


def math_verify_last_box(response: str, reference: str) -> float:
    from math_verify import parse, verify

    answer = extract_answer(response) or ""
    return float(verify(parse(f"\\boxed{{{reference}}}"), parse(f"\\boxed{{{answer}}}")))


def mathruler(response: str, reference: str) -> float:
    from mathruler.grader import extract_boxed_content, grade_answer

    return float(grade_answer(extract_boxed_content(response), reference))


def verl_math_reward(response: str, reference: str) -> float:
    from verl.utils.reward_score import math_reward

    return float(math_reward.compute_score(response, reference))


def verl_geo3k(response: str, reference: str) -> float:
    from verl.utils.reward_score import geo3k

    return float(geo3k.acc_reward(response, reference))


PEERS = (math_verify_whole, math_verify_last_box, mathruler, verl_math_reward, verl_geo3k)


def report_peer(peer: Callable[[str, str], float], rows: list[Row], ours_s: float) -> None:
    with ProcessPoolExecutor(N_WORKERS, mp_context=get_context("spawn")) as processes:
        responses, references = zip(*((row.response, row.reference) for row in rows), strict=True)
        list(processes.map(peer, ["\\boxed{x}"] * 8, ["x"] * 8))  # imports
        scores: list[float] = []
        took_s = seconds(
            lambda: scores.extend(processes.map(peer, responses, references, chunksize=16))
        )
    right = sum(score == row.label for score, row in zip(scores, rows, strict=True))
    print(f"{peer.__name__:22} {took_s:7.2f} s  {took_s / ours_s:6.1f} x ours  ", end="")
    print(f"{right / len(rows):.2%} graded as labelled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=REPOSITORY.parent / "shared" / "cases")
    parser.add_argument("--responses", type=int, default=8192)
    parser.add_argument("--hostile", type=int, default=4096)
    names = {peer.__name__: peer for peer in PEERS}
    parser.add_argument("--peers", nargs="*", choices=names, default=list(names))
    args = parser.parse_args()
    rows = one_iteration(args.cases, args.responses, random.Random(0))
    ours_s = report_iteration(rows)
    for name in args.peers:
        report_peer(names[name], rows, ours_s)
    if args.hostile:
        report_hostile(rows[: args.hostile])


if __name__ == "__main__":
    main()
