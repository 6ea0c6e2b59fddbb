"""``ovr grade`` as a person or a pipe calls it: one answer, files, explanations, a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

import ovr_plugin
from ovr_plugin.cli import app, grade_rows
from ovr_plugin.reward.pool import Pool

REWARD_TESTS = Path(__file__).resolve().parents[1] / "reward"
COMMAND = [str(Path(sys.executable).with_name("ovr")), "grade"]
# With a comparison that takes as long as an answer says.
SLOW_COMMAND = [sys.executable, str(REWARD_TESTS / "slow_comparer.py"), "grade"]
SLOW = "y + x + s^{6000}"  # ten minutes
POLICY = """
ovr:
  reward:
    max_answer_chars: 20
    sources: {charts: {tolerance: 0.05}}
"""


@pytest.fixture
def grade() -> Callable[..., tuple[int, list[dict[str, Any]], str]]:
    """Run ``ovr grade`` and return its exit code, its JSON lines and what it says beside them."""

    def run(*argv: str, stdin: str | bytes = "") -> tuple[int, list[dict[str, Any]], str]:
        result = CliRunner().invoke(app, ["grade", *argv], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, lines, result.stderr

    return run


@pytest.fixture
def jsonl(tmp_path) -> Callable[..., str]:
    """Write lines (objects, or text as it is) into a file and return its path."""

    def write(*lines: Any) -> str:
        path = tmp_path / "rows.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return str(path)

    return write


# --------------------------------------------------------------------------------------------------
# One answer


@pytest.mark.parametrize(
    ("reference", "argv", "outcome"),
    [
        (r"\frac12", ["--answer", "0.5"], "correct"),
        (r"\frac12", ["--answer", "0.6"], "wrong"),
        ("-5", ["--answer", "-5"], "correct"),
        ("5", ["--answer", r"so \boxed{5}"], "correct"),
        ("5", ["--answer", r"\boxed{5"], "no_answer"),  # what has a box is not boxed once more
        ("5", ["--answer", r"\fbox{5}"], "correct"),
        ("5", ["--answer", ""], "no_answer"),
        ("5", ["--answer", "5", "--truncated"], "truncated"),
        ("", ["--answer", "5"], "bad_reference"),
        ("B", ["--answer", "12", "--choice", "10", "--choice", "12"], "correct"),
        ("B", ["--answer", "10", "--choice", "10", "--choice", "12"], "wrong"),
        ("C", ["--answer", "12", "--choices", '{"A": "10", "C": "12"}'], "correct"),
        ("100", ["--answer", "104", "--tolerance", "0.05"], "correct"),
        ("100", ["--answer", "106", "--tolerance", "0.05"], "wrong"),
        ("100", ["--answer", "106", "--tolerance", '{"absolute": 10}'], "correct"),
        ("100", ["--answer", "104", "--data-source", "charts", "--policy", "POLICY"], "correct"),
        ("100", ["--answer", "104", "--policy", "POLICY"], "wrong"),
        ("5", ["--answer", "5" * 21, "--policy", "POLICY"], "too_long"),
        ("5", ["--answer", "5", "--answer-type", "number"], "correct"),
    ],
)
def test_one_answer(grade, tmp_path, reference, argv, outcome):
    (tmp_path / "policy.yaml").write_text(POLICY)
    argv = [str(tmp_path / "policy.yaml") if arg == "POLICY" else arg for arg in argv]
    code, [row], said = grade("--reference", reference, *argv)
    assert row["outcome"] == outcome
    assert code == (0 if outcome == "correct" else 1)
    assert (row["score"], said) == (float(outcome == "correct"), "")


@pytest.mark.parametrize(
    ("response", "argv", "outcome"),
    [
        (r"<think>\boxed{4}</think> It is \boxed{5}.", [], "correct"),
        (r"<think>It is \boxed{5}", [], "no_answer"),
        ("<answer>5</answer>", [], "no_answer"),
        ("<answer>5</answer>", ["--answer-tags"], "correct"),
        ("The answer is 5.", ["--unboxed"], "correct"),
        (b"\xff\xfe \\boxed{5}", [], "correct"),  # bytes that are no text
    ],
)
def test_one_response_from_a_file_or_standard_input(grade, tmp_path, response, argv, outcome):
    path = tmp_path / "response.txt"
    path.write_bytes(response if isinstance(response, bytes) else response.encode())
    for file, stdin in ((str(path), ""), ("-", response)):
        _, [row], _ = grade("--reference", "5", file, *argv, stdin=stdin)
        assert row["outcome"] == outcome


@pytest.mark.parametrize(
    ("argv", "fragments"),
    [
        ([], ["--reference", "--answer", "FILE"]),
        (["--answer", "4"], ["--reference"]),
        (["--reference", "4"], ["--answer", "FILE"]),
        (["--reference", "4", "--answer", "4", "rows.jsonl"], ["either"]),
        (["missing.jsonl"], ["missing.jsonl", "No such file"]),
        (["."], ["Is a directory"]),
        (["--reference", "4", "--answer", "4", "--policy", "none.yaml"], ["none.yaml"]),
        (["--reference", "4", "--answer", "4", "--tolerance", "x"], ["--tolerance", "JSON"]),
        (["--reference", "4", "--answer", "4", "--choices", "[1"], ["--choices", "JSON"]),
        (
            ["--reference", "4", "--answer", "4", "--choice", "a", "--choices", "[]"],
            ["not by both"],
        ),
        (
            ["--reference", "4", "--answer", "4", "--tolerance", "-1", "--answer-type", "foo"],
            ["tolerance", "foo", "yes_no"],
        ),
        (
            ["--reference", "4", "--answer", "4", "--timeout", "-1", "--workers", "0"],
            ["timeout_s", "n_workers"],
        ),
    ],
)
def test_a_wrong_call_is_told_everything_that_is_wrong(grade, argv, fragments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, rows, said = grade(*argv)
    assert (code, rows) == (2, [])
    assert all(fragment in said for fragment in fragments), said


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("timeout_s: 0\nsources: {a: {unit: 3}}\nboxes: 1", ["timeout_s", "sources.a", "boxes"]),
        ("ovr: {length_schedule: null}", ["no block ovr.reward"]),
        ("- 1", ["no block ovr.reward"]),
        ("ovr: 1", ["no block ovr.reward"]),
        ("ovr: {reward: [1]}", ["no block ovr.reward"]),
        ("a: [", ["cannot be read"]),
    ],
)
def test_a_wrong_policy_is_told_with_its_file(grade, tmp_path, monkeypatch, text, fragments):
    monkeypatch.setenv("COLUMNS", "500")
    (tmp_path / "policy.yaml").write_text(text)
    argv = ["--reference", "4", "--answer", "4", "--policy", str(tmp_path / "policy.yaml")]
    code, _, said = grade(*argv)
    assert code == 2
    assert all(fragment in said for fragment in ["policy.yaml", *fragments]), said


def test_the_recipes_are_policies(grade):
    recipe = Path(ovr_plugin.__file__).parent / "config" / "ovr" / "_ppo_base.yaml"
    code, [row], _ = grade("--reference", "4", "--answer", "4", "--policy", str(recipe))
    assert (code, row["outcome"]) == (0, "correct")


# --------------------------------------------------------------------------------------------------
# Files


@pytest.mark.parametrize(
    "row",
    [
        {"response": r"\boxed{B}", "reference": "B"},
        {"solution_str": r"\boxed{B}", "ground_truth": "B"},
        {"output": r"\boxed{B}", "gts": "B", "input": "?", "score": 0.0},  # veRL's rollout dump
        {"response": r"\boxed{B}", "reference": "B", "answer": "A", "outcome": "wrong"},  # ours
        {"completion": [{"role": "assistant", "content": r"\boxed{B}"}], "answer": "B"},
        {"response": r"\boxed{B}", "reward_model": {"style": "rule", "ground_truth": "B"}},
        {"response": r"\boxed{B}", "reward_model.ground_truth": "B"},
        {"response": r"\boxed{12}", "gold": "B", "choices": ["10", "12"]},
        {"response": r"\boxed{12}", "gold": "B", "extra_info": {"choices": ["10", "12"]}},
        {"response": r"\boxed{12}", "gold": "B", "choices": ["12"], "extra_info": {"choices": None}}
        | {"extra_info": {"choices": ["10", "12"]}},
    ],
)
def test_rows_of_any_log_are_read(grade, jsonl, row):
    code, [graded], said = grade(jsonl(row))
    assert (code, graded["line"], graded["outcome"]) == (0, 1, "correct")
    assert "1 graded" in said
    assert "1 correct (100.0%)" in said


def test_other_names_are_given(grade, jsonl):
    path = jsonl({"text": r"\boxed{1}", "meta": {"final": 1}, "response": "", "reference": "2"})
    _, [graded], _ = grade(path, "--response-field", "text", "--reference-field", "meta.final")
    assert graded["outcome"] == "correct"
    code, [graded], _ = grade(path, "--response-field", "test", "--reference-field", "meta.last")
    assert code == 2
    assert all(name in graded["error"] for name in ("test", "meta.last"))


def test_a_rows_own_facts_win(grade, jsonl):
    rows = [
        {"response": r"\boxed{104}", "reference": 100},
        {"response": r"\boxed{104}", "reference": 100, "tolerance": 0.01},
        {"response": r"\boxed{104}", "reference": 100, "truncated": True},
        {"response": r"\boxed{104}", "reference": 100, "truncated": False, "tolerance": None},
    ]
    _, graded, _ = grade(jsonl(*rows), "--tolerance", "0.05")
    assert [row["outcome"] for row in graded] == ["correct", "wrong", "truncated", "correct"]


BROKEN = [
    ("{", "not JSON"),
    ("[1, 2]", "a list"),
    ('"text"', "a str"),
    ("{}", "no response"),
    ('{"response": "x"}', "no reference"),
    ('{"response": 5, "reference": 5}', "response is a int"),
    ('{"response": "", "reference": 5, "extra_info": "x"}', "extra_info is a str"),
    ('{"response": "", "reference": 5, "data_source": []}', "data_source is a list"),
    ("[" * 100_000, "nested too deep"),
    ('{"response": "", "reference": ' + "9" * 5000 + "}", "not JSON"),
]


def test_a_line_that_cannot_be_read_is_told_and_stops_no_other(grade, jsonl):
    good = {"response": r"\boxed{5}", "reference": 5}
    lines = [line for text, _ in BROKEN for line in (text, good)]
    code, graded, said = grade(jsonl(*lines))
    assert code == 2
    assert [row["line"] for row in graded] == list(range(1, len(lines) + 1))
    for row, (_, error) in zip(graded[::2], BROKEN, strict=True):
        assert error in row["error"]
    assert {row["outcome"] for row in graded[1::2]} == {"correct"}
    assert f"{len(BROKEN)} graded" in said
    assert f"{len(BROKEN)} lines could not be read" in said


def test_lines_are_numbered_as_in_an_editor(grade):
    row = json.dumps({"response": r"\boxed{é}", "reference": "é"}, ensure_ascii=False)
    stdin = b"\xef\xbb\xbf" + f"{row}\r\n\n  \n{row}".encode() + b"\n\xff\xfe\n" + row.encode()
    code, graded, _ = grade("-", stdin=stdin)
    assert code == 2  # line 5
    assert [(row["line"], row.get("outcome")) for row in graded] == [
        (1, "correct"),
        (4, "correct"),
        (5, None),
        (6, "correct"),
    ]


def test_an_empty_file_is_graded(grade, jsonl):
    code, graded, said = grade(jsonl(""))
    assert (code, graded) == (0, [])
    assert "0 graded" in said


@pytest.mark.parametrize(
    ("argv", "references", "code"),
    [
        ([], ["1", "2"], 0),
        (["--check"], ["1", "1"], 0),
        (["--check"], ["1", "2"], 1),
        (["--check"], ["1", ""], 1),
        (["--check"], ["2", None], 1),
    ],
)
def test_exit_codes_of_files(grade, jsonl, argv, references, code):
    rows = [{"response": r"\boxed{1}", "reference": reference} for reference in references]
    assert grade(jsonl(*rows), *argv)[0] == code


@pytest.fixture
def slow(monkeypatch) -> None:
    """Answers take as long as they say."""
    monkeypatch.syspath_prepend(REWARD_TESTS)
    monkeypatch.setattr(grade_rows, "Pool", partial(Pool, comparer="slow_comparer:load"))


def test_the_order_is_kept_and_a_slow_answer_ends(grade, jsonl, slow):
    """The first row needs workers that have yet to start, the second is too slow."""
    rows = [
        {"response": r"\boxed{x + y + 1}", "reference": "1 + y + x"},
        {"response": rf"\boxed{{{SLOW}}}", "reference": "x + y"},
        *({"response": rf"\boxed{{{n}}}", "reference": n} for n in range(50)),
    ]
    _, graded, _ = grade(jsonl(*rows), "--timeout", "0.5")
    assert [row["line"] for row in graded] == list(range(1, 53))
    assert [row["outcome"] for row in graded[:3]] == ["correct", "timeout", "correct"]


def test_what_json_has_and_utf8_has_not(grade, jsonl):
    """Half a surrogate pair, a zero and an escape sequence come out as they went in."""
    answer = "\ud83d \x00 \x1b[31m \u202e 中"
    _, [row], _ = grade(jsonl({"response": rf"\boxed{{{answer}}}", "reference": "red"}))
    assert row["pred"] == answer


# --------------------------------------------------------------------------------------------------
# Explanations


def test_explain_tells_each_step(grade):
    code, [row], _ = grade(
        *("--reference", r"\frac12", "--answer", "0.5", "--explain"),
        *("--tolerance", "0.05", "--choice", "1", "--choice", r"\frac12"),
    )
    assert (code, row["outcome"], row["extracted"]) == (0, "correct", "0.5")
    assert row["how"]
    assert row["facts"] == {
        "choices": {"A": "1", "B": r"\frac12"},
        "tolerance": {"relative": 0.05, "absolute": 0.0},
    }
    assert 0 < row["seconds"] < 5


def test_explain_shows_both_forms_of_algebra(grade):
    _, [row], _ = grade("--reference", "x^2+1", "--answer", r"\frac{2+2x^2}{2}", "--explain")
    assert (row["outcome"], row["how"]) == ("correct", "algebra")
    forms = row["parsed"]
    assert all("x" in forms[side] for side in ("reference", "answer")), row["trouble"]
    assert forms["reference"] != forms["answer"], "as parsed, not as simplified"


@pytest.mark.parametrize(
    ("argv", "outcome", "facts"),
    [
        (["--answer", "5", "--truncated"], "truncated", {}),
        (["--answer", ""], "no_answer", {}),
        (["--answer", "5" * 3000], "too_long", {}),
        (["--answer", "5", "--unit", "cm"], "correct", {"unit": "cm"}),
    ],
)
def test_explain_where_there_is_little_to_tell(grade, argv, outcome, facts):
    _, [row], _ = grade("--reference", "5", *argv, "--explain")
    assert (row["outcome"], row["facts"]) == (outcome, facts)
    assert bool(row["how"]) == (outcome == "correct"), "else nothing was compared"


def test_explain_what_has_no_forms(grade, jsonl, slow):
    rows = [
        {"response": rf"\boxed{{{SLOW}}}", "reference": "x + y"},
        {"response": r"\boxed{5}", "reference": None},
        {"response": r"\boxed{5}", "reference": "5", "tolerance": "much"},
    ]
    _, graded, _ = grade(jsonl(*rows), "--explain", "--timeout", "0.5")
    assert [row["outcome"] for row in graded] == ["timeout", "bad_reference", "bad_reference"]
    assert "0.5 s" in graded[0]["trouble"]
    assert "much" in graded[2]["reason"]
    assert [row["parsed"]["reference"] for row in graded] == [None] * 3


# --------------------------------------------------------------------------------------------------
# A terminal, a pipe


def on_a_terminal(*argv: str, columns: int = 80) -> tuple[int, str]:
    """Run the command on a terminal of its own; returns what that would show."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [*COMMAND, *argv],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    return process.wait(), shown.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_people_get_a_table_as_wide_as_their_terminal(jsonl):
    rows = [
        {"response": r"\boxed{5}", "reference": "5"},
        {"response": r"\boxed{" + "long answer " * 30 + "}", "reference": "很长的答案" * 30},
        "{",
        {"response": "\\boxed{\x1b[2Jred\u202e\r\nblue}", "reference": "\x07"},
        {"response": r"\boxed{5}", "reference": "中" * 15},  # 30 columns
    ]
    for columns in (60, 80, 200):
        code, shown = on_a_terminal(jsonl(*rows), columns=columns)
        plain = COLOUR.sub("", shown)
        lines = plain.splitlines()
        assert code == 2
        assert lines[0].split() == ["line", "outcome", "answer", "reference", "why"]
        assert [line.split()[:2] for line in lines[1:3]] == [["1", "correct"], ["2", "wrong"]]
        assert "not JSON" in plain
        assert "4 graded" in plain
        assert max(cell_len(line) for line in lines[:-1] if "not JSON" not in line) <= columns
        assert ("…" in lines[-2]) == (columns < 200)
        assert not set("\x1b\x07\u202e") & set(plain), "an answer must not steer the terminal"
        assert r"\x1b[2Jred" in plain


