"""Group 1: the cascade's logs of a day, both audited against the contract before either is published."""

from collections.abc import Sequence
from datetime import date, datetime

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, told_plainly
from ukdsl_assets.defs.keys import LOGS, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.lake.tables import StagedPartition
from ukdsl_assets.sources.contract import DayOfLogs
from ukdsl_assets.sources.judge import read_and_judge
from ukdsl_assets.sources.open import known_until

CANDIDATE_GATES = {
    "contract": "Columns, types, nulls and ranges are those of the contract; timestamps lie inside the day.",
    "keys_unique": "One row per request and candidate.",
    "probabilities_valid": "Predictions and audit columns are finite and in [0, 1].",
    "late_stage_present": "The deepest stage that logs predictions has scored candidates of most requests.",
    "volume_near_trailing_median": "The day has about as many rows as the days of the week before.",
}
EVENT_GATES = {
    "contract": "Columns, types and event names are those of the contract; no event comes before its request.",
    "events_have_candidates": "Every event belongs to a candidate that was shown.",
}


def log_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """candidate_log and event_log, read from the source in one step."""
    candidates: Table = (cascade.name, "candidate_log")
    events: Table = (cascade.name, "event_log")
    source = cascade.source.kind

    @dg.multi_asset(
        name=f"{cascade.name}__logs",
        specs=[
            spec(cascade, candidates, LOGS, f"What each stage scored, predicted and showed ({source} source)."),
            spec(cascade, events, LOGS, "Outcomes of the day's requests, late ones too once they are known."),
        ],
        check_specs=[*check_specs(cascade, candidates, CANDIDATE_GATES), *check_specs(cascade, events, EVENT_GATES)],
    )
    def logs(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            rows = platform.lake.row_counts(candidates, platform.trailing(candidates, day))
            # Taken before reading: what comes meanwhile may be missed.
            clock = known_until(cascade, platform.settings, day)
            reader = platform.source(cascade, context.log.info)
            read, of_candidates, of_events = read_and_judge(reader, cascade, day, list(rows.values()))
            yield from check_results(candidates, of_candidates)
            yield from check_results(events, of_events)
            # Both tables are judged before either is written.
            refuse_if_blocked({candidates: of_candidates, events: of_events})
            assert read is not None, "logs that cannot be read have failed a gate"
            if platform.settings.as_of is not None:
                # A clock that was asked for knows nothing of what came after it, whatever the source holds.
                read = read._replace(event_log=read.event_log.filter(pl.col("occurred_at") < clock))
            staged = stage_logs(platform, cascade, day, read)
            for part in staged:
                yield committed(context, platform, part, {}, {"source": source}, record=reading_of(staged, clock))

    return [logs]


def stage_logs(platform: Platform, cascade: Cascade, day: date, read: DayOfLogs) -> list[StagedPartition]:
    """Write both logs; nothing is visible until they are committed."""
    tables = (("candidate_log", read.candidate_log), ("event_log", read.event_log))
    return [platform.lake.stage_frame((cascade.name, name), day, frame) for name, frame in tables]


def reading_of(staged: Sequence[StagedPartition], clock: datetime) -> dict[str, str]:
    """Tells whoever reads both logs whether they are of one reading, and until when it knows what happened."""
    return {"reading": "-".join(part.data_version for part in staged), "known_until": clock.isoformat()}
