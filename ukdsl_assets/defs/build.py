"""The whole graph from the declarations: assets, gates, job and schedule alike for every cascade; theory, evidence."""

from collections.abc import Mapping

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.cross_domain import check_cross_domain
from ukdsl_assets.declaration.examples import examples_chosen
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.defs.champion import champion_assets
from ukdsl_assets.defs.closed_impressions import closed_impression_assets
from ukdsl_assets.defs.cross_domain import cross_domain_assets
from ukdsl_assets.defs.evaluation import evaluation_assets
from ukdsl_assets.defs.event_store import keep_engines
from ukdsl_assets.defs.evidence import evidence_assets, evidence_job
from ukdsl_assets.defs.examples import shown_cascades
from ukdsl_assets.defs.graph.edges import without_implied_edges
from ukdsl_assets.defs.graph.keys import EVIDENCE, THEORY
from ukdsl_assets.defs.home import dead_runs_sensor
from ukdsl_assets.defs.late_data import late_data_sensors
from ukdsl_assets.defs.logs import log_assets
from ukdsl_assets.defs.off_policy import off_policy_assets
from ukdsl_assets.defs.release import release_assets
from ukdsl_assets.defs.report import report_assets
from ukdsl_assets.defs.schedules import daily_job, schedules
from ukdsl_assets.defs.selection import selection_assets
from ukdsl_assets.defs.side_by_side import side_by_side
from ukdsl_assets.defs.students import student_assets
from ukdsl_assets.defs.tables import table_assets
from ukdsl_assets.defs.teachers import teacher_assets
from ukdsl_assets.defs.theory import theory_assets, theory_job
from ukdsl_assets.defs.wrong_declarations import wrong_declarations
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

FLOW = (
    log_assets,
    table_assets,
    closed_impression_assets,
    teacher_assets,
    selection_assets,
    student_assets,
    evaluation_assets,
    champion_assets,
    off_policy_assets,
    release_assets,
    report_assets,
)


def build_defs(
    settings: Settings,
    cascades: Mapping[str, Cascade] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """Definitions for the given cascades, or for those of the folder UKDSL_CASCADES and the examples that are chosen.

    Where none are given, a wrong declaration is left out, logged, and shown as an asset that says what is wrong.

    Raises:
        DeclarationError: a given cascade is wrong, or the folder is missing, or UKDSL_EXAMPLES names what is not
            shipped; SqlModelError: a SQL file is wrong.
            Nothing is read from lake or logs.
    """
    keep_engines()  # where a run is, its events are written
    workspace = Workspace.open(settings)
    wrong: list[DeclarationError] = []
    missing: list[dg.AssetSpec] = []
    if cascades is None:
        sound, wrong = sound_cascades(settings.cascades)
        cascades, missing = shown_cascades(settings, sound)
    else:
        check_cross_domain(cascades)
    assets = [asset for cascade in cascades.values() for make in FLOW for asset in make(cascade, workspace)]
    for cascade in cascades.values():
        assets += cross_domain_assets(cascade, cascades, workspace)
    assets = without_implied_edges(assets)
    jobs = {name: daily_job(cascade) for name, cascade in cascades.items()}
    of_no_cascade = examples_chosen(settings.examples, settings.cascades) & {EVIDENCE, THEORY}
    undated_jobs = []
    if EVIDENCE in of_no_cascade:
        assets += evidence_assets(workspace)
        undated_jobs.append(evidence_job())
    if THEORY in of_no_cascade:
        assets += theory_assets(workspace)
        undated_jobs.append(theory_job())
    return dg.Definitions(
        assets=[*wrong_declarations(wrong), *missing, *assets],
        jobs=[*jobs.values(), *undated_jobs],
        schedules=[schedule for name, cascade in cascades.items() for schedule in schedules(cascade, jobs[name])],
        sensors=[
            dead_runs_sensor(),
            *(s for name, cascade in cascades.items() for s in late_data_sensors(cascade, workspace, jobs[name])),
        ],
        executor=_executor(settings),
        loggers=loggers,
    )


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    """What a run's steps are made in: a process for each costs seconds a step, so only where that is asked for."""
    kind, _, processes = settings.steps.partition(":")
    if kind == "processes":
        return dg.multiprocess_executor.configured({"max_concurrent": int(processes)}, name="in_processes")
    return side_by_side(settings.steps_in_threads) if settings.steps_in_threads > 1 else dg.in_process_executor
