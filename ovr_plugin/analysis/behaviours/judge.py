"""An LLM judge's counts: responses in, one count per response and behaviour out (OVR 5.2, C).

Every request has a name made of all that its reply depends on (texts, model, sampling, vote), and
replies are kept in one file under these names: a second run asks only what is new, and a response
that comes twice is judged once. A reply without a readable count is kept as a missing value, and
asked again only where that is wanted; a request that failed is kept nowhere and asked again by the
next run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns

import numpy as np

from ovr_plugin.analysis.behaviours.definitions import VERSION, Behaviour
from ovr_plugin.analysis.behaviours.prompt import judge_prompt, parse_count
from ovr_plugin.analysis.behaviours.responses import Response
from ovr_plugin.analysis.behaviours.statistics import Array
from ovr_plugin.endpoint import Endpoint, Sampling
from ovr_plugin.endpoint.jobs import Progress, read_results, run_jobs

REPLY_CHARS = 400  # of a reply's end, kept to see what an unreadable one said
RETRY_TEMPERATURE = 0.5  # at least: at 0 the same words would come again
SETTINGS = {"holds": "judgements of behaviours"}


@dataclass(frozen=True)
class Panel:
    """Who judges: every model votes ``n_votes`` times on every response and behaviour."""

    models: tuple[str, ...]
    n_votes: int
    sampling: Sampling


@dataclass(frozen=True)
class Request:
    """One vote on one response and behaviour."""

    response: Response
    behaviour: Behaviour
    model: str
    sampling: Sampling

    @property
    def prompt(self) -> str:
        """What the judge reads."""
        return judge_prompt(self.behaviour, self.response.question, self.response.text)

    @property
    def name(self) -> str:
        """A digest of everything that the reply depends on."""
        parts = [VERSION, self.model, self.sampling.body(), self.prompt]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


async def ask_judges(
    responses: Sequence[Response],
    behaviours: Sequence[Behaviour],
    panel: Panel,
    endpoints: Sequence[Endpoint],
    store: str | Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    retry_unreadable: bool = False,
) -> Progress:
    """Fill ``store`` with every vote that it lacks; one endpoint per model of the panel.

    With ``retry_unreadable`` those are asked again whose reply held no count, with another seed and
    a temperature of at least `RETRY_TEMPERATURE`; what comes then takes the reply's place.

    Raises:
        EndpointDown: no request can be answered; the votes until then are in ``store``.
        ValueError: ``store`` is another kind of file.
    """
    total = Progress()
    unreadable = _unreadable(store) if retry_unreadable else frozenset()
    for model, endpoint in zip(panel.models, endpoints, strict=True):
        async with endpoint:

            async def vote(request: Request, endpoint: Endpoint = endpoint) -> dict:
                messages = [{"role": "user", "content": request.prompt}]
                again = request.name in unreadable
                sampling = _retried(request.sampling) if again else request.sampling
                [reply] = await endpoint.sample(messages, sampling=sampling)
                count = None if reply.truncated else parse_count(reply.text)
                end = reply.text[-REPLY_CHARS:]
                return {"behaviour": request.behaviour.name, "count": count, "reply": end}

            done = await run_jobs(
                _distinct(requests(responses, behaviours, panel, model)),
                vote,
                store,
                row_id=lambda request: request.name,
                concurrency=endpoint.concurrency,
                settings=SETTINGS,
                on_progress=on_progress,
                is_done=lambda line: line["id"] not in unreadable,
            )
        total.n_done += done.n_done
        total.n_failed += done.n_failed
        total.n_before = done.n_before
    return total


def _unreadable(store: str | Path) -> frozenset[str]:
    """The names of the replies that hold no count."""
    if not Path(store).exists():
        return frozenset()
    return frozenset(name for name, count in kept_counts(store).items() if count is None)


def _retried(sampling: Sampling) -> Sampling:
    temperature = max(sampling.temperature, RETRY_TEMPERATURE)
    return replace(sampling, temperature=temperature, seed=time_ns() % (1 << 31))


def kept_counts(store: str | Path) -> dict[str, int | None]:
    """The count of every vote in ``store``, by its request's name; None: no readable one."""
    return {line["id"]: line["count"] for line in read_results(store)}


def requests(
    responses: Sequence[Response], behaviours: Sequence[Behaviour], panel: Panel, model: str
) -> Iterator[Request]:
    """Every vote of one model; votes differ by the seed of their sampling."""
    for response in responses:
        for behaviour in behaviours:
            for number in range(panel.n_votes):
                yield Request(response, behaviour, model, replace(panel.sampling, seed=number))


def judged_counts(
    responses: Sequence[Response],
    behaviours: Sequence[Behaviour],
    panel: Panel,
    kept: Mapping[str, int | None],
) -> tuple[dict[str, Array], dict[str, float | None]]:
    """Return, per behaviour, the counts and the share of responses on which all votes agree.

    ``kept`` are all votes there are, as `kept_counts` reads them.

    The count is the lower median of the votes, so a behaviour is present where more than half of
    the known votes say so. It is missing unless more than half of all votes are known. The share
    is of presence, over responses with at least two known votes; None where there is none.
    """
    counts: dict[str, Array] = {}
    unanimous: dict[str, float | None] = {}
    for behaviour in behaviours:
        votes = np.array(
            [
                [
                    np.nan if (count := kept.get(request.name)) is None else float(count)
                    for model in panel.models
                    for request in requests([response], [behaviour], panel, model)
                ]
                for response in responses
            ]
        )
        counts[behaviour.name] = np.array([combined(row) for row in votes])
        unanimous[behaviour.name] = _unanimous(votes)
    return counts, unanimous


def unread_reply(store: str | Path) -> str | None:
    """The end of the last reply in ``store`` if none of all holds a count."""
    last = None
    for line in read_results(store):
        if line["count"] is not None:
            return None
        last = str(line["reply"])
    return last


def combined(votes: Array) -> float:
    """The lower median of the known votes; NaN unless more than half are known."""
    known = np.sort(votes[~np.isnan(votes)])
    return float(known[(len(known) - 1) // 2]) if 2 * len(known) > len(votes) else np.nan


def _unanimous(votes: Array) -> float | None:
    presences = [row[~np.isnan(row)] > 0 for row in votes]
    several = [row for row in presences if len(row) > 1]
    return (
        sum(bool(row.all() or not row.any()) for row in several) / len(several) if several else None
    )


def _distinct(given: Iterator[Request]) -> Iterator[Request]:
    seen: set[str] = set()
    for request in given:
        if request.name not in seen:
            seen.add(request.name)
            yield request
