"""The decision about a checkpoint: Released, Refused or Not judged."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.storage import folder_of
from ukdsl_assets.learning.evaluation.champion_gates import judge_champion
from ukdsl_assets.learning.evaluation.champion_table import SAME_DAY
from ukdsl_assets.learning.evaluation.gates import accepted, judge_student, not_judged, refusals
from ukdsl_assets.pipeline.champion import trailing
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.exploration import judged_teacher
from ukdsl_assets.pipeline.off_policy import estimated_checkpoints, policy_gate
from ukdsl_assets.pipeline.page_policy import TABLE
from ukdsl_assets.pipeline.workspace import Table
from ukdsl_assets.settings import Settings

# Name of the gate -> what it demands.
RULES = {
    "all_gates_passed": demand(
        "Every gate of the evaluated checkpoint passed; what was not judged has not passed.",
        "what was released before is served on; read which gate refused or did not judge, and what to do about that "
        "one. Nothing else is stopped.",
    )
}
Outcome = Literal["released", "refused", "not_judged", "withdrawn"]
# What people read.
OUTCOMES: dict[Outcome, str] = {
    "released": "Released",
    "refused": "Refused",
    "not_judged": "Not judged",
    "withdrawn": "Withdrawn",
}


@dataclass(frozen=True)
class Decision:
    """What became of a checkpoint; `reasons` say why it was refused, could not be judged or stays withdrawn.

    An outcome `released` of which the message says that a newer day stays released has moved nothing.
    """

    checkpoint: str
    outcome: Outcome
    reasons: list[str]
    message: str

    @property
    def verdict(self) -> GateResult:
        """The decision as a verdict of `RULES`."""
        # Who withdrew a day judged more than the gates, and these passed.
        passed, judged = self.outcome in ("released", "withdrawn"), self.outcome != "not_judged"
        return GateResult("all_gates_passed", passed, self.message, "ERROR" if judged else "WARN", judged=judged)


def decide(day: Day, student: Student) -> Decision:
    """Judge a distilled checkpoint by the day's requests, and move the pointer or record why not.

    The checkpoint is the day's own, or that of the day before where `release.decided_by` is next_day. A day before the
    released one is judged too, but a backfill never moves the pointer back. A day whose release somebody withdrew stays
    withdrawn, with whatever checkpoint it is made again: see `withdrawal`.
    """
    key, store = day.table(student.name), day.checkpoints
    compared = trailing(day, student)
    of = _decided_day(day, student)
    current = store.load((*key, "distilled"), of or day.date)
    entry: dict[str, Any] = {
        "day": str(current.day),
        "arm": "distilled",
        "checkpoint": current.version,
        "note": day.cascade.note,
        "decided_on": str(day.date),
    }
    if of is None:
        return _kept(store, key, entry, "not_judged", [f"the requests of the day after {day.date} decide about it"])
    judged = day.lake.scan((*key, "evaluation"), [of]).collect()
    results = [
        # What is wrong with the teacher is wrong with all that agrees with it: it is said first.
        *judged_teacher(day.lake, day.cascade, student, of),
        *judge_student(day.cascade, student, judged),
        *judge_champion(day.cascade, student, compared, day.date),
        *policy_gate(day, student),
    ]
    challengers = compared.filter(day=day.date, when=student.release.decided_by)["challenger"].unique().to_list()
    reasons = [
        *refusals(results, student.accept),
        *stale(current.version, judged.filter(arm="distilled")["checkpoint"][0], "evaluation"),
        *(reason for each in challengers for reason in stale(current.version, each, "champion_comparison")),
        *(reason for each in estimated_checkpoints(day, student) for reason in stale(current.version, each, TABLE)),
    ]
    unjudged = not_judged(results, student.accept)
    if leave := accepted(results, student.accept):
        entry["accepted"] = leave
    if reasons:
        return _kept(store, key, entry, "refused", [*reasons, *unjudged])
    if unjudged:
        return _kept(store, key, entry, "not_judged", unjudged)
    withdrawn = next((each for each in store.withdrawn(key) if each["day"] == entry["day"]), None)
    if withdrawn is not None:
        kept = {**entry, "by": withdrawn["by"], "reasons": withdrawn["reasons"]}
        if kept != withdrawn:
            store.withdraw(key, kept)
        message = f"passed, and stays withdrawn, as {kept['by']} said: {kept['reasons'][0]}{_leave(entry)}"
        return Decision(current.version, "withdrawn", kept["reasons"], message)
    # By the history, which is whole where the pointer is damaged: to release again mends it.
    newer = (store.newest_release(key) or {"day": ""})["day"]
    if newer > entry["day"]:
        message = f"passed; the checkpoint of {newer}, which is newer, stays released{_leave(entry)}"
        return Decision(current.version, "released", [], message)
    store.release(key, entry)
    return Decision(current.version, "released", [], _told("released", entry, []))


def _decided_day(day: Day, student: Student) -> date | None:
    """Whose checkpoint is decided on the day; None where the requests of the next day decide and none was before."""
    if student.release.decided_by == SAME_DAY:
        return day.date
    return day.checkpoints.newest_before(day.table(student.name, "distilled"), day.date)


def _kept(store: CheckpointStore, key: Table, entry: dict[str, Any], outcome: Outcome, reasons: list[str]) -> Decision:
    """Record a decision that moves nothing."""
    record = store.refuse if outcome == "refused" else store.leave_unjudged
    record(key, {**entry, "reasons": reasons})
    return Decision(entry["checkpoint"], outcome, reasons, _told(outcome, entry, reasons))


def _told(outcome: Outcome, entry: Mapping[str, Any], reasons: list[str]) -> str:
    """Released; or Refused: why; it names the day of a checkpoint that another day decides about."""
    of = "" if entry["day"] == entry["decided_on"] else f", the checkpoint of {entry['day']}"
    return f"{OUTCOMES[outcome]}{of}" + (f": {'; '.join(reasons)}" if reasons else "") + _leave(entry)


def _leave(entry: Mapping[str, Any]) -> str:
    """What the declaration accepts by name, to follow a decision; empty for nothing."""
    return f"; accepted by name: {'; '.join(entry['accepted'])}" if entry.get("accepted") else ""


def stale(current: str, judged: str, table: str) -> list[str]:
    """A reason when the table is not of the checkpoint that would be released."""
    if current == judged:
        return []
    return [f"{table} is of checkpoint {judged}, the day's is {current}; materialize {table} again"]


def how_to_score(settings: Settings, key: Table, released: Mapping[str, Any]) -> dict[str, str]:
    """The command that scores candidates with the released checkpoint, and the folder that holds the checkpoint."""
    places = {"UKDSL_LAKE": settings.lake, "UKDSL_CASCADES": settings.cascades}
    own = "".join(f"{name}={shlex.quote(str(value))} " for name, value in places.items() if value is not None)
    command = f"{own}ukdsl score {' '.join(key)} --input CANDIDATES.parquet --output SCORES.parquet"
    day = folder_of(date.fromisoformat(released["day"]))
    folder = "/".join([settings.checkpoints, *key, released["arm"], "checkpoints", day, released["checkpoint"]])
    return {"score with": command, "checkpoint folder": folder}
