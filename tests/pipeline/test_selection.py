"""A selection's rows are drawn shard by shard: those that all the withheld rows together would give."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.frames.splits import halves, withheld
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.selection import judged_rows, measured_rows, readers_elsewhere
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.selection.sampled_rows import SAMPLED_DOMAINS, sample
from ukdsl_assets.settings import Settings

DAYS = [date(2026, 1, 1), date(2026, 1, 2)]
TABLE: Table = (CASCADE.name, STUDENT.name, "teacher_augmented")
SELECTING = STUDENT.model_copy(
    update={"selection": Selection(budget=2, rows=100, architecture=MlpArchitecture(kind="mlp", hidden=(8,)))}
)


@pytest.fixture(params=[1, 4], ids=["one shard", "four"])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    """Two days of rows, a third of their requests withheld."""
    opened = Workspace.open(Settings(lake=str(tmp_path), threads=1, shards=request.param))
    for number, day in enumerate(DAYS):
        rows = training_rows(200, seed=number).with_columns(pl.col("request_id") + 1000 * number)
        rows = rows.with_columns(
            withheld(rows["request_id"], 0.33),
            requested_at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(number)),
        )
        opened.lake.commit(opened.lake.stage_frame(TABLE, day, rows), {})
    return opened


def held(workspace: Workspace, days: list[date]) -> pl.DataFrame:
    return pl.concat([workspace.lake.scan(TABLE, [day]).filter("withheld").collect() for day in days])


def test_importance_is_measured_on_a_sample_of_each_domain(workspace: Workspace) -> None:
    found = measured_rows(Day(workspace, CASCADE, DAYS[-1]), TABLE, DAYS, 100, seed=5)
    apart, engine = with_pickling_engine(workspace)
    assert_frame_equal(measured_rows(Day(apart, CASCADE, DAYS[-1]), TABLE, DAYS, 100, seed=5), found)
    # Requests are counted, then read.
    assert list(engine.mapped.values()) == [2 * 2 * workspace.settings.shards]
    half = halves(held(workspace, DAYS), 5)[0]
    for domain in SAMPLED_DOMAINS:
        expected = sample(half.filter(domain=domain), 100, 5)
        assert 50 < len(expected) <= 100
        assert_frame_equal(found.filter(domain=domain), expected)


def test_a_selection_is_judged_on_requests_with_their_rows_of_both_domains(workspace: Workspace) -> None:
    found = judged_rows(Day(workspace, CASCADE, DAYS[0]), SELECTING)
    apart = with_pickling_engine(workspace)[0]
    assert_frame_equal(judged_rows(Day(apart, CASCADE, DAYS[0]), SELECTING), found)
    rows = held(workspace, DAYS[:1])
    assert_frame_equal(found.select(rows.columns), sample(rows, 200, SELECTING.seed))
    assert len(found) < len(rows)
    assert set(found["domain"]) == set(SAMPLED_DOMAINS)


@pytest.mark.parametrize(("missing", "there"), [("allowed", True), ("refused", False)])
def test_a_feature_that_may_be_missing_is_in_the_rows_though_it_is_missing_in_all(
    workspace: Workspace, missing: str, there: bool
) -> None:
    lost = next(feature for feature in CASCADE.features_of(STUDENT) if feature.kind == "categorical")
    features = [
        feature.model_copy(update={"missing": missing}) if feature == lost else feature for feature in CASCADE.features
    ]
    cascade = CASCADE.model_copy(update={"features": tuple(features), "students": (STUDENT,)})
    rows = training_rows(200).with_columns(pl.lit(None).cast(feature_dtype(lost)).alias(lost.name))
    workspace.lake.commit(workspace.lake.stage_frame(TABLE, DAYS[1], rows), {})
    readers = readers_elsewhere(Day(workspace, cascade, DAYS[1]), STUDENT.model_copy(update={"name": "another"}))
    read, columns = readers[STUDENT.name]
    assert lost.name in read
    assert (lost.name in columns) is there
