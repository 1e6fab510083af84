"""Ways to train the student of a task that is given another: what each does to its rows of `teacher_augmented`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ukdsl_assets.declaration.columns import CD, GIVEN_PROBABILITY, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.conversion_rows import conversion_rows
from ukdsl_assets.learning.students.student import Arm

# Propensities, ranking's logged predictions of a click, are clipped here, so that no weight exceeds 100.
LEAST_PROPENSITY = 0.01


@dataclass(frozen=True)
class ConversionArm:
    """An arm: the rows that it is trained on, of `click_and_conversion`, and fields of the declaration that differ."""

    name: str
    arm: Arm = "distilled"
    rows: Callable[[pl.DataFrame], pl.DataFrame] = conversion_rows
    student: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)

    def of(self, student: Student) -> Student:
        """The student as this arm declares it."""
        return student.model_copy(update={**self.student, "loss": student.loss.model_copy(update=self.loss)})


def inverse_propensity(rows: pl.DataFrame) -> pl.DataFrame:
    """The inverse propensity risk of ESCM2 (Wang et al., SIGIR 2022): a clicked impression stands for 1 / p(click)."""
    of_labels = pl.when(pl.col("domain") == IMP).then(1 / _propensity()).otherwise(1.0)
    return conversion_rows(rows).with_columns(weight=(pl.col("weight") * of_labels).cast(pl.Float32))


def entire_space(rows: pl.DataFrame) -> pl.DataFrame:
    """The product's loss over all impressions, p = p(click) held fixed: -y log q - (p - y) log(1 - q).

    Its expectation is p times the cross entropy of q and the true chance, as that of clicked rows is, with p in place
    of whether there was a click. As a row: weight p, target y / p.
    """
    shown = _impressions(rows).with_columns(
        target="converted", label_factor=(pl.col("label_factor") / _propensity()).cast(pl.Float32), weight=_propensity()
    )
    return _beside_considered(rows, shown)


def doubly_robust(rows: pl.DataFrame) -> pl.DataFrame:
    """The doubly robust risk of ESCM2, the teacher imputing: over all impressions its prediction, plus, where clicked,
    (label - prediction) / p(click)."""
    taught = pl.col("conversion_teacher")
    missed = pl.col("converted") * pl.col("label_factor") - taught
    # A target is in [0, 1], which these are not; what it is multiplied by may be anything.
    corrected = (taught + pl.col("clicked") / _propensity() * missed).cast(pl.Float32)
    return _beside_considered(rows, _impressions(rows).with_columns(target=1.0, label_factor=corrected))


def doubly_robust_by_clicks(rows: pl.DataFrame) -> pl.DataFrame:
    """The same, impressions weighing p(click), as considered rows do: rows count as they do in the product."""
    weight = pl.when(pl.col("domain") == IMP).then(_propensity()).otherwise("weight").cast(pl.Float32)
    return doubly_robust(rows).with_columns(weight=weight)


def _propensity() -> pl.Expr:
    return pl.col("teacher").clip(LEAST_PROPENSITY)


def _impressions(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(domain=IMP).with_columns(pl.lit(None, pl.Float32).alias(GIVEN_PROBABILITY))


def _beside_considered(rows: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    considered = conversion_rows(rows).filter(domain=CD)
    columns = [pl.col(name).cast(dtype) for name, dtype in considered.schema.items()]
    return pl.concat([considered, shown.select(columns)]).sort("request_id", "candidate_id", "domain")


_ALIKE, _ONE_HEAD = {"considered_rows": "alike"}, {"heads": ("impression",)}
ARMS = {
    arm.name: arm
    for arm in (
        ConversionArm("baseline", "baseline"),
        ConversionArm("rows alike", loss=_ALIKE),
        ConversionArm("rows by clicks"),
        ConversionArm("rows by clicks, one head", student=_ONE_HEAD),
        ConversionArm(
            "labels by 1 / p(click) (ESCM2-IPS), one head", rows=inverse_propensity, student=_ONE_HEAD, loss=_ALIKE
        ),
        ConversionArm("entire space, rows by clicks, one head", rows=entire_space, student=_ONE_HEAD),
        ConversionArm("doubly robust by clicks (ESCM2-DR), one head", rows=doubly_robust_by_clicks, student=_ONE_HEAD),
        # Tried on world 100 alone.
        ConversionArm("labels by 1 / p(click) (ESCM2-IPS)", rows=inverse_propensity, loss=_ALIKE),
        ConversionArm("entire space", rows=entire_space, loss=_ALIKE),
        ConversionArm("entire space, rows by clicks", rows=entire_space),
        ConversionArm("doubly robust (ESCM2-DR), one head", rows=doubly_robust, student=_ONE_HEAD, loss=_ALIKE),
    )
}
