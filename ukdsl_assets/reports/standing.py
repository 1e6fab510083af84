"""How a cascade stands: what is published, what serves and was decided last, and which days are to be made."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.pipeline.missing import Found, all_days, look_for_missing
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.reports.printed import decided_on, in_words, why_decided

# Days with reasons of their own that are printed one by one; more are counted.
SHOWN_DAYS = 10


@dataclass(frozen=True)
class StudentStanding:
    """A student: its newest day with an evaluation, what is released, and the newest decision (None: there is none).

    `withdrawn` are the entries of days that would serve, had nobody withdrawn them: those after what is released.
    """

    name: str
    evaluated: date | None
    released: Mapping[str, Any] | None
    decision: Mapping[str, Any] | None
    withdrawn: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Standing:
    """A cascade: the days of its candidate log that are published, what is to be made, and its students."""

    cascade: Cascade
    published: list[date]
    found: Found
    students: list[StudentStanding]


def read_standing(workspace: Workspace, cascade: Cascade, stale_of: int) -> Standing:
    """How a cascade stands now; reads commits, lists files, and reads two records a student, no row of a table.

    Days are looked at from the first published one on; `stale_of` of the newest for what is stale.

    Raises:
        SourceError: the logs' store cannot be reached.
        LakeError: a table's log, a pointer or a record is damaged.
    """
    lake, store, log = workspace.lake, workspace.checkpoints, (cascade.name, "candidate_log")
    lake.refuse_lost(log)
    published = lake.partitions(log)
    # Before the first day that somebody wanted, nothing is missing.
    days = [day for day in all_days(workspace, cascade) if published and day >= published[0]]
    students = []
    for student in cascade.students:
        key = (cascade.name, student.name)
        evaluated = max(lake.partitions((*key, "evaluation")), default=None)
        last, released = store.release_history(key, last=1), store.released(key)
        withdrawn = [each for each in store.withdrawn(key) if released is None or each["day"] > released["day"]]
        decision = last[0] if last else None
        students.append(StudentStanding(student.name, evaluated, released, decision, withdrawn))
    return Standing(cascade, published, look_for_missing(workspace, cascade, days, stale_of), students)


def standing_lines(standing: Standing, width: int) -> list[str]:
    """Lines of at most `width` characters, but for longer words: the days, each student, what to make and how."""
    cascade, published = standing.cascade, standing.published
    note = f" ({cascade.note})" if cascade.note else ""
    if not published:
        return [*wrapped(f"{cascade.name}{note}: no day is published yet", width)]
    span = f"{published[0]} to {published[-1]}" if len(published) > 1 else str(published[0])
    lines = wrapped(f"{cascade.name}{note}: {len(published)} published day(s), {span}", width)
    for student in standing.students:
        lines += _student_lines(student, width)
    return lines + missing_lines(cascade.name, standing.found, width)


def missing_lines(cascade: str, found: Found, width: int) -> list[str]:
    """Which days are missing or stale and why, which have no logs, and the command that makes them."""
    lines = []
    for title, chosen in (("missing", True), ("stale", False)):
        days = [each for each in found.to_make if each.missing == chosen]
        by_reason: dict[str, list[date]] = {}
        for each in days:
            by_reason.setdefault(each.reason, []).append(each.day)
        shown = list(by_reason.items())[:SHOWN_DAYS]
        lines += [
            line
            for reason, of_it in shown
            for line in wrapped(f"{title}: {', '.join(spans(of_it))}: {reason}", width, "  ")
        ]
        if left := len(days) - sum(len(of_it) for _, of_it in shown):
            lines.append(f"  {title}: {left} more day(s)")
    if found.without_logs:
        lines += wrapped(f"without logs: {', '.join(spans(found.without_logs))}", width, "  ")
    if not found.to_make:
        return [*lines, "  nothing is missing, nothing is stale"]
    return lines


def as_json(standing: Standing) -> dict[str, Any]:
    """What `ukdsl status --json` says of a cascade; days as YYYY-MM-DD, null for what there is not."""
    found = standing.found
    return {
        "cascade": standing.cascade.name,
        "note": standing.cascade.note,
        "published_days": [str(day) for day in standing.published],
        "newest_day": str(standing.published[-1]) if standing.published else None,
        "missing": [{"day": str(each.day), "reason": each.reason} for each in found.to_make if each.missing],
        "stale": [{"day": str(e.day), "table": "/".join(e.table), "reason": e.reason} for e in found.stale],
        "without_logs": [str(day) for day in found.without_logs],
        "students": [_student_json(student) for student in standing.students],
    }


def spans(days: Sequence[date]) -> list[str]:
    """Days in order as `--days` takes them: `2026-01-01..2026-01-07` for each row of days without a gap."""
    found: list[tuple[date, date]] = []
    for day in days:
        begun = found.pop() if found and day - found[-1][1] == timedelta(days=1) else (day, day)
        found.append((begun[0], day))
    return [str(first) if first == last else f"{first}..{last}" for first, last in found]


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of at most `width` characters; words are whole, further lines are indented by four more."""
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def serves_line(student: str, released: Mapping[str, Any] | None) -> str:
    """`pre_ranking_click: serves 2026-01-07, checkpoint 0d8472826efdd866`, or that nothing is released."""
    serves = f"serves {released['day']}, checkpoint {released['checkpoint']}" if released else "nothing released"
    return f"{student}: {serves}"


def _student_lines(student: StudentStanding, width: int) -> list[str]:
    lines = wrapped(serves_line(student.name, student.released), width, "  ")
    for entry in student.withdrawn:
        lines += wrapped(f"Withdrawn: {entry['day']}, {why_decided(entry)}", width, "    ")
    if student.decision is None:
        return [*lines, "    no decision yet"]
    if student.decision["outcome"] == "withdrawn" and student.withdrawn:
        return lines  # it is told already
    entry = student.decision["entry"]
    told = f"{in_words(student.decision['outcome'])} on {decided_on(entry)}"
    if reasons := entry.get("reasons"):
        told += f": {reasons[0]}" + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
    return lines + wrapped(told, width, "    ")


def _student_json(student: StudentStanding) -> dict[str, Any]:
    released, decision = student.released, student.decision
    return {
        "student": student.name,
        "newest_evaluation": str(student.evaluated) if student.evaluated else None,
        "serves": {"day": released["day"], "checkpoint": released["checkpoint"]} if released else None,
        "withdrawn": [
            {"day": each["day"], "checkpoint": each["checkpoint"], "by": each["by"], "reason": each["reasons"][0]}
            for each in student.withdrawn
        ],
        "newest_decision": decision
        and {
            "outcome": decision["outcome"],
            "decided_on": decided_on(decision["entry"]),
            "day": decision["entry"]["day"],
            "checkpoint": decision["entry"]["checkpoint"],
            "reasons": list(decision["entry"].get("reasons", [])),
        },
    }
