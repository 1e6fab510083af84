"""Group 1: the cascade's logs of a day, audited against the contract and published together or not at all."""

import dagster as dg

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, told_plainly
from ukdsl_assets.defs.keys import LOGS, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.sources.judge import judge_logs

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
            read = platform.source(cascade, context.log.info).read(day)
            trailing = platform.lake.row_counts(candidates, platform.trailing(candidates, day))
            found = judge_logs(cascade, day, read, list(trailing.values()))
            for table, results in zip((candidates, events), found, strict=True):
                yield from check_results(table, results)
            # Both tables are judged before either is written.
            refuse_if_blocked(candidates, found[0])
            refuse_if_blocked(events, found[1])
            staged = [
                platform.lake.stage_frame(candidates, day, read.candidate_log),
                platform.lake.stage_frame(events, day, read.event_log),
            ]
            for part in staged:
                yield committed(context, platform, part, {}, {"source": source})

    return [logs]
