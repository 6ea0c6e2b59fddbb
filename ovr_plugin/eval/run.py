"""Benchmarks asked, graded and written: a folder of results that grows and can be gone on with.

::

    out/<benchmark>/responses.jsonl               every response, appended as it comes
    out/<benchmark>/responses.jsonl.failed.jsonl  samples without one, and why
    out/<benchmark>/graded.jsonl                  the same with verdicts: what `ovr score` reads
    out/<benchmark>/result.json                   scores, rates, tokens, time, settings
    out/table.md, results.json                    all results of the folder, beside the paper's
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovr_plugin.data.files import read_json, replacing, write_json
from ovr_plugin.endpoint import Endpoint
from ovr_plugin.endpoint.jobs import Progress, check_settings, read_settings
from ovr_plugin.eval.grading import grade_responses, without_pictures
from ovr_plugin.eval.paper_table import markdown
from ovr_plugin.eval.responses import Asking, Questions, ask
from ovr_plugin.eval.results import result

N_EXAMPLES = 5
PROTOCOL = ("model", "temperature", "top_p", "max_tokens", "seed", "n")
UNTOLD = ("benchmark", "version")  # of settings: every result has its own


@dataclass(frozen=True)
class Run:
    """One evaluation: what is asked, how, and the folder of its results.

    Attributes:
        questions: of every benchmark.
        asking: how.
        out: the folder.
        optional: benchmarks that are left out where their rows are not there, as of a suite.
        absent: which of them, and why; filled as they are looked for.
    """

    questions: Sequence[Questions]
    asking: Asking
    out: Path
    optional: Collection[str] = ()
    absent: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, endpoint: Endpoint, on_progress: Callable[[str, int, Progress], None]
    ) -> None:
        """Ask all benchmarks, one after the other; see `ovr_plugin.eval.responses.ask`.

        ``on_progress`` is called with the benchmark, its number of samples and how far it is.

        Raises:
            ValueError: some cannot be asked, or none of the optional ones. All of them are named,
                and nothing was asked.
            EndpointDown: nobody answers any more.
        """
        n_samples_of = self._checked(endpoint)
        for questions in self.questions:
            name = questions.benchmark.name
            if name in self.absent:
                continue
            n_samples = n_samples_of[name]
            started = time.monotonic()
            tokens = endpoint.usage.completion_tokens
            n_before = endpoint.health.n_answers
            try:
                await ask(
                    questions,
                    endpoint,
                    self.asking,
                    self.responses(name),
                    lambda so_far: on_progress(name, n_samples, so_far),  # noqa: B023 - called within
                )
            finally:  # also of a run that is interrupted, or whose endpoint is gone
                self._add_throughput(
                    name,
                    endpoint.health.n_answers - n_before,
                    time.monotonic() - started,
                    endpoint.usage.completion_tokens - tokens,
                )

    def _checked(self, endpoint: Endpoint) -> dict[str, int]:
        """The number of samples of every benchmark, if all have rows and go on as they began."""
        found: dict[str, int] = {}
        problems: list[str] = []
        for questions in self.questions:
            name = questions.benchmark.name
            try:
                settings = self.asking.settings(questions.benchmark, endpoint.model)
                check_settings(self.responses(name), settings)
                if n_items := self._n_items(questions):
                    found[name] = n_items * self.asking.n
            except (OSError, ValueError) as error:
                problems.append(f"{name}: {error}")
        if self.absent and not found and not problems:
            problems = [f"{name}: {why}" for name, why in self.absent.items()]
        if problems:
            others = f"\nThese can be asked: {' '.join(found)}" if found else ""
            raise ValueError("\n".join(problems) + others)
        return found

    def _n_items(self, questions: Questions) -> int:
        """The items; 0 for an optional benchmark without, which is absent."""
        try:
            if n_items := sum(1 for _ in questions.items()):
                return n_items
            raise ValueError(f"no row is an item; {bad_rows(questions)}")
        except (OSError, ValueError) as error:
            benchmark = questions.benchmark
            told = f"{error}\n    {benchmark.where(questions.data)}"
            if benchmark.name not in self.optional:
                raise ValueError(told) from error
            self.absent[benchmark.name] = told
            return 0

    def grade(self) -> list[dict[str, Any]]:
        """Grade what there is of every benchmark and write results and table.

        Raises:
            ValueError: rows that were asked cannot be read any more.
        """
        found = []
        for questions in self.questions:
            name = questions.benchmark.name
            # Asked before its rows went away, it keeps its older result.
            if self.responses(name).exists() and name not in self.absent:
                if self._n_items(questions):
                    found.append(self._result(questions))
        everything = sorted(self.out.glob("*/result.json"))
        results = [read_json(path) for path in everything]
        write_json(self.out / "results.json", results)
        with replacing(self.out / "table.md") as path:
            path.write_text(markdown(results, protocol(results)), encoding="utf-8")
        return found

    def responses(self, name: str) -> Path:
        """The file of a benchmark's responses."""
        return self.out / name / "responses.jsonl"

    def _result(self, questions: Questions) -> dict[str, Any]:
        name = questions.benchmark.name
        responses, n = self.responses(name), self.asking.n
        graded = grade_responses(questions, responses, n, self.out / name / "graded.jsonl")
        items = [without_pictures(item) for item in questions.items()]
        bad = questions.bad_rows()
        found = {
            **result(questions.benchmark, graded, items, n, unusable=questions.unusable_items()),
            "settings": {**read_settings(responses), "n": n, "limit": questions.limit},
            "bad rows": {
                "n": len(bad),
                "reasons": dict(Counter(row.kind for row in bad)),
                "examples": [str(row) for row in bad[:N_EXAMPLES]],
            },
            "throughput": self._throughput(name),
        }
        write_json(self.out / name / "result.json", found)
        return found

    def _add_throughput(self, name: str, n_done: int, seconds: float, tokens: int) -> None:
        """Wall time and tokens over all runs that went on with the file."""
        if n_done:
            before = self._throughput(name)
            write_json(
                self.out / name / "throughput.json",
                {
                    "responses": before.get("responses", 0) + n_done,
                    "wall seconds": round(before.get("wall seconds", 0.0) + seconds, 3),
                    "response tokens": before.get("response tokens", 0) + tokens,
                },
            )

    def _throughput(self, name: str) -> dict[str, Any]:
        path = self.out / name / "throughput.json"
        return dict(read_json(path)) if path.exists() else {}


def bad_rows(questions: Questions) -> str:
    """Say what was wrong with the rows of a benchmark, for an error."""
    bad = questions.bad_rows()
    if bad:
        return f"of {len(bad)} bad rows the first is {bad[0]}"
    benchmark, read = questions.benchmark, questions.benchmark.files(questions.data)
    of = f" ({', '.join(read[:N_EXAMPLES])})" if read else ""
    return f"the files{of} hold none of the split or setting of {benchmark.title}"


def protocol(results: Sequence[dict[str, Any]]) -> str:
    """Say in a line how the results were sampled, where they agree on it."""
    keys = dict.fromkeys(PROTOCOL) | dict.fromkeys(key for r in results for key in r["settings"])
    told = []
    for key in keys:
        found = [result["settings"].get(key) for result in results]
        values = {"not set" if value is None else str(value) for value in found}
        if key not in UNTOLD and (key in PROTOCOL or values != {"not set"}):
            told.append(f"{key} {values.pop() if len(values) == 1 else 'varies'}")
    return ", ".join(told)
