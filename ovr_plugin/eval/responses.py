"""A benchmark's items to a served model, its responses to a file: n samples of each.

Every line is one response with its seed, tokens and seconds. Started again, what is in the file is
not asked again, also with a larger n; samples that failed are asked once more at the end of a run
and then named in ``<file>.failed.jsonl``. Responses are not graded here: grading can be repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovr_plugin.data.sample import BadRow
from ovr_plugin.endpoint import Endpoint, RequestFailed, Sampling, chat_messages
from ovr_plugin.endpoint.jobs import Progress, run_jobs
from ovr_plugin.eval.benchmark import BadItem, Benchmark
from ovr_plugin.eval.scoring import Item

FIELDS: dict[str, type | tuple[type, ...]] = {
    "item": str,
    "sample": int,
    "response": str,
    "truncated": bool,
    "seconds": (int, float),
}
N_ROUNDS = 2  # over the samples: the second asks again for those that failed


@dataclass(frozen=True)
class Questions:
    """The items of a benchmark that are asked.

    Attributes:
        benchmark: whose items.
        data: the folder of local data, None for the Hub.
        limit: at most so many, but one unit of scoring at least, chosen by a hash; None: all.
    """

    benchmark: Benchmark
    data: Path | None = None
    limit: int | None = None

    def items(self) -> Iterator[Item]:
        """Yield the items that are asked, in the order of the files."""
        chosen = self._chosen()
        for item in self._all():
            if chosen is None or self._unit(item) in chosen:
                yield item

    def _chosen(self) -> set[str] | None:
        """The units that the limit leaves: whole ones, as a part of one may have no score."""
        if self.limit is None:
            return None
        sizes = Counter(map(self._unit, self._all()))
        chosen: set[str] = set()
        n_items = 0
        for unit in sorted(sizes, key=_hash):
            if not chosen or n_items + sizes[unit] <= self.limit:
                chosen.add(unit)
                n_items += sizes[unit]
        return chosen

    def _unit(self, item: Item) -> str:
        return repr(self.benchmark.scoring.unit(item))

    def bad_rows(self) -> list[BadRow]:
        """Return the rows that are no items."""
        return [row for row in self.benchmark.items(self.data) if isinstance(row, BadRow)]

    def unusable_items(self) -> list[Item]:
        """Return the items among the bad rows: no group that one of them belongs to is complete."""
        chosen = self._chosen()
        found = [row.item for row in self.bad_rows() if isinstance(row, BadItem)]
        return [item for item in found if chosen is None or self._unit(item) in chosen]

    def _all(self) -> Iterator[Item]:
        return (row for row in self.benchmark.items(self.data) if isinstance(row, Item))


@dataclass(frozen=True)
class Asking:
    """How items are asked.

    Attributes:
        sampling: temperature and the rest; its seed starts every sample's own.
        n: samples of an item.
    """

    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1

    def settings(self, benchmark: Benchmark, model: str | None) -> dict[str, Any]:
        """What a file of responses depends on; not n, which may grow."""
        return {
            "benchmark": benchmark.name,
            "version": benchmark.version,
            "model": model,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.sampling.max_tokens,
            "seed": self.sampling.seed,
            **self.sampling.extra,
        }

    def of_sample(self, item_id: str, sample: int) -> Sampling:
        """The sampling of one sample, with a seed of its own that depends on nothing else."""
        if self.sampling.seed is None:
            return self.sampling
        return replace(self.sampling, seed=_hash(f"{self.sampling.seed} {sample} {item_id}") >> 33)


def sample_name(item_id: str, sample: int) -> str:
    """How a sample is called in files and messages."""
    return f"{item_id} sample {sample}"


def is_response(line: Mapping[str, Any]) -> bool:
    """Whether a line of a file holds what grading needs of a response."""
    return all(isinstance(line.get(name), kind) for name, kind in FIELDS.items())


async def ask(
    questions: Questions,
    endpoint: Endpoint,
    asking: Asking,
    out: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Ask every sample that ``out`` lacks; returns what was done.

    Raises:
        ValueError: ``out`` was made with other settings.
        EndpointDown: nobody answers any more; what was answered is in the file.
    """

    async def work(asked: tuple[Item, int]) -> dict[str, Any]:
        item, sample = asked
        try:
            messages = await _messages(item)
        except OSError as error:
            raise RequestFailed(f"unreadable picture: {error}") from error
        sampling = asking.of_sample(item.id, sample)
        started = time.monotonic()
        [completion] = await endpoint.sample(messages, sampling=sampling)
        return {
            "item": item.id,
            "sample": sample,
            "seed": sampling.seed,
            "response": completion.text,
            "truncated": completion.truncated,
            "finish_reason": completion.finish_reason,
            "n_tokens": completion.n_tokens,
            "seconds": round(time.monotonic() - started, 3),
        }

    for _ in range(N_ROUNDS):
        progress = await run_jobs(
            ((item, sample) for item in questions.items() for sample in range(asking.n)),
            work,
            out,
            row_id=lambda asked: sample_name(asked[0].id, asked[1]),
            concurrency=endpoint.concurrency,
            settings=asking.settings(questions.benchmark, endpoint.model),
            on_progress=on_progress,
            is_done=is_response,
        )
        if not progress.n_failed:
            break
    return progress


async def _messages(item: Item) -> list[dict[str, Any]]:
    if not item.sample.images:
        return chat_messages(item.sample.prompt)
    return await asyncio.to_thread(chat_messages, item.sample.prompt, item.sample.images)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
