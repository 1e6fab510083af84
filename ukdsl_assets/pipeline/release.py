"""The decision about a day's checkpoint, and what is released."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.storage import folder_of
from ukdsl_assets.learning.evaluation.gates import judge_student, refusals
from ukdsl_assets.pipeline.workspace import Table, Workspace


def released_before(history: Sequence[Mapping[str, Any]], day: date) -> Mapping[str, Any] | None:
    """The release of the newest day strictly before `day`, so that a rerun finds the one that the first run found.

    Args:
        history: of `release_history`, oldest decision first.
    """
    days = [each["entry"] for each in history if each["outcome"] == "released" and each["entry"]["day"] < str(day)]
    newest = max((entry["day"] for entry in days), default=None)
    return next((entry for entry in reversed(days) if entry["day"] == newest), None)


def how_to_score(workspace: Workspace, key: Table, released: Mapping[str, Any]) -> dict[str, str]:
    """The command that scores candidates with the released checkpoint, and the folder that holds the checkpoint."""
    settings = workspace.settings
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


def decide(workspace: Workspace, cascade: Cascade, student: Student, day: date) -> Decision:
    """Judge the day's distilled checkpoint, and move the pointer or record why not.

    A day before the released one is judged too, but a backfill never moves the pointer back.
    """
    key: Table = (cascade.name, student.name)
    judged = workspace.lake.scan((*key, "evaluation"), [day]).collect()
    current = workspace.checkpoints.load((*key, "distilled"), day)
    reasons = [
        *refusals(judge_student(cascade, student, judged)),
        *stale(current.version, judged.filter(arm="distilled")["checkpoint"][0]),
    ]
    entry = {"day": str(day), "arm": "distilled", "checkpoint": current.version, "note": cascade.note}
    newer = (workspace.checkpoints.released(key) or {"day": ""})["day"]
    if reasons:
        workspace.checkpoints.refuse(key, {**entry, "reasons": reasons})
        return Decision(current.version, reasons, "refused: " + "; ".join(reasons))
    if newer > str(day):
        return Decision(current.version, [], f"passed; the checkpoint of {newer}, which is newer, stays released")
    workspace.checkpoints.release(key, entry)
    return Decision(current.version, [], "released")


def stale(current: str, evaluated: str) -> list[str]:
    """A reason when the evaluation is not of the checkpoint that would be released."""
    if current == evaluated:
        return []
    return [f"the evaluation is of checkpoint {evaluated}, the day's is {current}; materialize evaluation again"]
