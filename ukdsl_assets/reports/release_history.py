"""What serves of a student, what was decided of late, and what a withdrawal did, as lines for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from ukdsl_assets.pipeline.withdrawal import Withdrawal
from ukdsl_assets.reports.glance import first_clauses
from ukdsl_assets.reports.printed import in_words, why_decided
from ukdsl_assets.reports.standing import serves_line, wrapped


def history_lines(
    student: str, released: Mapping[str, Any] | None, history: Sequence[Mapping[str, Any]], width: int
) -> list[str]:
    """What serves, then a line or more each decision with its first reason, the newest last.

    Args:
        released: the released entry, None for none.
        history: of `release_history`, oldest first.
        width: characters of a line, but for longer words.
    """
    lines = wrapped(serves_line(student, released), width)
    for record in history:
        entry = record["entry"]
        told = f"{entry['day']}, {entry['checkpoint']}: {in_words(record['outcome'])} at {record['decided_at'][:16]}"
        lines += wrapped(f"{told.replace('T', ' ')} UTC{_why(entry)}", width, "  ")
    return lines if history else [*lines, "  no decision yet"]


def moved_lines(student: str, done: Withdrawal, width: int) -> list[str]:
    """What was withdrawn and given back, by whom and why, and what serves now."""
    lines = []
    for entry in done.withdrawn:
        lines += wrapped(f"withdrawn: {entry['day']}, checkpoint {entry['checkpoint']}, {why_decided(entry)}", width)
    if done.given_back is not None:
        entry = done.given_back
        lines += wrapped(f"released again: {entry['day']}, {why_decided(entry)}", width)
    if not lines:
        lines = ["nothing is changed: it serves already"]
    return lines + wrapped(serves_line(student, done.serves), width)


def _why(entry: Mapping[str, Any]) -> str:
    """`: by anna: clicks fell`, or the first reason of the gates in short; empty for none."""
    reasons = entry.get("reasons", [])
    if entry.get("by") or entry.get("given_back"):
        return f": {why_decided(entry)}"
    if not reasons:
        return ""
    return f": {first_clauses(reasons[0])}" + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
