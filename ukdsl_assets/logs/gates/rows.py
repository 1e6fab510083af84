"""The gates that one day of logs must pass before it is published. A log that fails one of severity ERROR is not used.

Every rule is about rows of one request, so that a day is judged shard by shard, one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, prediction_column
from ukdsl_assets.declaration.sources import ParquetSource
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.logs.by_shard import in_order
from ukdsl_assets.logs.contract import CANDIDATE_ORDER, EVENT_ORDER, candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.logs.gates.probes import GATE, ProbeCounts, ProbeSums
from ukdsl_assets.logs.gates.tally import Broken, Locate, Tally
from ukdsl_assets.logs.rules import (
    Rule,
    candidate_log_rules,
    constant_columns,
    event_log_rules,
    no_nulls,
    repeats_in_sorted,
    varies_in_sorted,
)

# Name of each gate -> what it demands, in the order of the verdicts.
CANDIDATE_LOG_RULES = {
    "contract": demand(
        "Columns, types, nulls and ranges are those of the contract; timestamps lie inside the day.",
        "mend the column and rows that the message names where the log is written, or the mapping that writes it; "
        "`ukdsl check-logs` tells when the day is right.",
    ),
    "keys_unique": demand(
        "One row per request and candidate.",
        "write each candidate of a request once; look for files that were written twice, or ids that are reused.",
    ),
    "probabilities_valid": demand(
        "Predictions and true probabilities are finite and in [0, 1].",
        "log probabilities, not scores or logits; find what wrote NaN or infinity.",
    ),
    "late_stage_present": demand(
        "The deepest stage that logs predictions has scored candidates of most requests.",
        "see whether its predictions are logged for every request that it ranks; where it truly ranks few, lower "
        "gates.late_stage_present.",
    ),
    GATE: demand(
        "The probes of a stage stand for about as many rows as it rejected; only told.",
        "log as `probe_rate` the share that probes were drawn with, and log every probe.",
    ),
}
EVENT_LOG_RULES = {
    "contract": demand(
        "Columns, types and event names are those of the contract; no event comes before its request.",
        "mend what the message names; where clocks differ by a moment, declare source.clock_tolerance.",
    ),
    "events_have_candidates": demand(
        "Every event belongs to a candidate that was shown.",
        "write an event to the day of its request, and only of shown candidates; see whether candidates were lost.",
    ),
}


def judge_candidate_log(
    cascade: Cascade, day: date, frame: pl.DataFrame, locate: Locate | None = None
) -> list[GateResult]:
    """Judge a day's candidate log that is in memory as a whole.

    Args:
        cascade: the declaration that the log must follow.
        day: the UTC day of the partition.
        frame: the log, in any order. Not changed.
        locate: if rows come from files, asked once on failure for the files of the example keys (request_id,
            candidate_id) that messages show.

    Returns:
        The gates of CANDIDATE_LOG_RULES in their order. An empty day fails `contract`. If columns are missing or of a
        wrong type, the other gates fail as not judged.
    """
    gates = CandidateLogGates(cascade, day)
    gates.add(gates.counted(in_order(frame, CANDIDATE_ORDER)))
    return gates.results(locate)


def judge_event_log(
    cascade: Cascade,
    day: date,
    event_log: pl.DataFrame,
    candidate_log: pl.DataFrame,
    locate: Locate | None = None,
) -> list[GateResult]:
    """Judge a day's event log against the candidate log of the same day, both in memory and in any order.

    Args:
        locate: as for `judge_candidate_log`; the keys are (request_id, candidate_id, event).

    Returns:
        The gates of EVENT_LOG_RULES in their order. An empty event log passes. If needed columns of either log are
        missing or of a wrong type, gates fail as not judged.
    """
    gates = EventLogGates(cascade, day)
    gates.add(gates.counted(event_log, candidate_log))
    return gates.results(locate)


@dataclass(frozen=True)
class CandidateCounts:
    """What a shard of a candidate log adds to the verdicts on it: small, and picklable.

    Attributes:
        problem: what is wrong with its columns; then nothing is counted.
        probes: by stage.
        requests, late: requests, and those with a prediction of the deepest stage that logs any.
    """

    problem: str = ""
    broken: Broken = field(default_factory=Broken)
    probes: Mapping[str, ProbeCounts] = field(default_factory=dict)
    requests: int = 0
    late: int = 0


@dataclass(frozen=True)
class EventCounts:
    """The same of an event log."""

    problem: str = ""
    broken: Broken = field(default_factory=Broken)


class CandidateLogGates:
    """Judges a candidate log by its shards: whole requests, in the contract's order."""

    def __init__(self, cascade: Cascade, day: date) -> None:
        self._cascade = cascade
        self._where = f"candidate_log of {cascade.name}, {day}"
        self._dtypes = candidate_log_dtypes(cascade)
        rules = [
            *no_nulls(cascade, self._dtypes),
            _inside_day(day),
            *candidate_log_rules(cascade),
            *(varies_in_sorted(cascade, column) for column in constant_columns(cascade)),
            repeats_in_sorted(),
        ]
        self._tally = Tally(rules, CANDIDATE_ORDER)
        self._probes = ProbeSums(cascade)
        self._problem = ""
        self._requests = self._late = 0

    def counted(self, frame: pl.DataFrame) -> CandidateCounts:
        """Judge a shard, wherever that is; it may have no rows."""
        problem = _wrong_columns(frame, self._dtypes)
        if problem or frame.is_empty():
            return CandidateCounts(problem)
        # Rules ask for the stage often, and numbers are compared faster than texts.
        frame = frame.with_columns(pl.col("deepest_stage").cast(pl.Categorical))
        request = pl.col("request_id")
        present = pl.any_horizontal(pl.lit(False), *(pl.col(column).is_not_null() for column in self._late_columns))
        requests, late = frame.select(request.n_unique(), late=request.filter(present).n_unique()).row(0)
        return CandidateCounts("", self._tally.counted(frame), self._probes.counted(frame), requests, late)

    def add(self, counts: CandidateCounts) -> None:
        """Add what was counted of a shard, after those before it."""
        self._problem = self._problem or counts.problem
        self._tally.add(counts.broken)
        self._probes.add(counts.probes)
        self._requests, self._late = self._requests + counts.requests, self._late + counts.late

    def results(self, locate: Locate | None = None) -> list[GateResult]:
        """The verdicts on all shards; as `judge_candidate_log`."""
        problem = self._problem
        if not problem and not self._tally.rows:
            problem = "0 rows, expected at least one; see whether the day's logging ran"
        if problem:
            return _not_judged(self._where, problem, [*CANDIDATE_LOG_RULES])
        judged = self._tally.verdicts(self._where, [*CANDIDATE_LOG_RULES][:-2], KEYS, locate)
        return [*judged, self._late_stage_present(), self._probes.result(self._where)]

    @property
    def _late_stage(self) -> str | None:
        """The deepest stage that logs predictions."""
        logging = [stage.name for stage in self._cascade.stages if self._cascade.predictions_of(stage.name)]
        return logging[-1] if logging else None

    @property
    def _late_columns(self) -> list[str]:
        stage = self._late_stage
        return [prediction_column(stage, task) for task in self._cascade.predictions_of(stage)] if stage else []

    def _late_stage_present(self) -> GateResult:
        gate, least, stage = "late_stage_present", self._cascade.gates.late_stage_present, self._late_stage
        if stage is None:
            return GateResult(gate, True, f"{self._where}: not applicable, since no stage logs predictions")
        share = self._late / self._requests
        message = (
            f"{self._where}: {self._late:,} of {self._requests:,} requests ({share:.1%}) have a prediction of stage "
            f"{stage}, expected at least {least:.1%}"
        )
        if share < least:
            message += f"; see whether {', '.join(self._late_columns)} are logged for every request that {stage} ranks"
        figures = {"share": share, "requests": self._requests, "expected": least}
        return GateResult(gate, share >= least, message, seen=figures)


