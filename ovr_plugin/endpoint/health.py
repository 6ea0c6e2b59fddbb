"""What answers and failures say of an endpoint: is it gone, and for how long has it been silent?

A failure costs the sample it hit. Two things are more than that and end a run: nobody listens any
more (``patience_s`` long: a server that is started anew has that time to come back), or as many
requests as are in flight failed one after the other, all their tries included, with none answered.
"""

from __future__ import annotations

from time import monotonic

FIRST_TRIES = 4  # to find a server at all: who forgot to start it shall not wait for minutes


class EndpointDown(Exception):
    """No request can be answered; the text says why and what to do."""


class Health:
    """Of one endpoint, told of everything that comes back from it.

    Attributes:
        n_answers: requests that were answered.
        last_failure: what the last try that failed met with; '' once one is answered.
    """

    def __init__(self, url: str, n_failures_down: int, patience_s: float):
        self.url = url
        self.n_failures_down = n_failures_down
        self.patience_s = patience_s
        self.n_answers = 0
        self.last_failure = ""
        self._n_failures = 0  # requests in a row
        self._was_there = False
        self._absent_since: float | None = None
        self._last_answer = monotonic()

    def silent_s(self) -> float:
        """Seconds without an answer; from the start where there was none."""
        return monotonic() - self._last_answer

    def start(self) -> None:
        """Begin to count the silence."""
        self._last_answer = monotonic()

    def answered(self) -> None:
        """A request has its answer."""
        self.n_answers += 1
        self.last_failure, self._n_failures = "", 0
        self._last_answer = monotonic()
        self.present()

    def present(self) -> None:
        """Somebody is there, whatever was said."""
        self._was_there, self._absent_since = True, None

    def absent(self, reason: str, n_tries: int) -> None:
        """Nobody was there, at this request's so manieth try.

        Raises:
            EndpointDown: for too long.
        """
        now = monotonic()
        self.last_failure = reason
        self._absent_since = self._absent_since or now
        if not self._was_there and n_tries >= FIRST_TRIES:
            raise EndpointDown(f"{self.url}: nobody answers there; {reason}")
        if self._was_there and now - self._absent_since >= self.patience_s:
            waited = f"{self.patience_s:g} s"
            raise EndpointDown(f"{self.url}: nobody was there any more for {waited}; {reason}")

    def failed(self, reason: str) -> None:
        """A request has failed for good.

        Raises:
            EndpointDown: so have as many before it.
        """
        self._n_failures += 1
        self.check(reason)

    def check(self, reason: str = "") -> None:
        """Raise `EndpointDown` if too many requests failed in a row."""
        if self._n_failures >= self.n_failures_down:
            raise EndpointDown(
                f"{self.url}: {self._n_failures} requests in a row failed, none answered; "
                f"{reason or self.last_failure}"
            )
