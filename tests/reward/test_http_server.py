"""The reward's server as trainers meet it: a process of its own, on a port of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ovr_plugin.adapters.openrlhf import grade_queries
from ovr_plugin.reward.http_limits import Limits
from ovr_plugin.reward.http_requests import MAX_PROBLEMS, QueryFormat
from ovr_plugin.reward.http_server import ROWS_AT_ONCE, WARNINGS, RewardServer
from ovr_plugin.reward.pool import Pool
from ovr_plugin.reward.score import Outcome, as_row, grade
from ovr_plugin.reward.settings import Settings

HERE = Path(__file__).resolve().parent
COMMAND = [str(Path(sys.executable).with_name("ovr")), "serve-reward"]
# With a comparison that takes as long as an answer says (`slow_comparer`).
SLOW_COMMAND = [
    *(sys.executable, str(HERE / "slow_comparer.py"), "serve-reward"),
    *("--timeout", "60"),
]


class Server:
    """A server's process; `url` is known once it answers."""

    def __init__(self, command: list[str], *argv: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [*command, "--port", "0", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"Grading at (http://\S+)/get_reward", said)
        assert found, f"{said}{self.process.stderr and self.process.stderr.read()}"
        self.url = found.group(1)

    def post(self, path: str, body: Any, timeout_s: float = 60) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=timeout_s)

    def post_bytes(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.url + path, content=body, timeout=60)

    def grade(self, *answers: str, timeout_s: float = 60) -> httpx.Response:
        """Ask whether these are x + y."""
        rows = [{"response": rf"\boxed{{{answer}}}", "reference": "x + y"} for answer in answers]
        return self.post("/grade", {"rows": rows}, timeout_s)

    def health(self) -> dict[str, Any]:
        response = httpx.get(self.url + "/health", timeout=60)
        assert response.status_code == 200
        return response.json()

    def wait_for(self, n_rows: int) -> None:
        """Wait until so many rows are being graded."""
        end = time.monotonic() + 30
        while self.health()["pending"]["rows"] != n_rows:
            assert time.monotonic() < end, self.health()
            time.sleep(0.02)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def run(*argv: str, command: list[str] = SLOW_COMMAND, **env: str) -> Server:
        started.append(Server(command, *argv, **env))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The command as it is, with math-verify."""
    one = Server(COMMAND)
    yield one
    one.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    one = Server(SLOW_COMMAND, "--workers", "2")
    yield one
    one.stop(signal.SIGTERM)


def openrlhf(*rows: tuple[str, str, Any]) -> dict[str, Any]:
    queries, prompts, labels = zip(*rows, strict=True)
    return {"query": queries, "prompts": prompts, "labels": labels}


# --------------------------------------------------------------------------------------------------
# What is answered

PROMPT = "<|im_start|>user\nPut it into \\boxed{4}.<|im_end|>\n<|im_start|>assistant\n"
IMAGE = "<|im_start|>user\n<|image_pad|>Put it into \\boxed{4}.<|im_end|>\n<|im_start|>assistant\n"
ROWS: list[tuple[str, str, Any, str]] = [
    (PROMPT + r"So \boxed{4}<|im_end|>", PROMPT, "4", "correct"),
    (PROMPT + r"So \boxed{5}<|im_end|>", PROMPT, "4", "wrong"),
    (PROMPT + r"So \boxed{y+x}<|im_end|>", PROMPT, "x+y", "correct"),
    (PROMPT + "I do not know.", PROMPT, "4", "no_answer"),  # the prompt's box is no answer
    ("<pad><pad>" + PROMPT + r"\boxed{4}", PROMPT, "4", "correct"),
    (IMAGE.replace("<|image_pad|>", "<|image_pad|>" * 400) + "Nothing.", IMAGE, "4", "no_answer"),
    (IMAGE.replace("<|image_pad|>", "<|image_pad|>" * 400) + r"\boxed{4}", IMAGE, "4", "correct"),
    (PROMPT + r"\boxed{4}", PROMPT, 4, "correct"),
    (PROMPT + r"\boxed{4}", PROMPT, "", "bad_reference"),
    (PROMPT + r"\boxed{4}", PROMPT, None, "bad_reference"),
    (PROMPT + r"\boxed{red}", PROMPT, {"answer": "B", "choices": ["blue", "red"]}, "correct"),
    (PROMPT + r"\boxed{red}", PROMPT, '{"answer": "B", "choices": ["blue", "red"]}', "correct"),
    (PROMPT + r"\boxed{red}", PROMPT, {"answer": "red", "truncated": True}, "truncated"),
]


def test_openrlhf_gets_rewards_and_logs(server):
    response = server.post("/get_reward", openrlhf(*(row[:3] for row in ROWS)))
    assert response.status_code == 200, response.text
    reply = response.json()
    assert reply["rewards"] == reply["scores"] == [float(row[3] == "correct") for row in ROWS]
    logs = reply["extra_logs"]
    assert set(logs) == {outcome.value for outcome in Outcome}
    for i, (*_, outcome) in enumerate(ROWS):
        assert {name: values[i] for name, values in logs.items()} == {
            name: float(name == outcome) for name in logs
        }


def test_openrlhf_gets_over_http_what_it_gets_from_our_file(server):
    request = openrlhf(*(row[:3] for row in ROWS))
    graded = grade_queries(request["query"], request["prompts"], request["labels"])
    reply = server.post("/get_reward", request).json()
    assert reply["rewards"] == [one.score for one in graded]


@pytest.mark.parametrize(
    ("response", "truncated"),
    [
        ("<|im_end|>", False),
        ("<|im_end|>\n", False),
        ("<|im_end|><|endoftext|><|endoftext|>", False),  # padded
        ("<END>", False),
        ("", True),
        ("<|endoftext|>", True),
        ("<|im_end|> and then", True),
    ],
)
def test_what_does_not_end_was_cut_off(response, truncated):
    query_format = QueryFormat(ends=("<|im_end|>", "<END>"))
    row = query_format.read(PROMPT + r"\boxed{4}" + response, PROMPT, "4")
    graded = grade(row.response, row.reference, row.extra_info)
    assert graded.outcome is (Outcome.TRUNCATED if truncated else Outcome.CORRECT)


def test_ends_and_another_template_are_given_on_the_command_line(start):
    server = start("--end", "<END>", "--response-start", "Model:")
    rows = [(r"User: \boxed{4} Model: \boxed{5}" + end, "?" * 50, "5") for end in ("<END>", "")]
    assert server.post("/get_reward", openrlhf(*rows)).json()["rewards"] == [1.0, 0.0]


GRADED = [
    {"response": r"\boxed{\frac12}", "reference": "0.5"},
    {"response": r"\boxed{x+y}", "reference": "y+x", "extra_info": None, "data_source": None},
    {"response": r"\boxed{5}", "reference": 5, "extra_info": {"truncated": True}},
    {"response": r"\boxed{red}", "reference": "B", "extra_info": {"choices": ["blue", "red"]}},
    {"response": r"\boxed{5}", "reference": 5, "extra_info": {"tolerance": "much"}},
    {"response": "\\boxed{\ud83d \x00 中}", "reference": "5"},
    {"response": r"\boxed{5}", "reference": float("nan")},
    {"response": r"\boxed{5}", "reference": [[5], {}]},
    {"response": "", "reference": "5"},
    {"response": r"\boxed{" * 10_000, "reference": "5"},
]


def test_our_own_form_is_grade_over_http(server):
    body = json.dumps({"rows": GRADED})  # with NaN and half a surrogate pair, as Python writes them
    response = server.post_bytes("/grade", body)
    assert response.status_code == 200, response.text
    own = [
        as_row(grade(row["response"], row["reference"], row.get("extra_info"))) for row in GRADED
    ]
    assert response.json() == {"grades": own}


def test_a_policy_holds_for_the_server(start, tmp_path):
    (tmp_path / "policy.yaml").write_text("answer_tags: true\nmax_answer_chars: 5")
    server = start("--policy", str(tmp_path / "policy.yaml"))
    rows = [{"response": f"<answer>{a}</answer>", "reference": "5"} for a in ("5", "123456")]
    grades = server.post("/grade", {"rows": rows}).json()["grades"]
    assert [row["outcome"] for row in grades] == ["correct", "too_long"]


def test_health_tells_what_was_and_is_done(start):
    server = start("--workers", "3")
    health = server.health()
    assert (health["status"], health["workers"]) == ("ok", 3)
    assert health["pending"] == {"requests": 0, "rows": 0, "mb": 0.0}
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(server.grade, "y + x + s^{30}", "x + y", "x", timeout_s=60)
        server.wait_for(3)
        assert server.health()["pending"]["requests"] == 1
        while sum(server.health()["graded"].values()) < 2:  # the two that are quick
            assert not slow.done()
        assert server.health()["pending"]["rows"] == 3
        assert [row["score"] for row in slow.result().json()["grades"]] == [1.0, 1.0, 0.0]
    health = server.health()
    assert (health["graded"]["correct"], health["graded"]["wrong"]) == (2, 1)
    assert health["pending"] == {"requests": 0, "rows": 0, "mb": 0.0}


# --------------------------------------------------------------------------------------------------
# What is refused

GOOD = {"response": "", "reference": "5"}
MALFORMED: list[tuple[str, Any, list[str]]] = [
    ("/grade", b"", ["not JSON"]),
    ("/grade", b"{", ["not JSON"]),
    ("/grade", b"\xff\xfe{}", ["not JSON"]),
    ("/grade", b"\x80\x04\x95.", ["not JSON"]),  # a pickle's beginning
    ("/grade", b"[" * 100_000, ["nested too deep"]),
    ("/grade", b'{"rows": ' + b"9" * 5000 + b"}", ["not JSON"]),
    ("/grade", [], ['{"rows": [...]}']),
    ("/grade", {"rows": []}, ["at least one row"]),
    ("/grade", {"rows": {}}, ['{"rows": [...]}']),
    (
        "/grade",
        {"rows": [1, {}, {"response": 1, "reference": 2}, GOOD, {**GOOD, "ground_truth": 5}]},
        [
            "rows[0] is a int",
            "rows[1]: no response",
            "no reference",
            "rows[2]: the response is a int",
            "rows[4] has ground_truth, but may have response, reference, extra_info, data_source",
        ],
    ),
    ("/grade", {"rows": [{**GOOD, "extra_info": "x"}]}, ["extra_info is a str"]),
    ("/grade", {"rows": [1] * 1000}, ["rows[0]", f"and {1000 - MAX_PROBLEMS} more"]),
    ("/get_reward", [], ["an object"]),
    ("/get_reward", {"query": [""], "prompts": [""]}, ["no labels", "label_key"]),
    ("/get_reward", {"query": "", "labels": [""]}, ["query must be", "prompts must be"]),
    (
        "/get_reward",
        {"query": ["", ""], "prompts": [""], "labels": [""]},
        ["2 query, 1 prompts, 1 labels"],
    ),
    ("/get_reward", {"query": [], "prompts": [], "labels": []}, ["0 query"]),
    (
        "/get_reward",
        openrlhf((5, "", ""), ("other", "a prompt that is nowhere", "")),  # type: ignore[arg-type]
        ["query[0]", "query[1]", "prompt"],
    ),
]


@pytest.mark.parametrize(("path", "body", "problems"), MALFORMED)
def test_what_cannot_be_read_is_told_and_not_graded(slow, path, body, problems):
    before = slow.health()["graded"]
    post = slow.post_bytes if isinstance(body, bytes) else slow.post
    response = post(path, body)
    assert response.status_code == 400, response.text
    assert len(response.json()["problems"]) <= MAX_PROBLEMS + 1
    told = " ".join(response.json()["problems"])
    assert all(problem in told for problem in problems), told
    assert slow.health()["graded"] == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/grade", 405), ("POST", "/health", 405), ("GET", "/", 404), ("GET", "/../etc", 404)],
)
def test_other_addresses(slow, method, path, status):
    assert httpx.request(method, slow.url + path).status_code == status


def in_chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 2**16):
        yield b" " * 2**16


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_told_so(start, chunked):
    """And a client that writes all of it before it reads, as most do, gets to see that."""
    server = start("--max-body-mb", "1")
    size = 20 * 2**20
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    body = in_chunks(size) if chunked else b" " * size
    connection.request("POST", "/grade", body, {"Connection": "close"})
    reply = connection.getresponse()
    assert reply.status == 413
    assert json.loads(reply.read()) == {"error": "the body is larger than 1 MiB"}
    connection.close()
    assert server.grade("y + x").json()["grades"][0]["score"] == 1.0
    assert server.health()["pending"]["mb"] == 0


def test_too_many_rows_are_told_so(start):
    server = start("--max-rows", "2")
    assert server.grade("x", "y").status_code == 200
    response = server.grade("x", "y", "z")
    assert (response.status_code, "3 rows" in response.text) == (413, True)


@pytest.mark.parametrize(
    ("argv", "waiting", "late", "too_much"),
    [
        (["--max-rows", "4", "--max-pending-rows", "4"], ["x"] * 2, ["x"], ["x", "y"]),
        (
            ["--max-body-mb", "1", "--max-pending-mb", "1"],
            ["x" * 600_000],
            ["x" * 300_000],
            ["x" * 600_000],
        ),
    ],
    ids=["rows", "bytes"],
)
def test_who_finds_no_room_is_told_to_come_back(start, argv, waiting, late, too_much):
    """It is no reward of 0, health is still told, and there is room when the others are done."""
    server = start("--workers", "1", *argv)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(server.grade, "y + x + s^{30}", *waiting)
        server.wait_for(1 + len(waiting))
        refused = server.grade(*too_much)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "try again" in refused.json()["error"]
        assert not first.done()
        assert server.health()["pending"]["requests"] == 1
        assert server.grade(*late).status_code == 200, "there is room for this"
        assert first.result().status_code == 200
    assert server.grade(*too_much).status_code == 200


def test_a_request_that_takes_too_long_is_no_reward(start):
    server = start("--request-timeout", "1", "--workers", "2")
    response = server.grade("y + x + s^{300}")
    assert (response.status_code, "1 s" in response.json()["error"]) == (504, True)
    assert server.grade("y + x").json()["grades"][0]["score"] == 1.0
    with socket.create_connection(server.url.removeprefix("http://").split(":")) as client:
        client.sendall(b"POST /grade HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert client.recv(100).startswith(b"HTTP/1.1 504"), "a body that never comes"
    assert server.health()["pending"] == {"requests": 0, "rows": 0, "mb": 0.0}


def test_a_client_that_leaves_takes_its_rows_along(start):
    server = start("--workers", "1")
    slow = [f"y + x + s^{{30}} + {i}" for i in range(ROWS_AT_ONCE)]
    with pytest.raises(httpx.TimeoutException):
        server.grade(*slow, *["x + y"] * 50, timeout_s=1)
    server.wait_for(0)
    time.sleep(4)  # a worker is done with the first
    assert sum(server.health()["graded"].values()) == 0


# --------------------------------------------------------------------------------------------------
# Many at a time


def test_a_slow_request_holds_up_no_other(slow):
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(slow.grade, "y + x + s^{40}")
        slow.wait_for(1)
        assert slow.grade("y + x + 0").json()["grades"][0]["score"] == 0.0  # a worker's verdict
        assert slow.post("/grade", {"rows": [GOOD]}).status_code == 200
        assert not first.done()
        assert first.result().json()["grades"][0]["score"] == 1.0


def test_results_of_many_clients_are_not_swapped(slow):
    def ask(i: int) -> bool:
        rights = [(i + j) % 3 == 0 for j in range(20)]
        rows = [
            {"response": rf"\boxed{{{j} + x{i}}}", "reference": f"x{i} + {j if right else 'z'}"}
            for j, right in enumerate(rights)
        ]
        grades = slow.post("/grade", {"rows": rows}).json()["grades"]
        return [row["score"] for row in grades] == [float(right) for right in rights]

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(60)))


async def ask_as_openrlhf(
    client: httpx.AsyncClient, url: str, row: tuple[str, str, str], max_tries: int
) -> dict[str, Any]:
    """One response a request, tried again after any status but 2xx: OpenRLHF 0.11.2's client."""
    for _ in range(max_tries):
        response = await client.post(url, json=openrlhf(row))
        if response.is_success:
            return response.json()
        await asyncio.sleep(0.05)  # there: 1 s
    raise RuntimeError("given up")


