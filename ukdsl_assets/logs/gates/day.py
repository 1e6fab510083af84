"""All gates of a day of logs at once, as the graph and `ukdsl check-logs` apply them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import LogsError
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.frames.missing import missing_as_null
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.logs.by_shard import by_shard
from ukdsl_assets.logs.contract import DayOfLogs, LogName
from ukdsl_assets.logs.gates.drift import volume
from ukdsl_assets.logs.gates.rows import (
    CANDIDATE_LOG_RULES,
    EVENT_LOG_RULES,
    CandidateCounts,
    CandidateLogGates,
    EventCounts,
    EventLogGates,
)
from ukdsl_assets.logs.source import FileSource, LogSource
from ukdsl_assets.logs.tolerance import within_tolerance

# Name of each gate of a log -> what it demands.
RULES: dict[LogName, dict[str, str]] = {
    "candidate_log": {
        **CANDIDATE_LOG_RULES,
        "volume_near_trailing_median": demand(
            "The day has about as many rows as the days of the week before.",
            "see whether logs were lost or doubled; where traffic truly changed, widen gates.volume.",
        ),
    },
    "event_log": EVENT_LOG_RULES,
}
Keep = Callable[[DayOfLogs], None]


@dataclass(frozen=True)
class Judged:
    """The verdicts on a day's logs, and the rows of each log.

    Where they could not be read there are no rows at all, and `unread` says why and what to do: the one thing to tell.
    """

    candidate_log: list[GateResult]
    event_log: list[GateResult]
    rows: dict[str, int]
    unread: str = ""

    @property
    def results(self) -> list[GateResult]:
        """The verdicts on both."""
        return [*self.candidate_log, *self.event_log]


def read_and_judge(
    source: LogSource,
    cascade: Cascade,
    day: date,
    trailing_rows: Sequence[int],
    keep: Keep | None = None,
    shards: int = 1,
    folder: Path | None = None,
) -> Judged:
    """Read a day and judge it, shard by shard; logs that cannot be read fail their gates instead of raising.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
        keep: is given each shard in the contract's order, e.g. to write it; what it got is worth nothing if a gate
            fails.
        shards: one of them is in memory at a time.
        folder: on the disk where rows wait, None for the system's temporary folder. They are gone on return.

    Returns:
        As `judge_shards`. Where the source raised SourceError or ContractError: the error's message at `contract` of
        the log that it is about, and every other gate of both logs failed as not judged.
    """
    with TemporaryDirectory(dir=folder) as waiting:
        try:
            read = by_shard(source.read_in_parts(day), shards, Path(waiting))
            return judge_shards(cascade, day, read, trailing_rows, keep, source)
        except LogsError as error:
            return unread(error)


def judge_shards(
    cascade: Cascade,
    day: date,
    shards: Iterable[DayOfLogs],
    trailing_rows: Sequence[int],
    keep: Keep | None = None,
    source: LogSource | None = None,
) -> Judged:
    """Verdicts on logs that come in shards: whole requests, in the contract's order.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
        keep: is given each shard.
        source: where the logs came from; if it has files, messages name those of the rows that they show.
    """
    gates = DayGates(cascade, day)
    for read in shards:
        logs, counts = gates.counted(read)
        gates.add(counts)
        if keep is not None:
            keep(logs)
    return gates.judged(trailing_rows, source)


@dataclass(frozen=True)
class ShardCounts:
    """What a shard adds to the verdicts on a day: small, and picklable; `rows` of each log."""

    candidate_log: CandidateCounts
    event_log: EventCounts
    rows: dict[str, int]


class DayGates:
    """The gates of both logs: each shard is counted, wherever that is, and the counts are added in their order."""

    def __init__(self, cascade: Cascade, day: date) -> None:
        self._cascade, self._day = cascade, day
        self._candidates, self._events = CandidateLogGates(cascade, day), EventLogGates(cascade, day)
        self._rows: dict[str, int] = {"candidate_log": 0, "event_log": 0}

    def counted(self, read: DayOfLogs) -> tuple[DayOfLogs, ShardCounts]:
        """The shard as it is to be kept, and what it adds; whole requests, in the contract's order.

        Events inside the declared `clock_tolerance` before their request are judged and kept at its moment.
        """
        read = within_tolerance(self._cascade, read)
        candidates = missing_as_null(read.candidate_log, _as_declared(self._cascade, read))
        logs = DayOfLogs(candidates, read.event_log)
        of_events = self._events.counted(logs.event_log, candidates)
        rows = {"candidate_log": candidates.height, "event_log": logs.event_log.height}
        return logs, ShardCounts(self._candidates.counted(candidates), of_events, rows)

    def add(self, counts: ShardCounts) -> None:
        """Add what was counted of a shard, after those before it."""
        self._candidates.add(counts.candidate_log)
        self._events.add(counts.event_log)
        for log, rows in counts.rows.items():
            self._rows[log] += rows

    def judged(self, trailing_rows: Sequence[int], source: LogSource | None = None) -> Judged:
        """The verdicts on all that was added; as `judge_shards`."""
        of_candidates, of_events = None, None
        if isinstance(source, FileSource):
            of_candidates = partial(source.locate, "candidate_log", self._day)
            of_events = partial(source.locate, "event_log", self._day)
        of_volume = volume(self._cascade, self._rows["candidate_log"], trailing_rows)
        return Judged(
            [*self._candidates.results(of_candidates), of_volume], self._events.results(of_events), {**self._rows}
        )


def unread(error: LogsError) -> Judged:
    """The verdicts on logs that could not be read."""
    return Judged(_unread("candidate_log", error), _unread("event_log", error), {}, str(error))


def _as_declared(cascade: Cascade, logs: DayOfLogs) -> list[Feature]:
    """Features whose columns have their declared type; of others the gates tell."""
    schema = logs.candidate_log.schema
    return [feature for feature in cascade.features if schema.get(feature.name) == feature_dtype(feature)]


def _unread(log: LogName, error: LogsError) -> list[GateResult]:
    wrong = error.log
    reason = f"not judged: {wrong} could not be read; its gate `contract` says why"
    return [
        GateResult(gate, False, str(error))
        if (log, gate) == (wrong, "contract")
        else GateResult(gate, False, reason, judged=False)
        for gate in RULES[log]
    ]
