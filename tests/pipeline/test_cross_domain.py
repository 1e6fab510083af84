"""A teacher from another cascade labels and is judged shard by shard; its figures are published whatever they say."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.other_cascade import BY_TEACHER, HERE, here
from tests.fixtures.rows import CASCADE as ADS
from tests.fixtures.rows import TEACHER, impressions
from ukdsl_assets.defs.cross_domain import labels_asset
from ukdsl_assets.learning.teachers.trees import FittedTeacher, as_checkpoint, fit_teacher
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)
LABELS, EVALUATION = ((HERE.name, BY_TEACHER.name, name) for name in ("teacher_labels", "teacher_evaluation"))


@pytest.fixture(scope="module")
def good() -> FittedTeacher:
    return fit_teacher(ADS, TEACHER, impressions(seed=5), threads=1)


@pytest.fixture(scope="module")
def contrary() -> FittedTeacher:
    return fit_teacher(ADS, TEACHER, impressions(seed=5).with_columns(click=1 - pl.col("click")), threads=1)


def ran(lake: Path, shards: int, fitted: FittedTeacher) -> tuple[Workspace, dg.ExecuteInProcessResult]:
    """Labels of a day of 1000 requests with three shown rows and three considered ones each."""
    workspace = Workspace.open(Settings(lake=str(lake), threads=1, shards=shards))
    workspace.checkpoints.publish(
        workspace.checkpoints.save((ADS.name, TEACHER.name), DAY, as_checkpoint(fitted), text=fitted.text)
    )
    for seed, table in enumerate(("impressions", "considerations")):
        rows = impressions(3000, seed=seed)
        rows = here(rows).hstack(rows.select("deepest_stage", "explored", "click", "conversion"))
        rows = rows.with_columns(pl.col("candidate_id") + 10**6 * seed)
        workspace.lake.commit(workspace.lake.stage_frame((HERE.name, table), DAY, rows), {})
    teacher = BY_TEACHER.model_copy(update={"tasks": {"click": "click"}})
    asset = labels_asset(
        HERE.model_copy(update={"teachers": (teacher,)}),
        ADS.model_copy(update={"teachers": (TEACHER,)}),
        workspace,
        teacher,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return workspace, dg.materialize([asset], partition_key=str(DAY), instance=instance, raise_on_error=False)


def test_shards_are_labelled_and_judged_as_the_whole_day(tmp_path: Path, good: FittedTeacher) -> None:
    (one, first), (four, second) = (ran(tmp_path / str(shards), shards, good) for shards in (1, 4))
    assert first.success
    assert second.success
    assert [len(Day(each, HERE, DAY).partition(LABELS).files) for each in (one, four)] == [1, 4]
    labels, parts, figures, of_parts = (
        each.lake.scan(table, [DAY]).collect() for table in (LABELS, EVALUATION) for each in (one, four)
    )
    assert_frame_equal(parts.sort("request_id", "candidate_id"), labels, check_exact=True)
    assert_frame_equal(of_parts, figures, check_exact=True)
    assert figures["rows"].item() > 300
    assert (
        Day(four, HERE, DAY).partition(LABELS).data_version == four.lake.stage_frame(LABELS, DAY, labels).data_version
    )
    said = [[each.description for each in done.get_asset_check_evaluations()] for done in (first, second)]
    assert said[0] == said[1]


@pytest.mark.parametrize("shards", [1, 4])
def test_labels_worse_than_a_constant_are_not_published_and_leave_no_file(
    tmp_path: Path, contrary: FittedTeacher, shards: int
) -> None:
    workspace, done = ran(tmp_path, shards, contrary)
    failed = [each.check_name for each in done.get_asset_check_evaluations() if not each.passed]
    assert not done.success
    assert "click_better_than_a_constant" in failed
    assert workspace.lake.scan(EVALUATION, [DAY]).collect()["ne"].item() > 1
    assert workspace.lake.partition(LABELS, DAY) is None
    assert not list(Path(workspace.settings.tables, *LABELS).glob("day=*/*"))
