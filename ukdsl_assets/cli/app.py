"""The command line: options of every command, how errors are told, and the commands, each in a file of its own."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, NoReturn

import typer

from ukdsl_assets.cli.check_logs import check_logs
from ukdsl_assets.cli.commands import Commands
from ukdsl_assets.cli.common import complaints, console, own_terminal, speak, speech
from ukdsl_assets.cli.compare import compare
from ukdsl_assets.cli.diagnose import diagnose
from ukdsl_assets.cli.estimate import estimate
from ukdsl_assets.cli.evidence import evidence
from ukdsl_assets.cli.experiment import experiment
from ukdsl_assets.cli.export import export
from ukdsl_assets.cli.init import init
from ukdsl_assets.cli.listing import list_declared
from ukdsl_assets.cli.release import release
from ukdsl_assets.cli.report import report
from ukdsl_assets.cli.run import run
from ukdsl_assets.cli.schema import schema
from ukdsl_assets.cli.score import score
from ukdsl_assets.cli.serve import serve
from ukdsl_assets.cli.status import status
from ukdsl_assets.cli.ui import ui
from ukdsl_assets.cli.vacuum import vacuum
from ukdsl_assets.cli.validate import validate
from ukdsl_assets.errors import RunFailedError, RunStoppedError, UkdslError, in_own_words, redacted

# By Ctrl-C, as shells count signals.
_STOPPED = 130
HELP = """Ranking cascades, distilled daily from their own logs.

A user's first commands, in order: init, diagnose, run, status, report, ui.

Exit codes: 0 done; 1 a gate or a step failed, what was published stays; 2 wrong arguments or a wrong declaration; 3 all
days are done, but on the last one a student was refused or not judged; 130 stopped by Ctrl-C or SIGTERM.
"""

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, help=HELP)


def main() -> None:
    """Entry point; errors that a user can mend, and those of disk and network, are printed without a traceback."""
    try:
        app()
    except (SystemExit, KeyboardInterrupt) as ended:
        if isinstance(ended, KeyboardInterrupt) or ended.code == _STOPPED:
            # Before the first step of a run, and in the other commands, Typer ends without a word.
            _say_stopped("Stopped as asked; what was published stays. The same command begins anew.")
        raise
    except RunStoppedError as error:
        _say_stopped(str(error), error.left_behind)
    except (UkdslError, OSError) as error:
        complaints.print(type(error).__name__, style="bold red", end=" ")
        words = str(error) if isinstance(error, UkdslError) else in_own_words(error)
        complaints.print(words, highlight=False, soft_wrap=True)
        sys.exit(_exit_code(error))
    except Exception as error:
        # A fault of ours: where it stands in the code helps who mends it. Secrets of addresses are left out.
        if speech.verbose:
            told = redacted(traceback.format_exc())
        else:
            told = f"{in_own_words(error)}\n{_place(error)}. The same command with --verbose shows how it came there."
        complaints.print(told, highlight=False, soft_wrap=True)
        sys.exit(1)


def _say_stopped(sentence: str, left_behind: bool = False) -> NoReturn:
    """Ends with 130; asking again while this process ends would only add Python's own complaints.

    Args:
        left_behind: a thread is in a library's code, which would abort the process where Python ended it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    complaints.print(sentence, highlight=False, soft_wrap=True)
    if left_behind:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_STOPPED)
    sys.exit(_STOPPED)


def _place(error: Exception) -> str:
    """Where an error was raised that no one foresaw."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"This is a fault of the program, raised in {frame.filename}, line {frame.lineno}"


def _exit_code(error: Exception) -> int:
    return 1 if isinstance(error, RunFailedError | OSError) else 2


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version
        from platform import python_version

        from ukdsl_assets import __version__

        beside = ", ".join(f"{name} {version(name)}" for name in ("torch", "polars", "dagster"))
        console.print(f"ukdsl-assets {__version__}, Python {python_version()}, {beside}", highlight=False)
        raise typer.Exit


@app.callback()
def of_every_command(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors alone.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print log lines, Dagster's too, details, and tracebacks of faults.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and end.")
    ] = False,
) -> None:
    """Set how much is told; all commands take these options, before or after their own."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other; give one of them")
    speak(quiet, verbose)
    if verbose:
        # Dagster sends standard error elsewhere while steps run.
        context.with_resource(_log_lines(context.with_resource(own_terminal()).file))


@contextmanager
def _log_lines(target: IO[str]) -> Iterator[None]:
    """Writes the package's log lines, those of the steps that Dagster runs among them, to a file while it lasts."""
    logger, handler = logging.getLogger("ukdsl_assets"), logging.StreamHandler(target)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


app.command()(init)
app.command("list")(list_declared)
app.command()(validate)
app.command()(schema)
app.command("check-logs")(check_logs)
app.command()(diagnose)
app.command()(run)
app.command()(status)
app.command()(compare)
app.command()(estimate)
app.command()(report)
app.command()(ui)
app.command()(score)
app.command()(export)
app.command()(serve)
app.command()(release)
app.command()(vacuum)
app.add_typer(experiment, name="experiment")
app.add_typer(evidence, name="evidence")
