"""`ukdsl evidence NAME`: measure a study over seeds, resuming what is there, and print it with standard errors."""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand

from ukdsl_assets.cli.common import check_output, complaints, console, read_settings
from ukdsl_assets.errors import EvidenceError
from ukdsl_assets.evidence.registry import MODULES, study

# What a setting's type is called.
TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false", list: "list"}

evidence = typer.Typer(
    no_args_is_help=True, help="Measure the platform's claims over many seeds (see Evidence in the documentation)."
)


class StudyCommand(TyperCommand):
    """The command of one study; its help ends with the study's own settings, which are read when help is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the options and the settings below it."""
        super().format_help(ctx, formatter)
        chosen = study(str(self.name))
        first, value = next(iter(chosen.defaults.items()))
        table = Table(title=f"Settings of {chosen.name}, e.g. --set {first}={value}", title_justify="left")
        for column in ("name", "type", "default", "meaning"):
            table.add_column(column, overflow="fold")
        for name, default in chosen.defaults.items():
            table.add_row(name, TYPES[type(default)], escape(json.dumps(default)), escape(chosen.meanings[name]))
        console.print(table)
        console.print(f"{chosen.question}\nWithout --worlds {chosen.seeds} seeds are measured.", highlight=False)


def measure_command(
    context: typer.Context,
    seeds: Annotated[int | None, typer.Option("--worlds", "--seeds", min=1, help="How many.")] = None,
    first: Annotated[int, typer.Option(min=0, help="The first; 1 to 20 report, 100 and up are for tuning.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the study, e.g. requests=500.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = os.cpu_count() or 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures and units of all seeds here.")] = None,
) -> None:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from ukdsl_assets.evidence.printed import summary_table
    from ukdsl_assets.evidence.summary import aim_lines, caption, result_of
    from ukdsl_assets.evidence.units import measured_units, scratch_folder, settings_of

    name = str(context.info_name)
    chosen, lake = study(name), read_settings().lake
    check_output("--json", json_file)
    changed = dict(_setting(name, setting) for setting in settings or [])
    wanted = [settings_of(chosen, seed, changed) for seed in range(first, first + (seeds or chosen.seeds))]
    bar = Progress(
        TextColumn(name), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=complaints, disable=not complaints.is_terminal,
    )  # fmt: skip
    before = -1
    with bar:
        task = bar.add_task("", total=len(wanted))
        stored: list[float] = []

        def progress(done: float, total: int, seconds: float) -> None:
            nonlocal before
            stored.append(done) if not stored else None
            pace = (done - stored[0]) / max(seconds, 1e-9)
            left = f"{(total - done) / pace:,.0f} s left" if pace > 0 else "measuring"
            bar.update(task, completed=done, description=f"{done:.1f} of {total} seeds, {left}")
            # A bar is nothing in a file; there, each tenth is a line.
            if not complaints.is_terminal and int(10 * done / total) > before:
                before = int(10 * done / total)
                complaints.print(f"{name}: {done:.1f} of {total} seeds done, {left}", highlight=False)

        started = time.monotonic()
        units = measured_units(chosen, wanted, f"{lake}/evidence", scratch_folder(lake), jobs, progress)
        wall = time.monotonic() - started
    result = result_of(chosen, units, shlex.join(["ukdsl", *sys.argv[1:]]))
    for table in result["tables"]:
        if table["lines"] and not table["folded"]:
            console.print(summary_table(table))
    for aim in aim_lines(result):
        console.print(aim, highlight=False)
    console.print(f"{result['question']}\n{caption(result)} This call took {wall:.0f} s.", highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(result) + "\n")
        console.print(f"All figures: {json_file}", highlight=False, soft_wrap=True)


for _name, (_, _question) in MODULES.items():
    evidence.command(_name, cls=StudyCommand, help=_question)(measure_command)


@evidence.command("document")
def document_command(
    source: Annotated[Path, typer.Option("--from", help="Folder of the results.")] = Path("docs/evidence"),
    target: Annotated[Path, typer.Option("--output", help="Markdown file to write.")] = Path("docs/evidence.md"),
) -> None:
    """Make a page of all results, with figures, from the JSON files of the other commands and the notes beside them."""
    from ukdsl_assets.evidence.document import document, read_results
    from ukdsl_assets.evidence.figures import write_figures

    check_output("--output", target)
    results = read_results(source)
    target.write_text(document(results) + "\n", encoding="utf-8")
    typer.echo(f"{target}: {len(results)} result(s)")
    for figure in write_figures((result for result, _ in results), target.parent / "images"):
        typer.echo(f"{figure}: written")


def _setting(study_name: str, text: str) -> tuple[str, Any]:
    """`requests=500` as a name and a JSON value; what is no JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise EvidenceError(f"{study_name}: --set: expected NAME=VALUE, saw {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
