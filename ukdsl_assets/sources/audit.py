"""The gates that one day of logs must pass before it is published. All are ERROR: a log that fails is not used.

Every rule is counted in one pass; offending keys, and their files, are looked up only for the rules that fail.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from ukdsl_assets.cascade import Cascade, prediction_column
from ukdsl_assets.gates import GateResult
from ukdsl_assets.sources.contract import candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.sources.rules import (
    CANDIDATE_KEYS,
    Rule,
    candidate_log_rules,
    constant_columns,
    event_log_rules,
    no_nulls,
    nullable_columns,
    repeats_in_sorted,
    varies_in_sorted,
)

SHOWN_KEYS = 3
CANDIDATE_LOG_GATES = ("contract", "keys_unique", "probabilities_valid", "late_stage_present")
EVENT_LOG_GATES = ("contract", "events_have_candidates")
# Takes a frame of keys, gives the files that hold rows of each.
Locate = Callable[[pl.DataFrame], Mapping[tuple[Any, ...], Sequence[str]]]


def audit_candidate_log(
    cascade: Cascade, day: date, frame: pl.DataFrame, locate: Locate | None = None
) -> list[GateResult]:
    """Judge a day's candidate log.

    Args:
        cascade: the declaration that the log must follow.
        day: the UTC day of the partition.
        frame: the log; fastest if sorted by (request_id, candidate_id), as the contract has it. Not changed.
        locate: if rows come from files, asked once on failure for the files of the example keys (request_id,
            candidate_id) that messages show.

    Returns:
        The CANDIDATE_LOG_GATES in their order. An empty day fails `contract`. If columns are missing or of a wrong
        type, the other gates fail as not judged.
    """
    where = f"candidate_log of {cascade.name}, {day}"
    dtypes = candidate_log_dtypes(cascade)
    if problem := _wrong_columns(frame, dtypes):
        return _not_judged(where, problem, CANDIDATE_LOG_GATES)
    if frame.is_empty():
        problem = "0 rows, expected at least one; see whether the day's logging ran"
        return _not_judged(where, problem, CANDIDATE_LOG_GATES)
    frame = _sorted_by_keys(frame)
    rules = [
        *no_nulls([column for column in dtypes if column not in nullable_columns(cascade)]),
        _inside_day(day),
        *candidate_log_rules(cascade),
        *(varies_in_sorted(cascade, column) for column in constant_columns(cascade)),
        repeats_in_sorted(),
    ]
    judged = _judge(where, frame, rules, CANDIDATE_LOG_GATES[:-1], CANDIDATE_KEYS, locate)
    return [*judged, _late_stage_present(cascade, where, frame)]


def audit_event_log(
    cascade: Cascade,
    day: date,
    event_log: pl.DataFrame,
    candidate_log: pl.DataFrame,
    locate: Locate | None = None,
) -> list[GateResult]:
    """Judge a day's event log against the candidate log of the same day.

    Args:
        locate: as for `audit_candidate_log`; the keys are (request_id, candidate_id, event).

    Returns:
        The EVENT_LOG_GATES in their order. An empty event log passes. If columns of either log that are needed are
        missing or of a wrong type, gates fail as not judged.
    """
    where = f"event_log of {cascade.name}, {day}"
    dtypes = event_log_dtypes(cascade)
    if problem := _wrong_columns(event_log, dtypes):
        return _not_judged(where, problem, EVENT_LOG_GATES)
    needed = {name: candidate_log_dtypes(cascade)[name] for name in (*CANDIDATE_KEYS, "requested_at", "shown")}
    if problem := _wrong_columns(candidate_log.select(name for name in needed if name in candidate_log), needed):
        return _not_judged(where, f"its candidate_log: {problem}", EVENT_LOG_GATES)
    shown = candidate_log.lazy().filter("shown").select(*CANDIDATE_KEYS, "requested_at").unique(CANDIDATE_KEYS)
    joined = event_log.lazy().join(shown, on=CANDIDATE_KEYS, how="left", maintain_order="left").collect()
    rules = [
        *no_nulls([column for column in dtypes if column not in nullable_columns(cascade)]),
        *event_log_rules(cascade),
        Rule(
            "contract",
            "occurred_at",
            "not before its request's requested_at",
            "bring both clocks to UTC, and log an event with the time at which it happened",
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
    return _judge(where, joined, rules, EVENT_LOG_GATES, (*CANDIDATE_KEYS, "event"), locate)


def _wrong_columns(frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType]) -> str:
    """What is wrong with a frame's columns, empty if nothing."""
    problems = [f"column `{name}` ({dtype}) is missing" for name, dtype in dtypes.items() if name not in frame.columns]
    for name, seen in frame.schema.items():
        if name not in dtypes:
            problems.append(f"column `{name}` is not declared")
        elif seen != dtypes[name]:
            problems.append(f"column `{name}` is {seen}, expected {dtypes[name]}")
    return "; ".join(problems) + "; bring the frame to the declared columns with `conform`" if problems else ""


