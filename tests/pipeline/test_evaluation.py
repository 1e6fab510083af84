"""Evaluation of students one shard at a time."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, truth_column
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.evaluation.table import figure
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import (
    can_predict,
    checkpoints_of,
    earlier_checkpoints,
    evaluated,
    held_readers,
    judged_days,
)
from ukdsl_assets.pipeline.students import as_student, facts
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
ROWS = training_rows(requests=150, seed=1)
MOMENT = pl.lit(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).cast(pl.Datetime("us", "UTC"))


@pytest.fixture(scope="module")
def found() -> dict[str, Checkpoint]:
    fits = {arm: fit_student(Training.of(CASCADE, STUDENT, arm, training_rows(requests=60))) for arm in ARMS}
    return {
        arm: Checkpoint(
            ("a", "b", arm), dt.date(2026, 1, 1), arm, facts(CASCADE, STUDENT, arm, fit), dict(fit.student.tensors)
        )
        for arm, fit in fits.items()
    }


def given(*shards: pl.DataFrame) -> list[Callable[[], pl.DataFrame]]:
    """What reads each of the shards."""
    return [shard.clone for shard in shards]


@pytest.mark.parametrize("ends", [[150], [70, 150], [1, 40, 40, 149, 150]], ids=["one", "two", "five, one empty"])
def test_shards_are_judged_as_the_whole_day(found: dict[str, Checkpoint], ends: list[int]) -> None:
    starts = [0, *ends[:-1]]
    shards = [
        ROWS.filter(pl.col("request_id").is_between(start, end, closed="left"))
        for start, end in zip(starts, ends, strict=True)
    ]
    whole, by_group = evaluated(CASCADE, STUDENT, given(ROWS), found)
    parts, parts_by_group = evaluated(CASCADE, STUDENT, given(*shards), found)
    assert whole["rows"].sum() == 3 * len(ROWS)  # the baseline's head and both of the distilled arm
    assert_frame_equal(parts, whole, rel_tol=1e-5)
    assert_frame_equal(parts_by_group, by_group, rel_tol=1e-5)


def test_each_day_is_judged_by_models_of_its_own_time_alone(found: dict[str, Checkpoint]) -> None:
    rows = training_rows(requests=50, seed=3).with_columns(pl.col("request_id") + 1000)
    # The student of the day before predicts otherwise.
    weights = {name: -value for name, value in (found["distilled"].tensors or {}).items()}
    before = {**found, "distilled": replace(found["distilled"], version="before", tensors=weights)}
    today = {**found, "released": found["baseline"]}
    table, _ = evaluated(CASCADE, STUDENT, given(ROWS), today, [(before, given(rows))])
    # Nothing was released on the day before, so that an arm of both days is not there.
    assert set(table["arm"]) == {"baseline", "distilled"}
    assert dict(table.select("arm", "checkpoint").unique().iter_rows())["distilled"] == "distilled"
    predicted, reference = 0.0, 0.0
    for of, checkpoint in ((rows, before["distilled"]), (ROWS, found["distilled"])):
        chosen = (of["domain"] == "CD").to_numpy()
        predicted += predict_student(as_student(checkpoint), of)["consideration"][chosen].sum(dtype=float)
        reference += of["target"].to_numpy()[chosen].sum(dtype=float)
    where = {"arm": "distilled", "head": "consideration", "domain": "CD", "reference": "teacher"}
    assert figure(table, "calibration", **where) == pytest.approx(predicted / reference, rel=1e-6)


def test_a_day_before_without_a_checkpoint_or_with_other_heads_is_left_out(
    tmp_path: Path, found: dict[str, Checkpoint]
) -> None:
    workspace = Workspace.open(Settings(lake=str(tmp_path), threads=1))
    cascade = CASCADE.model_copy(update={"evaluation_days": 5, "has_truth": False})
    days, store = [dt.date(2026, 1, day) for day in range(1, 5)], workspace.checkpoints
    for number, each in enumerate(days):
        rows = training_rows(requests=10, seed=number)
        rows = rows.with_columns(withheld=pl.lit(True), requested_at=MOMENT, teacher=pl.lit(STUDENT.teacher))
        table = (cascade.name, STUDENT.name, "teacher_augmented")
        workspace.lake.commit(workspace.lake.stage_frame(table, each, rows), {})
        # The first day has none; the distilled student of the second has the one head of a baseline.
        arms = {0: {}, 1: dict.fromkeys(ARMS, found["baseline"])}.get(number, {arm: found[arm] for arm in ARMS})
        for arm, checkpoint in arms.items():
            key = (cascade.name, STUDENT.name, str(arm))
            store.publish(store.save(key, each, checkpoint.metadata | {"of": str(each)}, tensors=checkpoint.tensors))
    today = Day(workspace, cascade, days[-1])
    earlier = earlier_checkpoints(today, STUDENT, checkpoints_of(today, STUDENT))
    assert [*earlier] == [days[2]]
    assert {checkpoint.day for checkpoint in earlier[days[2]].values()} == {days[2]}


def test_days_of_before_a_feature_was_declared_are_not_judged(tmp_path: Path, found: dict[str, Checkpoint]) -> None:
    workspace = Workspace.open(Settings(lake=str(tmp_path), threads=1, shards=2))
    table = (CASCADE.name, STUDENT.name, "teacher_augmented")
    days = [dt.date(2026, 1, day) for day in range(1, 6)]
    for number, day in enumerate(days):
        rows = training_rows(requests=20, seed=number).with_columns(withheld=pl.lit(True), requested_at=MOMENT)
        rows = rows.drop("user_profile") if number < 2 else rows.with_columns(pl.col("request_id") + 1000 * number)
        workspace.lake.commit(workspace.lake.stage_frame(table, day, rows), {})
    cascade = CASCADE.model_copy(update={"evaluation_days": 4, "has_truth": False})
    judged = judged_days(Day(workspace, cascade, days[-1]), STUDENT)
    assert judged == days[2:]
    assert judged_days(Day(workspace, cascade, days[1]), STUDENT) == [days[1]]
    without = STUDENT.model_copy(
        update={"features": tuple(f.name for f in CASCADE.features if f.name != "user_profile")}
    )
    assert judged_days(Day(workspace, cascade, days[-1]), without) == days[1:]
    held = [read for day in judged for read in held_readers(Day(workspace, cascade, day), STUDENT)]
    table_of, _ = evaluated(cascade, STUDENT, held, found)
    assert table_of["rows"].sum() == 3 * 3 * len(training_rows(requests=20))
    assert table_of["ne"].is_finite().all()
    # Of the four days asked for three can be judged, and each row says so.
    *before, last = (held_readers(Day(workspace, cascade, day), STUDENT) for day in judged)
    pooled, _ = evaluated(cascade, STUDENT, last, found, [(found, shards) for shards in before])
    assert pooled["rows"].to_list() == table_of["rows"].to_list()
    assert (set(pooled["days"]), set(table_of["days"])) == ({3}, {1})


@pytest.mark.parametrize("shards", [(2, 2), (2, 3), (1, 4)])
def test_the_truth_is_found_in_a_log_of_any_number_of_shards(tmp_path: Path, shards: tuple[int, int]) -> None:
    day, student = dt.date(2026, 1, 1), STUDENT
    rows = training_rows(requests=40).with_columns(withheld=pl.lit(True), requested_at=MOMENT)
    logged = rows.filter(domain="CD").select(*KEYS, pl.col("target").alias(truth_column(student.task)))
    tables = ((CASCADE.name, student.name, "teacher_augmented"), rows), ((CASCADE.name, "candidate_log"), logged)
    for count, (table, frame) in zip(shards, tables, strict=True):
        lake = Workspace.open(Settings(lake=str(tmp_path), shards=count)).lake
        lake.commit(lake.stage_frame(table, day, frame), {})
    held = [read() for read in held_readers(Day(Workspace.open(Settings(lake=str(tmp_path))), CASCADE, day), student)]
    assert len(held) == shards[0]
    found = pl.concat(held)
    assert len(found) == len(rows)
    beside = found.join(logged, on=KEYS, maintain_order="left")
    assert beside["truth"].equals(beside["audit_true_click"])
    assert beside["truth"].null_count() == 0


def test_labels_of_an_earlier_day_are_corrected_by_what_the_judged_day_knows_of_delays(tmp_path: Path) -> None:
    workspace, days = Workspace.open(Settings(lake=str(tmp_path))), [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]
    student = STUDENT.model_copy(update={"delayed_feedback": "correct"})
    known = pl.when(pl.col("domain") == "IMP").then(MOMENT + pl.duration(minutes=10))
    rows = training_rows(requests=10).with_columns(withheld=pl.lit(True), requested_at=MOMENT, known_until=known)
    rows = rows.with_columns(teacher=pl.lit(student.teacher))
    # Of a hundred labels, half have come by then.
    seconds = pl.Series([60.0, 1200.0] * 50, dtype=pl.Float64)
    closed = pl.DataFrame({"request_id": range(100), "candidate_id": range(100), "click_delay": seconds})
    workspace.lake.commit(
        workspace.lake.stage_frame((CASCADE.name, student.name, "teacher_augmented"), days[0], rows), {}
    )
    workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, "closed_impressions"), days[1], closed), {})
    for of, expected in ((days[0], 1.0), (days[1], 2.0)):
        day = Day(workspace, CASCADE.model_copy(update={"has_truth": False}), days[0])
        held = held_readers(day, student, of)[0]()
        factors = dict(held.group_by("domain").agg(pl.col("label_factor").mean()).iter_rows())
        assert factors == {"IMP": pytest.approx(expected, rel=0.1), "CD": 1.0}


def test_a_student_that_scored_another_slot_cannot_be_judged_beside_todays(found: dict[str, Checkpoint]) -> None:
    def placed(served_as: int | None) -> Cascade:
        features = (f.model_copy(update={"served_as": served_as}) if f.name == "ad" else f for f in CASCADE.features)
        return CASCADE.model_copy(update={"features": tuple(features)})

    columns = [feature.name for feature in CASCADE.features]
    assert can_predict(found["distilled"], placed(None), STUDENT, columns)
    assert not can_predict(found["distilled"], placed(1), STUDENT, columns)
    assert not can_predict(found["distilled"], placed(None), STUDENT, columns[1:])


def test_what_a_former_teacher_said_is_no_reference_of_a_later_day(tmp_path: Path) -> None:
    workspace, days = Workspace.open(Settings(lake=str(tmp_path))), [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]
    cascade = CASCADE.model_copy(update={"has_truth": False})
    said = pl.when(pl.col("domain") == "IMP").then(pl.lit("label")).otherwise(pl.lit("former"))
    rows = training_rows(requests=10).with_columns(withheld=pl.lit(True), requested_at=MOMENT, teacher=said)
    workspace.lake.commit(
        workspace.lake.stage_frame((CASCADE.name, STUDENT.name, "teacher_augmented"), days[0], rows), {}
    )
    readers = (held_readers(Day(workspace, cascade, days[0]), STUDENT, known) for known in days)
    then, later = (pl.concat(read() for read in of_day) for of_day in readers)
    assert set(then["domain"]) == {"IMP", "CD"}
    assert later.equals(then.filter(domain="IMP"))
