r"""A comparison that takes as long as the answer says: ``s^{30}`` in it are three seconds.

Expressions are equal if they have the same letters and digits. As a script it is the command
``ovr`` with this comparison: ``python slow_comparer.py serve-reward --port 0``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_SLOW = re.compile(r"\+? *s\^\{(\d+)\}")
COMPARER = "slow_comparer:load"


def load() -> Callable[..., str]:
    return compare


def compare(reference: str, answer: str, tolerance: list[float] | None) -> str:
    for tenths in _SLOW.findall(answer):
        time.sleep(int(tenths) / 10)
    right, given = (sorted(re.sub(r"\W", "", _SLOW.sub("", text))) for text in (reference, answer))
    return "correct" if right == given else "wrong"


def explain_pair(reference: str, answer: str) -> tuple[str, str]:
    compare(reference, answer, None)
    return f"<{reference}>", f"<{answer}>"


if __name__ == "__main__":
    from functools import partial

    from ovr_plugin.cli import app, grade_rows
    from ovr_plugin.reward import settings
    from ovr_plugin.reward.pool import Pool

    grade_rows.Pool = settings.Pool = partial(Pool, comparer=COMPARER)
    app()
