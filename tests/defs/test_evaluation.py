"""Evaluation of students one shard at a time."""

import datetime as dt

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.learning.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.defs.evaluation import evaluated
from ukdsl_assets.defs.students import record
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.learning.students import ARMS, fit_student

ROWS = training_rows(requests=150, seed=1)


@pytest.fixture(scope="module")
def found() -> dict[str, Checkpoint]:
    fits = {arm: fit_student(CASCADE, STUDENT, arm, training_rows(requests=60)) for arm in ARMS}
    return {
        arm: Checkpoint(
            ("a", "b", arm), dt.date(2026, 1, 1), arm, record(CASCADE, STUDENT, arm, fit), fit.student.tensors
        )
        for arm, fit in fits.items()
    }


@pytest.mark.parametrize("ends", [[150], [70, 150], [1, 40, 40, 149, 150]], ids=["one", "two", "five, one empty"])
def test_shards_are_judged_as_the_whole_day(found: dict[str, Checkpoint], ends: list[int]) -> None:
    starts = [0, *ends[:-1]]
    shards = [
        ROWS.filter(pl.col("request_id").is_between(start, end, closed="left"))
        for start, end in zip(starts, ends, strict=True)
    ]
    whole, by_group = evaluated(CASCADE, STUDENT, [ROWS], found)
    parts, parts_by_group = evaluated(CASCADE, STUDENT, iter(shards), found)
    assert whole["rows"].sum() == 3 * len(ROWS)  # the baseline's head and both of the distilled arm
    assert_frame_equal(parts, whole, rel_tol=1e-5)
    assert_frame_equal(parts_by_group, by_group, rel_tol=1e-5)
