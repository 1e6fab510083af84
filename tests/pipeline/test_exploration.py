"""The audit on exploration reads the window's explored rows shard by shard, and finds what one reading of all finds."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.rows import CASCADE, impressions
from ukdsl_assets.declaration.teachers import Teacher, TrainedTeacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.exploration import audited
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(3)]
TEACHERS = [
    CASCADE.teacher("ranking_logged"),
    TrainedTeacher(name="foundation", kind="trained", stage="ranking"),
]


def of_day(number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Shown rows, a half of them explored, and labels of them and of as many rows that were not shown."""
    rng = np.random.default_rng(number)
    shown = impressions(1500, seed=number).with_columns(
        request_id=pl.col("request_id") + 1000 * number,
        propensity=pl.Series(rng.uniform(0.1, 1, 1500), dtype=pl.Float32),
    )
    keys = shown.select("request_id", "candidate_id")
    both = pl.concat([keys, keys.with_columns(candidate_id=pl.col("candidate_id") + 10**6)])
    predictions = {f"{task}_prediction": rng.uniform(0.05, 0.5, len(both)) for task in ("click", "conversion")}
    labels = both.with_columns(**{name: pl.Series(each, dtype=pl.Float32) for name, each in predictions.items()})
    return shown, labels.sort("request_id", "candidate_id")


def as_one(teacher: Teacher) -> pl.DataFrame:
    """The table from all rows together."""
    days = [(day, *of_day(number)) for number, day in enumerate(DAYS)]
    rows = pl.concat(
        shown.join(labels, on=["request_id", "candidate_id"]).with_columns(day=pl.lit(day))
        for day, shown, labels in days
    )
    held = withheld(rows["request_id"], CASCADE.withheld_share)
    rows = rows.filter("explored").filter(held.filter(rows["explored"]) == (teacher.kind == "trained"))
    return audit_on_exploration(CASCADE, teacher, rows.sort("day", "request_id", "candidate_id"), DAYS[-1])


@pytest.mark.parametrize("teacher", TEACHERS, ids=lambda teacher: teacher.kind)
@pytest.mark.parametrize("shards", [(1, 1), (4, 4), (4, 3)], ids=["one shard", "four", "not equally many"])
def test_shards_and_days_make_the_table_of_all_rows(tmp_path: Path, teacher: Teacher, shards: tuple[int, int]) -> None:
    tables = ("impressions",), (teacher.name, "teacher_labels")
    for number, day in enumerate(DAYS):
        for table, count, frame in zip(tables, shards, of_day(number), strict=True):
            lake = Workspace.open(Settings(lake=str(tmp_path), shards=count)).lake
            lake.commit(lake.stage_frame((CASCADE.name, *table), day, frame), {})
    made = audited(Day(Workspace.open(Settings(lake=str(tmp_path))), CASCADE, DAYS[-1]), teacher)
    assert made["rows"].min() > 0  # type: ignore[operator]
    assert_frame_equal(made, as_one(teacher), check_exact=True)


def test_of_a_cascade_with_a_slot_only_what_was_shown_as_it_is_scored_counts(tmp_path: Path) -> None:
    features = (f.model_copy(update={"served_as": 3}) if f.name == "ad" else f for f in CASCADE.features)
    placed = CASCADE.model_copy(update={"features": tuple(features)})
    shown, labels = of_day(0)
    workspace, teacher = Workspace.open(Settings(lake=str(tmp_path))), TEACHERS[0]
    for table, frame in ((("impressions",), shown), ((teacher.name, "teacher_labels"), labels)):
        workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, *table), DAYS[0], frame), {})
    held = withheld(shown["request_id"], CASCADE.withheld_share)
    kept = shown.filter(~held).filter("explored", ad=3).join(labels, on=["request_id", "candidate_id"])
    expected = audit_on_exploration(
        placed, teacher, kept.with_columns(day=pl.lit(DAYS[0])).sort("request_id", "candidate_id"), DAYS[0]
    )
    assert 0 < len(kept) < 150
    assert_frame_equal(audited(Day(workspace, placed, DAYS[0]), teacher), expected, check_exact=True)
