"""All gates of a day of logs at once, as the graph and `ukdsl check-logs` apply them."""

from collections.abc import Sequence
from datetime import date

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.gates import GateResult
from ukdsl_assets.sources.audit import audit_candidate_log, audit_event_log
from ukdsl_assets.sources.contract import DayOfLogs
from ukdsl_assets.sources.drift import volume


def judge_logs(
    cascade: Cascade, day: date, logs: DayOfLogs, trailing_rows: Sequence[int]
) -> tuple[list[GateResult], list[GateResult]]:
    """Verdicts on candidate_log and event_log.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
    """
    candidates, events = logs
    return (
        [
            *audit_candidate_log(cascade, day, candidates),
            volume(cascade, len(candidates), trailing_rows),
        ],
        audit_event_log(cascade, day, events, candidates),
    )
