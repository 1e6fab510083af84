"""What a student may know of the delays of its labels, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS, KEYS, delay_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.training.delayed_feedback import DELAY_DAYS, labels_as_seen_messages, with_label_factor
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.pipeline.closed_impressions import first_closing
from ukdsl_assets.pipeline.day import Day


def refuse_without_labels(day: Day, student: Student) -> None:
    """Tell a student that waits for its labels when there are none yet.

    Raises:
        LakeError: names the date of the first ones.
    """
    table = day.table(CLOSED_IMPRESSIONS)
    if student.delayed_feedback == "wait" and not day.lake.row_counts(table, [day.date]).get(day.date):
        raise LakeError(
            f"{'/'.join(table)}, day {day.date}: no labels yet that {student.name} may be trained on; "
            f"{first_closing(day.cascade)}, so start with a day whose labels are read after that, or "
            "declare `delayed_feedback: correct`"
        )


@dataclass(frozen=True)
class KnownDelays:
    """Seconds from request to event of all positive labels of closed days, float64, and the versions read."""

    seconds: NDArray[np.float64]
    versions: dict[str, str]

    @property
    def message(self) -> str:
        """What became of the day's labels, for people."""
        if not len(self.seconds):
            return (
                "as seen, since no attribution window with a positive label has closed yet: labels that are yet to "
                "come count as 0, so the student is trained and judged too low"
            )
        return f"corrected by {len(self.seconds)} delays of {len(self.versions)} closed day(s)"


def known_delays(day: Day, student: Student) -> KnownDelays | None:
    """What a student that corrects its labels may know of their delays on a day; None for other students."""
    if student.delayed_feedback != "correct":
        return None
    table = day.table(CLOSED_IMPRESSIONS)
    first = day.date - timedelta(days=DELAY_DAYS - 1)
    days = [each for each in day.lake.partitions(table) if first <= each <= day.date]
    column = delay_column(student.task)
    if not days:
        return KnownDelays(np.empty(0), {})
    # A rerun with a later clock may find the same closed day for several partitions.
    scanned = day.lake.scan(table, days, columns=[*KEYS, column]).drop_nulls(column)
    rows = scanned.unique().collect()
    # Delays go into training, so those of withheld requests are left out.
    rows = rows.filter(~withheld(rows["request_id"], day.cascade.withheld_share))
    versions = {str(each): day.on(each).partition(table).data_version for each in days}
    return KnownDelays(rows[column].sort().to_numpy(), versions)


def labels_message(cascade: Cascade, student: Student, delays: KnownDelays | None) -> dict[str, str]:
    """What became of a student's delayed labels, and of those of its further tasks, for people; empty without such.

    Args:
        delays: of `known_delays`.
    """
    own = [f"{student.task}: {delays.message}"] if delays is not None else []
    if student.delayed_feedback == "wait":
        own = [f"{student.task}: those of the newest day whose attribution windows have closed"]
    messages = [*own, *labels_as_seen_messages(cascade, student.label_tasks).values()]
    return {"labels": "; ".join(messages)} if messages else {}


def corrected(cascade: Cascade, student: Student, delays: KnownDelays | None, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of teacher_augmented with their `label_factor`, for a student that corrects its labels."""
    if delays is None:
        return rows
    return with_label_factor(rows, delays.seconds, cascade.task(student.task).attribution_window)


def corrected_readers(
    cascade: Cascade, student: Student, delays: KnownDelays | None, readers: Sequence[Reader]
) -> list[Reader]:
    """The readers with `corrected` rows."""
    return [partial(_corrected_rows, cascade, student, delays, read) for read in readers]


def _corrected_rows(cascade: Cascade, student: Student, delays: KnownDelays | None, read: Reader) -> pl.DataFrame:
    return corrected(cascade, student, delays, read())
