"""What became of each student on each of some days: for the terminal, and as `ukdsl run --json` holds it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.reports.contents import outcome_on
from ukdsl_assets.reports.printed import decided_on

# Of `outcome_on` -> what people read. A backfill that passes moves nothing: what is newer stays.
VERDICTS = {
    "released": "Released",
    "refused": "Refused",
    "not_judged": "Not judged",
    "withdrawn": "Withdrawn",
    "newer": "Passed",
    "undecided": "No decision",
}
# Outcomes that end `ukdsl run` with 3.
UNRELEASED = ("refused", "not_judged", "withdrawn")


@dataclass(frozen=True)
class DayDecision:
    """The newest decision of a day about a student.

    Attributes:
        outcome: of `reports.contents.outcome_on`.
        checkpoint: version of the checkpoint that was decided about, of `checkpoint_day`, which is the day before where
            the next day's requests decide; both None without a record, as where a newer day stays released.
        reasons: why it was refused, not judged or withdrawn.
        accepted: failing gates that the declaration accepts by name.
    """

    student: str
    day: date
    outcome: str
    reasons: list[str]
    accepted: list[str]
    checkpoint: str | None = None
    checkpoint_day: str | None = None

    @property
    def verdict(self) -> str:
        """Released, Refused, Not judged, Withdrawn, Passed or No decision."""
        return VERDICTS[self.outcome]

    def as_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "student": self.student,
            "day": str(self.day),
            "outcome": self.outcome,
            "reasons": self.reasons,
            "accepted": self.accepted,
            "checkpoint": self.checkpoint,
            "checkpoint_day": self.checkpoint_day,
        }


def read_decisions(store: CheckpointStore, cascade: Cascade, days: Sequence[date]) -> list[DayDecision]:
    """One a day and student, by day and then in the order of the declaration; a student's history is read once."""
    of_students = [
        decisions_of(student.name, days, store.release_history(key), store.released(key))
        for student in cascade.students
        for key in [(cascade.name, student.name)]
    ]
    return [decision for of_day in zip(*of_students, strict=True) for decision in of_day]


def decisions_of(
    student: str, days: Iterable[date], history: Sequence[Mapping[str, Any]], released: Mapping[str, Any] | None
) -> list[DayDecision]:
    """The decisions of some days; history: of `release_history`, oldest first; released: the entry or None."""
    newest = {decided_on(decision["entry"]): decision["entry"] for decision in history}
    found = []
    for day in days:
        outcome, reasons = outcome_on(day, history, released)
        entry = newest.get(str(day), {})
        found.append(
            DayDecision(
                student,
                day,
                outcome,
                reasons,
                list(entry.get("accepted", [])),
                entry.get("checkpoint"),
                entry.get("day"),
            )
        )
    return found


def counted(decisions: Iterable[DayDecision]) -> str:
    """`2 released, 1 not judged`, in the order of `VERDICTS`."""
    found = Counter(decision.outcome for decision in decisions)
    told = [f"{found[outcome]} {words.lower()}" for outcome, words in VERDICTS.items() if found[outcome]]
    return ", ".join(told) or "no student"