class EventLogGates:
    """Judges an event log by its shards, each beside the same requests' candidates."""

    def __init__(self, cascade: Cascade, day: date) -> None:
        self._where = f"event_log of {cascade.name}, {day}"
        self._dtypes = event_log_dtypes(cascade)
        self._needed = {name: candidate_log_dtypes(cascade)[name] for name in (*KEYS, "requested_at", "shown")}
        differ = ""
        if isinstance(cascade.source, ParquetSource):
            differ = ", or declare by how much clocks differ as `clock_tolerance` under `source`"
        rules = [
            *no_nulls(cascade, self._dtypes),
            *event_log_rules(cascade),
            Rule(
                "contract",
                "occurred_at",
                "not before its request's requested_at",
                f"bring both clocks to UTC, and log an event with the time at which it happened{differ}",
                pl.col("occurred_at") < pl.col("requested_at"),
            ),
            Rule(
                "events_have_candidates",
                "request_id, candidate_id",
                "a row of candidate_log with shown = true",
                "write each event to the day of its request, and set shown on every candidate that was displayed",
                pl.col("requested_at").is_null(),
            ),
        ]
        self._tally = Tally(rules, EVENT_ORDER)
        self._problem = ""

    def counted(self, event_log: pl.DataFrame, candidate_log: pl.DataFrame) -> EventCounts:
        """Judge a shard, wherever that is; either log may have no rows."""
        problem = _wrong_columns(event_log, self._dtypes)
        candidates = candidate_log.select(name for name in self._needed if name in candidate_log.columns)
        if not problem and (of_candidates := _wrong_columns(candidates, self._needed)):
            problem = f"its candidate_log: {of_candidates}"
        if problem or event_log.is_empty():
            return EventCounts(problem)
        shown = candidates.lazy().filter("shown").drop("shown").unique(KEYS)
        joined = event_log.lazy().join(shown, on=KEYS, how="left", maintain_order="left")
        return EventCounts("", self._tally.counted(joined.collect()))

    def add(self, counts: EventCounts) -> None:
        """Add what was counted of a shard, after those before it."""
        self._problem = self._problem or counts.problem
        self._tally.add(counts.broken)

    def results(self, locate: Locate | None = None) -> list[GateResult]:
        """The verdicts on all shards; as `judge_event_log`."""
        if self._problem:
            return _not_judged(self._where, self._problem, [*EVENT_LOG_RULES])
        return self._tally.verdicts(self._where, [*EVENT_LOG_RULES], (*KEYS, "event"), locate)


def _wrong_columns(frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType]) -> str:
    """What is wrong with a frame's columns, empty if nothing."""
    problems = [f"column `{name}` ({dtype}) is missing" for name, dtype in dtypes.items() if name not in frame.columns]
    for name, dtype in frame.schema.items():
        if name not in dtypes:
            problems.append(f"column `{name}` is not declared")
        elif dtype != dtypes[name]:
            problems.append(f"column `{name}` is {dtype}, expected {dtypes[name]}")
    return "; ".join(problems) + "; bring the frame to the declared columns with `conform`" if problems else ""


def _not_judged(where: str, problem: str, gates: Sequence[str]) -> list[GateResult]:
    contract = GateResult("contract", False, f"{where}: {problem}", seen={"problem": problem})
    reason = f"{where}: not judged, because `contract` failed; mend that first"
    return [contract, *(GateResult(gate, False, reason, judged=False) for gate in gates if gate != "contract")]


def _inside_day(day: date) -> Rule:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Rule(
        "contract",
        "requested_at",
        f"inside the UTC day {day}",
        "write each request to the partition of its UTC day",
        ~pl.col("requested_at").is_between(start, start + timedelta(days=1), closed="left"),
    )