def _not_judged(where: str, problem: str, gates: Sequence[str]) -> list[GateResult]:
    contract = GateResult("contract", False, f"{where}: {problem}", seen={"problem": problem})
    reason = f"{where}: not judged, because `contract` failed; mend that first"
    return [contract, *(GateResult(gate, False, reason) for gate in gates if gate != "contract")]


def _inside_day(day: date) -> Rule:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Rule(
        "contract",
        "requested_at",
        f"inside the UTC day {day}",
        "write each request to the partition of its UTC day",
        ~pl.col("requested_at").is_between(start, start + timedelta(days=1), closed="left"),
    )


def _sorted_by_keys(frame: pl.DataFrame) -> pl.DataFrame:
    request, candidate = (pl.col(key) for key in CANDIDATE_KEYS)
    back = (request < request.shift(1)) | ((request == request.shift(1)) & (candidate < candidate.shift(1)))
    return frame.sort(CANDIDATE_KEYS) if frame.select(back.any()).item() else frame


def _judge(
    where: str,
    frame: pl.DataFrame,
    rules: Sequence[Rule],
    gates: Sequence[str],
    keys: Sequence[str],
    locate: Locate | None,
) -> list[GateResult]:
    counts = [count.item() for count in pl.collect_all(_about(rule, frame).select(rule.bad.sum()) for rule in rules)]
    broken = [(rule, count) for rule, count in zip(rules, counts, strict=True) if count]
    examples = pl.collect_all(_about(rule, frame).filter(rule.bad).select(keys).head(SHOWN_KEYS) for rule, _ in broken)
    files = locate(pl.concat(examples).unique()) if locate and examples else {}
    results = []
    for gate in gates:
        seen: dict[str, Any] = {"rows": frame.height}
        messages = []
        for (rule, count), example in zip(broken, examples, strict=True):
            if rule.gate == gate:
                seen[f"{rule.column}: {rule.expected}"] = count
                messages.append(_told(rule, count, frame.height, example, files))
        kept = f"every rule holds on {frame.height:,} rows"
        results.append(GateResult(gate, not messages, f"{where}: {'; '.join(messages) or kept}", seen=seen))
    return results


def _about(rule: Rule, frame: pl.DataFrame) -> pl.LazyFrame:
    return frame.lazy() if rule.among is None else frame.lazy().filter(rule.among)


def _told(
    rule: Rule, count: int, rows: int, example: pl.DataFrame, files: Mapping[tuple[Any, ...], Sequence[str]]
) -> str:
    keys = example.rows()
    holding = ", ".join(sorted({file for key in keys for file in files.get(key, ())}))
    return (
        f"column `{rule.column}`: {count:,} of {rows:,} rows break the rule `{rule.expected}`, "
        f"e.g. ({', '.join(example.columns)}) = {', '.join(str(key) for key in keys)}"
        f"{holding and f' in {holding}'}; {rule.fix}"
    )


def _late_stage_present(cascade: Cascade, where: str, frame: pl.DataFrame) -> GateResult:
    gate, least = "late_stage_present", cascade.gates.late_stage_present
    logging = [stage.name for stage in cascade.stages if cascade.predictions_of(stage.name)]
    if not logging:
        return GateResult(gate, True, f"{where}: not applicable, since no stage logs predictions")
    columns = [prediction_column(logging[-1], task) for task in cascade.predictions_of(logging[-1])]
    present = pl.any_horizontal(pl.col(column).is_not_null() for column in columns)
    request = pl.col("request_id")
    requests, late = frame.select(request.n_unique(), late=request.filter(present).n_unique()).row(0)
    share = late / requests
    message = (
        f"{where}: {late:,} of {requests:,} requests ({share:.1%}) have a prediction of stage {logging[-1]}, "
        f"expected at least {least:.1%}"
    )
    if share < least:
        message += f"; see whether {', '.join(columns)} are logged for every request that {logging[-1]} ranks"
    return GateResult(gate, share >= least, message, seen={"share": share, "requests": requests, "expected": least})
