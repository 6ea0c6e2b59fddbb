"""The reward over HTTP, for trainers that ask a remote one: ``ovr serve-reward``.

``POST /get_reward`` and ``POST /grade`` (`http_requests`), ``GET /health``. One process, one event
loop: text is compared a row at a time, so that every request and the health check get their turn,
and algebra runs in the pool. What waits is bounded (`Limits`): a request that finds no room is told
to come back, and one that takes too long gets an error. Neither ever becomes a reward of 0.

There is no password: whoever reaches the port may have answers graded, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Any

from ovr_plugin.reward.http_limits import MB, RETRY_AFTER_S, Limits, Refused, Room, Ticket
from ovr_plugin.reward.http_requests import (
    BadRequest,
    QueryFormat,
    parse_json,
    read_queries,
    read_rows,
    write_grades,
    write_rewards,
)
from ovr_plugin.reward.policy import DEFAULT, Policy
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.rows import Row
from ovr_plugin.reward.score import Grade, Outcome, grade_async

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the reward's server needs starlette and uvicorn: pip install 'ovr-plugin[serve]'",
        name=error.name,
    ) from error

logger = logging.getLogger(__name__)
# Rows of one request that algebra may have at a time: more than its slow ones, so that these do not
# hold up the others, and not so many that a small request has to wait for all of a large one.
ROWS_AT_ONCE = 128
WARNINGS = 10  # of bad references, in the log
GRACE_S = 30
Hook = Callable[[], None]


class RewardServer:
    """The application's state and its three endpoints.

    Args:
        pool: where algebra runs; it is closed when the server ends.
        policy: how to grade.
        limits: how much is taken in.
        query_format: how OpenRLHF's queries are read.
    """

    def __init__(
        self,
        pool: Pool,
        policy: Policy = DEFAULT,
        limits: Limits | None = None,
        query_format: QueryFormat | None = None,
    ) -> None:
        self.pool = pool
        self.policy = policy
        self.limits = limits or Limits()
        self.query_format = query_format or QueryFormat()
        self.room = Room(self.limits)
        self.outcomes: Counter[str] = Counter()
        self._started = time.monotonic()
        self._trouble = ""  # why no worker could be had, when one was needed last
        self._probes = count()

    def app(self, on_ready: Hook, on_end: Hook) -> Starlette:
        """Return the ASGI application; the hooks frame the time in which it answers."""

        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            on_ready()
            try:
                yield
            finally:
                self.pool.close()
                on_end()

        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/get_reward", self.get_reward, methods=["POST"]),
                Route("/grade", self.grade, methods=["POST"]),
            ],
            exception_handlers={Refused: _refuse, ClientDisconnect: _leave, Exception: _fail},
            lifespan=lifespan,
        )

    async def health(self, _request: Request) -> Response:
        """Tell whether answers can be graded, and what was and is to be done."""
        if self._trouble:
            await self._probe()
        counts = {outcome.value: self.outcomes[outcome.value] for outcome in Outcome}
        return _json(
            {
                "status": self._trouble or "ok",
                "uptime_s": round(time.monotonic() - self._started, 1),
                "workers": self.pool.n_workers,
                "pending": {
                    "requests": self.room.n_requests,
                    "rows": self.room.n_rows,
                    "mb": round(self.room.n_bytes / MB, 1),
                },
                "graded": counts,
            },
            503 if self._trouble else 200,
        )

    async def get_reward(self, request: Request) -> Response:
        """OpenRLHF's remote reward."""
        return await self._answer(
            request, lambda body: read_queries(body, self.query_format), write_rewards
        )

    async def grade(self, request: Request) -> Response:
        """Our own form."""
        return await self._answer(request, read_rows, write_grades)

    async def _answer(
        self,
        request: Request,
        read: Callable[[Any], list[Row]],
        write: Callable[[Sequence[Grade]], dict[str, Any]],
    ) -> Response:
        with self.room.enter() as ticket:
            grading = asyncio.create_task(self._read_and_grade(request, read, ticket))
            try:
                grades = await asyncio.wait_for(grading, self.limits.request_s)
            except asyncio.TimeoutError:
                raise Refused(
                    504, f"not done within {self.limits.request_s:g} s: send fewer rows at a time"
                ) from None
            return _json(write(grades))

    async def _read_and_grade(
        self, request: Request, read: Callable[[Any], list[Row]], ticket: Ticket
    ) -> list[Grade]:
        rows = self._read(await self._body(request, ticket), read)
        ticket.take(n_rows=len(rows))
        gone = asyncio.create_task(_disconnected(request))
        grading = asyncio.create_task(self._grade_rows(rows))
        try:
            await asyncio.wait((gone, grading), return_when=asyncio.FIRST_COMPLETED)
            if not grading.done():
                raise ClientDisconnect
            return grading.result()
        finally:
            gone.cancel()
            grading.cancel()

    async def _body(self, request: Request, ticket: Ticket) -> bytes:
        """Read the body. One that is too much is read to its end as well, and thrown away.

        Otherwise the connection would break while the client still writes, and it would never see
        why.
        """
        limit = self.limits.body_mb * MB
        chunks: list[bytes] = []
        refused: Refused | None = None
        async for chunk in request.stream():
            if refused is not None:
                continue
            try:
                if ticket.n_bytes + len(chunk) > limit:
                    raise Refused(413, f"the body is larger than {self.limits.body_mb:g} MiB")
                ticket.take(n_bytes=len(chunk))
                chunks.append(chunk)
            except Refused as error:
                refused = error
                chunks.clear()
        if refused is not None:
            raise refused
        return b"".join(chunks)

    def _read(self, body: bytes, read: Callable[[Any], list[Row]]) -> list[Row]:
        try:
            rows = read(parse_json(body))
        except BadRequest as error:
            raise Refused(400, "the request cannot be read", problems=error.problems) from None
        if len(rows) > self.limits.rows:
            raise Refused(413, f"{len(rows)} rows; one request may have {self.limits.rows}")
        return rows

    async def _grade_rows(self, rows: Sequence[Row]) -> list[Grade]:
        slots = asyncio.Semaphore(ROWS_AT_ONCE)
        tasks = []
        try:
            for row in rows:
                await slots.acquire()
                task = asyncio.create_task(self._grade_row(row))
                task.add_done_callback(lambda _done: slots.release())
                tasks.append(task)
                await asyncio.sleep(0)  # whoever else is ready comes first
            return [await task for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _grade_row(self, row: Row) -> Grade:
        try:
            graded = await grade_async(
                row.response,
                row.reference,
                row.extra_info,
                data_source=row.data_source,
                policy=self.policy,
                pool=self.pool,
            )
        except RuntimeError as error:
            self._trouble = str(error)
            raise
        self.outcomes[graded.outcome.value] += 1
        if graded.outcome is Outcome.BAD_REFERENCE:
            n_bad = self.outcomes[graded.outcome.value]
            if n_bad <= WARNINGS:
                last = " (not told again)" if n_bad == WARNINGS else ""
                logger.warning("a bad reference scores 0: %s%s", graded.reason, last)
        return graded

    async def _probe(self) -> None:
        """Ask a worker what was not asked before."""
        number = next(self._probes)
        try:
            await self.pool.check_async(f"x + {number}", f"{number} + x")
            self._trouble = ""
        except RuntimeError as error:
            self._trouble = str(error)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(content: dict[str, Any], status: int = 200) -> Response:
    # As ASCII: a text with half a surrogate pair, which JSON may have, is no UTF-8.
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return Response(json.dumps(content), status, headers, "application/json")


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - for the type checker
    return _json(error.content, error.status)


async def _fail(_request: Request, error: Exception) -> Response:
    return _json({"error": f"{type(error).__name__}: {error}"}, 500)


async def _leave(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it


def serve(server: RewardServer, listener: socket.socket, on_ready: Hook, on_end: Hook) -> None:
    """Answer requests until SIGINT or SIGTERM; then what has begun is finished, up to `GRACE_S`.

    Args:
        server: what answers.
        listener: a socket that is bound and listens.
        on_ready: called once requests are answered.
        on_end: called when all is done; SIGTERM ends the process behind it.

    Raises:
        RuntimeError: if no worker starts here; the text says why.
        KeyboardInterrupt: after SIGINT, when all is done.
    """
    server.pool.check("x + x", "2x")
    config = uvicorn.Config(
        server.app(on_ready, on_end),
        http="h11",  # the one whose headers have a limit
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvicorn.Server(config).run(sockets=[listener])
