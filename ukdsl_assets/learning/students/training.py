"""One training of one arm, as a value: what is learnt, from which rows, from where, and by what means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, REJECTED
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import SCORED_HEAD, Student
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.training.rows import ArmRows, Reader, weighed_by_given

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.state import Keeper
    from ukdsl_assets.learning.training.trainer import Progress


@dataclass(frozen=True)
class Training:
    """What `fit_student` needs to know, and no more of the cascade than that.

    Attributes:
        student: the declaration; its seed, epochs and learning rate are the training's.
        arm: baseline (labels only) or distilled.
        features: of the student, in declared order.
        has_bid: whether rows have a column `bid`, for the listwise term.
        labels_rejected: whether the teacher is one of the student's own stage, which labels what the stage rejected
            like what it handed on. Else rejected rows are rare probes, which matter to head `scored` alone.
        readers: each reads a shard of rows of `teacher_augmented`, sorted by request_id, none withheld; one is in
            memory at a time (trees need all).
        previous: what the training is warm-started from.
        threads: networks are small, so a second thread gains little and loses much on a busy machine.
        device: cpu, cuda or auto; trees are grown on the CPU.
        progress: called after each batch of a network's training.
        keeper: keeps the state of a network's training, so that an interrupted one goes on.
    """

    student: Student
    arm: Arm
    features: tuple[Feature, ...]
    has_bid: bool
    labels_rejected: bool
    readers: Sequence[Reader]
    previous: FittedStudent | None = None
    threads: int = 1
    device: str = "cpu"
    progress: "Progress | None" = None
    keeper: "Keeper | None" = None

    @classmethod
    def of(
        cls,
        cascade: Cascade,
        student: Student,
        arm: Arm,
        rows: pl.DataFrame | Sequence[Reader],
        *,
        previous: FittedStudent | None = None,
        threads: int = 1,
        device: str = "cpu",
        progress: "Progress | None" = None,
        keeper: "Keeper | None" = None,
    ) -> "Training":
        """A training of a cascade's student.

        Args:
            rows: in memory as one shard, or what reads each shard.
        """
        readers = [partial(_itself, rows)] if isinstance(rows, pl.DataFrame) else rows
        return cls(
            student=student,
            arm=arm,
            features=cascade.features_of(student),
            has_bid=cascade.has_bid,
            labels_rejected=any(
                teacher.name == student.teacher and teacher.stage == student.stage for teacher in cascade.teachers
            ),
            readers=readers,
            previous=previous,
            threads=threads,
            device=device,
            progress=progress,
            keeper=keeper,
        )

    @property
    def rows(self) -> ArmRows:
        """The rows that the arm learns from: the baseline sees those of domain IMP alone."""
        if self.arm == "baseline":
            return ArmRows(self.student, self.features, self.has_bid, (IMP,), self.readers)
        readers, most = self.readers, self._most_weight
        if most > 0:
            # A probe is held to what other considered rows weigh before both count by what is given.
            readers = [partial(_as_considered, read, most) for read in readers]
        return ArmRows(self.student, self.features, self.has_bid, (IMP, CD), self._weighed(readers))

    @property
    def labelled_rows(self) -> ArmRows:
        """The rows that head `scored` takes its level from: all that the teacher labels, as heavy as they are."""
        return ArmRows(self.student, self.features, self.has_bid, (CD, REJECTED), self._weighed(self.readers))

    def _weighed(self, readers: Sequence[Reader]) -> Sequence[Reader]:
        """The readers, rows that the teacher labels weighted by what is given where the student declares it."""
        if self.student.loss.considered_rows != "given":
            return readers
        return [partial(weighed_by_given, read) for read in readers]

    @property
    def _most_weight(self) -> float:
        """The most that a rejected row weighs in the loss; 0 where none is in it."""
        if self.labels_rejected:
            return math.inf
        return self.student.loss.rejected if SCORED_HEAD in self.student.heads else 0.0


def _as_considered(read: Reader, most: float) -> pl.DataFrame:
    """The rows, of which rejected ones stand among the considered ones, none heavier than `most`."""
    rows, rejected = read(), pl.col("domain") == REJECTED
    if not (rows["domain"] == REJECTED).any():
        return rows
    capped = pl.when(rejected).then(pl.min_horizontal("weight", pl.lit(most, pl.Float32))).otherwise("weight")
    return rows.with_columns(weight=capped, domain=pl.when(rejected).then(pl.lit(CD)).otherwise("domain"))


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows
