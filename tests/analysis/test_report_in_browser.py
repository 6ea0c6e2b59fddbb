"""The report in a real browser: what a person sees, at the desk and on a phone."""

from __future__ import annotations

import json
import os

import browser as browsers
import pytest
from fake_server import completion, fake_server
from made_runs import make_run, rollout, start
from typer.testing import CliRunner

from ovr_plugin.cli import app
from ovr_plugin.data.files import write_jsonl, write_parquet
from ovr_plugin.data.sample import Sample
from ovr_plugin.data.toy import toy_rows

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!-- <script> @@SCRIPT@@ @@DATA@@",
    "\x00\x1b[31m \u202e \ud800 \U0001f600 ]]> &lt;b&gt; $x_1^2$",
)


@pytest.fixture(scope="module")
def chromium():
    executable = browsers.find()
    if executable is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    with browsers.browser(executable) as page:
        yield page


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    """Two runs with pictures; every text of a rollout, and the source's name, is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [row for row in toy_rows(8) if row.images]

    def rollouts(step):
        made = [
            rollout(
                step,
                number,
                response=text,
                prompt=text,
                reference=text,
                answer=text,
                outcome=("wrong", "correct", text, "no_answer")[number],
                data_source=f"source {number} {text}",
                modality="image",
                row_id=rows[0].id,
            )
            for number, text in enumerate(HOSTILE[:3])
        ]
        return [*made, rollout(step, 3, response="plain words")]

    roots = [make_run(folder / name, 12, rollouts) for name in ("a<b>&", "second")]
    write_parquet(roots[0] / "data" / "train.parquet", rows, Sample)
    with (roots[0] / "rollouts" / "12.jsonl").open("a") as file:
        file.write(json.dumps(rollout(12, 3, HOSTILE[3]).to_record()) + "\n")
    page = folder / "report.html"
    result = start(*roots, "--out", page, "--no-figures")
    assert result.exit_code == 0, result.output
    return page


@pytest.mark.process
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_renders_and_hostile_texts_are_only_text(
    chromium, hostile_page, width, height, dark, tmp_path
):
    chromium.window(width, height, dark)
    del chromium.requests[:], chromium.errors[:]
    chromium.open(hostile_page)
    run = chromium.run
    assert run("document.documentElement.dataset.failed") is None
    assert run("document.title") == "OVR: a<b>&, second"
    assert run("document.getElementById('title').textContent") == "a<b>&, second"
    assert run("document.documentElement.scrollWidth") <= width, "nothing is wider than the window"
    chromium.wait("document.querySelectorAll('figure path').length > 0")
    assert run("document.querySelectorAll('main script, main [onerror]').length") == 0
    for number, text in enumerate(HOSTILE[:3]):
        run(f"choose({number})")
        shown = "[...document.querySelectorAll('#detail pre')].map((pre) => pre.textContent)"
        assert run(shown) == [text, text]
    chromium.wait("document.querySelector('#detail img')?.naturalWidth > 0")
    asked = [url for url in chromium.requests if not url.startswith("data:")]
    assert asked == [hostile_page.resolve().as_uri()], "nothing but the page itself"
    assert [error for error in chromium.errors if "data:image" not in error] == []
    chromium.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.process
def test_rollouts_are_found_by_source_outcome_iteration_and_words(chromium, hostile_page):
    chromium.window(1280, 900)
    chromium.open(hostile_page)

    def matches(**wanted):
        script = "(async () => { const form = document.getElementById('filters'); form.reset();"
        for name, value in wanted.items():
            script += f"form.elements[{json.dumps(name)}].value = {json.dumps(value)};"
        script += "await filter(); return state.matching.map((row) => [columns().run[row], "
        script += "columns().step[row], fact('outcome', row), fact('data_source', row)]) })()"
        return chromium.run(script)

    def code(name, text):
        return str(chromium.run(f"columns()[{name!r}].names.indexOf({json.dumps(text)})"))

    assert len(matches()) == 2 * 12 * 4 + 1
    assert {row[2] for row in matches(outcome=code("outcome", "wrong"))} == {"wrong"}
    assert len(matches(data_source=code("data_source", "toy"))) == 25
    assert {row[1] for row in matches(**{"from": "3", "to": "5"})} == {3, 4, 5}
    assert {row[0] for row in matches(run="1")} == {1}
    assert len(matches(words="PLAIN Words")) == 24
    assert matches(words="not in any text") == []
    assert [row[1] for row in matches(order="latest first")][:5] == [12] * 5


@pytest.mark.process
def test_scores_are_in_a_table_and_how_they_were_measured_by_checkpoint(chromium, tmp_path):
    """Two checkpoints of two answers, as `ovr eval` leaves them; a name that is markup."""
    for name, text in (("base", "no idea"), ("ppo_2<b>", r"\boxed{2}")):
        evaluated(tmp_path / "run" / "eval" / name, tmp_path / "data", text)
    assert start(tmp_path / "run", "--no-figures").exit_code == 0
    for width in (1280, 390):
        chromium.window(width, 900)
        chromium.open(tmp_path / "run" / "report.html")
        run = chromium.run
        texts = "[...document.querySelectorAll('#scores tbody tr:nth-child(2) td b')]"
        assert run(f"{texts}.map((cell) => cell.textContent)") == ["0.0", "50.0"]
        assert run("document.documentElement.scrollWidth") <= width
        ends = "[...document.querySelectorAll('#facts td, #scores tbody td:last-child')]"
        ends += ".filter((cell) => cell.offsetParent).map((cell) => cell.getBoundingClientRect())"
        assert run(f"Math.max(...{ends}.map((end) => end.right))") <= width, (
            "the latest is in sight"
        )
        assert run(f"Math.min(...{ends}.map((end) => end.left))") >= 0
        chromium.wait("document.querySelectorAll('#chart-fig4_math500 circle').length === 2")
        assert run("document.querySelectorAll('#results h2 b, #scores th b').length") == 0
        measured = (
            "[...document.querySelectorAll('#measured tbody td')].map((cell) => cell.textContent)"
        )
        assert run(measured)[:3] == ["2", "0.0 %", "0.0 %"]
        run("document.getElementById('checkpoint').value = '0'")
        run("document.getElementById('checkpoint').dispatchEvent(new Event('input'))")
        assert run(measured)[:3] == ["2", "0.0 %", "100.0 %"], "it had no answer"
        assert "temperature 1.0" in run("document.getElementById('protocol').textContent")


@pytest.mark.process
def test_axes_show_no_shares_and_steps_that_cannot_be(chromium, tmp_path):
    """Rewards that stay 0, then 1, and just below; and a run that has only validated, at step 0."""
    rewards = {"zero": [0.0] * 3, "one": [1.0] * 3, "most": [0.5, 0.9, 0.96], "first": [0.25]}
    for name, values in rewards.items():
        write_jsonl(
            tmp_path / name / "logs" / "ppo.jsonl",
            [{"step": i, "data": {"ovr/reward/all": value}} for i, value in enumerate(values)],
        )
        assert start(tmp_path / name, "--no-figures").exit_code == 0
        chromium.window(700, 500)
        chromium.open(tmp_path / name / "report.html")
        chromium.wait("document.querySelector('#chart-fig3b_reward circle')")
        texts = "[...document.querySelectorAll('#chart-fig3b_reward svg text')]"
        shown = chromium.run(f"{texts}.map((text) => text.textContent)")
        shares = [float(text.removesuffix(" %")) for text in shown if text.endswith(" %")]
        steps = [int(text) for text in shown if text.lstrip("-").isdigit()]
        assert len(shares) > 2, name
        assert steps, name
        assert 0 <= min(shares) <= min(values) * 100, name
        assert max(shares) <= 100, name
        assert min(steps) == 0, name


def evaluated(out, data, text):
    """Two sums, of which 2 answers one."""
    rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in (1, 2)]
    write_jsonl(data / "math500" / "test.jsonl", rows)
    with fake_server([(200, completion(text))]) as server:
        command = ["eval", "math500", "--url", server.url, "--data", str(data), "--out", str(out)]
        ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output


@pytest.mark.process
def test_a_run_can_be_hidden_and_a_curve_too(chromium, hostile_page):
    chromium.window(1280, 900)
    chromium.open(hostile_page)
    paths = "document.querySelectorAll('#chart-fig3a_loss path').length"
    chromium.wait(f"{paths} === 2")
    chromium.run("document.querySelector('#runs button').click()")
    chromium.wait(f"{paths} === 1")
    chromium.run("document.querySelector('#chart-fig3a_loss .legend button').click()")
    chromium.wait(f"{paths} === 0")


def test_the_browser_is_there_where_it_must_be():
    """On a CI that installs one (`.ci/run`), its tests must not be skipped silently."""
    if not os.environ.get("OVR_BROWSER"):
        pytest.skip("only where OVR_BROWSER says that a browser was installed")
    assert browsers.find()
