"""``ovr plan``: whether a recipe fits a cluster's GPUs, phase by phase, before renting it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.planning.memory import Plan


def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as sft_7b or ppo_7b.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as on the trainer's command line.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Local folder, or a size: 7b, qwen3-vl-8b; by default what the overrides give as "
            "the model's path, else the size in the recipe's name."
        ),
    ] = None,
    gpu_gb: Annotated[
        float, typer.Option(help="Memory of one GPU, in GB.", min=1.0, max=1e6)
    ] = 80.0,
    nodes: Annotated[
        int | None, typer.Option(help="Nodes; by default the recipe's.", min=1)
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs of a node, likewise.", min=1)] = None,
) -> None:
    """Show the memory of every phase, and which lengths fit.

    Weights, gradients and optimizer states are exact; the rest is estimated, with its formula.
    Exit code 1 if something does not fit.
    """
    from rich.console import Console
    from rich.markup import escape

    from ovr_plugin.planning.models import model_sizes, size_in

    console = Console(highlight=False)
    given = list(overrides or [])
    given += [f"trainer.nnodes={nodes}"] if nodes else []
    given += [f"trainer.n_gpus_per_node={gpus}"] if gpus else []
    try:
        settings, planned = _composed(recipe, given)
        # The recipe's own path is a placeholder unless it was given here.
        paths = ("actor_rollout_ref.model.path=", "model.path=")
        given_path = any(text.startswith(paths) for text in given)
        sizes = model_sizes(model or (not given_path and size_in(recipe)) or settings.model)
    except ValueError as error:
        Console(stderr=True).print(
            f"[bold red]No plan:[/bold red] {escape(str(error))}", soft_wrap=True
        )
        raise typer.Exit(2) from None
    made = planned(settings, sizes, int(gpu_gb * 1e9))
    cluster = f"{settings.n_nodes} x {settings.gpus_per_node} GPUs of {gpu_gb:g} GB"
    console.print(f"[bold]{recipe}[/bold]: {sizes.title} {sizes.name} on {cluster}\n")
    _print_plan(made, console, int(gpu_gb * 1e9))
    raise typer.Exit(int(_has_problems(made)))


def _composed(recipe: str, given: list[str]) -> tuple[Any, Callable[..., Plan]]:
    """The recipe's settings, and what plans such a recipe."""
    from ovr_plugin.planning.cold_start import plan_cold_start
    from ovr_plugin.planning.memory import make_plan
    from ovr_plugin.planning.recipe import compose_cold_start, compose_recipe, is_cold_start

    if is_cold_start(recipe):
        return compose_cold_start(recipe, given), plan_cold_start
    return compose_recipe(recipe, given), make_plan


def _has_problems(made: Plan) -> bool:
    return bool(made.problems or any(stage.problems for stage in made.stages))


def _print_plan(made: Plan, console: Console, gpu_bytes: int) -> None:
    from rich.table import Table

    from ovr_plugin.planning.memory import GIB, RESERVE_BYTES

    for phase in made.phases:
        fits = phase.n_bytes + RESERVE_BYTES <= gpu_bytes
        table = Table("", "GiB", "how", title=phase.name, title_justify="left", box=None)
        table.columns[1].justify = "right"
        for term in phase.terms:
            how = f"{term.formula}{'' if term.exact else '  (estimate)'}"
            table.add_row(term.name, f"{term.n_bytes / GIB:.2f}", f"[dim]{how}[/dim]")
        style = "green" if fits else "bold red"
        total = f"[{style}]{phase.n_bytes / GIB:.2f}[/{style}]"
        room = (gpu_bytes - RESERVE_BYTES) / GIB
        table.add_row(
            "[bold]all[/bold]", total, f"of {room:.2f} ({'fits' if fits else 'too much'})"
        )
        console.print(table)
        console.print()
    for stage in made.stages:
        verdict = "; ".join(stage.problems) or f"{stage.n_sequences} sequences at once on each GPU"
        style = "red" if stage.problems else "green"
        start = f"from iteration {stage.first_iteration}: {stage.tokens:,} tokens"
        console.print(f"{start}: [{style}]{verdict}[/{style}]")
    for note in made.notes:
        console.print(f"[green]{note}[/green]", soft_wrap=True)
    for problem in made.problems:
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
