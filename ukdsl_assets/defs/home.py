"""DAGSTER_HOME, where Dagster keeps runs: opened by one process at a time, cleared of runs whose process is gone."""

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from ukdsl_assets.defs.event_store import keep_engines
from ukdsl_assets.errors import UkdslError, in_own_words
from ukdsl_assets.settings import project_file, project_folder

# A run's tags: the process that it runs in, when that began, and on which machine; a number alone is used again.
PROCESS, STARTED, MACHINE = "ukdsl/process", "ukdsl/process_started", "ukdsl/machine"
DEAD = "the process of this run is gone (killed, out of memory, or the machine was restarted); what it published stays"
_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class HomeError(UkdslError):
    """DAGSTER_HOME cannot be opened."""


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the UI uses too: DAGSTER_HOME, by default .dagster_home of the project or clone.

    The default home takes the folder's `dagster.yaml`, or the shipped one.

    Two first processes on a new home would both make its databases, and leave what nobody can open; so one opens at a
    time. Runs that died are failed: see `fail_dead_runs`.

    Raises:
        HomeError: the home or its storage cannot be opened; says where it is, why, and what to do.
    """
    default = project_folder() / ".dagster_home"
    told = os.environ.setdefault("DAGSTER_HOME", str(default))
    home = Path(told)
    if not home.is_absolute():
        raise HomeError(
            f"DAGSTER_HOME={told} is no absolute path, which Dagster expects; write the whole path, or unset it for "
            f"{default}"
        )
    try:
        with _alone_in(home):
            if home == default:
                _put_in_place(project_file("dagster.yaml"), home / "dagster.yaml")
            keep_engines()
            opened = dg.DagsterInstance.get()
            # Each storage makes its database when it is first asked.
            opened.get_runs_count()
            opened.all_asset_keys()
            opened.all_instigator_state()
    except Exception as error:
        raise HomeError(
            f"DAGSTER_HOME={home} cannot be opened: {in_own_words(error)}. Expected a folder that may be written and a "
            f"dagster.yaml whose storage can be reached.{_new_files(home)}"
        ) from error
    with opened:
        fail_dead_runs(opened)
        yield opened


def process_tags() -> dict[str, str]:
    """The tags of a run in this process, by which a later process knows that it is dead."""
    return {PROCESS: str(os.getpid()), STARTED: _began(os.getpid()) or "unknown", MACHINE: _machine()}


def fail_dead_runs(opened: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is certainly gone: they would count as running, and hold up the queue.

    Those are runs with `process_tags` of this machine, whose process is not there or is another by now. Runs without
    these tags, such as those that the UI or its daemon start, and runs of other machines are left alone.

    Returns:
        The ids of those runs.
    """
    dead = []
    for run in opened.get_runs(dg.RunsFilter(statuses=_UNDER_WAY, tags={MACHINE: _machine()})):
        process, started = run.tags.get(PROCESS, ""), run.tags.get(STARTED)
        if process.isdecimal() and started is not None and _is_gone(int(process), started):
            opened.report_run_failed(run, f"{DEAD} (process {process})")
            dead.append(run.run_id)
    return dead


def fail_own_runs(opened: dg.DagsterInstance, why: str) -> None:
    """Mark the runs of this process as failed that have not ended; none is under way any more."""
    for run in own_runs_under_way(opened):
        opened.report_run_failed(run, why)


def own_runs_under_way(opened: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """The runs of this process that have not ended."""
    return opened.get_runs(dg.RunsFilter(statuses=_UNDER_WAY, tags=process_tags()))


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Waits until no other process is here; the system frees the place of one that was killed."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".opening.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _new_files(home: Path) -> str:
    """How to begin anew where runs are kept in files that nobody can open."""
    if not (home / "history").exists():
        return ""
    return (
        " To begin with new databases, move its folders `history` and `schedules` away: the list of runs goes with "
        "them, what was published stays"
    )


def _put_in_place(source: Path, target: Path) -> None:
    """Copies a file in one step: another process reads the old content or the new one."""
    copy = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, copy)
    copy.replace(target)


def _machine() -> str:
    """The machine and, in a container, the numbers of whose processes these are."""
    numbers = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {os.readlink(numbers)}" if numbers.is_symlink() else socket.gethostname()


def _is_gone(process: int, started: str) -> bool:
    began = _began(process)
    return began is None or (began != started and "unknown" not in (began, started))


def _began(process: int) -> str | None:
    """When a process of this machine began, as text that its successor of the same number differs in; None without it.

    `unknown` where the process is there, but the system does not tell.
    """
    try:
        # From the third field on; the second, a name, may hold blanks and brackets.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None  # It has ended, and its parent has not asked how.
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, IndexError):
        return "unknown"
    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(process)], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def dead_runs_sensor() -> dg.SensorDefinition:
    """Lets the daemon fail dead runs too: the queue that they hold up is the daemon's."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs of `ukdsl run` as failed whose process was killed; until then they hold up the queue.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        dead = fail_dead_runs(context.instance)
        return dg.SkipReason(f"failed, since their process is gone: {', '.join(dead)}" if dead else "no run is dead")

    return dead_runs