def test_openrlhfs_loop_gets_every_reward_from_a_server_without_room(start):
    server = start("--max-rows", "4", "--max-pending-rows", "4", "--workers", "2")
    rows = [(PROMPT + rf"\boxed{{{i} + x}}", PROMPT, f"x + {i % 2 and i}") for i in range(200)]

    async def iteration() -> list[dict[str, Any]]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            url = server.url + "/get_reward"
            return await asyncio.gather(*(ask_as_openrlhf(client, url, row, 400) for row in rows))

    replies = asyncio.run(iteration())
    assert [reply["rewards"] for reply in replies] == [
        [float(i % 2 == 1 or i == 0)] for i in range(200)
    ]


# --------------------------------------------------------------------------------------------------
# Beginning and end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_has_begun_is_finished(start, number):
    server = start("--workers", "1")
    workers = server.descendants()
    assert workers
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(server.grade, "y + x + s^{20}", "x + 1")
        server.wait_for(2)
        server.process.send_signal(number)
        assert [row["score"] for row in first.result().json()["grades"]] == [1.0, 0.0]
    out, said = server.process.communicate(timeout=30)
    assert server.process.returncode == (-signal.SIGTERM if number is signal.SIGTERM else 0)
    assert "Stopped. Graded: 1 correct, 1 wrong" in out
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    with pytest.raises(httpx.ConnectError):
        server.health()


