"""Trees are trained on all rows of the window, or on a declared number of them, told where it takes effect."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.rows import CASCADE, impressions
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.teachers import SAMPLED, impression_readers, request_sample, train_teacher
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAYS = [date(2026, 1, 1), date(2026, 1, 2)]
TREES = TrainedTeacher(name="trees", kind="trained", stage="ranking", trees=3, minimum_leaf_rows=5)
SAMPLED_TREES = TREES.model_copy(update={"most_rows": 1500})


def day_of(folder: Path, shards: int) -> Day:
    workspace = Workspace.open(Settings(lake=str(folder), threads=1, shards=shards))
    for number, each in enumerate(DAYS):
        rows = impressions(1500, seed=number).with_columns(pl.col("request_id") + 1000 * number)
        workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, "impressions"), each, rows), {})
    return Day(workspace, CASCADE, DAYS[-1])


def trained_on(day: Day, teacher: TrainedTeacher) -> pl.DataFrame:
    sample = request_sample(day, teacher, DAYS)
    rows = pl.concat(read() for read in impression_readers(day, teacher, DAYS, sample))
    return rows.sort("day", "request_id", "candidate_id")


def test_the_same_requests_are_drawn_from_any_shards_by_any_engine(tmp_path: Path) -> None:
    day = day_of(tmp_path / "one", 1)
    every, drawn = trained_on(day, TREES), trained_on(day, SAMPLED_TREES)
    assert len(every) > 2400
    assert 1400 < len(drawn) <= 1500
    # Whole requests, none of them withheld.
    assert drawn.equals(every.join(drawn.select("request_id").unique(), on="request_id", how="semi"))
    assert not withheld(drawn["request_id"], CASCADE.withheld_share).any()
    assert drawn["day"].unique().sort().to_list() == DAYS
    four = day_of(tmp_path / "four", 4)
    assert trained_on(four, SAMPLED_TREES).equals(drawn)
    workspace, engine = with_pickling_engine(four.workspace)
    assert trained_on(Day(workspace, CASCADE, DAYS[-1]), SAMPLED_TREES).equals(drawn)
    # Four shards, counted in two groups of neighbours; nothing is counted where all rows fit.
    assert engine.mapped == {f"simulated_ads/trees/teacher_checkpoint, requests of {DAYS[-1]}": 2}
    trained_on(Day(workspace, CASCADE, DAYS[-1]), TREES)
    assert list(engine.mapped.values()) == [2]


def test_a_sample_is_told_in_the_checkpoint_and_beside_it(tmp_path: Path) -> None:
    day = day_of(tmp_path, 2)
    made, rows = train_teacher(day, SAMPLED_TREES), trained_on(day, SAMPLED_TREES)
    assert all(result.passed for result in made.results)
    every = len(trained_on(day, TREES))
    assert made.checkpoint.metadata[SAMPLED] == {
        "rows": len(rows), "of": every, "most_rows": 1500, "by": "whole requests, by hash",
    }  # fmt: skip
    assert made.figures["trained on"].startswith(f"{len(rows):,} of {every:,} rows, whole requests by hash")
    assert made.figures["click_rows"] == rows["click"].count()
    # The gate counts what was read.
    assert made.results[1].seen["requests"] == rows["request_id"].n_unique()


def test_a_bound_that_is_not_reached_changes_nothing(tmp_path: Path) -> None:
    day = day_of(tmp_path, 2)
    made = train_teacher(day, TREES)
    unbounded = train_teacher(day, TREES.model_copy(update={"most_rows": None}))
    assert made.checkpoint.version == unbounded.checkpoint.version
    assert SAMPLED not in made.checkpoint.metadata
    assert "trained on" not in made.figures
    assert made.figures["click_rows"] == trained_on(day, TREES)["click"].count()
