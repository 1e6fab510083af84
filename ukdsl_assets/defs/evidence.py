"""Group evidence, of no day and no cascade: Table 1 over a few simulated worlds, as `ukdsl evidence` measures it."""

from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_results, errors_as_failures
from ukdsl_assets.defs.graph.keys import EVIDENCE
from ukdsl_assets.defs.graph.publishing import Events, committed_undated
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.pipeline.progress import progress_now_and_then
from ukdsl_assets.pipeline.workspace import Workspace

TABLE = (EVIDENCE, "table1")
# Few, so that it is done in minutes; the command measures ten. Worlds that either has measured are not measured again.
WORLDS = 2
MEANINGS = {
    "table": "calibration, NE against the baseline, the equal-effort control or production's, or every head",
    "line": "arm, and what else tells a line of the table from the others",
    "figure": "data and what predictions are compared with: label, teacher or truth",
    "mean": "mean over the worlds",
    "standard_error": "of the mean",
    "worlds": "worlds that have the figure",
}


def evidence_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[evidence, table1]"""
    described = dg.AssetSpec(
        key=dg.AssetKey(TABLE),
        group_name=EVIDENCE,
        description="Table 1 of the paper: calibration and NE of the ways to train a pre-ranking student, mean and "
        f"standard error over {WORLDS} simulated worlds, seeds 1 to {WORLDS}, at the size that UKDSL_SCALE names.",
        owners=[Cascade.model_fields["owner"].default],
        kinds={"pytorch", "deltalake"},
    )
    check = dg.AssetCheckSpec("aims_reached", asset=described.key, description=AIMS_REACHED)

    @dg.multi_asset(name="__".join(TABLE), specs=[described], check_specs=[check])
    def table1(context: dg.AssetExecutionContext) -> Events:
        from ukdsl_assets.evidence.document import section
        from ukdsl_assets.evidence.summary import aim_lines, long_form

        with errors_as_failures():
            result = measured_table1(workspace, progress_now_and_then(context.log.info, "table1", "worlds"))
            reached = all(aim["reached"] for aim in result["aims"])
            verdict = GateResult("aims_reached", reached, " ".join(aim_lines(result)), "WARN")
            yield from check_results(TABLE, [verdict])
            frame = pl.DataFrame(long_form(result), schema=dict(zip(MEANINGS, DTYPES, strict=True)), orient="row")
            shown = {"evidence": dg.MetadataValue.md(section(result))}
            yield committed_undated(context, workspace, TABLE, frame, MEANINGS, shown)

    return [table1]


# What its check demands.
AIMS_REACHED = demand(
    "Every aim is reached at two standard errors; only told.",
    "read which aim in the message; more worlds narrow the errors (`ukdsl evidence table1 --worlds 10`).",
)
DTYPES = (pl.String, pl.String, pl.String, pl.Float64, pl.Float64, pl.Int64)


def measured_table1(workspace: Workspace, progress: Any) -> dict[str, Any]:
    """The study's result over the worlds, from the units below the lake, measured where they are missing."""
    from ukdsl_assets.evidence.registry import study
    from ukdsl_assets.evidence.summary import result_of
    from ukdsl_assets.evidence.units import measured_units, scratch_folder, settings_of
    from ukdsl_assets.simulation.scales import SCALES

    chosen, settings = study("table1"), workspace.settings
    given = {"requests": SCALES[settings.scale].requests}
    wanted = [settings_of(chosen, seed, given) for seed in range(1, WORLDS + 1)]
    root = f"{settings.lake}/evidence"
    units = measured_units(chosen, wanted, root, scratch_folder(settings.lake), settings.threads, progress)
    return result_of(chosen, units, f"ukdsl evidence table1 --worlds {WORLDS} --set requests={given['requests']}")


def evidence_job() -> Any:
    """No schedule: it changes with the code, not with the day."""
    return dg.define_asset_job(
        EVIDENCE, selection=dg.AssetSelection.groups(EVIDENCE), description="Table 1 over a few simulated worlds."
    )
