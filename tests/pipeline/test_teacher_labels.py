"""Labels of a day shard by shard: the same as of the day as a whole, and nothing is published where one is wrong."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.rows import CASCADE, impressions
from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.declaration.teachers import LoggedTeacher, TrainedTeacher
from ukdsl_assets.defs.teachers import logged_labels, trained_labels
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.teachers.trees import FittedTeacher, as_checkpoint, fit_teacher, predict_teacher
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.teacher_labels import LabelledShard, judge_labels, rows_scored_by, stage_labels
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)
TEACHER = TrainedTeacher(name="foundation", kind="trained", stage="ranking", trees=10, minimum_leaf_rows=5)
(LOGGED,) = (each for each in CASCADE.teachers if isinstance(each, LoggedTeacher) and each.stage == "ranking")
SOURCES: list[Table] = [(CASCADE.name, "impressions"), (CASCADE.name, "considerations")]
SHARDS = pytest.mark.parametrize("shards", [1, 4])


@pytest.fixture(scope="module")
def fitted() -> FittedTeacher:
    return fit_teacher(CASCADE, TEACHER, impressions(seed=5), threads=1)


def workspace(lake: Path, shards: int, requests: int = 2000, **logged: Any) -> Workspace:
    """A lake with a day of shown and considered rows, on which the ranker logged the mean label, or `logged`."""
    opened = Workspace.open(Settings(lake=str(lake), threads=1, shards=shards))
    shown = impressions(3 * requests)
    considered = impressions(3 * requests, seed=1).with_columns(candidate_id=pl.col("candidate_id") + 10**6)
    considered = considered.with_columns(probed=False, probe_rate=pl.lit(None, pl.Float32))
    names = {task: prediction_column("ranking", task) for task in ("click", "conversion")}
    said = {name: pl.lit(shown[task].mean(), pl.Float32) for task, name in names.items()}
    said |= {names[task]: value.cast(pl.Float32) for task, value in logged.items()}
    for table, frame in zip(SOURCES, (shown, considered), strict=True):
        commit(opened, table, frame.with_columns(**said))
    return opened


def commit(opened: Workspace, table: Table, frame: pl.DataFrame) -> None:
    opened.lake.commit(opened.lake.stage_frame(table, DAY, frame), {})


def publish_checkpoint(opened: Workspace, fitted: FittedTeacher) -> None:
    key = (CASCADE.name, TEACHER.name)
    opened.checkpoints.publish(opened.checkpoints.save(key, DAY, as_checkpoint(fitted), text=fitted.text))


def materialized(asset: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([asset], partition_key=str(DAY), instance=instance, raise_on_error=False)


def files_of(opened: Workspace, table: Table) -> list[str]:
    """Everything that lies in the day's folder, published or not."""
    return sorted(path.name for path in Path(opened.settings.tables, *table).glob("day=*/*"))


@SHARDS
def test_published_bytes_are_those_of_the_whole_days_frame(tmp_path: Path, fitted: FittedTeacher, shards: int) -> None:
    opened, table = workspace(tmp_path, shards), (CASCADE.name, TEACHER.name, "teacher_labels")
    publish_checkpoint(opened, fitted)
    assert materialized(trained_labels(CASCADE, opened, TEACHER)).success
    published = Day(opened, CASCADE, DAY).partition(table)
    whole = predict_teacher(
        fitted, rows_scored_by(CASCADE, TEACHER, [opened.lake.scan(each, [DAY]) for each in SOURCES]), threads=1
    )
    assert (len(published.files), published.rows) == (shards, len(whole)) == (shards, 12_000)
    assert published.data_version == opened.lake.stage_frame(table, DAY, whole).data_version
    rows = opened.lake.scan(table, [DAY]).drop("day").collect()
    assert_frame_equal(rows.sort("request_id", "candidate_id"), whole)


