"""The rows of `teacher_augmented` that an arm learns from, and what must hold of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, GIVEN_PROBABILITY, IMP, REPRESENTATION, TARGET
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.training.outputs import taught_column

# Reads the rows of one shard, sorted by request_id; shards are split by request, at random.
Reader = Callable[[], pl.DataFrame]


@dataclass(frozen=True)
class ArmRows:
    """The rows of `teacher_augmented` that an arm learns from.

    Attributes:
        student: the declaration.
        features: its own, in declared order.
        has_bid: whether the log has bids, which the listwise term reads.
        domains: IMP, or IMP and CD: the rows that are used.
        readers: of each shard.
    """

    student: Student
    features: tuple[Feature, ...]
    has_bid: bool
    domains: tuple[str, ...]
    readers: Sequence[Reader]

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Each column of targets with the domain whose rows it is of."""
        student = self.student
        own = [(domain, TARGET) for domain in self.domains]
        labels = [(IMP, task) for task in student.label_tasks]
        taught = [(CD, taught_column(student, task)) for task in student.taught_tasks if CD in self.domains]
        return tuple(dict.fromkeys([*own, *labels, *taught]))


def teacher_representation(student: Student, rows: pl.DataFrame, width: int) -> NDArray[np.float32]:
    """The teacher's hidden layer of rows of CD, float32 [rows, width]; of any width where 0 is given.

    Raises:
        TrainingError: a row lacks it, or has another width: the teacher's network has changed within the window.
    """
    column = rows[REPRESENTATION].cast(pl.List(pl.Float32))
    widths = column.list.len().fill_null(0).unique().sort().to_list()
    expected = width or (widths[-1] if widths else 0)
    if widths not in ([], [expected]):
        raise TrainingError(
            f"{student.name}: rows of column `{REPRESENTATION}` of teacher_augmented have {widths} places; expected "
            f"{expected} in each; materialize the window's days again"
        )
    return column.cast(pl.Array(pl.Float32, expected)).to_numpy().reshape(len(rows), expected)


def weighed_by_given(read: Reader) -> pl.DataFrame:
    """The rows that are read, the weight of considered ones times the probability of what the student's task is given.

    The mean of a shard's known probabilities stands for one that is null (the stage had logged none, or the window has
    days of before the column); rows without the column `given_probability` stay as they are.
    """
    rows = read()
    if GIVEN_PROBABILITY not in rows.columns:
        return rows
    considered = pl.col("domain") != IMP
    known = pl.col(GIVEN_PROBABILITY).filter(considered).mean()
    given = pl.when(considered).then(pl.col(GIVEN_PROBABILITY).fill_null(known).fill_null(1.0)).otherwise(1.0)
    return rows.with_columns(weight=(pl.col("weight") * given).cast(pl.Float32))


def _missing_bids(rows: pl.DataFrame) -> int:
    return rows["bid"].null_count() if "bid" in rows.columns else len(rows)


def check_values(arm: ArmRows, rows: pl.DataFrame) -> None:
    """Refuse rows of `teacher_augmented` that cannot be trained on; empty ones pass.

    Raises:
        TrainingError: a target is not in [0, 1], a bid that the listwise term reads or a number is null; says how many.
    """
    student = arm.student
    wrong = rows.filter(~pl.col(TARGET).is_between(0, 1) | pl.col(TARGET).is_nan() | pl.col(TARGET).is_null())
    if len(wrong):
        raise TrainingError(f"{student.name}: {len(wrong)} rows of teacher_augmented.target are not in [0, 1]")
    if student.loss.listwise and arm.has_bid and (nulls := _missing_bids(rows)):
        raise TrainingError(
            f"{student.name}: column `bid` of teacher_augmented is missing in {nulls} of {len(rows)} rows; the "
            "listwise loss needs it; materialize teacher_augmented of the window's days again"
        )
    for feature in arm.features:
        if not feature.of_ids and not feature.may_be_missing and (nulls := rows[feature.name].null_count()):
            raise TrainingError(
                f"{student.name}: column `{feature.name}` of teacher_augmented is null in {nulls} of {len(rows)} rows; "
                "expected a number; materialize the window's days again if the feature is new to the student"
            )
