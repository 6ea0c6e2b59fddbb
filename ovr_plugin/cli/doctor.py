"""``ovr doctor``: whether a run would start here, and how to mend what would stop it.

The checks (``checks``, ``machine_checks``, ``model_checks``) return ``Check``s; this file runs
them, prints a table and, below it in full width, the advice with commands to copy. Exit code 1 if
any check fails; warnings leave it at 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ovr_plugin.cli.checks import Check

PROBE_TIMEOUT_S = 180.0  # ``import verl`` takes 5 to 8 s, on a cold network disk a minute or two
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    model: Annotated[str | None, typer.Option(help="Also check this local model folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds that loading veRL may take.", min=0.1)
    ] = PROBE_TIMEOUT_S,
) -> None:
    """Check the installation, the machine and, if given, a model; say how to mend what is wrong.

    Exit code 1 if a check fails.
    """
    groups = [group for group in run_checks(model, timeout) if group]
    checks = [check for group in groups for check in group]
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        report = {"ok": not failed, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_report(groups)
    raise typer.Exit(int(failed))


def run_checks(model: str | None, timeout_s: float) -> Iterator[list[Check]]:
    """Yield the groups of checks: versions, plugin, machine, and the model where one is given."""
    from ovr_plugin.cli import checks, machine_checks
    from ovr_plugin.cli.probe import run_probe

    yield [checks.check_python(), *checks.check_versions(), checks.check_trl()]
    with _progress("Importing veRL in a process of its own ..."):
        probe = run_probe(timeout_s)
    plugin = [
        checks.check_entry_point(),
        checks.check_plugin_policy(),
        checks.check_loading(probe),
        checks.check_recipes(probe),
        *checks.check_vllm_entry_points(),
    ]
    yield [check for check in plugin if check]
    with _progress("Asking nvidia-smi ..."):
        smi_lists = machine_checks.list_with_smi()
    yield machine_checks.check_machine(probe, smi_lists)
    if model is not None:
        from ovr_plugin.cli.model_checks import check_model

        with _progress(f"Looking at {model} ..."):
            yield check_model(model)


@contextmanager
def _progress(message: str) -> Iterator[None]:
    from rich.console import Console

    with Console(stderr=True).status(message):
        yield


def _print_report(groups: list[list[Check]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table("", "check", "found", box=box.SIMPLE_HEAD, pad_edge=False)
    for group in groups:
        for check in group:
            status = Text(check.status, STYLES[check.status])
            # Text, not str: what was found may hold brackets, which are rich's markup.
            table.add_row(status, Text(check.name), Text(check.found, overflow="fold"))
        table.add_section()
    console.print(table)
    checks = [check for group in groups for check in group]
    for check in checks:
        if check.status != "ok":
            _print_advice(console, check)
    counts = {status: sum(check.status == status for check in checks) for status in STYLES}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()), style="bold")


def _print_advice(console: Console, check: Check) -> None:
    from rich.text import Text

    console.print(Text.assemble((f"{check.name}: ", STYLES[check.status]), check.advice))
    for line in check.command.splitlines():
        # The terminal wraps it, so that it is copied as one line.
        console.print(Text(f"    {line}", "cyan"), soft_wrap=True)
    console.print()
