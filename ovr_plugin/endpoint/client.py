"""Chat messages in, completions out, from any server that speaks ``/chat/completions``.

What may pass is tried again with growing pauses: a connection that breaks, a hang (once), 408, 425,
429, 5xx, and a 200 whose body is not a completion. What cannot pass is told apart. `RequestFailed`
concerns one request (too long a prompt, refused, tries used up) and the caller goes on with the
next; `EndpointDown` concerns all of them (a wrong key or path from the start, nobody there any
more, request after request failed with none answered) and the caller stops, so that an endpoint
that died does not use up a file. Nobody there (a refused connection, 502, 503) costs a request none
of its tries unless others are answered meanwhile: a server may be started anew under a run.

httpx rather than the openai package: its own retries cannot be capped in total time, and a server
that answers rubbish passes through it as a completion with missing fields.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from ovr_plugin.endpoint.completions import Completion, Rubbish, completions, count, parsed
from ovr_plugin.endpoint.health import FIRST_TRIES, EndpointDown, Health

RETRIED = frozenset({408, 409, 425, 429})  # and all of 5xx
ABSENT = frozenset({502, 503})  # of a proxy with nobody behind it
# Before anything was answered; later it is a failure like others, as of a gateway that is reloaded.
FOR_ALL = {
    401: "the key is not accepted; set the variable that holds it (OPENAI_API_KEY)",
    403: "the key is not allowed to use this model",
    404: "no such path or model; the URL must end where /chat/completions begins, as in .../v1",
    405: "the path takes no POST; the URL must end where /chat/completions begins, as in .../v1",
}
MAX_PAUSE_S = 60.0
MAX_ABSENT_PAUSE_S = 10.0  # where nobody is there, asking costs nobody anything
MAX_HANGS = 2  # tries of one request: each may last as long as the longest response
MAX_BODY_BYTES = 64 << 20


class RequestFailed(Exception):
    """One request has no answer. The text reads ``kind: detail``; others may well succeed."""


@dataclass
class Usage:
    """Tokens so far, as the server counts them; a price per million of each makes a cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    n_requests: int = 0
    n_retries: int = 0

    def cost(self, prompt_price: float = 0.0, completion_price: float = 0.0) -> float:
        """Cost in the currency of the prices, which are per million tokens."""
        tokens = self.prompt_tokens * prompt_price + self.completion_tokens * completion_price
        return tokens / 1e6


@dataclass(frozen=True)
class Sampling:
    """How to sample; ``extra`` goes into the request as it is (``{"top_k": 20}``).

    The defaults are those of the paper's rollouts (OVR B): temperature 1, top-p 1.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The keys of a request."""
        keys = ("temperature", "top_p", "max_tokens", "seed")
        given = {key: getattr(self, key) for key in keys}
        return {**{key: value for key, value in given.items() if value is not None}, **self.extra}


