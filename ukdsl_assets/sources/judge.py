"""All gates of a day of logs at once, as the graph and `ukdsl check-logs` apply them."""

from collections.abc import Sequence
from datetime import date
from functools import partial

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.errors import LogsError
from ukdsl_assets.gates import GateResult
from ukdsl_assets.sources.audit import CANDIDATE_LOG_GATES, EVENT_LOG_GATES, audit_candidate_log, audit_event_log
from ukdsl_assets.sources.contract import DayOfLogs, LogName
from ukdsl_assets.sources.drift import volume
from ukdsl_assets.sources.open import FileSource, Source

GATES: dict[LogName, tuple[str, ...]] = {
    "candidate_log": (*CANDIDATE_LOG_GATES, "volume_near_trailing_median"),
    "event_log": EVENT_LOG_GATES,
}


def read_and_judge(
    source: Source, cascade: Cascade, day: date, trailing_rows: Sequence[int]
) -> tuple[DayOfLogs | None, list[GateResult], list[GateResult]]:
    """Read a day and judge it; logs that cannot be read fail their gates instead of raising.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.

    Returns:
        The logs, and the verdicts on candidate_log and on event_log. Where the source raised SourceError or
        ContractError: None, the error's message at `contract` of the log that it is about, and every other gate of both
        logs failed as not judged. If the source has files, messages name those of the rows that they show.
    """
    try:
        logs = source.read(day)
    except LogsError as error:
        return None, _unread("candidate_log", error), _unread("event_log", error)
    return logs, *judge_logs(cascade, day, logs, trailing_rows, source)


def judge_logs(
    cascade: Cascade, day: date, logs: DayOfLogs, trailing_rows: Sequence[int], source: Source | None = None
) -> tuple[list[GateResult], list[GateResult]]:
    """Verdicts on candidate_log and event_log.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
        source: where the logs came from; if it has files, messages name those of the rows that they show.
    """
    candidates, events = logs
    of_candidates, of_events = None, None
    if isinstance(source, FileSource):
        of_candidates = partial(source.locate, "candidate_log", day)
        of_events = partial(source.locate, "event_log", day)
    return (
        [
            *audit_candidate_log(cascade, day, candidates, of_candidates),
            volume(cascade, len(candidates), trailing_rows),
        ],
        audit_event_log(cascade, day, events, candidates, of_events),
    )


def _unread(log: LogName, error: LogsError) -> list[GateResult]:
    wrong = error.log
    reason = f"{log}: not judged, because {wrong} could not be read; mend that first"
    return [
        GateResult(gate, False, str(error) if (log, gate) == (wrong, "contract") else reason) for gate in GATES[log]
    ]