def test_people_get_blocks_when_they_ask_for_explanations(jsonl):
    row = {"response": r"So \boxed{5}", "reference": "5", "tolerance": 0.1, "truncated": False}
    code, shown = on_a_terminal(jsonl(row, row), "--explain")
    plain = COLOUR.sub("", shown)
    assert code == 0
    assert plain.count("correct  (line ") == 2
    for label in ("answer", "reference", "why", "response", "facts", "time"):
        assert re.search(rf"^  {label} ", plain, re.MULTILINE), plain
    assert "relative = 0.1" in plain
    code, shown = on_a_terminal("--reference", "5", "--answer", "6")
    assert (code, COLOUR.sub("", shown).splitlines()[0]) == (1, "wrong")


def test_json_on_a_terminal(jsonl):
    _, shown = on_a_terminal(jsonl({"response": r"\boxed{5}", "reference": "5"}), "--json")
    assert json.loads(shown.splitlines()[0])["outcome"] == "correct"


def start(command: list[str], *argv: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
        start_new_session=True,
    )


def processes_of(session: int) -> list[int]:
    """All processes that were started in a session, whoever their parent is by now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def write_row(process: subprocess.Popen[str], answer: str, reference: str) -> None:
    assert process.stdin is not None
    row = {"response": rf"\boxed{{{answer}}}", "reference": reference}
    process.stdin.write(json.dumps(row) + "\n")
    process.stdin.flush()


def test_a_slow_pipe_gets_each_result_when_it_is_there_and_ctrl_c_ends_it():
    process = start(COMMAND, "-")
    assert process.stdout is not None
    for answer, reference in (("5", "5"), ("y + x", "x + y")):  # the second needs a worker
        write_row(process, answer, reference)
        assert json.loads(process.stdout.readline())["outcome"] == "correct"
    assert len(processes_of(process.pid)) > 1
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    rest, said = process.communicate(timeout=30)
    assert (process.returncode, rest) == (130, "")
    assert said.startswith("Interrupted. 2 graded")
    assert "Traceback" not in said
    assert processes_of(process.pid) == []


def test_ctrl_c_does_not_wait_for_a_slow_answer():
    process = start(SLOW_COMMAND, "-", "--timeout", "600")
    write_row(process, SLOW, "x + y")
    time.sleep(3)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - started < 20, "the answer's limit is 600 s"
    assert process.returncode == 130
    assert said.startswith("Interrupted. 0 graded")
    assert processes_of(process.pid) == []


def test_a_reader_that_leaves_is_no_error():
    """``ovr grade - | head -1``."""
    process = start(COMMAND, "-")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()

    def feed() -> None:
        try:
            for _ in range(100_000):
                write_row(process, "5", "5")
        except OSError:
            pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=60) == 1
    feeder.join()
    assert "Traceback" not in said
    assert processes_of(process.pid) == []


def test_a_machine_without_a_worker_is_told_why(tmp_path):
    (tmp_path / "sympy.py").write_text("raise ImportError('sympy is broken')")
    process = start(COMMAND, "--reference", "x + y", "--answer", "y + x", PYTHONPATH=str(tmp_path))
    out, said = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert "Not graded" in said
    assert "sympy is broken" in said
    assert "Traceback (" not in said
