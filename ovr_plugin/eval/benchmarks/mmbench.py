"""MMBench, English and Chinese: questions with one picture and up to four options (Apache-2.0).

Layouts: the authors' TSV files (``mmbench_dev_en_20231003.tsv``, ``mmbench_dev_cn_*``; pictures in
base64), and the Hub's parquet files. The test split has no answers; this is the dev split.
CircularEval asks each question once for every rotation of its options, and it is right only if all
are: the rotations are made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ovr_plugin.data.readers._rows import RawRow
from ovr_plugin.data.sample import letters
from ovr_plugin.eval.benchmark import Benchmark, Paper, Source
from ovr_plugin.eval.benchmarks._rows import (
    item,
    letter,
    lettered_options,
    optional,
    picture,
    text,
)
from ovr_plugin.eval.scoring import Item, Scoring, all_right, same


def _to_items(name: str) -> Callable[[RawRow], Sequence[Item]]:
    def to_items(raw: RawRow) -> Sequence[Item]:
        options = lettered_options(raw, "ABCD")
        right = letters(len(options)).index(letter(text(raw, "answer"), len(options)))
        question = "\n".join(
            part for part in (optional(raw, "hint"), text(raw, "question")) if part
        )
        image = picture(raw, "image")
        return [
            item(
                raw,
                name,
                question,
                letters(len(options))[(right - shift) % len(options)],
                choices=options[shift:] + options[:shift],
                images=[image],
                part=shift,
                facts={"question": text(raw, "index")},
                ability="perception",
            )
            for shift in range(len(options))
        ]

    return to_items


def _mmbench(language: str, paper: Paper) -> Benchmark:
    name = f"mmbench_{language}"
    return Benchmark(
        name=name,
        title=f"MMBench ({language})",
        license="Apache-2.0",
        sources=[
            Source(
                [f"**/*dev_{language}*.tsv", f"{language}/dev*.parquet"],
                _to_items(name),
                hub="lmms-lab/MMBench",
                config=language,
                split="dev",
            )
        ],
        scoring=Scoring(unit=same("question"), parts=all_right, groups=[same("question")]),
        paper=[paper],
        folder="mmbench",
        note="dev split, CircularEval; the paper does not say which split",
    )


BENCHMARKS = [
    _mmbench("en", Paper("accuracy", 85.3, 86.6, cold_start=86.1)),
    _mmbench("cn", Paper("accuracy", 84.6, 84.2, cold_start=82.1)),
]
