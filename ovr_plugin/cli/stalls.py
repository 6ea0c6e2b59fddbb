"""Silence is told: a served model that answers nothing for a while, and what was heard last."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.endpoint import Endpoint

FIRST_S = 120.0  # of silence before a word; then at twice, four times, ... as much
LOOK_EVERY_S = 1.0


@contextmanager
def stalls_told(endpoints: Sequence[Endpoint], console: Console) -> Iterator[None]:
    """Print a line while requests wait and none is answered, and one when that is over.

    A thread watches, as the commands run their event loops in different places.
    """
    done, first_s = threading.Event(), FIRST_S

    def watch() -> None:
        told_s = dict.fromkeys(range(len(endpoints)), 0.0)
        while not done.wait(min(LOOK_EVERY_S, first_s / 4)):
            for number, endpoint in enumerate(endpoints):
                silent_s = endpoint.health.silent_s() if endpoint.n_pending else 0.0
                if silent_s >= max(first_s, 2 * told_s[number]):
                    told_s[number] = silent_s
                    _tell(console, _stall(endpoint, silent_s))
                elif told_s[number] and silent_s < first_s:
                    told_s[number] = 0.0
                    _tell(console, f"{endpoint.url} answers again")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _stall(endpoint: Endpoint, silent_s: float) -> str:
    last = endpoint.health.last_failure
    heard = f"the last try met with: {last}" if last else "no try has failed so far"
    return (
        f"{endpoint.url}: no answer for {silent_s:,.0f} s to any of {endpoint.n_pending:,} "
        f"requests; {heard}. A request may take {endpoint.timeout_s:g} s"
    )


def _tell(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
