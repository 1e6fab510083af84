"""The decision about a day's checkpoint."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.storage import folder_of
from ukdsl_assets.learning.evaluation.gates import judge_student, refusals
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Table
from ukdsl_assets.settings import Settings

# Name of the gate -> what it demands.
RULES = {"all_gates_passed": "Every gate of the evaluated checkpoint passed."}


@dataclass(frozen=True)
class Decision:
    """What became of a day's checkpoint; `reasons` say why it was refused."""

    checkpoint: str
    reasons: list[str]
    message: str


def decide(day: Day, student: Student) -> Decision:
    """Judge the day's distilled checkpoint, and move the pointer or record why not.

    A day before the released one is judged too, but a backfill never moves the pointer back.
    """
    key, store = day.table(student.name), day.checkpoints
    judged = day.lake.scan((*key, "evaluation"), [day.date]).collect()
    current = store.load((*key, "distilled"), day.date)
    reasons = [
        *refusals(judge_student(day.cascade, student, judged)),
        *stale(current.version, judged.filter(arm="distilled")["checkpoint"][0]),
    ]
    entry = {"day": str(day.date), "arm": "distilled", "checkpoint": current.version, "note": day.cascade.note}
    # By the history, which is whole where the pointer is damaged: to release again mends it.
    newer = (store.newest_release(key) or {"day": ""})["day"]
    if reasons:
        store.refuse(key, {**entry, "reasons": reasons})
        return Decision(current.version, reasons, "refused: " + "; ".join(reasons))
    if newer > str(day.date):
        return Decision(current.version, [], f"passed; the checkpoint of {newer}, which is newer, stays released")
    store.release(key, entry)
    return Decision(current.version, [], "released")


def stale(current: str, evaluated: str) -> list[str]:
    """A reason when the evaluation is not of the checkpoint that would be released."""
    if current == evaluated:
        return []
    return [f"the evaluation is of checkpoint {evaluated}, the day's is {current}; materialize evaluation again"]


def how_to_score(settings: Settings, key: Table, released: Mapping[str, Any]) -> dict[str, str]:
    """The command that scores candidates with the released checkpoint, and the folder that holds the checkpoint."""
    places = {"UKDSL_LAKE": settings.lake, "UKDSL_CASCADES": settings.cascades}
    own = "".join(f"{name}={shlex.quote(str(value))} " for name, value in places.items() if value is not None)
    command = f"{own}ukdsl score {' '.join(key)} --input CANDIDATES.parquet --output SCORES.parquet"
    day = folder_of(date.fromisoformat(released["day"]))
    folder = "/".join([settings.checkpoints, *key, released["arm"], "checkpoints", day, released["checkpoint"]])
    return {"score with": command, "checkpoint folder": folder}
