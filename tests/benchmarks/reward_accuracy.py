r"""How often graders are right on labelled answers: ours and the peers that install, one table.

usage: python tests/benchmarks/reward_accuracy.py [FOLDER] [NAME...] [--peers PEER...] [--errors]

FOLDER holds gzipped JSON Lines with ``gold``, ``response``, ``label``, ``noise`` and ``choices``
(by default ``../shared/cases`` beside the checkout), NAME one of its files. Rows whose label is a
matter of convention are left out. Every peer runs in a process of its own, which is killed, and
started again, when an answer takes longer than ``--timeout`` seconds; that answer scores 0. Peers
have no way to be told the options of a question, so that only ours is.

Printed per corpus: percent right (false positives/false negatives); ``*`` marks the best peer.
NeMo-Skills and ORZ are on no registry: their figures were measured once, over the whole corpora of
which the folder has about half.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ovr_plugin.reward import Pool, grade

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "reward"))
from report_cases import CONVENTIONS, read_rows  # noqa: E402 - of the tests beside us

Row = dict[str, Any]
Grader = Callable[[str, str], float]
START_LIMIT_S = 300.0
OURS = "ours"
# Percent right and false positives, see the docstring; in the order of `ELSEWHERE_CORPORA`.
ELSEWHERE_CORPORA = (
    *("adversarial", "benchmark_gold_self", "mathverify_lighteval_tests", "mathvision_outputs"),
    *("mathvista_outputs", "mmmu_pro_gpt4o", "orz_self", "qwen_math_rm", "theoremqa_outputs"),
    *("tora_gsm8k", "unit_tests_misc"),
)
ELSEWHERE = {
    "NeMo-Skills": (
        *((89.1, 11), (99.9, 3), (89.3, 0), (98.2, 0), (97.8, 0), (99.0, 0)),
        *((100.0, 0), (100.0, 0), (100.0, 0), (100.0, 0), (93.1, 0)),
    ),
    "ORZ": (
        *((81.8, 14), (99.9, 3), (63.6, 1), (97.7, 1), (97.6, 0), (100.0, 0)),
        *((100.0, 0), (100.0, 0), (100.0, 0), (100.0, 0), (74.4, 2)),
    ),
}


def math_verify_whole() -> Grader:
    from math_verify import parse, verify

    def score(response: str, gold: str) -> float:
        return float(verify(parse(rf"\boxed{{{gold}}}"), parse(response)))

    return score


def math_verify_last_box() -> Grader:
    from ovr_plugin.reward.extract import extract_answer

    whole = math_verify_whole()

    def score(response: str, gold: str) -> float:
        answer = extract_answer(response)
        return whole(rf"\boxed{{{answer}}}", gold) if answer else 0.0

    return score


def verl_math_verify() -> Grader:
    from verl.utils.reward_score import math_verify

    return lambda response, gold: float(math_verify.compute_score(response, gold))


def verl_math_reward() -> Grader:
    from verl.utils.reward_score import math_reward

    return lambda response, gold: float(math_reward.compute_score(response, gold))


def verl_math_dapo() -> Grader:
    from verl.utils.reward_score import math_dapo

    # By default it reads "Answer: ..." and no box.
    return lambda response, gold: float(
        math_dapo.compute_score(response, gold, strict_box_verify=True)["acc"]
    )


def verl_prime_math() -> Grader:
    from verl.utils.reward_score import prime_math

    return lambda response, gold: float(prime_math.compute_score(response, gold)[0])


def verl_geo3k() -> Grader:
    from verl.utils.reward_score import geo3k

    return lambda response, gold: float(geo3k.acc_reward(response, gold))


def mathruler() -> Grader:
    from mathruler.grader import extract_boxed_content, grade_answer

    return lambda response, gold: float(grade_answer(extract_boxed_content(response), gold))


def trl_accuracy() -> Grader:
    from trl.rewards import accuracy_reward

    def score(response: str, gold: str) -> float:
        completion = [{"role": "assistant", "content": response}]
        return float(accuracy_reward([completion], [gold])[0] or 0.0)  # None: an unreadable gold

    return score


PEERS: dict[str, Callable[[], Grader]] = {
    "math-verify": math_verify_whole,
    "math-verify, last box": math_verify_last_box,
    "verl math_verify": verl_math_verify,
    "verl math_reward": verl_math_reward,
    "verl math_dapo": verl_math_dapo,
    "verl prime_math": verl_prime_math,
    "verl geo3k": verl_geo3k,
    "mathruler": mathruler,
    "TRL accuracy_reward": trl_accuracy,
}


@dataclass
class Counts:
    """Of one grader on one corpus."""

    n_rows: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    seconds: float = 0.0
    missed: list[Row] = field(default_factory=list)

    def add(self, row: Row, score: float) -> None:
        self.n_rows += 1
        if score == row["label"]:
            return
        self.missed.append(row)
        self.false_positives += int(score > row["label"])
        self.false_negatives += int(score < row["label"])

    @property
    def n_errors(self) -> int:
        return self.false_positives + self.false_negatives

    @property
    def percent(self) -> float:
        return 100 * (1 - self.n_errors / max(1, self.n_rows))


def serve(connection: Connection, peer: str) -> None:
    """In the child: load the peer, then answer (response, gold) with a score."""
    os.setsid()  # what it starts dies with it
    sys.stdout = open(os.devnull, "w")  # peers print
    try:
        grader = PEERS[peer]()
    except ImportError as error:
        connection.send(str(error))
        return
    connection.send(None)
    while True:
        response, gold = connection.recv()
        try:
            connection.send(float(grader(response, gold)))
        except Exception:  # a peer that raises gives no reward
            connection.send(0.0)


class Peer:
    """A peer in a process that can be killed.

    Raises:
        ImportError: if it is not installed.
    """

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name, self._timeout_s = name, timeout_s
        self._start()

    def score(self, response: str, gold: str) -> float:
        self._connection.send((response, gold))
        try:
            if self._connection.poll(self._timeout_s):
                return float(self._connection.recv())
        except EOFError:  # it died
            pass
        self.close()
        self._start()
        return 0.0

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._name))
        self._process.start()
        theirs.close()
        if not self._connection.poll(START_LIMIT_S):
            self.close()
            raise TimeoutError(f"{self._name} did not start")
        missing = self._connection.recv()
        if missing:
            self._process.join()
            raise ImportError(missing)


def score_ours(rows: list[Row], timeout_s: float) -> Iterator[float]:
    with Pool(n_workers=2, timeout_s=timeout_s) as pool, ThreadPoolExecutor(2) as threads:

        def score(row: Row) -> float:
            return grade(
                row["response"], row["gold"], {"choices": row.get("choices")}, pool=pool
            ).score

        yield from threads.map(score, rows)


def score_peer(name: str, rows: list[Row], timeout_s: float) -> Iterator[float]:
    peer = Peer(name, timeout_s)
    try:
        for row in rows:
            yield peer.score(row["response"], row["gold"])
    finally:
        peer.close()


def measure(name: str, corpora: dict[str, list[Row]], timeout_s: float) -> dict[str, Counts]:
    """Grade every corpus; the rows go through one process, so that it starts once."""
    rows = [(corpus, row) for corpus, rows in corpora.items() for row in rows]
    bare = [row for _, row in rows]
    scores = score_ours(bare, timeout_s) if name == OURS else score_peer(name, bare, timeout_s)
    counts = {corpus: Counts() for corpus in corpora}
    before = time.perf_counter()
    for (corpus, row), score in zip(rows, scores, strict=True):
        counts[corpus].add(row, score)
        now = time.perf_counter()
        counts[corpus].seconds += now - before
        before = now
    return counts


def table(measured: dict[str, dict[str, Counts]], corpora: Iterable[str]) -> str:
    """Graders by rows, corpora by columns; the best peer of each column has a star."""
    corpora = list(corpora)
    lines = [["", *corpora, "all", "errors", "seconds"]]
    best = {
        corpus: min(
            (by_corpus[corpus].n_errors for name, by_corpus in measured.items() if name != OURS),
            default=-1,
        )
        for corpus in corpora
    }
    for name, by_corpus in measured.items():
        cells = [name]
        for corpus in corpora:
            counts = by_corpus[corpus]
            star = "*" if name != OURS and counts.n_errors == best[corpus] else ""
            cells.append(
                f"{counts.percent:.1f}{star} ({counts.false_positives}/{counts.false_negatives})"
            )
        n_rows = sum(counts.n_rows for counts in by_corpus.values())
        n_errors = sum(counts.n_errors for counts in by_corpus.values())
        seconds = sum(counts.seconds for counts in by_corpus.values())
        percent = 100 * (1 - n_errors / max(1, n_rows))
        lines.append([*cells, f"{percent:.2f}", str(n_errors), f"{seconds:.0f}"])
    for name, figures in ELSEWHERE.items():
        known = dict(zip(ELSEWHERE_CORPORA, figures, strict=True))
        cells = [
            f"{known[corpus][0]:.1f} ({known[corpus][1]}/..)" if corpus in known else ".."
            for corpus in corpora
        ]
        lines.append([f"{name}, once, all rows", *cells, "", "", ""])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=REPOSITORY.parent / "shared" / "cases"
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one answer")
    parser.add_argument("--limit", type=int, help="rows of each corpus")
    parser.add_argument("--errors", action="store_true", help="print what ours gets wrong")
    args = parser.parse_args()
    corpora = {}
    for path in sorted(args.folder.glob("*.jsonl.gz")):
        name = path.name.split(".")[0]
        rows = [row for row in read_rows(path) if row["noise"] not in CONVENTIONS]
        if rows and (not args.names or name in args.names):
            corpora[name] = rows[: args.limit]
    print({name: len(rows) for name, rows in corpora.items()}, flush=True)
    measured = {}
    for name in (OURS, *args.peers):
        try:
            measured[name] = measure(name, corpora, args.timeout)
        except ImportError as error:
            print(f"{name}: left out ({error})", flush=True)
            continue
        print(table({name: measured[name]}, corpora).splitlines()[1], flush=True)
    print("\n" + table(measured, corpora))
    for corpus, counts in measured[OURS].items() if args.errors else ():
        for row in counts.missed:
            print(f"{corpus}: label {row['label']}  {row['gold']!r:.80}  {row['response'][-80:]!r}")


if __name__ == "__main__":
    main()
