"""Group 1: the cascade's logs of a day, both audited against the contract before either is published."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_results, check_specs, refuse_if_blocked, told_plainly
from ukdsl_assets.defs.graph.keys import LOGS, spec
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.pipeline.logs import judge_and_stage, reading_of
from ukdsl_assets.pipeline.workspace import Table, Workspace

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


def log_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
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
            rows = workspace.lake.row_counts(candidates, workspace.trailing(candidates, day))
            # Taken before reading: what comes meanwhile may be missed.
            clock = known_until(cascade, workspace.settings, day)
            reader = workspace.source(cascade, context.log.info)
            judged, staged = judge_and_stage(cascade, workspace, reader, day, list(rows.values()), clock)
            yield from check_results(candidates, judged.candidate_log)
            yield from check_results(events, judged.event_log)
            refuse_if_blocked({candidates: judged.candidate_log, events: judged.event_log})
            for part in staged:
                yield committed(context, workspace, part, {}, {"source": source}, record=reading_of(staged, clock))

    return [logs]
