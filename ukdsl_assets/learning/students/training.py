"""One training of one arm, as a value: what is learnt, from which rows, from where, and by what means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.training.rows import ArmRows, Reader

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
        domains = (IMP,) if self.arm == "baseline" else (IMP, CD)
        return ArmRows(self.student, self.features, self.has_bid, domains, self.readers)


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows
