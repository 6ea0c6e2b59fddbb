"""The page of answers, read back with a parser: texts as they were, pictures pixel for pixel."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image, ImageChops

from ovr_plugin.analysis.answers_page import THUMBNAIL_SIDE, write_answers_page
from ovr_plugin.data.images import ImageRef, open_image
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows
from ovr_plugin.eval.local import Answer
from ovr_plugin.reward import Grade, Outcome

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></div></article></html><h1>mine</h1>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='x",
    "&lt;b&gt; &amp; &#60;",
    "<!-- never closed",
    "]]> <?php ?> <style>* {display: none}",
    "1 < 2 and 3 > 2, \\boxed{x}",
    "\x00\x1b[31m \u202e reversed \U0001f600",
]


class Page(HTMLParser):
    """What a browser would make of it: elements, and the text in each."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.images = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.texts.append((tag, ""))
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_endtag(self, tag):
        self.texts.append((f"after {tag}", ""))

    def handle_data(self, data):
        if self.texts:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)

    def named(self, tag):
        return [text for name, text in self.texts if name == tag]


def answer(sample, response, outcome=Outcome.WRONG, n_tokens=3):
    return Answer(sample, response, n_tokens, Grade(outcome))


def sample(source="toy", **fields):
    given = {"prompt": [{"role": "user", "content": "?"}], "ground_truth": "1", "id": source}
    return Sample(**{"data_source": source, **given, **fields})


def write(tmp_path, columns, **options):
    return Page(write_answers_page(tmp_path / "page.html", "Answers", columns, **options))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_and_change_nothing(text, tmp_path):
    plain_page = write(tmp_path, {"a": [answer(sample(), "x")]})
    row = sample(
        text,
        prompt=[{"role": "user", "content": text}],
        ground_truth=text,
        id=text,
    )
    page = Page(
        write_answers_page(tmp_path / "h.html", text, {f"column {text}": [answer(row, text)]})
    )
    assert page.tags == plain_page.tags
    assert page.named("title") == page.named("h1")
    assert page.named("h1")[0].strip() == text
    assert page.named("pre") == [text, text]
    assert any(text in small for small in page.named("small"))


def test_a_picture_is_embedded_as_it_is(tmp_path):
    row = toy_rows(2)[1]
    page = write(tmp_path, {"a": [answer(row, "x")]})
    [source] = page.images
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    with (
        Image.open(BytesIO(base64.b64decode(data, validate=True))) as shown,
        open_image(row.images[0]) as original,
    ):
        assert shown.size == original.size
        difference = ImageChops.difference(shown.convert("RGB"), original.convert("RGB"))
    assert difference.getbbox() is None


@pytest.mark.parametrize(
    ("mode", "size", "shown"), [("RGBA", (896, 448), (224, 112)), ("P", (10, 20), (10, 20)),
                                ("L", (100, 448), (50, 224))]
)  # fmt: skip
def test_large_pictures_become_thumbnails(mode, size, shown, tmp_path):
    path = tmp_path / "picture.png"
    Image.new(mode, size, 1).save(path)
    row = sample(images=[ImageRef(path=str(path))] * 2)
    page = write(tmp_path, {"a": [answer(row, "x")]})
    assert len(page.images) == 2
    with Image.open(BytesIO(base64.b64decode(page.images[0].partition(",")[2]))) as image:
        assert image.size == shown
        assert max(image.size) <= THUMBNAIL_SIDE


def test_the_page_needs_nothing_from_outside(tmp_path):
    page = write(tmp_path, {"a": [answer(toy_rows(2)[1], "x")]})
    links = [attrs.get(name) for _, attrs in page.tags for name in ("src", "href")]
    assert all(link.startswith("data:") for link in links if link)
    assert ("meta", {"charset": "utf-8"}) in page.tags


def test_sources_take_turns(tmp_path):
    rows = [sample(source, id=f"{source}{n}") for n, source in enumerate("aaaabbc")]
    answers = [answer(row, row.id) for row in rows]

    def shown(n_rows):
        page = write(tmp_path, {"before": answers}, n_rows=n_rows)
        return [text for tag, text in page.texts if tag == "pre"][1::2]

    assert shown(4) == ["a0", "b4", "c6", "a1"]
    assert shown(100) == ["a0", "b4", "c6", "a1", "b5", "a2", "a3"]


def test_columns_stand_side_by_side_with_their_verdicts(tmp_path):
    row = sample()
    page = write(
        tmp_path,
        {
            "before": [answer(row, "no idea", Outcome.TRUNCATED, 48)],
            "after": [answer(row, "\\boxed{1}", Outcome.CORRECT, 5)],
        },
    )
    assert page.named("pre")[1:] == ["no idea", "\\boxed{1}"]
    assert [attrs.get("class") for tag, attrs in page.tags if tag == "pre"][1:] == [
        "other",
        "correct",
    ]
    small = " ".join(page.named("small"))
    assert "before: truncated, 48 tokens" in small
    assert "after: correct, 5 tokens" in small
    assert "reference: 1" in small


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = write_answers_page(tmp_path / "page.html", "Answers", {"a": [answer(sample(), "old")]})
    gone = sample(images=[ImageRef(path=str(tmp_path / "gone.png"))])
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        write_answers_page(path, "Answers", {"a": [answer(gone, "new")]})
    assert "old" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
