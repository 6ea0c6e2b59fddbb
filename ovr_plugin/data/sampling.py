"""Questions to a served model, graded: pass rates of RL rows, and responses for the cold start.

Both ask the same way and grade with the reward (`ovr_plugin.reward`), concurrently and resumable to
the row (`ovr_plugin.endpoint.jobs`). A pass-rate file goes into a manifest's ``pass_rate`` filter;
distilled responses become `ColdStartSample` rows. The paper's responses are of DeepSeek-R1, for
text prompts alone (OVR 3.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ovr_plugin.data.sample import ColdStartSample, Sample
from ovr_plugin.endpoint import Endpoint, RequestFailed, Sampling, chat_messages
from ovr_plugin.endpoint.jobs import Progress, read_results, run_jobs
from ovr_plugin.reward import Outcome
from ovr_plugin.reward.score import grade_async

OnProgress = Callable[[Progress], None]


def pass_rates(
    samples: Iterable[Sample],
    endpoint: Endpoint,
    out: str | Path,
    *,
    n: int = 8,
    sampling: Sampling | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Progress:
    """Write ``id``, ``pass_rate`` and ``outcomes`` of every sample.

    Args:
        samples: RL rows with unique ids.
        endpoint: not yet entered.
        out: a JSON Lines file; see `run_jobs`.
        n: responses to each.
        sampling: as in training, by default.
        on_progress: called after every row.

    Raises:
        EndpointDown, ValueError, OSError: see `run_jobs`.
    """

    async def work(sample: Sample) -> dict[str, Any]:
        outcomes = [outcome for _, outcome, _ in await _graded(endpoint, sample, n, sampling)]
        rate = outcomes.count(Outcome.CORRECT.value) / n
        return {"pass_rate": rate, "outcomes": outcomes}

    return _run(samples, work, endpoint, out, "pass_rate", n, sampling, on_progress)


def distill(
    samples: Iterable[Sample],
    endpoint: Endpoint,
    out: str | Path,
    *,
    n: int = 1,
    sampling: Sampling | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Progress:
    """Write the teacher's ``n`` responses to every sample, each with its outcome.

    Nothing is thrown away: wrong responses were paid for too. `distilled_rows` takes the accepted
    ones. The arguments and errors are those of `pass_rates`. Rows with pictures are not asked but
    told as failed: the cold start is of text alone.
    """

    async def work(sample: Sample) -> dict[str, Any]:
        if sample.images:
            raise RequestFailed("not asked: it has pictures, and the cold start is text only")
        graded = await _graded(endpoint, sample, n, sampling)
        responses = [
            {"text": text, "outcome": outcome, "truncated": truncated}
            for text, outcome, truncated in graded
        ]
        return {"data_source": sample.data_source, "prompt": sample.prompt, "responses": responses}

    return _run(samples, work, endpoint, out, "distill", n, sampling, on_progress)


def distilled_rows(path: str | Path, *, accepted_only: bool = True) -> Iterator[ColdStartSample]:
    """The responses of a file that `distill` wrote, as cold-start rows, in the order of their ids.

    The order in which they came back depends on the server; this one does not. Ids get the
    response's number; with ``accepted_only`` false they also tell the outcome.
    """
    for line in sorted(read_results(path), key=lambda line: line["id"]):
        for number, response in enumerate(line["responses"]):
            accepted = response["outcome"] == Outcome.CORRECT.value
            if not accepted and accepted_only:
                continue
            label = "" if accepted_only else f":{response['outcome']}"
            yield ColdStartSample(
                data_source=line["data_source"],
                prompt=line["prompt"],
                response=response["text"],
                id=f"{line['id']}:{number}{label}",
            )


async def _graded(
    endpoint: Endpoint, sample: Sample, n: int, sampling: Sampling | None
) -> list[tuple[str, str, bool]]:
    """(text, outcome, truncated) of each response."""
    try:
        messages = chat_messages(sample.prompt, sample.images)
    except OSError as error:  # a picture that went away concerns this row alone
        raise RequestFailed(f"unreadable image: {error}") from error
    found = []
    for one in await endpoint.sample(messages, n, sampling):
        info = {**sample.extra_info(), "truncated": one.truncated}
        graded = await grade_async(
            one.text, sample.ground_truth, info, data_source=sample.data_source
        )
        found.append((one.text, graded.outcome.value, one.truncated))
    return found


def _run(
    samples: Iterable[Sample],
    work: Any,
    endpoint: Endpoint,
    out: str | Path,
    task: str,
    n: int,
    sampling: Sampling | None,
    on_progress: OnProgress,
) -> Progress:
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")

    async def run() -> Progress:
        async with endpoint:
            settings = {"task": task, "model": endpoint.model, "n": n}
            return await run_jobs(
                samples,
                work,
                out,
                row_id=lambda sample: sample.id,
                concurrency=endpoint.concurrency,
                settings={**settings, "sampling": (sampling or Sampling()).body()},
                on_progress=on_progress,
            )

    return asyncio.run(run())
