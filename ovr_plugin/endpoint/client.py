"""Chat messages in, completions out, from any server that speaks ``/chat/completions``.

What may pass is tried again with growing pauses: no connection, a hang, 408, 425, 429, 5xx, and a
200 whose body is not a completion. What cannot pass is told apart. `RequestFailed` concerns one
request (too long a prompt, refused, tries used up) and the caller goes on with the next;
`EndpointDown` concerns all of them (wrong key, wrong path, or request after request fails with no
success between) and the caller stops, so that an endpoint that died does not use up a file.

httpx rather than the openai package: its own retries cannot be capped in total time, and a server
that answers rubbish passes through it as a completion with missing fields.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from ovr_plugin.reward.extract import THINK_CLOSE, THINK_OPEN

RETRIED = frozenset({408, 409, 425, 429})  # and all of 5xx
FOR_ALL = {
    401: "the key is not accepted; set the variable that holds it (OPENAI_API_KEY)",
    403: "the key is not allowed to use this model",
    404: "no such path or model; the URL must end where /chat/completions begins, as in .../v1",
    405: "the path takes no POST; the URL must end where /chat/completions begins, as in .../v1",
}
MAX_PAUSE_S = 60.0
FIRST_TRIES = 4  # of the first request: who forgot to start a server shall not wait for minutes
MAX_BODY_BYTES = 64 << 20


class RequestFailed(Exception):
    """One request has no answer. The text reads ``kind: detail``; others may well succeed."""


class EndpointDown(Exception):
    """No request can be answered; the text says why and what to do."""


@dataclass(frozen=True)
class Completion:
    """One sampled response.

    Attributes:
        text: thinking included; where the server returns it apart, inside ``<think>`` tags.
        truncated: it was cut off at the length limit.
        finish_reason: the server's word.
        n_tokens: of the response, as the server counts them; None where it does not say, or tells
            several responses' together.
    """

    text: str
    truncated: bool = False
    finish_reason: str = ""
    n_tokens: int | None = field(default=None, compare=False)


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
        n_tries: of one request, the first included.
        pause_s: before the second try; it doubles with each, up to a minute, with jitter. A
            ``Retry-After`` of the server is kept to instead, within that minute.
        n_failures_down: so many failed requests in a row, with none answered, mean that the
            endpoint is down.
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
        self.url = url.rstrip("/").removesuffix("/chat/completions")
        self.model = model
        self.concurrency = concurrency
        self.timeout_s = timeout_s
        self.n_tries = n_tries
        self.pause_s = pause_s
        self.n_failures_down = n_failures_down
        self.usage = Usage()
        self._key = os.environ.get(key_variable, "")
        self._n_failures = 0
        self._clients: list[Any] = []  # one for each request in flight, made as they are needed
        self._idle: list[Any] = []

    async def __aenter__(self) -> Endpoint:
        import httpx

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

    def _new_client(self) -> Any:
        """A client of one connection: httpx's pool looks at all it has for every request."""
        import httpx

        client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
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
            found += _completions(answer)
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
        failed, n_tries = "", n_tries or self.n_tries
        for n_tried in range(1, n_tries + 1):
            async with self._slots:
                client = self._idle.pop() if self._idle else self._new_client()
                try:
                    tried = await self._try(client, method, path, body)
                finally:
                    self._idle.append(client)
            if isinstance(tried, dict):
                self._n_failures = 0
                return tried
            failed = tried.reason
            if n_tried < n_tries:
                self.usage.n_retries += 1
                await asyncio.sleep(self._pause(n_tried, tried.retry_after_s))
        self._failed(failed)
        raise RequestFailed(f"{failed} ({n_tries} tries)")

    async def _try(
        self, client: Any, method: str, path: str, body: Any
    ) -> dict[str, Any] | _Failed:
        import httpx

        if self._n_failures >= self.n_failures_down:
            raise EndpointDown(self._down("other requests failed"))
        try:
            self.usage.n_requests += 1
            status, headers, content = await asyncio.wait_for(
                self._send(client, method, path, body), self.timeout_s
            )
        except (asyncio.TimeoutError, httpx.TimeoutException):
            return _Failed(f"timeout: no answer within {self.timeout_s:g} s")
        except httpx.HTTPError as error:
            return _Failed(f"no connection: {type(error).__name__}: {error}")
        if status == 200:
            return _parsed(content, "data" if method == "GET" else "choices")
        said = content[:300].decode(errors="replace").strip()
        if status in FOR_ALL:
            raise EndpointDown(f"{self.url} answers {status}: {FOR_ALL[status]}. It says: {said}")
        if status in RETRIED or status >= 500:
            kind = "too many requests" if status == 429 else "server error"
            return _Failed(f"{kind}: {status}: {said}", _retry_after_s(headers.get("retry-after")))
        self._failed(f"the last was refused: {status}: {said}")
        raise RequestFailed(f"refused: {status}: {said}")

    async def _send(self, client: Any, method: str, path: str, body: Any) -> tuple[int, Any, bytes]:
        import httpx

        content = bytearray()
        async with client.stream(method, self.url + path, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise httpx.DecodingError(f"an answer of over {MAX_BODY_BYTES >> 20} MiB")
        return response.status_code, response.headers, bytes(content)

    def _pause(self, n_tried: int, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, MAX_PAUSE_S)
        longest = min(self.pause_s * 2 ** (n_tried - 1), MAX_PAUSE_S)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret

    def _failed(self, reason: str) -> None:
        self._n_failures += 1
        if self._n_failures >= self.n_failures_down:
            raise EndpointDown(self._down(reason))

    def _down(self, reason: str) -> str:
        return f"{self.url}: {self._n_failures} requests in a row failed, none answered; {reason}"

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):  # optional, and some servers send null
            self.usage.prompt_tokens += _count_of(usage.get("prompt_tokens"))
            self.usage.completion_tokens += _count_of(usage.get("completion_tokens"))


