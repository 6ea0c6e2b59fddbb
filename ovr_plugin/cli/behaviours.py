"""``ovr behaviours``: how often responses show the eight cognitive behaviours (OVR 5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from ovr_plugin.analysis.behaviours.definitions import Behaviour
    from ovr_plugin.analysis.behaviours.judge import Panel
    from ovr_plugin.analysis.behaviours.responses import Response

JUDGE, MORE = "The judge", "What is measured"
IN_A_RUN = ("rollouts", "eval")  # folders of a run that hold responses
SHOWN_CHECKPOINTS = 8  # on the console; the files hold all
SHOWN_PROBLEMS = 10


def behaviours(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Responses as JSON Lines: rollout dumps, graded.jsonl of ovr eval; a folder is "
            "all of its files."
        ),
    ],
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that judges; repeat it for several. None: keywords only.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="URL of an OpenAI-compatible server, one for all judges or one for each.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    votes: Annotated[int, typer.Option(help="Of each judge.", min=1, rich_help_panel=JUDGE)] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(help="By default 0; 1 with several votes.", min=0, rich_help_panel=JUDGE),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(help="Of a judge's reply.", min=1, rich_help_panel=JUDGE)
    ] = 2048,
    concurrency: Annotated[
        int, typer.Option(help="Requests in flight.", min=1, rich_help_panel=JUDGE)
    ] = 32,
    timeout: Annotated[
        float, typer.Option(help="Of one request, in seconds.", min=0.1, rich_help_panel=JUDGE)
    ] = 600.0,
    tries: Annotated[int, typer.Option(help="Of one request.", min=1, rich_help_panel=JUDGE)] = 6,
    retry_unreadable: Annotated[
        bool,
        typer.Option(
            "--retry-unreadable",
            help="Ask again, with another seed and a temperature of 0.5 at least, where a kept "
            "reply holds no count; else it stays a missing value.",
            rich_help_panel=JUDGE,
        ),
    ] = False,
    behaviour: Annotated[
        list[str] | None,
        typer.Option(help="One of the eight; repeat it. None: all.", rich_help_panel=MORE),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Responses of each checkpoint.", min=1, rich_help_panel=MORE),
    ] = None,
    resamples: Annotated[
        int, typer.Option(help="Of the bootstrap.", min=100, rich_help_panel=MORE)
    ] = 2000,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; by default behaviours/ of the files' run."),
    ] = None,
) -> None:
    """Count behaviours in responses, by keywords and by LLM judges, and their transfer to vision.

    ovr behaviours runs/x/eval/*/mathvision_mini/graded.jsonl --judge MODEL --endpoint URL

    Replies of judges are kept: the same command goes on where it stopped, and asks nothing twice.
    Exit code 1 if the judge cannot be reached: what it said until then counts. 2 if rows could not
    be read, requests failed, or no reply of the judge could be understood.
    """
    from rich.console import Console

    from ovr_plugin.analysis.behaviours.definitions import behaviours_named
    from ovr_plugin.analysis.behaviours.responses import read_responses
    from ovr_plugin.analysis.behaviours.study import by_checkpoint
    from ovr_plugin.endpoint import EndpointDown

    console = Console(highlight=False)
    errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    folder = out or _folder_of(files[0])
    try:
        measured = behaviours_named(behaviour or [])
        asking = None
        if judge:
            asking = _Asking(judge, endpoint or [], votes, temperature, max_tokens)
            asking.how = {"concurrency": concurrency, "timeout_s": timeout, "n_tries": tries}
            asking.retry_unreadable = retry_unreadable
        problems: list[str] = []
        groups = by_checkpoint(read_responses(files, problems.append), limit)
        if not groups:
            found = "".join(f"\n  {problem}" for problem in problems[:SHOWN_PROBLEMS])
            raise ValueError(f"no responses in {', '.join(map(str, files))}{found}")
        records, missing = _study(groups, measured, asking, folder, resamples, console)
    except (ValueError, OSError) as error:
        errors.print(f"Nothing counted: {error}")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        errors.print(f"Interrupted; the same command goes on. What was judged is in {folder}")
        raise typer.Exit(130) from None
    _print(records, measured, "judge" in records[0], console)
    console.print(f"all numbers: {folder}", markup=False, soft_wrap=True)
    if problems:
        errors.print(f"{len(problems)} rows could not be read and are left out:")
    for problem in problems[:SHOWN_PROBLEMS]:
        errors.print(f"  {problem}")
    if missing:
        errors.print(str(missing))
    if isinstance(missing, EndpointDown):
        raise typer.Exit(1)
    if problems or missing:
        raise typer.Exit(2)


class _Asking:
    """The panel and its endpoints, checked."""

    def __init__(
        self,
        judges: Sequence[str],
        urls: Sequence[str],
        votes: int,
        temperature: float | None,
        max_tokens: int,
    ):
        from ovr_plugin.analysis.behaviours.judge import Panel
        from ovr_plugin.endpoint import Sampling

        if len(urls) not in (1, len(judges)):
            raise ValueError(
                f"{len(judges)} judges and {len(urls)} endpoints: give one --endpoint for all "
                "judges, or one for each, such as --endpoint http://localhost:8000/v1"
            )
        if temperature is None:
            temperature = 1.0 if votes > 1 else 0.0
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
        self.panel: Panel = Panel(tuple(judges), votes, sampling)
        self.urls = list(urls) * len(judges) if len(urls) == 1 else list(urls)
        self.how: dict[str, Any] = {}
        self.retry_unreadable = False

    def endpoints(self) -> list[Any]:
        from ovr_plugin.endpoint import Endpoint

        return [
            Endpoint(url, model, **self.how)
            for url, model in zip(self.urls, self.panel.models, strict=True)
        ]

    def record(self) -> dict[str, Any]:
        return {
            "models": list(self.panel.models),
            "votes": self.panel.n_votes,
            "sampling": self.panel.sampling.body(),
        }


def _study(
    groups: dict[Any, list[Response]],
    measured: Sequence[Behaviour],
    asking: _Asking | None,
    folder: Path,
    n_resamples: int,
    console: Console,
) -> tuple[list[dict[str, Any]], Exception | None]:
    """The records, and what is missing in them of the judge."""
    from ovr_plugin.analysis.behaviours import judge as judging
    from ovr_plugin.analysis.behaviours import study

    store = folder / study.STORE
    missing = _ask(groups, measured, asking, store, console) if asking else None
    records, lines = [], []
    kept = judging.kept_counts(store) if asking and store.exists() else {}
    is_judged = bool(kept)
    for checkpoint, responses in groups.items():
        detected = {"keywords": study.keywords_in(responses, measured)}
        if asking and is_judged:
            judged, unanimous = judging.judged_counts(responses, measured, asking.panel, kept)
            detected["judge"] = judged
        record = study.checkpoint_record(checkpoint, responses, detected, n_resamples, seed=0)
        if is_judged:
            record["unanimous"] = unanimous
        records.append(record)
        lines += study.count_records(responses, detected)
    judges = asking.record() if asking and is_judged else None
    study.write_study(folder, records, lines, judges)
    return records, missing


def _ask(
    groups: dict[Any, list[Response]],
    measured: Sequence[Behaviour],
    asking: _Asking,
    store: Path,
    console: Console,
) -> Exception | None:
    """Fill the store of judgements; returns what went wrong, which costs no other number."""
    from ovr_plugin.analysis.behaviours import judge as judging
    from ovr_plugin.cli.stalls import stalls_told
    from ovr_plugin.data.files import read_jsonl
    from ovr_plugin.endpoint import EndpointDown

    everything = [response for group in groups.values() for response in group]
    n_votes = len(everything) * len(measured) * asking.panel.n_votes * len(asking.urls)
    try:
        with _progress("asking the judge", n_votes, console) as on_progress:
            endpoints = asking.endpoints()
            asked = (everything, measured, asking.panel, endpoints, store, on_progress)
            again = asking.retry_unreadable
            with stalls_told(endpoints, console):
                done = asyncio.run(judging.ask_judges(*asked, retry_unreadable=again))
    except EndpointDown as error:
        return EndpointDown(
            f"The judge cannot be asked: {error}\nWhat it said so far is kept in {store}"
        )
    failed = store.with_name(f"{store.name}.failed.jsonl")
    if done.n_failed and not done.n_done + done.n_before:
        reason = next(read_jsonl(failed))["reason"]
        return EndpointDown(
            f"The judge cannot be asked: all of {done.n_failed} requests failed; {reason}"
        )
    if done.n_failed:
        return ValueError(f"{done.n_failed} requests failed and are missing values; see {failed}")
    reply = judging.unread_reply(store)
    if reply is None:
        return None
    return ValueError(
        f"no reply of the judge holds a count that could be read; the last one ends: {reply!r}"
    )


@contextmanager
def _progress(what: str, total: int, console: Console) -> Iterator[Callable[[Any], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done.n_before + done.n_done + done.n_failed)


def _print(
    records: Sequence[dict[str, Any]],
    measured: Sequence[Behaviour],
    judged: bool,
    console: Console,
) -> None:
    from rich.markup import escape

    from ovr_plugin.analysis.behaviours.transfer import DEFINITIONS, OVERALL, PAPER_NOTE

    shown = (
        records
        if len(records) <= SHOWN_CHECKPOINTS
        else [records[0], *records[1 - SHOWN_CHECKPOINTS :]]
    )
    for record in shown:
        console.print(_rates(record, measured, judged))
        console.print(_transfer(record, "judge" if judged else "keywords"))
    if len(shown) < len(records):
        console.print(f"({len(records) - len(shown)} more checkpoints are in the file)")
    names = ["emergence_rate", "mean_count", "btr", *OVERALL, "interval"]
    for name in [*names, "kappa"] if judged else names:
        console.print(f"[bold]{name}[/bold]: {escape(DEFINITIONS[name])}", style="dim")
    console.print(f"[bold]paper[/bold]: {PAPER_NOTE}", style="dim")


def _rates(record: dict[str, Any], measured: Sequence[Behaviour], judged: bool) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from ovr_plugin.analysis.behaviours.transfer import PAPER_RATES

    n = record["keywords"]["n_responses"]
    title = f"[bold]{escape(record['name'])}[/bold]: {n} responses"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("behaviour")
    detectors = ["judge", "keywords"] if judged else ["keywords"]
    for detector in detectors:
        table.add_column(f"rate ({detector})", justify="right")
        table.add_column("mean count", justify="right")
    table.add_column("paper, RL", justify="right")
    if judged:
        for column in ("missing", "same as keywords", "kappa"):
            table.add_column(column, justify="right")
    for behaviour in measured:
        cells = [behaviour.title]
        for detector in detectors:
            numbers = record[detector]["behaviours"][behaviour.name]
            cells += [_share(numbers["emergence_rate"]), _number(numbers["mean_count"])]
        cells.append(_or_dash(PAPER_RATES.get(behaviour.name)))
        if judged:
            agreed = record["agreement"][behaviour.name]
            missing = record["judge"]["behaviours"][behaviour.name]["n_missing"]
            cells += [str(missing), _plain(agreed["presence"], "{:.0%}"), _plain(agreed["kappa"])]
        table.add_row(*cells)
    return table


def _transfer(record: dict[str, Any], detector: str) -> Any:
    from rich.table import Table

    from ovr_plugin.analysis.behaviours.definitions import PAIRS
    from ovr_plugin.analysis.behaviours.transfer import OVERALL, PAPER_BTR

    table = Table(f"transfer ({detector})", box=None)
    for column in ("BTR", "paper: base", "cold start", "RL"):
        table.add_column(column, justify="right")
    for language, btr in record[detector]["btr"].items():
        pair = f"{language} -> {PAIRS[language]}".replace("_", " ")
        table.add_row(pair, _share(btr), *map(_or_dash, PAPER_BTR[language]))
    for name in OVERALL:
        if name in record[detector]:
            table.add_row(name, _share(record[detector][name]), "-", "-", "-")
    return table


def _share(estimate: dict[str, float | None]) -> str:
    return _with_interval(estimate, "{:.1%}")


def _number(estimate: dict[str, float | None]) -> str:
    return _with_interval(estimate, "{:.2f}")


def _with_interval(estimate: dict[str, float | None], form: str) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    if low is None or high is None:
        return form.format(value)
    return f"{form.format(value)} \\[{form.format(low)}, {form.format(high)}]"


def _or_dash(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _plain(value: float | None, form: str = "{:.2f}") -> str:
    return "undefined" if value is None else form.format(value)


def _folder_of(file: Path) -> Path:
    """``behaviours`` in the run that a dump or an evaluation belongs to, else beside the file."""
    folder = file if file.is_dir() else file.parent
    known = next((each for each in (folder, *folder.parents[:2]) if each.name in IN_A_RUN), None)
    return (known.parent if known else folder) / "behaviours"