def test_a_shard_without_rows_has_labels_without_rows(tmp_path: Path, fitted: FittedTeacher) -> None:
    opened, table = workspace(tmp_path, shards=4, requests=1), (CASCADE.name, TEACHER.name, "teacher_labels")
    publish_checkpoint(opened, fitted)
    assert materialized(trained_labels(CASCADE, opened, TEACHER)).success
    assert (len(Day(opened, CASCADE, DAY).partition(table).files), Day(opened, CASCADE, DAY).partition(table).rows) == (
        4,
        6,
    )


def test_sources_of_unlike_shards_are_labelled_as_one(tmp_path: Path, fitted: FittedTeacher) -> None:
    opened = workspace(tmp_path, shards=4)
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1, shards=2))
    commit(other, SOURCES[1], opened.lake.scan(SOURCES[1], [DAY]).drop("day").collect())
    (shard,) = labelled(opened, fitted)
    assert judge_labels(CASCADE, TEACHER, [shard.sums])[0].seen["rows"] == 12_000


def test_columns_beside_the_predictions_are_no_labels(tmp_path: Path, fitted: FittedTeacher) -> None:
    opened = workspace(tmp_path, shards=1)

    def passed_on(labels: pl.DataFrame) -> pl.DataFrame:
        return labels.with_columns(representation=pl.lit([2.0, 3.0], pl.Array(pl.Float32, 2)))

    for shard in labelled(opened, fitted, passed_on):
        assert judge_labels(CASCADE, TEACHER, [shard.sums])[0].passed


def labelled(
    opened: Workspace, fitted: FittedTeacher, wrong: Callable[[pl.DataFrame], pl.DataFrame] | None = None
) -> list[LabelledShard]:
    """What is known of the day's labels, shard by shard; those of the shard with request 1 are made wrong."""

    def predict(rows: pl.DataFrame) -> pl.DataFrame:
        labels = predict_teacher(fitted, rows, threads=1)
        return wrong(labels) if wrong is not None and 1 in labels["request_id"] else labels

    table = (CASCADE.name, TEACHER.name, "teacher_labels")
    return stage_labels(Day(opened, CASCADE, DAY), TEACHER, table, SOURCES, predict)[1]


def told(results: list[GateResult]) -> list[tuple[Any, ...]]:
    """All that a verdict says, figures as far as the order of a sum does not matter."""
    return [
        (each.name, each.passed, each.severity, each.message, {k: pytest.approx(v) for k, v in each.seen.items()})
        for each in results
    ]


