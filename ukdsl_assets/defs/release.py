"""Group 6: the pointer `released` of a student moves to a checkpoint whose gates all passed, and never otherwise."""

import dagster as dg

from ukdsl_assets.cascade import Cascade, Student
from ukdsl_assets.defs.gates import check_results, check_specs, result, told_plainly
from ukdsl_assets.defs.keys import RELEASE, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.audit import judge_student, refusals
from ukdsl_assets.reports.tables import history_markdown

GATES = {"all_gates_passed": "Every gate of the evaluated checkpoint passed and nothing newer is released."}


def release_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, student, release] of each student."""
    return [release_asset(cascade, platform, student) for student in cascade.students]


def release_asset(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
    """Releases the day's distilled checkpoint, or records why it was refused."""
    table: Table = (cascade.name, student.name, "release")
    evaluation: Table = (cascade.name, student.name, "evaluation")
    checkpoint: Table = (cascade.name, student.name, "distilled_checkpoint")
    described = spec(
        cascade,
        table,
        RELEASE,
        f"Which checkpoint of {student.name} is released, its history, and why a day was refused.",
        kinds={"json"},
        deps=[dg.AssetKey(evaluation), dg.AssetKey(checkpoint)],
    )

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES, blocking=False)
    )
    def release(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            judged = platform.lake.scan(evaluation, [day]).collect()
            current = platform.checkpoints.load((*table[:2], "distilled"), day)
            reasons = [
                *refusals(judge_student(cascade, student, judged)),
                *stale(current.version, judged.filter(arm="distilled")["checkpoint"][0]),
                *superseded(str(day), platform.checkpoints.released(table[:2])),
            ]
            entry = {"day": str(day), "arm": "distilled", "checkpoint": current.version}
            if reasons:
                platform.checkpoints.refuse(table[:2], {**entry, "reasons": reasons})
            else:
                platform.checkpoints.release(table[:2], entry)
            message = "released" if not reasons else "refused: " + "; ".join(reasons)
            yield from check_results(table, [GateResult("all_gates_passed", not reasons, message)])
            history = platform.checkpoints.release_history(table[:2])
            yield result(table, current.version, {
                "decision": message,
                "released": (platform.checkpoints.released(table[:2]) or {}).get("checkpoint", "nothing yet"),
                "history": dg.MarkdownMetadataValue(history_markdown(history)),
            })  # fmt: skip

    return release


def stale(current: str, evaluated: str) -> list[str]:
    """A reason when the evaluation is not of the checkpoint that would be released."""
    if current == evaluated:
        return []
    return [f"the evaluation is of checkpoint {evaluated}, the day's is {current}; materialize evaluation again"]


def superseded(day: str, released: dict[str, str] | None) -> list[str]:
    """A reason when a later day's checkpoint is already released: a backfill must not move the pointer back."""
    if released is None or released["day"] <= day:
        return []
    return [f"the checkpoint of {released['day']} is already released, which is newer"]
