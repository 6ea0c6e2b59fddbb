"""A page of answers with their pictures: answers before and after training in, one HTML file out.

Model output and corpora are hostile input: everything is escaped, pictures are embedded as PNG.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from ovr_plugin.data.files import replacing
from ovr_plugin.data.images import ImageRef, open_image
from ovr_plugin.eval.local import Answer

THUMBNAIL_SIDE = 224  # pixels
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
article { border-top: 1px solid #ccc; padding: 1rem 0; display: flex; gap: 1rem; flex-wrap: wrap }
article > div { flex: 1 1 20rem; min-width: 0; overflow-wrap: anywhere }
img { max-width: 14rem; image-rendering: pixelated; border: 1px solid #ccc; align-self: start }
pre { white-space: pre-wrap; margin: .2rem 0 .6rem; padding: .5rem; background: #f5f5f5 }
.correct { border-left: .3rem solid #009e73 } .other { border-left: .3rem solid #d55e00 }
small { color: #555 }
"""


def write_answers_page(
    path: str | Path, title: str, columns: dict[str, Sequence[Answer]], n_rows: int = 12
) -> Path:
    """Write the first ``n_rows`` rows, each with one response per column (say before, after).

    Args:
        path: of the HTML file.
        title: of the page.
        columns: name -> answers to the same rows in the same order.
        n_rows: how many rows to show, taken from all sources in turn.
    """
    first = next(iter(columns.values()))
    articles = [
        _article([(name, answers[index]) for name, answers in columns.items()])
        for index in _in_turn([answer.sample.data_source for answer in first], n_rows)
    ]
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>"
        + "\n".join(articles)
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _article(answers: Sequence[tuple[str, Answer]]) -> str:
    sample = answers[0][1].sample
    question = "\n".join(message["content"] for message in sample.prompt)
    responses = "".join(_response(name, answer) for name, answer in answers)
    pictures = "".join(_picture(image) for image in sample.images)
    return (
        f"<article>{pictures}<div><small>{escape(sample.data_source)} · {escape(sample.id)}</small>"
        f"<pre>{escape(question)}</pre><small>reference: {escape(sample.ground_truth)}</small>"
        f"{responses}</div></article>"
    )


def _response(name: str, answer: Answer) -> str:
    outcome = answer.grade.outcome.value
    mark = "correct" if answer.grade.score > 0 else "other"
    return (
        f"<p><small>{escape(name)}: {escape(outcome)}, {answer.n_tokens} tokens</small></p>"
        f'<pre class="{mark}">{escape(answer.response)}</pre>'
    )


def _picture(image: ImageRef) -> str:
    with open_image(image) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="picture of the question" src="data:image/png;base64,{data}">'


def _in_turn(sources: Sequence[str], n_rows: int) -> list[int]:
    """Return row numbers, one of each source, then another of each, up to ``n_rows``."""
    seen: dict[str, int] = {}
    ranked = []
    for index, source in enumerate(sources):
        seen[source] = seen.get(source, 0) + 1
        ranked.append((seen[source], index))
    return [index for _, index in sorted(ranked)[:n_rows]]
