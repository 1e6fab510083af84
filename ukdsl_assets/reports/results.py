"""The published evaluation of a cascade's students, read back from the lake."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.lake.tables import Lake
from ukdsl_assets.learning.evaluation import COLUMNS
from ukdsl_assets.settings import Settings


def evaluation_of(settings: Settings, cascade: Cascade, days: Sequence[date]) -> pl.DataFrame:
    """One row a day, student, arm, head, domain and reference; columns as in `learning.evaluation.COLUMNS`.

    Raises:
        LakeError: when a day of a student is not published.
    """
    lake = Lake(settings.tables, settings.shards)
    tables = [(cascade.name, student.name, "evaluation") for student in cascade.students]
    parts = [lake.scan(table, days).select(*COLUMNS) for table in tables]
    return (
        pl.concat(parts).sort("day", "student", maintain_order=True).collect()
        if parts
        else pl.DataFrame(schema=COLUMNS)
    )