def test_a_server_that_is_killed_leaves_nobody(start):
    server = start("--workers", "2", "--timeout", "600")
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(server.grade, "y + x + s^{3000}")
        server.wait_for(1)
        workers = server.descendants()
        assert len(workers) >= 2  # one at work, and who starts them
        server.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
        with pytest.raises(httpx.HTTPError):
            first.result()


def test_workers_that_are_killed_are_replaced(start):
    server = start("--workers", "2")
    for i in range(3):
        for worker in server.descendants():
            worker.kill()
        assert server.grade(f"{i} + x").json()["grades"][0]["score"] == 0.0
        assert server.grade("y + x" + " + 0" * i).status_code == 200
    assert server.health()["status"] == "ok"


def test_health_is_bad_while_no_worker_can_be_had(tmp_path, monkeypatch):
    """Requests get an error then, and no reward."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fickle_comparer.py").write_text(
        "import pathlib\n"
        "def load():\n"
        f"    if pathlib.Path({str(tmp_path / 'broken')!r}).exists(): raise OSError('no room')\n"
        "    return lambda reference, answer, tolerance: 'correct'\n"
    )
    (tmp_path / "broken").touch()
    pool = Pool(2, comparer="fickle_comparer:load")
    app = RewardServer(pool).app(lambda: None, lambda: None)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        rows = {"rows": [{"response": r"\boxed{x+y}", "reference": "y+x"}]}
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            before = [await client.get("/health"), await client.post("/grade", json=rows)]
            bad = await client.get("/health")
            (tmp_path / "broken").unlink()
            return [
                *before,
                bad,
                await client.get("/health"),
                await client.post("/grade", json=rows),
            ]

    with pool:
        replies = asyncio.run(ask())
    assert [reply.status_code for reply in replies] == [200, 500, 503, 200, 200]
    assert "no room" in replies[1].json()["error"]
    assert "no room" in replies[2].json()["status"]


def test_bad_references_are_told_a_few_times(caplog):
    app = RewardServer(Pool()).app(lambda: None, lambda: None)
    rows = {"rows": [{"response": r"\boxed{5}", "reference": None}] * 50}

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/grade", json=rows)

    asyncio.run(ask())
    told = [record.message for record in caplog.records if "bad reference" in record.message]
    assert len(told) == WARNINGS
    assert [("not told again" in text) for text in told] == [False] * (WARNINGS - 1) + [True]


def run(*argv: str, command: list[str] = COMMAND, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *argv], capture_output=True, text=True, env={**os.environ, **env}, timeout=120
    )


def test_only_this_machine_is_served_unless_told_otherwise(start):
    server = start()
    [listening] = [
        connection
        for connection in psutil.Process(server.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening.laddr.ip == "127.0.0.1"
    assert server.stop(signal.SIGINT)[1] == ""
    _, said = start("--host", "0.0.0.0").stop(signal.SIGINT)  # noqa: S104
    assert "Warning" in said
    assert "no password" in said


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert f"Cannot listen at 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_what_has_to_be_installed_is_told(tmp_path, missing):
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError(name={missing!r})")
    done = run("--port", "0", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "pip install 'ovr-plugin[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_machine_without_a_worker_is_told_why(tmp_path):
    (tmp_path / "sympy.py").write_text("raise ImportError('sympy is broken')")
    done = run("--port", "0", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Not served" in done.stderr
    assert "sympy is broken" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "wrong"),
    [
        (["--max-rows", "0", "--max-body-mb", "nan"], ["rows must be", "body_mb must be"]),
        (["--max-pending-mb", "inf"], ["pending_mb must be"]),
        (["--max-rows", "5", "--max-pending-rows", "4"], ["rows must not be more"]),
        (["--max-body-mb", "5", "--max-pending-mb", "4"], ["body_mb must not be more"]),
        (["--timeout", "0", "--workers", "-1"], ["timeout_s", "n_workers"]),
    ],
)
def test_wrong_limits_are_told(argv, wrong):
    done = run(*argv, COLUMNS="300")
    assert done.returncode == 2
    assert all(text in done.stderr for text in wrong), done.stderr


def test_the_defaults_that_help_shows_are_those_that_hold():
    text = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    ).stdout
    shown = re.findall(r"--(?:max|request)-.*\[default: ([\d.]+)\]", text)
    assert [float(value) for value in shown] == list(vars(Limits()).values())
    assert f"Seconds for one answer. [default: ({Settings().timeout_s:g})]" in text
