"""The command ``ovr``; nothing heavy is imported on top, so that ``ovr --help`` is quick."""

from __future__ import annotations

import typer

from ovr_plugin.cli.ablations import ablations
from ovr_plugin.cli.average import average
from ovr_plugin.cli.behaviours import behaviours
from ovr_plugin.cli.doctor import doctor
from ovr_plugin.cli.evaluate import benchmarks, evaluate
from ovr_plugin.cli.grade import grade as grade_command
from ovr_plugin.cli.loss import loss
from ovr_plugin.cli.pack import pack
from ovr_plugin.cli.plan import plan
from ovr_plugin.cli.prepare import prepare
from ovr_plugin.cli.quickstart import quickstart as quickstart_command  # the module keeps its name
from ovr_plugin.cli.report import report
from ovr_plugin.cli.sampling import distill, pass_rate
from ovr_plugin.cli.score import score
from ovr_plugin.cli.serve_reward import serve_reward
from ovr_plugin.cli.serving import serving
from ovr_plugin.cli.sources import sources

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Open Vision Reasoner for veRL: [bold]ovr doctor[/bold] says whether a run would start.",
)
app.command()(doctor)
app.command()(quickstart_command)
app.command()(ablations)
app.command()(average)
app.command()(loss)
app.command()(prepare)
app.command()(pass_rate)
app.command()(distill)
app.command()(pack)
app.command("grade")(grade_command)
app.command()(serve_reward)
app.command()(plan)
app.command("eval")(evaluate)
app.command()(benchmarks)
app.command()(score)
app.command()(serving)
app.command()(sources)
app.command()(behaviours)
app.command()(report)
