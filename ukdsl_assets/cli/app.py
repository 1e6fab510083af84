"""The command line: `ukdsl run` materializes days, `ukdsl check-logs` judges logs, `ukdsl score` applies a student,
`ukdsl report` makes a day's report, `ukdsl status` tells which days are stale, `ukdsl ui` opens graph and reports in a
browser, `ukdsl evidence` measures the platform's claims over many seeds.

Exit codes: 0 done; 1 a gate or a step failed, what was published stays; 2 wrong arguments or a wrong declaration;
3 all days are done, but on the last one a student was refused or not judged; 130 stopped by Ctrl-C or SIGTERM.
"""

import sys
import tempfile
import time
import traceback
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    beside_progress,
    complaints,
    console,
    day_progress,
    find_cascade,
    own_terminal,
    parse_day,
    parse_days,
    read_settings,
)
from ukdsl_assets.cli.evidence import evidence
from ukdsl_assets.cli.report import report
from ukdsl_assets.cli.show import show_run
from ukdsl_assets.cli.status import status
from ukdsl_assets.cli.ui import ui
from ukdsl_assets.errors import DeclarationError, UkdslError, in_own_words, redacted
from ukdsl_assets.settings import TRAILING_DAYS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ScaleOption = Annotated[
    Literal["small", "default", "large"] | None, typer.Option(help="Size of simulated days (UKDSL_SCALE).")
]

# By Ctrl-C, as shells count signals.
_STOPPED = 130


def main() -> None:
    """Entry point; errors that a user can mend, and those of disk and network, are printed without a traceback."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == _STOPPED:
            # Before the first step of a run, and in the other commands, Typer ends without a word.
            complaints.print("Stopped as asked; what was published stays. The same command begins anew.")
        raise
    except (UkdslError, OSError) as error:
        complaints.print(type(error).__name__, style="bold red", end=" ")
        words = str(error) if isinstance(error, UkdslError) else in_own_words(error)
        complaints.print(words, highlight=False, soft_wrap=True)
        sys.exit(_exit_code(error))
    except Exception:
        # A fault of ours: where it stands in the code helps who mends it. Secrets of addresses are left out.
        complaints.print(redacted(traceback.format_exc()), highlight=False, soft_wrap=True)
        sys.exit(1)


def _exit_code(error: Exception) -> int:
    from ukdsl_assets.defs.run import RunFailedError, RunStoppedError

    if isinstance(error, RunStoppedError):
        return _STOPPED
    return 1 if isinstance(error, RunFailedError | OSError) else 2


@app.command()
def run(
    cascade: CascadeName,
    days: Annotated[str, typer.Option(help="One day, or the first and the last: 2026-01-01..2026-01-07.")],
    scale: ScaleOption = None,
    as_of: Annotated[str | None, typer.Option(help="Simulated clock (UTC), to find late events (UKDSL_AS_OF).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the evaluation of all days here.")] = None,
) -> None:
    """Materialize days in order, by the same graph that the UI shows, and print the last day's evaluation."""
    from ukdsl_assets.defs.run import open_job, run_days

    settings = read_settings(scale=scale, as_of=as_of)
    cascades, declared = find_cascade(settings, cascade)
    wanted = parse_days(declared, days)
    if json_file is not None and not json_file.parent.is_dir():
        raise DeclarationError(f"--json: no folder {json_file.parent}; make it first")
    with own_terminal() as terminal, day_progress(terminal) as bar:
        task = bar.add_task("", total=None, day=str(wanted[0]))

        def progress(day: date, what: str, ended: bool) -> None:
            step = beside_progress(terminal, what.removeprefix(f"{cascade}/"))
            bar.update(task, day=str(day), advance=1 if ended else 0, description=step or None)

        job = open_job(settings, cascades, declared, progress)
        bar.update(task, total=len(job.nodes) * len(wanted))
        started = time.monotonic()
        for done, day in enumerate(run_days(job, declared, wanted), start=1):
            if not terminal.is_terminal:
                # A bar is nothing in a file; there, each day is a line.
                seconds_a_day = (time.monotonic() - started) / done
                terminal.print(
                    f"{day} done, {seconds_a_day:.0f} s a day, {seconds_a_day * (len(wanted) - done):.0f} s left"
                )
        bar.update(task, description="done")
    if show_run(settings, declared, wanted, json_file):
        raise typer.Exit(3)


