"""What a reader says of its corpus: `About`; `ovr sources` lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Facts of a corpus.

    Attributes:
        title: as its authors call it.
        modality: ``text``, ``image`` or ``both``.
        license: of the data, as published; "not stated" where nobody said.
        n_rows: rows of the whole, all splits.
        purpose: ``training`` (RL), ``cold start`` or ``evaluation only``.
        hub: its name on the Hub, for ``hub:NAME``; empty where it is not there.
        note: what a user has to know.
        unverified: which of ``license``, ``n_rows`` and ``hub`` are as we remember them: not seen
            with the rows we have, nor in what others publish about the corpus.
    """

    title: str
    modality: str
    license: str
    n_rows: int
    purpose: str = "training"
    hub: str = ""
    note: str = ""
    unverified: tuple[str, ...] = ()


EVALUATION = "evaluation only"
_BENCHMARKS = (
    ("aime24_25", "AIME 2024 and 2025", "text", "not stated", 60, ""),
    ("charxiv", "CharXiv", "image", "CC BY-SA 4.0", 5_000, "princeton-nlp/CharXiv"),
    ("dynamath", "DynaMath", "image", "MIT", 501, "DynaMath/DynaMath_Sample"),
    ("gpqa_diamond", "GPQA Diamond", "text", "CC BY 4.0, gated", 198, "Idavidrein/gpqa"),
    ("hallusionbench", "HallusionBench", "both", "BSD-3", 1_129, "lmms-lab/HallusionBench"),
    ("logicvista", "LogicVista", "image", "Apache-2.0, in part", 448, "lscpku/LogicVista"),
    ("math500", "MATH-500", "text", "MIT", 500, "HuggingFaceH4/MATH-500"),
    ("mathverse", "MathVerse testmini", "image", "MIT", 3_940, "AI4Math/MathVerse"),
    ("mathvision", "MATH-Vision", "image", "MIT", 3_040, "MathLLMs/MathVision"),
    ("mathvista", "MathVista testmini", "image", "CC BY-SA 4.0", 1_000, "AI4Math/MathVista"),
    ("mmlu", "MMLU", "text", "MIT", 14_042, "cais/mmlu"),
    ("mmmu_pro", "MMMU-Pro", "image", "Apache-2.0", 1_730, "MMMU/MMMU_Pro"),
    ("pope", "POPE", "image", "MIT", 9_000, "lmms-lab/POPE"),
    ("wemath", "We-Math testmini", "image", "CC BY-NC 4.0", 1_740, "We-Math/We-Math"),
)
# Names on the Hub that no harness's code and no card that we saw gives.
_UNSEEN_HUB = ("charxiv", "dynamath", "math500", "mathvision", "mmlu", "pope", "wemath")
_UNVERIFIED = dict.fromkeys(_UNSEEN_HUB, ("hub",))
BENCHMARKS = {
    name: About(
        title, modality, license, n_rows, EVALUATION, hub, unverified=_UNVERIFIED.get(name, ())
    )
    for name, title, modality, license, n_rows, hub in _BENCHMARKS
}
