"""Plots: the right numbers picked, and a readable picture for each that has something to show."""

from __future__ import annotations

import pytest
from PIL import Image, ImageColor

from ovr_plugin.analysis.plots import COLOURS, PLOTS, draw_charts, draw_plots, points
from ovr_plugin.analysis.report.chart import Chart, Series

RECORDS = [
    {"stage": "cold_start", "step": 1, "train/loss": 5.0, "ovr/reward/all": 9.0},
    {"stage": "cold_start", "step": 2, "train/loss": 4.0},
    {"stage": "ppo", "step": 0, "val": 0.1},
    {"stage": "ppo", "step": 1, "ovr/reward/all": 0.0, "train/loss": 7.0},
    {"stage": "ppo", "step": 2, "ovr/reward/all": None, "ovr/reward/text": 0.5},
    {"stage": "ppo", "step": 4, "ovr/reward/all": 0.25, "ovr/reward/text": 0.75},
]


def colours(path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        image.load()
        picture = image.convert("RGB")
    return {colour for _, colour in picture.getcolors(picture.width * picture.height)}


def rgb(colour: str) -> tuple[int, ...]:
    return ImageColor.getrgb(colour)


@pytest.mark.parametrize(
    ("stage", "metric", "expected"),
    [
        ("cold_start", "train/loss", ([1, 2], [5.0, 4.0])),
        ("ppo", "train/loss", ([1], [7.0])),
        ("ppo", "ovr/reward/all", ([1, 4], [0.0, 0.25])),  # 0 is a value, None is none
        ("ppo", "ovr/reward/text", ([2, 4], [0.5, 0.75])),
        ("ppo", "absent", ([], [])),
        ("absent", "train/loss", ([], [])),
    ],
)
def test_points_are_those_of_one_stage_where_the_metric_was_logged(stage, metric, expected):
    assert points(RECORDS, stage, metric) == expected


def test_only_what_there_is_is_drawn(tmp_path):
    paths = draw_plots(RECORDS, tmp_path / "new" / "plots")
    assert [path.name for path in paths] == ["cold_start_loss.png", "reward.png"]
    assert sorted((tmp_path / "new" / "plots").iterdir()) == sorted(paths)


def test_a_curve_is_drawn_for_each_series_that_was_logged(tmp_path):
    loss, reward = draw_plots(RECORDS, tmp_path)
    assert rgb(COLOURS[0]) in colours(loss)
    assert rgb(COLOURS[1]) not in colours(loss)
    assert {rgb(COLOURS[0]), rgb(COLOURS[1])} <= colours(reward)
    assert rgb(COLOURS[2]) not in colours(reward), "no image rows were logged"


def test_every_plot_can_be_drawn_also_from_one_step(tmp_path):
    records = [
        {"stage": plot.stage, "step": 1, **dict.fromkeys(plot.series, 0.5)} for plot in PLOTS
    ]
    paths = draw_plots(records, tmp_path)
    assert [path.stem for path in paths] == [plot.name for plot in PLOTS]
    for path, plot in zip(paths, PLOTS, strict=True):
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) >= 400
        # The last curve at this one point lies over the others; the legend shows them all.
        assert {rgb(colour) for colour in COLOURS[: len(plot.series)]} <= colours(path)


def test_nothing_to_draw(tmp_path):
    assert draw_plots([], tmp_path / "plots") == []
    assert draw_plots([{"stage": "ppo", "step": 1, "other": 1.0}], tmp_path / "plots") == []
    assert list((tmp_path / "plots").iterdir()) == []


def test_a_curve_that_blew_up_does_not_stop_the_report(tmp_path):
    records = [
        {"stage": "ppo", "step": step, "critic/vf_loss": value}
        for step, value in enumerate([1.0, float("inf"), float("nan")])
    ]
    [path] = draw_plots(records, tmp_path)
    assert rgb(COLOURS[0]) in colours(path)


def drawn(monkeypatch, tmp_path, series, **chart):
    """The axes of a chart as matplotlib has them when they are saved."""
    from matplotlib.figure import Figure

    found = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, _: found.append(figure))
    draw_charts([Chart("id", "s", "title", "", "y", series, **chart)], tmp_path)
    return found[0]


@pytest.mark.parametrize(
    ("x", "y", "percent"),
    [
        ([1, 2, 3], [0.0, 0.0, 0.0], True),
        ([1, 2, 3], [1.0, 1.0, 1.0], True),
        ([0], [0.25], True),
        ([0, 900], [0.9, 0.96], True),
        ([5], [12.0], False),
        ([1, 2], [0.0, float("inf")], False),
        ([1, 2], [None, 3.0], False),
    ],
)
def test_axes_show_what_can_be_and_have_a_width(monkeypatch, tmp_path, x, y, percent):
    series = [Series("a", "run", x, y, y, y)]
    [axes] = drawn(monkeypatch, tmp_path, series, percent=percent).axes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert 0 <= left <= min(x) <= max(x) <= right
    assert left < right
    assert 0 <= low < high
    assert not percent or (high <= 1.01 and low <= min(y) <= max(y) <= high)
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_what_goes_below_zero_is_shown(monkeypatch, tmp_path):
    [axes] = drawn(monkeypatch, tmp_path, [Series("a", "run", [1, 2], [-3.0, 1.0])]).axes
    assert axes.get_ylim()[0] < -3


@pytest.mark.parametrize("n_runs", [1, 2])
def test_no_two_of_the_paper_s_benchmarks_look_alike(monkeypatch, tmp_path, n_runs):
    runs, names = (
        ("one", "two")[:n_runs],
        [f"benchmark {i}" for i in range(25 if n_runs == 1 else 16)],
    )
    series = [Series(name, run, [1, 2], [i, i]) for i, name in enumerate(names) for run in runs]
    figure = drawn(monkeypatch, tmp_path, series)
    looks = [(line.get_color(), str(line._unscaled_dash_pattern)) for line in figure.axes[0].lines]
    assert len(set(looks)) == len(looks) == len(series)
    shown = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert len(shown) == len(series)


def test_more_series_than_colours_would_be_lost_silently():
    assert all(len(plot.series) <= len(COLOURS) for plot in PLOTS)
