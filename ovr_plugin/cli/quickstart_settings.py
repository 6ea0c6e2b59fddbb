"""What a run of the quickstart was made with, in its folder's ``run.json``.

By it a run is gone on with under the same settings only, and a folder that is no run is neither
written into nor deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovr_plugin.cli.quickstart_stages import Size, Variant, cold_start_settings, ppo_settings
from ovr_plugin.run_folder import RunFolder

SETTINGS = "run.json"
TELLING = {"n_cold_start", "seed"}  # of its keys: settings of ours, and not of another program


def settings_in(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a run of ours; None where there is none, or none that can be read."""
    from ovr_plugin.data.files import read_json

    try:
        found = read_json(folder / SETTINGS)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= TELLING else None


def _refuse_if_no_run(run: RunFolder) -> None:
    """Refuse a folder with something else in it: it is nobody's to delete or to write into.

    Raises:
        ValueError: it holds files and no settings of ours.
    """
    if settings_in(run.root) is None and any(run.root.iterdir()):
        raise ValueError(
            f"{run.root} is no run of the quickstart (it has no {SETTINGS} that tells its "
            "settings), and was left as it is; choose another --out, or delete it yourself"
        )


def delete(run: RunFolder) -> None:
    """Delete an earlier run, and nothing that is none, whatever ``--out`` names."""
    _refuse_if_no_run(run)
    # Not the folder itself, which is held; last the settings: without them the rest is no run.
    for path in sorted(run.root.iterdir(), key=lambda path: path.name == SETTINGS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def keep_settings(
    run: RunFolder,
    size: Size,
    seed: int,
    corpora: Path | None,
    variant: Variant | None = None,
    way_out: str = "choose another --out, or --fresh to delete it",
) -> None:
    """Refuse to mix a run with one of other settings; more PPO iterations are fine.

    Raises:
        ValueError: it is another run's folder, or no run's; what differs, and the way out.
    """
    from ovr_plugin.data.files import write_json

    wanted = settings(size, seed, corpora, variant)
    _refuse_if_no_run(run)
    if told := differing(settings_in(run.root) or wanted, wanted):
        raise ValueError(
            f"{run.root} holds a run with other settings ({', '.join(told)}); {way_out}"
        )
    write_json(run.root / SETTINGS, wanted)


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what differs between two runs' settings; the number of iterations may."""
    return [
        f"{key} {found.get(key)} -> {value}"
        for key, value in wanted.items()
        if key != "n_steps" and found.get(key) != value
    ]


def settings(
    size: Size, seed: int, corpora: Path | None, variant: Variant | None = None
) -> dict[str, Any]:
    """Return what a run keeps of what it was made with, as JSON has it.

    Rows and recipes stand there as numbers that change with them, as with another release.
    """
    from ovr_plugin.cli.quickstart_data import fingerprint, recipes_fingerprint
    from ovr_plugin.models.tiny import DECODER, TOWER

    beside = [*cold_start_settings(size), *ppo_settings(size, seed, variant or Variant())]
    return {
        **asdict(size),
        "lengths": [list(stage) for stage in size.lengths],  # JSON has no tuples
        "seed": seed,
        "corpora": corpora and str(corpora.resolve()),
        "rows": fingerprint(seed),
        "decoder": DECODER,
        "tower": TOWER,
        "recipes": recipes_fingerprint(beside),
        "variant": variant and {**asdict(variant), "overrides": list(variant.overrides)},
    }
