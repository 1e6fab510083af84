"""Days in this process: how they fail, and how they are stopped."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.fixtures.graph import shipped
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.run import progress_logger, run_days
from ukdsl_assets.errors import RunFailedError, RunStoppedError

DAYS = [date(2026, 3, 1) + timedelta(days=each) for each in range(3)]


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return shipped("simulated_ads")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests here: a new one takes seconds."""
    folder = tmp_path_factory.getbasetemp() / "home of runs"
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(folder))
        yield folder


def job_of(step: Callable[[str], None]) -> dg.JobDefinition:
    """A job of two steps, of which the second does this on its day."""

    @dg.op
    def first() -> int:
        return 1

    @dg.op
    def second(context: dg.OpExecutionContext, one: int) -> None:
        step(context.partition_key)

    @dg.job(
        partitions_def=dg.DailyPartitionsDefinition(str(DAYS[0])),
        logger_defs={"told": progress_logger(lambda day, step, line, ended: None)},
    )
    def both() -> None:
        second(first())

    return both


def run_until_it_ends(job: dg.JobDefinition, cascade: Cascade, steps: int = 1) -> tuple[list[date], str]:
    """The days that were done, and what was raised."""
    done: list[date] = []
    with pytest.raises((RunFailedError, RunStoppedError)) as raised:
        done.extend(run_days(job, cascade, DAYS, steps))
    return done, f"{type(raised.value).__name__}: {raised.value}"


def stop(number: int, on: date) -> Callable[[str], None]:
    """Interrupts that day."""

    def step(day: str) -> None:
        if day == str(on):
            os.kill(os.getpid(), number)
            signal.sigtimedwait([signal.SIGALRM], 5)  # Python raises at its next instruction.

    return step


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
def test_a_stop_says_what_stands_and_leaves_no_run_under_way(cascade: Cascade, steps: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    done, told = run_until_it_ends(job_of(stop(signal.SIGTERM, DAYS[1])), cascade, steps)
    assert done == DAYS[:1]
    assert told == (
        "RunStoppedError: simulated_ads, 2026-03-02: stopped as asked in step second; what is published stays "
        "(2026-03-01 and 1 step of 2026-03-02), and `ukdsl run simulated_ads --days 2026-03-02..2026-03-03` goes on, "
        "a training from its last kept state"
    )
    assert signal.getsignal(signal.SIGTERM) is before
    with dg.DagsterInstance.get() as opened:
        assert {run.status.value for run in opened.get_runs()} <= {"SUCCESS", "FAILURE"}


def test_a_stop_that_a_library_tells_as_an_error_of_its_own_is_a_stop(cascade: Cascade) -> None:
    def step(day: str) -> None:
        try:
            stop(signal.SIGINT, DAYS[0])(day)
        except BaseException:
            raise RuntimeError("Query interrupted") from None

    assert run_until_it_ends(job_of(step), cascade)[1].startswith("RunStoppedError")


def test_a_stop_that_was_swallowed_stops_before_the_next_day(cascade: Cascade) -> None:
    def step(day: str) -> None:
        try:
            stop(signal.SIGINT, DAYS[0])(day)
        except BaseException:
            return

    done, told = run_until_it_ends(job_of(step), cascade)
    assert done == DAYS[:1]
    assert told.startswith("RunStoppedError: simulated_ads, 2026-03-02: stopped")


@pytest.mark.parametrize("steps", [1, 2])
def test_an_error_that_nobody_foresaw_is_told_in_its_own_words(cascade: Cascade, steps: int) -> None:
    def step(day: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "sftp://a:hunter2@b/shard.parquet")

    _, told = run_until_it_ends(job_of(step), cascade, steps)
    assert told == (
        "RunFailedError: OSError: [Errno 28] No space left on device: 'sftp://***@b/shard.parquet'\n"
        "(step second failed)\n"
        "simulated_ads, 2026-03-01: stopped there; what was published stays"
    )


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="what a process ignores is read from /proc")
def test_what_copies_a_steps_output_leaves_ctrl_c_to_the_run(cascade: Cascade) -> None:
    ignored: list[bool] = []

    def step(day: str) -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        for status in (Path(f"/proc/{child}/status").read_text() for child in children):
            mask = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
            ignored.append(bool(int(mask.split()[1], 16) >> (signal.SIGINT - 1) & 1))

    before = signal.getsignal(signal.SIGINT)
    assert list(run_days(job_of(step), cascade, DAYS[:1])) == DAYS[:1]
    assert len(ignored) >= 4  # of each of the two streams a copy and who watches it
    assert all(ignored)
    assert signal.getsignal(signal.SIGINT) is before
