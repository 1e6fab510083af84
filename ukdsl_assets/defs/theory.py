"""Group theory, of no day and no cascade: section 3 of the paper as tables and a figure, its claims as checks."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_results, errors_as_failures, refuse_if_blocked
from ukdsl_assets.defs.graph.keys import THEORY
from ukdsl_assets.defs.graph.publishing import Events, committed_undated
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.theory.claims import BIAS_CLAIMS, STAGE_CLAIMS, judge_bias, judge_stages

# Draws of all candidates for each setting.
REPEATS, SEED = 20_000, 1
PRINTED = ("figures", "two_stage_calibration.pdf")


# A table with the meanings of its columns and the verdicts on its claims.
JudgedTable = tuple[pl.DataFrame, Mapping[str, str], list[GateResult]]


def theory_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[theory, selection_bias_curves] and [theory, two_stage_calibration]."""
    return [
        theory_asset(
            workspace,
            "selection_bias_curves",
            "Equation 1: what a model promises and earns on the candidates that it selects itself, by noise and by how "
            "many it selects, in closed form and drawn; and a model that is right at every one of its predictions.",
            BIAS_CLAIMS,
            bias_curves,
        ),
        theory_asset(
            workspace,
            "two_stage_calibration",
            "Equation 2 and figure 2: calibration of two stages on what stage 1 selected, and on what stage 2 selected "
            "of it, by noise and number, for independent and correlated errors and for nested knowledge.",
            STAGE_CLAIMS,
            two_stages,
            figure_2,
        ),
    ]


def theory_job() -> Any:
    """Both tables; no schedule, since nothing about them changes from day to day."""
    return dg.define_asset_job(
        THEORY, selection=dg.AssetSelection.groups(THEORY), description="Section 3 of the paper as tables and a figure."
    )


def theory_asset(
    workspace: Workspace,
    name: str,
    description: str,
    claims: Mapping[str, str],
    make: Callable[[], JudgedTable],
    show: Callable[[Workspace, pl.DataFrame], dict[str, Any]] = lambda workspace, frame: {},
) -> dg.AssetsDefinition:
    """One table, published when its claims hold; `show` gives metadata of what was published."""
    table = (THEORY, name)
    described = dg.AssetSpec(
        key=dg.AssetKey(table),
        group_name=THEORY,
        description=f"{description}\n\nDraws: {REPEATS:,} of all candidates, each also mirrored, seed {SEED}.",
        owners=[Cascade.model_fields["owner"].default],
        kinds={"scipy", "deltalake"},
    )
    checks = [
        dg.AssetCheckSpec(claim, asset=described.key, description=demands, blocking=True)
        for claim, demands in claims.items()
    ]

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def theory(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            frame, meanings, results = make()
            yield from check_results(table, results)
            refuse_if_blocked({table: results})
            yield committed_undated(context, workspace, table, frame, meanings, show(workspace, frame))

    return theory


def bias_curves() -> JudgedTable:
    """Of selection_bias_curves."""
    from ukdsl_assets.theory.tables import BIAS_MEANINGS, selection_bias_curves

    frame = selection_bias_curves(REPEATS, SEED)
    return frame, BIAS_MEANINGS, judge_bias(frame)


def two_stages() -> JudgedTable:
    """Of two_stage_calibration."""
    from ukdsl_assets.theory.tables import STAGE_MEANINGS, two_stage_calibration

    frame = two_stage_calibration(REPEATS, SEED)
    return frame, STAGE_MEANINGS, judge_stages(frame)


def figure_2(workspace: Workspace, frame: pl.DataFrame) -> dict[str, Any]:
    """Writes the figure for print into the lake; the UI shows a smaller one."""
    from ukdsl_assets.reports.theory_figure import two_stage_figure

    storage = Storage(workspace.settings.lake)
    storage.write(storage.path(*PRINTED), two_stage_figure(frame, "pdf"))
    picture = base64.b64encode(two_stage_figure(frame, "png", dots=100)).decode()
    return {
        "figure": dg.MetadataValue.md(f"![calibration against k1](data:image/png;base64,{picture})"),
        "figure for print": dg.MetadataValue.path(storage.uri(*PRINTED)),
    }
