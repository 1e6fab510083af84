"""Group 1: the cascade's logs of a day, both judged against the contract before either is published."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures, refuse_if_blocked
from ukdsl_assets.defs.graph.keys import LOGS, spec
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import candidate_log_meanings, event_log_meanings
from ukdsl_assets.logs.gates.day import RULES
from ukdsl_assets.pipeline.logs import files_now, judge_and_stage, reading_of
from ukdsl_assets.pipeline.workspace import Table, Workspace

# What the graph shows of a source.
READ_FROM = {"parquet": "parquet", "kuairand": "csv", "simulated": "numpy", "simulated_item_page": "numpy"}


def log_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """candidate_log and event_log, read from the source in one step."""
    candidates: Table = (cascade.name, "candidate_log")
    events: Table = (cascade.name, "event_log")
    kind = cascade.source.kind
    of_candidates, of_events = RULES["candidate_log"], RULES["event_log"]

    @dg.multi_asset(
        name=f"{cascade.name}__logs",
        specs=[
            spec(cascade, table, LOGS, description, kinds={READ_FROM[kind], "deltalake"})
            for table, description in (
                (candidates, f"What each stage scored, predicted and showed ({kind} source)."),
                (events, "Outcomes of the day's requests, late ones too once they are known."),
            )
        ],
        check_specs=[*check_specs(cascade, candidates, of_candidates), *check_specs(cascade, events, of_events)],
    )
    def logs(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            rows = day.lake.row_counts(candidates, day.trailing(candidates))
            # Taken before reading: what comes meanwhile may be missed.
            clock = known_until(cascade, day.settings, day.date)
            source = day.source(context.log.info)
            files = files_now(source, day.date)
            judged, staged = judge_and_stage(day, source, list(rows.values()), clock)
            yield from check_results(candidates, judged.candidate_log)
            yield from check_results(events, judged.event_log)
            refuse_if_blocked({candidates: judged.candidate_log, events: judged.event_log})
            record = reading_of(staged, clock, files, cut=day.settings.as_of is not None)
            for part, meanings in zip(staged, (candidate_log_meanings(cascade), event_log_meanings()), strict=True):
                yield committed(context, workspace, part, {}, {"source": kind}, meanings, record)

    return [logs]