@dataclass(frozen=True)
class _Failed:
    """A try that may be made again."""

    reason: str
    retry_after_s: float | None = None


def _count_of(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


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


def _parsed(content: bytes, wanted: str) -> dict[str, Any] | _Failed:
    """The answer if it has the list that was ``wanted``, with well-formed elements, not none."""
    import json

    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return _Failed(f"rubbish: not JSON: {content[:80].decode(errors='replace')!r}")
    elements = answer.get(wanted) if isinstance(answer, dict) else None
    is_good = _is_choice if wanted == "choices" else _is_model
    if not isinstance(elements, list) or not all(map(is_good, elements)):
        return _Failed(f"rubbish: no list of {wanted}: {content[:80].decode(errors='replace')!r}")
    if wanted == "choices" and not elements:
        return _Failed("rubbish: an empty list of choices")
    return answer


def _is_model(model: Any) -> bool:
    return isinstance(model, dict) and "id" in model


def _is_choice(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return False
    return all(
        message.get(key) is None or isinstance(message[key], str)
        for key in ("content", "reasoning_content", "reasoning")
    )


def _completions(answer: dict[str, Any]) -> list[Completion]:
    choices, usage = answer["choices"], answer.get("usage")
    n_tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if len(choices) != 1 or not isinstance(n_tokens, int):
        n_tokens = None
    return [_completion(choice, n_tokens) for choice in choices]


def _completion(choice: dict[str, Any], n_tokens: int | None) -> Completion:
    """One choice; DeepSeek's API and vLLM's reasoning parsers give the thinking apart."""
    message = choice["message"]
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content") or ""
    finish_reason = str(choice.get("finish_reason") or "")
    truncated = finish_reason == "length"
    if thinking:
        # Cut off while thinking, it must not look as if it had ended.
        ended = content or not truncated
        content = f"{THINK_OPEN}\n{thinking.strip()}\n" + (
            f"{THINK_CLOSE}\n\n{content.strip()}" if ended else ""
        )
    return Completion(content, truncated, finish_reason, n_tokens)
