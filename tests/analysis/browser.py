"""A real headless Chromium over its DevTools protocol: open a page, run scripts, take pictures."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Where the browser is, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one browser process; what it asks of the network is in `requests`."""

    def __init__(self, socket: Any):
        self.socket, self.number = socket, 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=90))
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        about = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"])[:500])
        elif message["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif message["method"] == "Page.javascriptDialogOpening":
            self.errors.append(f"a dialog opened: {about['message']}")

    def window(self, width: int, height: int, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def open(self, page: Path) -> None:
        """Open a report and wait until it says that it is ready, or why not.

        Its charts are drawn when they come into view, which may be later: `wait` for these.
        """
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait(
            "document.documentElement.dataset.readyMs || document.documentElement.dataset.failed"
        )

    def wait(self, condition: str, timeout_s: float = 60.0) -> None:
        """Wait until a JavaScript expression is true."""
        script = (
            f"new Promise((done, fail) => {{ const end = Date.now() + {timeout_s * 1000};"
            f"const look = () => {{ let is; try {{ is = ({condition}) }} catch {{ is = false }}"
            "if (is) done(true); else if (Date.now() > end) fail('never true');"
            "else setTimeout(look, 20) }; look() })"
        )
        self.run(script)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture(self, path: Path, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    from websockets.sync.client import connect

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                executable,
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-dev-shm-usage", "--remote-debugging-port=0", "--hide-scrollbars"),
                *("--disable-background-networking", "--disable-component-update"),
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": profile},
        )
        try:
            url = _first_page(process)
            with connect(url, max_size=None, open_timeout=60) as socket:
                yield Browser(socket)
        finally:
            process.kill()
            process.wait()


def _first_page(process: subprocess.Popen[str]) -> str:
    import urllib.request

    for line in process.stderr or ():
        found = re.search(r"ws://([^/]+)/devtools", line)
        if found:
            with urllib.request.urlopen(f"http://{found[1]}/json/list", timeout=30) as answer:
                pages = json.load(answer)
            return next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
    raise AssertionError("the browser ended before it could be asked")
