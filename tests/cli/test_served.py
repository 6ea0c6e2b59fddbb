"""A server's address for as long as it is asked; a script stands for vLLM's."""

from __future__ import annotations

import os
import sys
import urllib.request

import httpx
import pytest
from rich.console import Console

from ovr_plugin.cli.served import served
from ovr_plugin.cli.trainer_process import TrainerFailed

SERVER = """#!{python} -IS
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
{first}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
port = int(sys.argv[sys.argv.index("--port") + 1])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
FAILS = "sys.exit('no room for the cache')"


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "a checkpoint"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    (folder / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    (folder / "model.safetensors").touch()
    return folder


@pytest.fixture
def serve(tmp_path, checkpoint, monkeypatch):
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "")

    def start(first="", recipe="ppo_tiny"):
        program = tmp_path / "python"
        program.write_text(SERVER.format(python=sys.executable, first=first))
        program.chmod(0o700)
        console = Console(quiet=True)
        return served(checkpoint, "its name", recipe, str(program), tmp_path / "log", console)

    return start


def get(url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return direct.open(url, timeout=5).read().decode()


def test_it_answers_within_the_block_and_is_gone_after_it(serve):
    with serve() as url:
        assert get(f"{url}/models") == "/v1/models"
    with pytest.raises(OSError, match="refused"):
        get(url)


@pytest.mark.parametrize(("recipe", "told"), [("ppo_tiny", "1"), ("ppo_7b", "None")])
def test_it_compiles_nothing_where_the_recipe_is_eager(recipe, told, serve, tmp_path, monkeypatch):
    monkeypatch.delenv("TORCHDYNAMO_DISABLE", raising=False)
    with serve("import os; print(os.environ.get('TORCHDYNAMO_DISABLE'), flush=True)", recipe):
        assert (tmp_path / "log").read_text().splitlines()[0] == told


def test_it_is_gone_after_an_error_too(serve):
    with pytest.raises(KeyboardInterrupt):
        with serve() as url:
            raise KeyboardInterrupt
    with pytest.raises(OSError, match="refused"):
        get(url)


def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(serve, tmp_path):
    with pytest.raises(TrainerFailed, match="the server ended with status 1") as failed:
        with serve(FAILS):
            pytest.fail("nothing is served")
    assert "no room for the cache" in str(failed.value)
    assert str(tmp_path / "log") in str(failed.value)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_a_proxy_of_the_environment_is_not_asked_for_it(name, serve, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.setenv(name, "intranet.example")
    monkeypatch.setattr("ovr_plugin.cli.served.START_TIMEOUT_S", 10)
    with serve() as url:
        assert httpx.get(url, timeout=5).status_code == 200  # as `ovr eval` asks
        assert urllib.request.proxy_bypass("intranet.example")
        assert not urllib.request.proxy_bypass("example.org")


def test_where_no_proxy_is_asked_at_all_nothing_is_added(serve, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serve():
        assert os.environ["no_proxy"] == "*"
