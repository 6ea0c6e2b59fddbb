"""Emergence, transfer and agreement at one checkpoint: counts in, a record out (OVR 5.2).

The definitions are printed with the numbers, because threads about other papers show that they are
not obvious (critique-GRPO issue 3) and because OVR does not give its overall rate's: from the rates
in its README neither the pooled quotient (38 %) nor the mean of the four (31 %) gives its 54.2 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ovr_plugin.analysis.behaviours.definitions import (
    BEHAVIOURS,
    LANGUAGE,
    PAIRS,
    VISION,
    Behaviour,
)
from ovr_plugin.analysis.behaviours.statistics import (
    Agreement,
    Array,
    Resampled,
    agreement,
    any_present,
    divide,
    estimate,
    presence,
)

DEFINITIONS = {
    "emergence_rate": "share of responses with at least one instance, of those with a known count",
    "mean_count": "instances per response, over all responses with a known count",
    "btr": (
        "behaviour transfer rate = emergence rate of the visual behaviour / emergence rate of its "
        "language counterpart, on the same responses; undefined where the latter is 0"
    ),
    "btr_any": "share of responses with any visual behaviour / share with any language behaviour",
    "btr_pooled": "sum of the four visual rates / sum of the four language rates",
    "btr_mean": "mean of the four transfer rates; undefined if one of them is",
    "interval": (
        "95 %, percentile bootstrap over questions (all responses to a question stay together); "
        "Wilson's for a rate of 0 or 1"
    ),
    "kappa": "Cohen's kappa of presence, judge against keywords",
}
OVERALL = ("btr_any", "btr_pooled", "btr_mean")

# The paper's, on MathVision (mini) by GPT-4o, as shares: for the base model, the cold start and RL
# (Fig. 5b), and of the final model from its README. Rates of language and intervals it has none.
PAPER_BTR = {
    "backtracking": (0.025, 0.082, 0.173),
    "subgoal_setting": (0.563, 0.781, 0.781),
    "verification": (0.251, 0.009, 0.015),
    "backward_chaining": (0.707, 0.177, 0.277),
}
PAPER_RATES = {
    "visual_reflection": 0.025,
    "visual_divide_and_conquer": 0.220,
    "visual_verification": 0.002,
    "goal_driven_visual_tracing": 0.084,
}
PAPER_OVERALL = 0.542
PAPER_NOTE = (
    "OVR Fig. 5b and its README, on MathVision (mini), judged by GPT-4o, without intervals; '-' "
    "where it prints nothing (language rates, mean counts, earlier rates of vision). Its overall "
    f"rate is {PAPER_OVERALL:.1%}, by a definition that it does not give."
)


def summarise(
    questions: Sequence[str], counts: Mapping[str, Array], n_resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Return emergence, mean counts and transfer rates.

    Args:
        questions: one identity per response.
        counts: behaviour -> count per response, NaN where missing; any of the eight.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    columns = dict(counts) | {
        f"{name}/present": presence(values) for name, values in counts.items()
    }
    complete = all(behaviour.name in counts for behaviour in BEHAVIOURS)
    if complete:
        for modality, group in (("language", LANGUAGE), ("vision", VISION)):
            columns[f"any/{modality}"] = any_present([counts[each.name] for each in group])
    resampled = Resampled(questions, columns, n_resamples, seed)
    rates = {name: resampled.means(f"{name}/present") for name in counts}
    record: dict[str, Any] = {
        "n_responses": len(questions),
        "n_questions": len(set(questions)),
        "behaviours": {
            name: {
                "n": int((values == values).sum()),
                "n_missing": int((values != values).sum()),
                "emergence_rate": resampled.rate(f"{name}/present").to_record(),
                "mean_count": resampled.mean(name).to_record(),
            }
            for name, values in counts.items()
        },
        "btr": {
            language: estimate(divide(rates[visual], rates[language])).to_record()
            for language, visual in PAIRS.items()
            if language in counts and visual in counts
        },
    }
    if complete:
        quotients = [divide(rates[visual], rates[language]) for language, visual in PAIRS.items()]
        overall = {
            "btr_any": divide(resampled.means("any/vision"), resampled.means("any/language")),
            "btr_pooled": divide(_sum(rates, VISION), _sum(rates, LANGUAGE)),
            "btr_mean": np.mean(quotients, axis=0),
        }
        record |= {name: estimate(values).to_record() for name, values in overall.items()}
    return record


def _sum(rates: Mapping[str, Array], group: Sequence[Behaviour]) -> Array:
    return np.sum([rates[each.name] for each in group], axis=0)


def compare(
    judged: Mapping[str, Array], keywords: Mapping[str, Array]
) -> dict[str, dict[str, float | int | None]]:
    """Return the agreement of two detectors per behaviour that both have."""
    found: dict[str, Agreement] = {
        name: agreement(values, keywords[name])
        for name, values in judged.items()
        if name in keywords
    }
    return {name: each.to_record() for name, each in found.items()}
