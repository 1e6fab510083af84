"""Group 7: the pointer `released` of a student moves to a checkpoint whose gates all passed, and never otherwise."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.defs.gates import check_results, check_specs, result, told_plainly
from ukdsl_assets.defs.keys import RELEASE, spec
from ukdsl_assets.defs.pictures import link_to_report
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.staging import folder_of
from ukdsl_assets.learning.audit import judge_student, refusals
from ukdsl_assets.reports.tables import history_markdown

GATES = {"all_gates_passed": "Every gate of the evaluated checkpoint passed."}
# The newest decisions are shown; all are kept.
SHOWN_DECISIONS = 30


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
            decision = decide(platform, cascade, student, day)
            yield from check_results(table, [GateResult("all_gates_passed", not decision.reasons, decision.message)])
            history = platform.checkpoints.release_history(table[:2], last=SHOWN_DECISIONS)
            released = platform.checkpoints.released(table[:2])
            yield result(
                table,
                decision.checkpoint,
                {
                    "decision": decision.message,
                    "released": released["checkpoint"] if released else "nothing yet",
                    **(how_to_score(platform, table[:2], released) if released else {}),
                    **link_to_report(platform, cascade, day),
                    "history": dg.MarkdownMetadataValue(history_markdown(history)),
                },
            )

    return release


def how_to_score(platform: Platform, key: Table, released: Mapping[str, Any]) -> dict[str, str]:
    """The command that scores candidates with the released checkpoint, and the folder that holds the checkpoint."""
    settings = platform.settings
    places = {"UKDSL_LAKE": settings.lake, "UKDSL_CASCADES": settings.cascades}
    own = "".join(f"{name}={shlex.quote(str(value))} " for name, value in places.items() if value is not None)
    command = f"{own}ukdsl score {' '.join(key)} --input CANDIDATES.parquet --output SCORES.parquet"
    day = folder_of(date.fromisoformat(released["day"]))
    folder = "/".join([settings.checkpoints, *key, released["arm"], "checkpoints", day, released["checkpoint"]])
    return {"score with": command, "checkpoint folder": folder}


@dataclass(frozen=True)
class Decision:
    """What became of a day's checkpoint; `reasons` say why it was refused."""

    checkpoint: str
    reasons: list[str]
    message: str


def decide(platform: Platform, cascade: Cascade, student: Student, day: date) -> Decision:
    """Judge the day's distilled checkpoint, and move the pointer or record why not.

    A day before the released one is judged too, but a backfill never moves the pointer back.
    """
    key: Table = (cascade.name, student.name)
    judged = platform.lake.scan((*key, "evaluation"), [day]).collect()
    current = platform.checkpoints.load((*key, "distilled"), day)
    reasons = [
        *refusals(judge_student(cascade, student, judged)),
        *stale(current.version, judged.filter(arm="distilled")["checkpoint"][0]),
    ]
    entry = {"day": str(day), "arm": "distilled", "checkpoint": current.version, "note": cascade.note}
    newer = (platform.checkpoints.released(key) or {"day": ""})["day"]
    if reasons:
        platform.checkpoints.refuse(key, {**entry, "reasons": reasons})
        return Decision(current.version, reasons, "refused: " + "; ".join(reasons))
    if newer > str(day):
        return Decision(current.version, [], f"passed; the checkpoint of {newer}, which is newer, stays released")
    platform.checkpoints.release(key, entry)
    return Decision(current.version, [], "released")


def stale(current: str, evaluated: str) -> list[str]:
    """A reason when the evaluation is not of the checkpoint that would be released."""
    if current == evaluated:
        return []
    return [f"the evaluation is of checkpoint {evaluated}, the day's is {current}; materialize evaluation again"]
