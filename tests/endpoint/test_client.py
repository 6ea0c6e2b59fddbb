"""The client against a server that fails in every way that servers do."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from io import BytesIO

import pytest
from fake_server import completion, fake_server
from PIL import Image

from ovr_plugin.data.images import ImageRef
from ovr_plugin.endpoint import (
    Completion,
    Endpoint,
    EndpointDown,
    RequestFailed,
    Sampling,
    chat_messages,
)
from ovr_plugin.reward import Outcome, grade

ASK = [{"role": "user", "content": "What is 1 + 1?"}]
GOOD = (200, completion("2"))


def ask(url, n=1, sampling=None, **settings):
    """The completions, or the exception that came instead, and the client."""
    settings = {"pause_s": 0.01, "timeout_s": 5, "n_tries": 3, **settings}

    async def run():
        async with Endpoint(url, **settings) as endpoint:
            try:
                return await endpoint.sample(ASK, n, sampling), endpoint
            except (RequestFailed, EndpointDown) as error:
                return error, endpoint

    return asyncio.run(run())


def test_a_good_answer_is_asked_for_once_with_all_that_was_set(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    sampling = Sampling(0.6, 0.95, 100, 7, {"top_k": 20})
    with fake_server([(200, completion("a", "b"))]) as server:
        found, endpoint = ask(server.url, 2, sampling, key_variable="MY_KEY")
    assert found == [Completion("a", False, "stop"), Completion("b", False, "stop")]
    [body] = server.bodies
    assert body == {
        "model": "tiny",  # the only one it serves
        "messages": ASK,
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 100,
        "seed": 7,
        "top_k": 20,
        "n": 2,
    }
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert (endpoint.usage.prompt_tokens, endpoint.usage.completion_tokens) == (10, 10)
    assert endpoint.usage.cost(2.0, 8.0) == pytest.approx((10 * 2 + 10 * 8) / 1e6)


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param((500, b"oops"), id="500"),
        pytest.param((504, b""), id="504"),
        pytest.param((429, {"error": "slow down"}), id="429"),
        pytest.param((408, b""), id="408"),
        pytest.param((200, b"<html>busy</html>"), id="html"),
        pytest.param((200, b'{"choices": [{"mess'), id="half-a-json"),
        pytest.param((200, b"\xff\xfe\x00"), id="no-text"),
        pytest.param((200, []), id="a-list"),
        pytest.param((200, {"choices": None}), id="null"),
        pytest.param((200, {"choices": []}), id="no-choice"),
        pytest.param((200, {"choices": [{"message": None}]}), id="no-message"),
        pytest.param((200, {"choices": [{"message": {"content": 5}}]}), id="a-number"),
        pytest.param((200, {"error": {"message": "engine died"}}), id="an-error-as-200"),
        pytest.param((200, b"[" * 100_000), id="a-deep-json"),
        pytest.param("break_off", id="broken-off"),
    ],
)
@pytest.mark.parametrize("n_bad", [2, 3])
def test_what_may_pass_is_tried_again_and_then_given_up(deed, n_bad):
    def behave(_, n_seen):
        if n_seen >= n_bad:
            return GOOD
        return getattr(server, deed) if isinstance(deed, str) else deed

    with fake_server(behave) as server:
        found, endpoint = ask(server.url)
    assert endpoint.usage.n_retries == 2
    assert len(server.bodies) == 3
    if n_bad == 2:
        assert found == [Completion("2", False, "stop")]
    else:
        assert isinstance(found, RequestFailed)
        assert str(found).endswith("(3 tries)")


@pytest.mark.parametrize("deed", ["hang", "drip"])
@pytest.mark.parametrize("n_bad", [1, 2])
def test_a_hang_is_tried_again_once_as_it_lasts_long(deed, n_bad):
    with fake_server(lambda _, n: GOOD if n >= n_bad else getattr(server, deed)) as server:
        found, _ = ask(server.url, timeout_s=0.3, n_tries=8)
    assert len(server.bodies) == 2
    if n_bad == 1:
        assert found == [Completion("2", False, "stop")]
    else:
        assert str(found) == "timeout: no answer within 0.3 s (2 tries)"


@pytest.mark.parametrize("model", [None, "tiny"])
def test_no_server_at_all_is_said_soon(model):
    with fake_server([GOOD]) as server:
        url = server.url
    with pytest.raises(EndpointDown, match="nobody answers there; no connection: ConnectError"):
        raise ask(url, model=model, n_tries=8)[0]


@pytest.mark.parametrize("status", [502, 503])
def test_a_proxy_with_nobody_behind_it_is_no_server(status):
    with fake_server([(status, b"Bad Gateway")]) as server:
        found, _ = ask(server.url, model="tiny", n_tries=8)
    assert isinstance(found, EndpointDown)
    assert len(server.bodies) == 4


def test_a_server_may_be_started_anew_under_a_run_and_costs_no_request_its_tries(monkeypatch):
    monkeypatch.setattr("ovr_plugin.endpoint.client.MAX_ABSENT_PAUSE_S", 0.01)
    with fake_server(lambda _, n: (503, b"loading") if 0 < n < 20 else GOOD) as server:

        async def run():
            async with Endpoint(server.url, n_tries=1, pause_s=0.001) as endpoint:
                return [await _outcome(endpoint) for _ in range(3)]

        assert asyncio.run(run()) == ["2", "2", "2"]
    assert len(server.bodies) == 22


def test_a_server_that_does_not_come_back_ends_the_run():
    with fake_server([GOOD, (502, b"gone")]) as server:

        async def run():
            async with Endpoint(server.url, pause_s=0.01, patience_s=0.3) as endpoint:
                await endpoint.sample(ASK)
                started = time.monotonic()
                with pytest.raises(EndpointDown, match=r"any more for 0.3 s; .*502: gone"):
                    await endpoint.sample(ASK)
                return time.monotonic() - started

        assert 0.3 <= asyncio.run(run()) < 5


def test_one_request_that_is_always_told_503_fails_alone():
    def behave(body, _):
        return (503, b"not this") if "bad" in str(body) else GOOD

    with fake_server(behave) as server:

        async def run():
            async with Endpoint(server.url, n_tries=2, pause_s=0.01) as endpoint:
                bad = asyncio.create_task(endpoint.sample([{"role": "user", "content": "bad"}]))
                while not bad.done():
                    assert await _outcome(endpoint) == "2"
                with pytest.raises(RequestFailed, match="503: not this"):
                    await bad

        asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_what_concerned_all_requests_is_one_failure_once_others_were_answered(status):
    """A gateway that is reloaded forgets its keys and models for a moment."""
    with fake_server(lambda _, n: (status, b"who?") if n in (1, 3, 4) else GOOD) as server:

        async def run():
            async with Endpoint(server.url, n_tries=2, pause_s=0.01) as endpoint:
                return [await _outcome(endpoint) for _ in range(4)]

        assert asyncio.run(run()) == ["2", "2", None, "2"]


def test_half_a_surrogate_pair_can_be_sent_and_comes_back_as_text_that_a_file_holds():
    body = rb'{"choices": [{"message": {"content": "a\ud83d b"}}]}'
    with fake_server([(200, body)]) as server:
        found, _ = ask(server.url, sampling=Sampling(extra={"user": "\ud83d"}))
    assert found[0].text == "a\ufffd b"


@pytest.mark.parametrize("n_tokens", [True, -4, 10**300, "5", 1.5])
def test_a_count_of_tokens_that_is_none(n_tokens):
    with fake_server([(200, {**completion("2"), "usage": {"completion_tokens": n_tokens}})]) as s:
        [found], endpoint = ask(s.url)
    assert found.n_tokens is None
    assert endpoint.usage.completion_tokens == 0


def test_an_answer_without_end_is_rubbish(monkeypatch):
    monkeypatch.setattr("ovr_plugin.endpoint.client.MAX_BODY_BYTES", 1 << 20)
    with fake_server([(200, completion("x" * (2 << 20)))]) as server:
        found, _ = ask(server.url)
    assert "rubbish: an answer of over 1 MiB" in str(found)


@pytest.mark.parametrize("key", ["schlüssel", "a\nb"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_printed(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match="the key in OPENAI_API_KEY") as told:
        Endpoint("http://h/v1")
    assert key not in str(told.value)


def test_a_url_that_is_none():
    with pytest.raises(ValueError, match="the endpoint is"):
        ask("http://[::1/v1", model="tiny")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "the key is not accepted"),
        (403, "not allowed"),
        (404, "ends? where"),
        (405, "no POST"),
    ],
)
def test_what_concerns_all_requests_stops_all(status, message):
    with fake_server([(status, {"error": "the server's words"})]) as server:
        found, _ = ask(server.url)
    assert isinstance(found, EndpointDown)
    assert len(server.bodies) == 1
    with pytest.raises(EndpointDown, match=message):
        raise found
    assert "the server's words" in str(found)


def test_a_refused_request_is_not_tried_again_and_others_go_on():
    with fake_server([(400, {"error": "context length"}), GOOD]) as server:

        async def run():
            async with Endpoint(server.url) as endpoint:
                with pytest.raises(RequestFailed, match=r"^refused: 400: .*context length"):
                    await endpoint.sample(ASK)
                return await endpoint.sample(ASK)

        assert asyncio.run(run())[0].text == "2"
    assert len(server.bodies) == 2


def test_an_endpoint_that_died_does_not_use_up_the_file():
    with fake_server(lambda _, n: GOOD if n < 5 else (500, b"CUDA error")) as server:

        async def run():
            async with Endpoint(server.url, n_tries=2, pause_s=0.01, n_failures_down=4) as endpoint:
                for _ in range(100):
                    try:
                        await endpoint.sample(ASK)
                    except RequestFailed:
                        continue

        with pytest.raises(EndpointDown, match=r"4 requests in a row .*CUDA error"):
            asyncio.run(run())
    assert len(server.bodies) == 5 + 4 * 2


def test_one_success_makes_failures_count_from_the_start():
    with fake_server(lambda _, n: GOOD if n % 4 == 3 else (400, b"")) as server:

        async def run():
            async with Endpoint(server.url, n_failures_down=4) as endpoint:
                return [await _outcome(endpoint) for _ in range(40)]

        assert asyncio.run(run()).count("2") == 10


async def _outcome(endpoint):
    try:
        return (await endpoint.sample(ASK))[0].text
    except RequestFailed:
        return None


def test_no_more_requests_in_flight_than_asked_for():
    def slowly(_, n):
        time.sleep(0.02)
        return GOOD

    with fake_server(slowly) as server:

        async def run():
            async with Endpoint(server.url, concurrency=3) as endpoint:
                await asyncio.gather(*(endpoint.sample(ASK) for _ in range(20)))

        asyncio.run(run())
    assert server.most_at_once == 3
    assert len(server.bodies) == 20


@pytest.mark.parametrize(
    "value",
    ["1.2", format_datetime(datetime.now(timezone.utc) + timedelta(hours=-1), usegmt=True), "soon"],
    ids=["seconds", "a-date-gone-by", "rubbish"],
)
def test_retry_after_is_kept_to(value):
    with fake_server([(429, b"", {"Retry-After": value}), GOOD]) as server:
        started = time.monotonic()
        found, _ = ask(server.url, pause_s=0.05)
        took_s = time.monotonic() - started
    assert found[0].text == "2"
    assert (took_s >= 1.2) == (value == "1.2")


def test_a_server_that_knows_only_one_answer_is_asked_again_with_other_seeds():
    with fake_server(lambda body, n: (200, completion(str(n)))) as server:
        found, _ = ask(server.url, 3, Sampling(seed=5))
    assert [one.text for one in found] == ["0", "1", "2"]
    assert [(body["n"], body["seed"]) for body in server.bodies] == [(3, 5), (2, 6), (1, 7)]


def test_more_answers_than_asked_for_are_left_out():
    with fake_server([(200, completion("a", "b", "c"))]) as server:
        found, _ = ask(server.url, 2)
    assert [one.text for one in found] == ["a", "b"]


def test_thinking_given_apart_is_put_back_and_graded_as_such():
    for key in ("reasoning_content", "reasoning"):
        with fake_server([(200, completion(r"So \boxed{2}", **{key: r"\boxed{9}?"}))]) as server:
            [found], _ = ask(server.url)
        assert found.text == "<think>\n\\boxed{9}?\n</think>\n\nSo \\boxed{2}"
        assert grade(found.text, "2").outcome is Outcome.CORRECT


def test_thinking_cut_off_has_no_end():
    cut = completion("", finish_reason="length", reasoning_content=r"so \boxed{2} but")
    with fake_server([(200, cut)]) as server:
        [found], _ = ask(server.url)
    assert found.truncated
    assert grade(found.text, "2").outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(None, 0), ({}, 0), ({"prompt_tokens": "many", "completion_tokens": -4}, 0)],
)
def test_a_server_that_does_not_count_tokens(usage, expected):
    with fake_server([(200, {**completion("2"), "usage": usage})]) as server:
        _, endpoint = ask(server.url)
    assert endpoint.usage.prompt_tokens == endpoint.usage.completion_tokens == expected


@pytest.mark.parametrize("models", [(), ("a", "b")])
def test_which_model_must_be_clear(models):
    with fake_server([GOOD], models) as server:
        with pytest.raises(
            EndpointDown, match=f"serves {', '.join(models) or 'nothing'}; name one"
        ):
            ask(server.url)
        assert ask(server.url, model="b")[0][0].text == "2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "localhost:8000"}, "must be a URL"),
        ({"concurrency": 0}, "concurrency must be positive, not 0"),
        ({"timeout_s": -1.0}, "timeout_s must be positive"),
        ({"n_tries": 0}, "n_tries must be positive"),
        ({"n_failures_down": 0}, "n_failures_down must be positive"),
        ({"patience_s": -1.0}, "patience_s must not be negative"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Endpoint(**{"url": "http://h/v1", **settings})


def test_the_whole_url_is_taken_too():
    with fake_server([GOOD]) as server:
        assert ask(f"{server.url}/chat/completions/")[0][0].text == "2"


def test_pictures_become_data_urls_in_their_place(tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.png")
    buffer = BytesIO()
    Image.new("RGB", (5, 4)).save(buffer, "BMP")
    images = [ImageRef(path=str(tmp_path / "a.png")), ImageRef(data=buffer.getvalue())]
    [message] = chat_messages([{"role": "user", "content": "Is <image> like <image>?"}], images)
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    urls = [part["image_url"]["url"] for part in message["content"] if "image_url" in part]
    heads, contents = zip(*(url.split(",", 1) for url in urls), strict=True)
    assert heads == ("data:image/png;base64",) * 2
    data = [base64.b64decode(content) for content in contents]
    assert data[0] == (tmp_path / "a.png").read_bytes()
    assert Image.open(BytesIO(data[1])).size == (5, 4)
    assert chat_messages(ASK) == ASK
