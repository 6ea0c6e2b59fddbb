"""B2: an installed trl without ``AutoModelForCausalLMWithValueHead`` breaks every FSDP engine.

Versions: veRL 0.9.1 with trl >= 1.13 or so (present up to 1.12, gone in 1.15).
Where: verl/models/transformers/monkey_patch.py, ``apply_monkey_patch`` imports that class whenever
trl is installed, only to patch it; actor, critic and SFT all pass through it. OVR's critic needs
nothing of trl, so where the class is missing veRL is told that trl is, too.
Upstream: https://github.com/verl-project/verl/issues/5690, /pull/7625.
"""

from __future__ import annotations

from typing import Any


def apply(monkey_patch: Any) -> None:
    """Make ``verl.models.transformers.monkey_patch`` skip a trl that lacks the class."""
    stock = monkey_patch.is_trl_available

    def is_trl_available() -> bool:
        return stock() and trl_has_value_head()

    if not getattr(stock, "ovr_fix", False):
        is_trl_available.ovr_fix = True  # type: ignore[attr-defined]
        monkey_patch.is_trl_available = is_trl_available


def trl_has_value_head() -> bool:
    """Return whether the installed trl offers the class, in either of its two places."""
    try:
        from trl.experimental.ppo import AutoModelForCausalLMWithValueHead
    except ImportError:
        try:
            from trl import AutoModelForCausalLMWithValueHead  # noqa: F401 (is it there)
        except ImportError:
            return False
    return True
