"""The block ``ovr.reward`` from a file and from the command line, whose options stand here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ovr_plugin.reward.settings import Settings

HOW = "How to grade"
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        help="A recipe or its block ovr.reward.",
        exists=True,
        dir_okay=False,
        rich_help_panel=HOW,
    ),
]
AnswerTags = Annotated[
    bool, typer.Option("--answer-tags", help="Without a box, take <answer>.", rich_help_panel=HOW)
]
Unboxed = Annotated[
    bool,
    typer.Option(
        "--unboxed", help="Without either, take 'The answer is ...'.", rich_help_panel=HOW
    ),
]
TimeoutS = Annotated[
    float | None,
    typer.Option(help="Seconds for one answer.", show_default="2", rich_help_panel=HOW),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes for algebra.", show_default="by the cores", rich_help_panel=HOW),
]


def read_settings(policy: Path | None, **overrides: object) -> Settings:
    """Read a recipe, a composed configuration or the bare block; overrides win unless None.

    Raises:
        typer.BadParameter: naming everything that is wrong.
    """
    from ovr_plugin.reward.settings import Settings

    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        block = _read_block(policy) if policy else {}
        return Settings.of({**block, **given}, str(policy or "options"))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _read_block(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if isinstance(read, Mapping) and "ovr" in read:  # a recipe or a trainer's configuration
        read = read["ovr"].get("reward") if isinstance(read["ovr"], Mapping) else None
    if not isinstance(read, Mapping):
        raise ValueError(f"{path}: there is no block ovr.reward")
    return read
