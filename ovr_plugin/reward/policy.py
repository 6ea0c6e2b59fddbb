"""How answers are extracted and graded where nothing else is said: the recipe's side of grading.

A row's own ``extra_info`` wins over its source's defaults here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ovr_plugin.reward.spec import AnswerSpec

MAX_ANSWER_CHARS = 2000
# What a source's defaults may say; the rest of ``extra_info`` belongs to a row.
SOURCE_KEYS = ("answer_type", "tolerance", "unit")


@dataclass(frozen=True)
class Policy:
    r"""Settings of grading; the same keys stand in ``ovr.reward`` and in ``reward_kwargs``.

    Attributes:
        max_answer_chars: a longer answer is not looked at.
        answer_tags: also take the last ``<answer>...</answer>`` where there is no box.
        unboxed: also take an unboxed final answer ("The answer is 42.") where all else is missing.
        sources: ``data_source`` -> its rows' defaults: ``answer_type``, ``tolerance``, ``unit``.
    """

    max_answer_chars: int = MAX_ANSWER_CHARS
    answer_tags: bool = False
    unboxed: bool = False
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: naming everything that is wrong.
        """
        wrong = []
        if isinstance(self.max_answer_chars, bool) or not isinstance(self.max_answer_chars, int):
            wrong.append(f"max_answer_chars must be an integer, not {self.max_answer_chars!r}")
        elif self.max_answer_chars <= 0:
            wrong.append(f"max_answer_chars must be positive, not {self.max_answer_chars}")
        for name in ("answer_tags", "unboxed"):
            if not isinstance(getattr(self, name), bool):
                wrong.append(f"{name} must be true or false, not {getattr(self, name)!r}")
        wrong += self._wrong_sources()
        if wrong:
            raise ValueError("; ".join(wrong))

    def _wrong_sources(self) -> list[str]:
        if not isinstance(self.sources, Mapping):
            return [f"sources must map data_source to defaults, not {self.sources!r}"]
        wrong = []
        for source, defaults in self.sources.items():
            if not isinstance(defaults, Mapping):
                wrong.append(f"sources.{source} must be a mapping, not {defaults!r}")
                continue
            if unknown := sorted(set(defaults) - set(SOURCE_KEYS)):
                wrong.append(
                    f"sources.{source} has no key {', '.join(unknown)}; "
                    f"it may have {', '.join(SOURCE_KEYS)}"
                )
            try:
                AnswerSpec.of(defaults)
            except ValueError as error:
                wrong.append(f"sources.{source}: {error}")
        return wrong

    @classmethod
    def keys(cls) -> list[str]:
        """The names of the settings."""
        return [setting.name for setting in fields(cls)]

    def spec(self, data_source: str | None, extra_info: Mapping[str, Any]) -> AnswerSpec:
        """What is known of a row's answer: its own facts over its source's defaults.

        Raises:
            ValueError: naming everything that is wrong with the row's facts.
        """
        defaults = self.sources.get(data_source) if data_source is not None else None
        if not defaults:
            return AnswerSpec.of(extra_info)
        own = {key: value for key, value in extra_info.items() if value is not None}
        return AnswerSpec.of({**defaults, **own})


DEFAULT = Policy()
