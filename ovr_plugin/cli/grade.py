"""``ovr grade``: one answer or a file of them, what became of each and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ovr_plugin.cli.grading_settings import (
    AnswerTags,
    PolicyFile,
    TimeoutS,
    Unboxed,
    Workers,
    read_settings,
)

ONE, FACTS = "One answer", "What is known of the answer (a row's own facts win)"
FILES, OUTPUT = "Files", "Output"


def grade(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON Lines; with --reference the text of one response. - is standard input.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The right answer.", rich_help_panel=ONE)
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(help="The answer to grade; is put into a box.", rich_help_panel=ONE),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(help="An option's text, A first; repeat it.", rich_help_panel=FACTS),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(
            help="The options as JSON: texts in order, or by letter.",
            metavar="JSON",
            rich_help_panel=FACTS,
        ),
    ] = None,
    answer_type: Annotated[
        str | None, typer.Option(help="number, choice, quantity, ...", rich_help_panel=FACTS)
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            help='A relative one, or JSON: {"absolute": 0.1}.',
            metavar="NUMBER",
            rich_help_panel=FACTS,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="The reference's unit; required; optional.", rich_help_panel=FACTS),
    ] = None,
    truncated: Annotated[
        bool, typer.Option("--truncated", help="It was cut off.", rich_help_panel=FACTS)
    ] = False,
    data_source: Annotated[
        str | None,
        typer.Option(help="For the defaults that --policy has for it.", rich_help_panel=FACTS),
    ] = None,
    policy: PolicyFile = None,
    answer_tags: AnswerTags = False,
    unboxed: Unboxed = False,
    timeout: TimeoutS = None,
    workers: Workers = None,
    response_field: Annotated[
        str | None,
        typer.Option(
            help="Where a row has its response.",
            show_default="response, solution_str, completion, output",
            rich_help_panel=FILES,
        ),
    ] = None,
    reference_field: Annotated[
        str | None,
        typer.Option(
            help="Where it has its reference; a.b is b within a.",
            show_default="reference, ground_truth, gold, gts, reward_model.ground_truth, answer",
            rich_help_panel=FILES,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 1 if a row is not correct.", rich_help_panel=FILES),
    ] = False,
    show_steps: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Print both sides as parsed, the rule, what was known, and the time.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="JSON Lines, also on a terminal.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    r"""Grade one answer, or every line of a file, as the reward does; tell the outcome and why.

    ovr grade --reference '\frac12' --answer 0.5 --explain

    ovr grade rollouts.jsonl | jq 'select(.outcome == "wrong")'

    Exit code 0: the answer is correct, or all lines were graded. 1: it is not
    correct; of lines only with --check. 2: something cannot be read; other
    lines are graded all the same.
    """
    from ovr_plugin.cli.grade_rows import Grader
    from ovr_plugin.reward.rows import REFERENCE_FIELDS, RESPONSE_FIELDS, Fields, Row

    settings = read_settings(
        policy,
        timeout_s=timeout,
        n_workers=workers,
        answer_tags=answer_tags or None,
        unboxed=unboxed or None,
    )
    facts = _read_facts(choice, choices, answer_type, tolerance, unit, truncated)
    grader = Grader(settings, facts, data_source, show_steps, as_json)
    try:
        if reference is not None:
            code = grader.grade_one(Row(_read_response(file, answer), reference))
        elif file is None or answer is not None:
            raise typer.BadParameter("give --reference and --answer, or a FILE (- is stdin)")
        else:
            fields = Fields(
                (response_field,) if response_field else RESPONSE_FIELDS,
                (reference_field,) if reference_field else REFERENCE_FIELDS,
            )
            code = grader.grade_file(file, fields, check)
    except RuntimeError as error:  # no worker starts here
        typer.echo(f"Not graded: {error}", err=True)
        code = 2
    raise typer.Exit(code)


def _read_facts(
    choice: list[str] | None,
    choices: str | None,
    answer_type: str | None,
    tolerance: str | None,
    unit: str | None,
    truncated: bool,
) -> dict[str, Any]:
    """Return what the options say, in the form of ``extra_info``."""
    from ovr_plugin.reward.spec import AnswerSpec

    if choice and choices:
        raise typer.BadParameter("give the options by --choice or by --choices, not by both")
    facts = {
        "choices": _parse_json("--choices", choices) if choices else choice,
        "answer_type": answer_type,
        "tolerance": _parse_json("--tolerance", tolerance) if tolerance else None,
        "unit": _parse_json("--unit", unit) if unit and unit[0] == "{" else unit,
        "truncated": truncated or None,
    }
    known = {key: value for key, value in facts.items() if value is not None}
    try:
        AnswerSpec.of(known)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return known


def _parse_json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise typer.BadParameter(f"{option} is not JSON: {text}") from None


def _read_response(file: Path | None, answer: str | None) -> str:
    """Return the text of the one response: a file's, or the answer, boxed unless it has a box."""
    if (file is None) == (answer is None):
        raise typer.BadParameter("--reference needs either an --answer or a FILE with a response")
    if answer is not None:
        return answer if "\\boxed" in answer or "\\fbox" in answer else rf"\boxed{{{answer}}}"
    from ovr_plugin.cli.grade_rows import open_input

    assert file is not None  # noqa: S101 - for the type checker
    with open_input(file) as stream:
        return stream.read().decode("utf-8", "replace")
