"""Group 1: the cascade's logs of a day, both audited against the contract before either is published."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, told_plainly
from ukdsl_assets.defs.keys import LOGS, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.staging import StagedPartition, removed_on_error
from ukdsl_assets.sources.contract import DayOfLogs
from ukdsl_assets.sources.judge import Judged, read_and_judge
from ukdsl_assets.sources.open import Source, known_until

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
            judged, staged = judge_and_stage(cascade, platform, reader, day, list(rows.values()), clock)
            yield from check_results(candidates, judged.candidate_log)
            yield from check_results(events, judged.event_log)
            refuse_if_blocked({candidates: judged.candidate_log, events: judged.event_log})
            for part in staged:
                yield committed(context, platform, part, {}, {"source": source}, record=reading_of(staged, clock))

    return [logs]


def judge_and_stage(
    cascade: Cascade, platform: Platform, source: Source, day: date, trailing_rows: Sequence[int], clock: datetime
) -> tuple[Judged, list[StagedPartition]]:
    """Read a day, judge both logs and write them, a shard at a time; nothing is visible until it is committed.

    Args:
        trailing_rows: rows of candidate_log on each published day of the week before; may be empty.
        clock: until when events count, if the settings ask for a clock.

    Returns:
        The verdicts, and both logs staged; none if a gate blocks.
    """
    lake = platform.lake
    paths: dict[str, list[str]] = {"candidate_log": [], "event_log": []}

    def write(shard: DayOfLogs) -> None:
        candidates, events = shard
        if platform.settings.as_of is not None:
            # A clock that was asked for knows nothing of what came after it, whatever the source holds.
            events = events.filter(pl.col("occurred_at") < clock)
        for (name, written), frame in zip(paths.items(), (candidates, events), strict=True):
            written.append(lake.write_shard((cascade.name, name), day, len(written), lake.shards, frame))

    folder = lake.writing_folder((cascade.name, "candidate_log"), day)
    with removed_on_error(paths["candidate_log"]), removed_on_error(paths["event_log"]):
        judged = read_and_judge(source, cascade, day, trailing_rows, write, lake.shards, folder)
    # Both tables are judged before either is published.
    if blocking(judged.results):
        for path in (path for written in paths.values() for path in written):
            Path(path).unlink()
        return judged, []
    return judged, [lake.stage_files((cascade.name, name), day, written) for name, written in paths.items()]


def reading_of(staged: Sequence[StagedPartition], clock: datetime) -> dict[str, str]:
    """Tells whoever reads both logs whether they are of one reading, and until when it knows what happened."""
    return {"reading": "-".join(part.data_version for part in staged), "known_until": clock.isoformat()}