class Endpoint:
    """A client of one served model; use it as an async context manager.

    Args:
        url: up to where ``/chat/completions`` begins, such as ``http://localhost:8000/v1``.
        model: the served model's name; None takes the only one that the server lists.
        concurrency: requests in flight at most.
        timeout_s: of one try, from sending to the last byte.
        n_tries: of one request, the first included; two where they hang.
        pause_s: before the second try; it doubles with each, up to a minute, with jitter. A
            ``Retry-After`` of the server is kept to instead, within that minute.
        n_failures_down: so many failed requests in a row, with none answered, mean that the
            endpoint is down.
        patience_s: so does nobody there for so long; before it was ever there, a few tries.
        key_variable: the environment variable that holds the key; unset for local servers.

    Raises:
        ValueError: a URL that is none, or a number that is not positive.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        concurrency: int = 32,
        timeout_s: float = 3600.0,
        n_tries: int = 6,
        pause_s: float = 1.0,
        n_failures_down: int = 20,
        patience_s: float = 300.0,
        key_variable: str = "OPENAI_API_KEY",
    ):
        if not url.startswith(("http://", "https://")):
            raise ValueError(
                f"the endpoint is {url!r}; it must be a URL such as http://host:8000/v1"
            )
        numbers = {"concurrency": concurrency, "timeout_s": timeout_s, "n_tries": n_tries}
        for name, number in {**numbers, "n_failures_down": n_failures_down}.items():
            if not number > 0:
                raise ValueError(f"{name} must be positive, not {number}")
        if patience_s < 0:
            raise ValueError(f"patience_s must not be negative, not {patience_s}")
        self.url = url.rstrip("/").removesuffix("/chat/completions")
        self.model = model
        self.concurrency = concurrency
        self.timeout_s = timeout_s
        self.n_tries = n_tries
        self.pause_s = pause_s
        self.usage = Usage()
        self.health = Health(self.url, n_failures_down, patience_s)
        self.n_pending = 0  # requests that wait for an answer, also between their tries
        self._key = os.environ.get(key_variable, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise ValueError(f"the key in {key_variable} has characters that no key has")
        self._clients: list[Any] = []  # one for each request in flight, made as they are needed
        self._idle: list[Any] = []

    async def __aenter__(self) -> Endpoint:
        import httpx

        try:
            httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError(f"the endpoint is {self.url!r}: {error}") from None
        # Reading the certificates takes a tenth of a second: once, and not without need.
        self._ssl = httpx.create_ssl_context(verify=self.url.startswith("https"))
        self._slots = asyncio.Semaphore(self.concurrency)
        try:
            self.model = self.model or await self._only_model()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()
        self._clients, self._idle = [], []

    @property
    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", **key}

    def _new_client(self) -> Any:
        """A client of one connection: httpx's pool looks at all it has for every request."""
        import httpx

        client = httpx.AsyncClient(
            headers=self._headers,
            timeout=self.timeout_s,
            limits=httpx.Limits(max_connections=1),
            verify=self._ssl,
        )
        self._clients.append(client)
        return client

    async def sample(
        self, messages: Sequence[Mapping[str, Any]], n: int = 1, sampling: Sampling | None = None
    ) -> list[Completion]:
        """``n`` responses to one conversation.

        A server that answers with fewer than asked (many know only ``n = 1``) is asked again.

        Raises:
            RequestFailed: no answer to this request.
            EndpointDown: no answer to any.
        """
        body = {"model": self.model, "messages": list(messages), **(sampling or Sampling()).body()}
        found: list[Completion] = []
        while len(found) < n:
            # One seed for both calls would give the same responses twice.
            seed = {"seed": body["seed"] + len(found)} if "seed" in body else {}
            answer = await self._ask(
                "POST", "/chat/completions", {**body, **seed, "n": n - len(found)}
            )
            found += completions(answer)
            self._count(answer.get("usage"))
        return found[:n]

    async def _only_model(self) -> str:
        try:
            answer = await self._ask("GET", "/models", n_tries=min(self.n_tries, FIRST_TRIES))
        except RequestFailed as error:
            raise EndpointDown(f"{self.url} does not say what it serves: {error}") from error
        names = [str(model["id"]) for model in answer["data"]]
        if len(names) != 1:
            raise EndpointDown(f"{self.url} serves {', '.join(names) or 'nothing'}; name one model")
        return names[0]

    async def _ask(
        self, method: str, path: str, body: Any = None, n_tries: int | None = None
    ) -> dict[str, Any]:
        if not self.n_pending:
            self.health.start()
        self.n_pending += 1
        try:
            return await self._tried(method, path, body, n_tries)
        finally:
            self.n_pending -= 1

    async def _tried(
        self, method: str, path: str, body: Any, n_tries: int | None
    ) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        n_tries, n_tried, n_pauses, n_hangs = n_tries or self.n_tries, 0, 0, 0
        while True:
            n_answers = self.health.n_answers
            async with self._slots:
                self.health.check()
                client = self._idle.pop() if self._idle else self._new_client()
                try:
                    tried = await self._try(client, method, path, content)
                finally:
                    self._idle.append(client)
            if isinstance(tried, dict):
                return tried
            self.health.last_failure = tried.reason
            n_pauses += 1
            n_hangs += tried.hung
            if tried.absent:
                self.health.absent(tried.reason, n_pauses)
            n_tried += not tried.absent or self.health.n_answers > n_answers
            if n_tried >= n_tries or n_hangs >= MAX_HANGS:
                break
            self.usage.n_retries += 1
            await asyncio.sleep(self._pause(n_pauses, tried))
        self.health.failed(tried.reason)
        raise RequestFailed(f"{tried.reason} ({n_tried} {'try' if n_tried == 1 else 'tries'})")

    async def _try(
        self, client: Any, method: str, path: str, content: bytes | None
    ) -> dict[str, Any] | _Failed:
        import httpx

        self.usage.n_requests += 1
        try:
            status, headers, said = await asyncio.wait_for(
                self._send(client, method, path, content), self.timeout_s
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return _Failed(f"no connection: {_told(error)}", absent=True)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            return _Failed(f"timeout: no answer within {self.timeout_s:g} s", hung=True)
        except httpx.HTTPError as error:
            return _Failed(f"the connection broke: {_told(error)}")
        except Rubbish as error:
            return _Failed(f"rubbish: {error}")
        if status not in ABSENT:
            self.health.present()
        if status == 200:
            return self._answer(method, said)
        told = said[:300].decode(errors="replace").strip()
        return self._refused(status, told, _retry_after_s(headers.get("retry-after")))

    def _answer(self, method: str, content: bytes) -> dict[str, Any] | _Failed:
        try:
            answer = parsed(content, "data" if method == "GET" else "choices")
        except Rubbish as error:
            return _Failed(f"rubbish: {error}")
        if method == "POST":
            self.health.answered()
        return answer

    def _refused(self, status: int, said: str, retry_after_s: float | None) -> _Failed:
        if status in FOR_ALL:
            told = f"{status}: {FOR_ALL[status]}. It says: {said}"
            if not self.health.n_answers:
                raise EndpointDown(f"{self.url} answers {told}")
            return _Failed(told, retry_after_s)
        if status in RETRIED or status >= 500:
            kind = "too many requests" if status == 429 else "server error"
            return _Failed(f"{kind}: {status}: {said}", retry_after_s, absent=status in ABSENT)
        self.health.failed(f"the last was refused: {status}: {said}")
        raise RequestFailed(f"refused: {status}: {said}")

    async def _send(
        self, client: Any, method: str, path: str, body: bytes | None
    ) -> tuple[int, Any, bytes]:
        content = bytearray()
        async with client.stream(method, self.url + path, content=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise Rubbish(f"an answer of over {MAX_BODY_BYTES >> 20} MiB")
        return response.status_code, response.headers, bytes(content)

    def _pause(self, n_pauses: int, tried: _Failed) -> float:
        if tried.retry_after_s is not None:
            return min(tried.retry_after_s, MAX_PAUSE_S)
        most = MAX_ABSENT_PAUSE_S if tried.absent else MAX_PAUSE_S
        longest = min(self.pause_s * 2 ** min(n_pauses - 1, 20), most)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):  # optional, and some servers send null
            self.usage.prompt_tokens += count(usage.get("prompt_tokens")) or 0
            self.usage.completion_tokens += count(usage.get("completion_tokens")) or 0


@dataclass(frozen=True)
class _Failed:
    """A try that may be made again; ``absent``: nobody was there."""

    reason: str
    retry_after_s: float | None = None
    absent: bool = False
    hung: bool = False


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _retry_after_s(value: str | None) -> float | None:
    """Seconds, from a number or a date; None if it is neither."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
