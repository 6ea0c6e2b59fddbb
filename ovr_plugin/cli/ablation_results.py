"""What a folder of ablations holds: runs and their evaluations in, one table out.

Only runs of the settings asked for count: a folder may still have those of another release, whose
median with these would be of two experiments.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ovr_plugin.analysis.checkpoints import last_number
from ovr_plugin.cli.quickstart_results import has_every_answer, scores_of
from ovr_plugin.cli.quickstart_settings import differing, settings, settings_in
from ovr_plugin.cli.quickstart_stages import Size, Variant
from ovr_plugin.run_folder import RunFolder

SHARED, BASE = "shared", "base"  # the folder of what a seed's runs share; a random model's results
COLUMNS = ("iterations", "text before", "text after", "image before", "image after")
HEADINGS = ["variant", "seeds", *COLUMNS]

Found = Mapping[str, Sequence[Mapping[str, float]]]  # variant -> one of each seed: column -> value


def seeds_in(out: Path) -> list[int]:
    """The seeds that have a folder, in order."""
    names = [re.fullmatch(r"seed_(\d+)", path.name) for path in out.glob("seed_*")]
    return sorted(int(name[1]) for name in names if name)


def scores_in(
    out: Path, variants: Mapping[str, Variant], seeds: Sequence[int], size: Size
) -> Found:
    """Return, of the runs that were evaluated, iterations, and percentages before and after PPO.

    Before it: of what the variant starts from. The iterations are those of the last evaluation: a
    folder may hold longer runs than were asked for, or one that is being trained on.
    """
    found = {
        name: [
            scores
            for seed in seeds
            if (scores := _scores(out / f"seed_{seed}", name, variant, seed, size))
        ]
        for name, variant in variants.items()
    }
    return {name: runs for name, runs in found.items() if runs}


def _scores(
    folder: Path, name: str, variant: Variant, seed: int, size: Size
) -> dict[str, float] | None:
    kept = settings_in(folder / name)
    if kept is None or differing(kept, settings(size, seed, None, variant)):
        return None
    start = "cold_start_*" if variant.from_cold_start else BASE
    before = _last_evaluation(RunFolder(folder / SHARED), start)
    after = _last_evaluation(RunFolder(folder / name), "ppo_*")
    if before is None or after is None:
        return None
    scores = {"iterations": float(last_number(after.name))}
    for when, evaluation in (("before", before), ("after", after)):
        for modality, score in scores_of(evaluation).items():
            scores[f"{modality} {when}"] = score
    return scores


def _last_evaluation(run: RunFolder, names: str) -> Path | None:
    """Of those that have every answer."""
    whole = [path for path in (run.root / "eval").glob(names) if has_every_answer(path)]
    return max(whole, key=lambda path: last_number(path.name), default=None)


def table_of(found: Found) -> Table:
    """Return median and range over the seeds, in percent, before and after PPO."""
    table = Table(*HEADINGS)
    for cells in _rows(found):
        table.add_row(*cells)
    return table


def markdown_of(found: Found) -> str:
    """The same table as a file has it."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *_rows(found)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rows(found: Found) -> list[list[str]]:
    return [
        [name, str(len(runs)), *(spread([run[column] for run in runs]) for column in COLUMNS)]
        for name, runs in found.items()
    ]


def spread(values: Sequence[float]) -> str:
    """Median, with the range where there is one."""
    middle = f"{statistics.median(values):.4g}"
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return f"{middle} ({low} to {high})" if low != high else middle