OF_REQUEST = pl.col("request_id") == 1
FAULTS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "none": (lambda labels: labels, "12000 rows: 0 with a label that is not in [0, 1], 0 repeated, 0 of 6000"),
    "not a number": (
        lambda labels: labels.with_columns(
            click_prediction=pl.when(OF_REQUEST).then(float("nan")).otherwise("click_prediction").cast(pl.Float32)
        ),
        "12000 rows: 6 with a label that is not in [0, 1], 0 repeated, 0 of 6000",
    ),
    "above one": (
        lambda labels: labels.with_columns(
            conversion_prediction=pl.when(OF_REQUEST).then(1.5).otherwise("conversion_prediction").cast(pl.Float32)
        ),
        "12000 rows: 6 with a label that is not in [0, 1], 0 repeated, 0 of 6000",
    ),
    "repeated": (
        lambda labels: pl.concat([labels, labels.filter(OF_REQUEST)]),
        "12006 rows: 0 with a label that is not in [0, 1], 6 repeated, 0 of 6000",
    ),
    "missing": (
        lambda labels: labels.filter(~OF_REQUEST),
        "11994 rows: 0 with a label that is not in [0, 1], 0 repeated, 3 of 6000",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verdicts_over_shards_are_those_on_the_whole_day(tmp_path: Path, fitted: FittedTeacher, fault: str) -> None:
    wrong, message = FAULTS[fault]
    results = []
    for shards in (1, 4):
        opened = workspace(tmp_path / str(shards), shards)
        parts = labelled(opened, fitted, wrong)
        assert len(parts) == shards
        results.append(judge_labels(CASCADE, TEACHER, [part.sums for part in parts]))
    assert told(results[1]) == told(results[0])
    assert results[1][0].message.startswith(message)
    assert results[1][0].blocks == (fault != "none")


@SHARDS
def test_a_teacher_that_fails_its_gate_publishes_nothing_and_leaves_no_file(
    tmp_path: Path, fitted: FittedTeacher, shards: int
) -> None:
    opened, table = workspace(tmp_path, shards), (CASCADE.name, TEACHER.name, "teacher_labels")
    publish_checkpoint(opened, fitted)
    assert materialized(trained_labels(CASCADE, opened, TEACHER)).success
    before, files = Day(opened, CASCADE, DAY).partition(table), files_of(opened, table)
    contrary = impressions(seed=5).with_columns(click=1 - pl.col("click"))
    publish_checkpoint(opened, fit_teacher(CASCADE, TEACHER, contrary, threads=1))
    done = materialized(trained_labels(CASCADE, opened, TEACHER))
    failed = {each.check_name for each in done.get_asset_check_evaluations() if not each.passed}
    assert not done.success
    assert "click_calibrated_on_withheld_impressions" in failed
    assert Day(opened, CASCADE, DAY).partition(table) == before
    assert files_of(opened, table) == files


@SHARDS
def test_one_wrong_logged_prediction_keeps_a_days_labels_from_being_published(tmp_path: Path, shards: int) -> None:
    wrong = pl.when(pl.col("candidate_id") == 7).then(float("nan")).otherwise(0.35)
    opened, table = workspace(tmp_path, shards, click=wrong), (CASCADE.name, LOGGED.name, "teacher_labels")
    done = materialized(logged_labels(CASCADE, opened, LOGGED))
    verdicts = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert not verdicts["labels_valid"].passed
    assert "12000 rows: 1 with a label that is not in [0, 1]" in (verdicts["labels_valid"].description or "")
    assert opened.lake.partition(table, DAY) is None
    assert not files_of(opened, table)


def test_logged_labels_have_as_many_shards_as_the_tables_that_they_are_of(tmp_path: Path) -> None:
    opened, table = workspace(tmp_path, shards=4, click=pl.lit(0.35)), (CASCADE.name, LOGGED.name, "teacher_labels")
    assert materialized(logged_labels(CASCADE, opened, LOGGED)).success
    for shard, rows in enumerate(opened.lake.scan_shards(table, [DAY])):
        ids = rows.collect()["request_id"]
        assert len(ids) > 0
        assert (shard_of(ids, 4) == shard).all()


@SHARDS
def test_labels_that_cannot_be_judged_leave_no_file(tmp_path: Path, fitted: FittedTeacher, shards: int) -> None:
    opened, table = workspace(tmp_path, shards), (CASCADE.name, TEACHER.name, "teacher_labels")
    publish_checkpoint(opened, fitted)
    without_labels = opened.lake.scan(SOURCES[0], [DAY]).drop("day").with_columns(click=pl.lit("a text"))
    other = Workspace.open(Settings(lake=str(tmp_path / "other"), threads=1, shards=shards))
    publish_checkpoint(other, fitted)
    commit(other, SOURCES[0], without_labels.collect())
    commit(other, SOURCES[1], opened.lake.scan(SOURCES[1], [DAY]).drop("day").collect())
    assert not materialized(trained_labels(CASCADE, other, TEACHER)).success
    assert other.lake.partition(table, DAY) is None
    assert not files_of(other, table)


def test_a_teacher_labels_rows_as_they_were_before_anything_was_shown() -> None:
    features = (f.model_copy(update={"served_as": 3}) if f.name == "ad" else f for f in CASCADE.features)
    placed, rows = CASCADE.model_copy(update={"features": tuple(features)}), impressions(60)
    logged, scored = (rows_scored_by(cascade, TEACHER, [rows.lazy()]) for cascade in (CASCADE, placed))
    assert scored.schema == logged.schema
    assert scored["ad"].is_null().all()
    assert not logged["ad"].is_null().any()
    assert_frame_equal(scored.drop("ad"), logged.drop("ad"))