@app.command("check-logs")
def check_logs(
    cascade: CascadeName,
    day: Annotated[str, typer.Option(help="The day to judge, e.g. 2026-01-01.")],
    scale: ScaleOption = None,
) -> None:
    """Judge a day's logs against the contract; writes nothing to the lake. Exit code 1 if a gate fails."""
    from rich.text import Text

    from ukdsl_assets.gates import blocking
    from ukdsl_assets.lake.tables.lake import Lake
    from ukdsl_assets.logs.gates.day import read_and_judge
    from ukdsl_assets.logs.sources.open import open_source
    from ukdsl_assets.reports.printed import gate_table

    settings = read_settings(scale=scale)
    _, declared = find_cascade(settings, cascade)
    wanted = parse_day(declared, day)
    lake, table = Lake(settings.tables, settings.shards), (cascade, "candidate_log")
    trailing = lake.row_counts(
        table, [earlier for earlier in lake.partitions(table) if earlier < wanted][-TRAILING_DAYS:]
    )
    # A simulated cascade's state goes to a folder that is thrown away.
    with tempfile.TemporaryDirectory() as scratch, complaints.status("reading the logs ...") as line:
        source = open_source(declared, settings, scratch, lambda words: line.update(Text(words)))
        judged = read_and_judge(source, declared, wanted, list(trailing.values()), shards=settings.shards)
    for log, results in (("candidate_log", judged.candidate_log), ("event_log", judged.event_log)):
        rows = f"{judged.rows[log]:,} rows" if judged.rows else "could not be read"
        console.print(gate_table(f"{log} of {cascade}, {wanted}: {rows}", results))
    failed = blocking(judged.results)
    console.print(f"{len(failed)} gate(s) failed" if failed else "The logs keep the contract.")
    if failed:
        raise typer.Exit(1)


@app.command()
def score(
    cascade: CascadeName,
    student: Annotated[str, typer.Argument(metavar="STUDENT", help="Name of a declared student.")],
    source: Annotated[Path, typer.Option("--input", help="Parquet file of candidates, or a folder of them.")],
    target: Annotated[Path, typer.Option("--output", help="Parquet file to write.")],
    head: Annotated[
        Literal["impression", "consideration", "scored"] | None,
        typer.Option(help="Output to take; the serving head if left out."),
    ] = None,
    day: Annotated[str | None, typer.Option(help="Take that day's distilled checkpoint, not the released one.")] = None,
) -> None:
    """Score candidates with the released student (or a day's): one prediction a row, in the input's order."""
    from ukdsl_assets.serving.files import score_files, unknown_id_messages
    from ukdsl_assets.serving.released import load_student

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    fitted = load_student(declared, student, None if day is None else parse_day(declared, day), settings.lake)
    chosen = head or fitted.heads[-1]
    name = f"{cascade}/{student}, {fitted.day}, checkpoint {fitted.version}, head {chosen}"
    record = {
        "cascade": cascade,
        "student": student,
        "checkpoint": f"{fitted.day}/{fitted.version}",
        "note": declared.note,
    }
    with complaints.status("scoring ...") as shown:

        def progress(rows: int, total: int, seconds: float) -> None:
            left = (total - rows) * seconds / max(rows, 1)
            shown.update(f"{rows:,} of {total:,} rows, {rows / max(seconds, 1e-9):,.0f} a second, {left:.0f} s left")

        done = score_files(fitted, source, target, chosen, record, settings.training_threads, progress=progress)
    speed = f"{done.rows:,} rows in {done.seconds:.1f} s ({done.rows / max(done.seconds, 1e-9):,.0f} a second)"
    console.print(f"{name}\n{speed}, mean prediction {done.mean:.5f}: {target}", highlight=False, soft_wrap=True)
    for feature in fitted.encoder.features:
        if feature.served_as is not None:
            console.print(f"{feature.name}: scored as {feature.served_as}; the input's is not read", highlight=False)
    for line in unknown_id_messages(done.unknown, str(fitted.day)):
        console.print(line, highlight=False)


app.command()(report)
app.command()(status)
app.command()(ui)
app.add_typer(evidence, name="evidence")


@app.command()
def vacuum(
    older_than_hours: Annotated[
        int, typer.Option(help="Spare files younger than this; those of a commit under way stay in any case.", min=0)
    ] = 168,
) -> None:
    """Remove files that no version of a table younger than this uses, checkpoints that were never published, states of
    trainings that nobody went on with and what killed writers left; commits of 30 days ago leave the tables' logs.
    """
    from ukdsl_assets.lake.checkpoints.store import CheckpointStore
    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.lake.tables.lake import Lake

    settings = read_settings()
    swept = Lake(settings.tables, settings.shards).sweep(older_than_hours)
    for table, files in swept.items():
        if files:
            console.print(redacted(f"{files} file(s) of {table}"), highlight=False, soft_wrap=True)
    unfinished = Storage(settings.lake).sweep_unfinished(older_than_hours)
    unpublished = CheckpointStore(settings.checkpoints).sweep(older_than_hours)
    console.print(
        f"Removed {sum(swept.values())} file(s) of {len(swept)} table(s), {sum(unpublished.values())} unpublished "
        f"checkpoint(s) and {unfinished} unfinished file(s)."
    )
