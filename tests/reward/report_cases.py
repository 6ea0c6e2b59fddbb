"""Accuracy on labelled responses: ``python tests/reward/report_cases.py FOLDER [NAME ...]``.

FOLDER holds gzipped JSON Lines with ``gold``, ``response``, ``label``, ``choices`` and ``noise``.
Rows whose label is a convention are reported apart. ``--errors`` prints every miss.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovr_plugin.reward import Grade, Pool, grade

CONVENTIONS = ("convention", "policy", "gold_type", "needs_choices", "unboxed")


@dataclass
class Report:
    """Counts over rows; ``missed`` are those whose grade is not their label."""

    n_rows: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[dict[str, Any], Grade]] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        return 1 - len(self.missed) / max(1, self.n_rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def report(rows: Iterable[dict[str, Any]], pool: Pool) -> tuple[Report, Report]:
    """Grade rows; returns the headline and the conventions."""

    def graded(row: dict[str, Any]) -> tuple[dict[str, Any], Grade]:
        return row, grade(row["response"], row["gold"], {"choices": row.get("choices")}, pool=pool)

    headline, conventions = Report(), Report()
    with ThreadPoolExecutor(pool.n_workers) as threads:
        for row, found in threads.map(graded, rows):
            counts = conventions if row["noise"] in CONVENTIONS else headline
            counts.n_rows += 1
            counts.outcomes[found.outcome.value] += 1
            if found.score != row["label"]:
                counts.missed.append((row, found))
                counts.false_positives += int(found.score)
                counts.false_negatives += int(not found.score)
    return headline, conventions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--errors", action="store_true")
    args = parser.parse_args()
    with Pool(n_workers=2) as pool:
        for path in sorted(args.folder.glob("*.jsonl.gz")):
            if args.names and path.name.split(".")[0] not in args.names:
                continue
            headline, conventions = report(read_rows(path), pool)
            print(
                f"{path.name.split('.')[0]:28} {headline.n_rows:5} rows {headline.accuracy:7.2%}  "
                f"FP {headline.false_positives} FN {headline.false_negatives}  conventions "
                f"{conventions.n_rows - len(conventions.missed)}/{conventions.n_rows}  "
                f"{dict(headline.outcomes)}"
            )
            for row, found in headline.missed if args.errors else []:
                print(
                    f"    {row['label']} {row['gold']!r:.80} {found.extracted!r:.80} {found.reason}"
                )


if __name__ == "__main__":
    main()
