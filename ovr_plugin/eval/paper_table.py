"""Results in the layout of the paper's tables, the paper's scores beside ours; what they took."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ovr_plugin.eval.benchmark import TABLES
from ovr_plugin.eval.benchmarks import PERCEPTION, TEXT, VISUAL

if TYPE_CHECKING:
    from rich.table import Table

SECTIONS = {"language reasoning": TEXT, "visual reasoning": VISUAL, "perception": PERCEPTION}
UNGRADED = ("bad_reference", "timeout", "too_long", "error")
HEADER = ("benchmark", "Qwen2.5-VL-7B", "cold start", "OVR-7B", "ours", "95 % interval", "samples")

MORE = ("benchmark", "score", "ours", "95 % interval")
MEASURED = (
    *("benchmark", "responses", "truncated", "no answer", "not graded"),
    *("tokens", "p95", "seconds", "tokens/s"),
)


def rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row for each score of the paper, or for a benchmark without one; sections between."""
    known = {result["benchmark"]: result for result in results}
    found: list[tuple[str, ...]] = []
    for section, names in sections(known):
        found.append((section,))
        for name in names:
            found += _rows_of(known[name])
    return found


def sections(names: Collection[str]) -> list[tuple[str, list[str]]]:
    """The benchmarks under the paper's sections and in its order; sections without one left out."""
    others = [name for name in names if not any(name in known for known in SECTIONS.values())]
    found = [
        (section, [name for name in known if name in names])
        for section, known in {**SECTIONS, "not in the paper": others}.items()
    ]
    return [(section, present) for section, present in found if present]


def _in_order(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {result["benchmark"]: result for result in results}
    return [known[name] for _, names in sections(known) for name in names]


def _rows_of(result: dict[str, Any]) -> list[tuple[str, ...]]:
    papers = result["paper"]["scores"] or [{"metric": result["headline"]}]
    found = []
    for paper in papers:
        ours = result["metrics"].get(paper["metric"])
        is_plain = len(papers) == 1 and paper["metric"] == result["headline"]
        title = result["title"] + ("" if is_plain else f", {paper['metric']}")
        mark = "*" if result["note"] else ""
        missing = f", {result['n_missing']} missing" if result["n_missing"] else ""
        found.append(
            (
                title + mark,
                *(number(paper.get(key)) for key in ("base", "cold_start", "ovr")),
                number(ours and ours["value"]),
                interval(ours),
                f"{result['n_items']} x {result['n_samples']}{missing}",
            )
        )
    return found


def more_rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """What the paper has no column for: pass@k and maj@k of all samples, a protocol's other scores.

    pass@k is the chance that one of k samples is right, maj@k that their majority is; both are of
    single questions, whatever the protocol groups.
    """
    return [
        (result["title"], metric, number(found["value"]), interval(found))
        for result in _in_order(results)
        for metric, found in _more(result)
    ]


def _more(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    shown = {paper["metric"] for paper in result["paper"]["scores"]} or {result["headline"]}
    n = result["n_samples"]
    of_samples = [f"pass@{n}", f"maj@{n}"] if n > 1 else []
    per_item = {name: result["per item"][name] for name in of_samples if name in result["per item"]}
    others = {name: found for name, found in result["metrics"].items() if name not in shown}
    return [*per_item.items(), *others.items()]


def number(value: float | None) -> str:
    """A score with one decimal, - for none."""
    return "-" if value is None else f"{value:.1f}"


def interval(estimate: dict[str, Any] | None) -> str:
    """An estimate's interval, - for none."""
    if not estimate or estimate["low"] is None:
        return "-"
    return f"{estimate['low']:.1f} to {estimate['high']:.1f}"


def measured_rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row for each benchmark: what became of its responses, and what they took."""
    return [_measured(result) for result in _in_order(results)]


def _measured(result: dict[str, Any]) -> tuple[str, ...]:
    rates, tokens = result["rates"], result["tokens"] or {}
    ran, seconds = result["throughput"], result["seconds"] or {}
    shares = (rates.get("truncated", 0.0), rates.get("no_answer", 0.0))
    rate = ran["response tokens"] / ran["wall seconds"] if ran.get("wall seconds") else None
    return (
        result["title"],
        f"{result['n_items'] * result['n_samples'] - result['n_missing']:,}",
        *(f"{share:.1f} %" for share in (*shares, sum(rates.get(name, 0.0) for name in UNGRADED))),
        *(_whole(tokens.get(key)) for key in ("mean", "p95")),
        number(seconds.get("mean")),
        _whole(rate),
    )


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def notes(results: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader has to know beside the numbers."""
    found = [
        f"The paper's scores are those of {TABLES}; it does not say whether they are greedy or "
        "averages of samples. Ours are averages of the samples named (avg@k); their intervals are "
        "bootstraps over questions, or Wilson's where all are right or all wrong."
    ]
    found += [f"* {result['title']}: {result['note']}" for result in results if result["note"]]
    found += [f"{result['title']}: {told}" for result in results if (told := incomplete(result))]
    found += [f"{r['title']}: {told}" for r in results for told in r.get("undefined", ())]
    return found


def incomplete(result: dict[str, Any]) -> str:
    """Say how many groups have no score as a whole; '' for none."""
    n_groups = result.get("n_incomplete_groups", 0)
    if not n_groups:
        return ""
    return f"{n_groups:,} groups that are scored as one lack an answer or a row and are left out"


def markdown(results: Sequence[dict[str, Any]], protocol: str) -> str:
    """Return the table as a Markdown page."""
    lines = [f"Protocol: {protocol}", "", _line(HEADER), _line(["---"] * len(HEADER))]
    for row in rows(results):
        lines.append(_line([f"*{row[0]}*", *[""] * (len(HEADER) - 1)] if len(row) == 1 else row))
    if more := more_rows(results):
        lines += ["", _line(MORE), _line(["---"] * len(MORE)), *map(_line, more)]
    lines += ["", _line(MEASURED), _line(["---"] * len(MEASURED))]
    lines += map(_line, measured_rows(results))
    lines += ["", *(f"- {note}" for note in notes(results))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def console_tables(results: Sequence[dict[str, Any]], protocol: str) -> list[Table]:
    """Return scores, and what they took, for a terminal."""
    from rich.markup import escape

    scores = _table(HEADER, escape(f"Protocol: {protocol}"))
    for row in rows(results):
        scores.add_row(*map(escape, row), style="bold" if len(row) == 1 else None)
    more = _table(MORE, "More scores; pass@k and maj@k are of k samples of a question")
    for row in more_rows(results):
        more.add_row(*map(escape, row))
    measured = _table(MEASURED, "Responses, with tokens and seconds of one")
    for row in measured_rows(results):
        measured.add_row(*map(escape, row))
    return [scores, *([more] if more.row_count else []), measured]


def _table(header: Sequence[str], title: str) -> Table:
    from rich.table import Table

    # All columns fit 80 characters.
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in header:
        if column in ("benchmark", "score"):
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table
