"""The product of two students on the withheld impressions of a lake."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.rows import CASCADE, STUDENT, impressions, training_rows
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import truth_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.evaluation.predictions import whole
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import checkpoints_of
from ukdsl_assets.pipeline.product import (
    impression_shards,
    multiplied_days,
    predicting,
    product_of,
    students_given,
    tables_of_product,
)
from ukdsl_assets.pipeline.students import as_student, facts
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY, NEXT = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
NOON = pl.lit(dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)).cast(pl.Datetime("us", "UTC"))
CLICK, CONVERSION = CASCADE.student("pre_ranking_click"), CASCADE.student("pre_ranking_conversion")
SHOWN = impressions(600).with_columns(
    requested_at=NOON,
    known_until=NOON + pl.duration(days=1),
    pre_ranking_click_prediction=pl.lit(0.25, pl.Float32),
)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    workspace = Workspace.open(Settings(lake=str(tmp_path_factory.mktemp("lake")), threads=1, shards=2))
    lake, store = workspace.lake, workspace.checkpoints
    truths = {truth_column("click"): 0.5, truth_column("conversion"): 0.2}
    log = SHOWN.select("request_id", "candidate_id", **{n: pl.lit(p, pl.Float32) for n, p in truths.items()})
    # Half of the conversions of closed days had come within a day.
    hours = pl.Series([1.0, 100.0] * 50) * 3600
    closed = pl.DataFrame({"request_id": range(100), "candidate_id": range(100), "conversion_delay": hours})
    for name, frame in {"impressions": SHOWN, "candidate_log": log, "closed_impressions": closed}.items():
        lake.commit(lake.stage_frame((CASCADE.name, name), DAY, frame), {})
    for student in (STUDENT, CONVERSION):
        rows = training_rows(requests=20, seed=len(student.name))
        lake.commit(lake.stage_frame((CASCADE.name, student.name, "teacher_augmented"), DAY, rows), {})
        for arm in ARMS:
            fit = fit_student(Training.of(CASCADE, student, arm, rows))
            record: dict[str, Any] = facts(CASCADE, student, arm, fit)
            saved = store.save((CASCADE.name, student.name, arm), DAY, record, tensors=fit.student.tensors)
            store.publish(saved)
    return Day(workspace, CASCADE, DAY)


def kept() -> pl.DataFrame:
    return SHOWN.filter(withheld(SHOWN["request_id"], CASCADE.withheld_share))


def by_hand(day: Day, student: Student, arm: str, head: str) -> np.ndarray:
    checkpoint: Checkpoint = checkpoints_of(day, student)[arm]
    return predict_student(as_student(checkpoint), kept())[head]


def test_both_students_are_multiplied_on_all_withheld_impressions(day: Day, tmp_path: Path) -> None:
    further = product_of(day, CONVERSION, {DAY: checkpoints_of(day, CONVERSION)})
    assert further is not None
    nothing = training_rows(requests=2)
    table = further(whole(nothing, {("baseline", "impression"): np.ones(len(nothing), np.float32)}), str(tmp_path))
    assert set(table["domain"]) == {"PRODUCT"}
    for arm, head in (("baseline", "impression"), ("distilled", "consideration")):
        product = by_hand(day, CLICK, arm, "impression") * by_hand(day, CONVERSION, arm, head)
        row = table.filter(arm=arm, head=head, reference="label").row(0, named=True)
        assert row["rows"] == len(kept())
        assert row["positives"] == (kept()["conversion"] == 1).sum()
        # Each conversion seen stands for about two, by the delays of requests that are not withheld.
        seen = 2 * (kept()["conversion"] == 1).sum()
        assert row["calibration"] == pytest.approx(product.sum() / seen, rel=0.1)
        truth = table.filter(arm=arm, head=head, reference="truth").row(0, named=True)
        assert truth["calibration"] == pytest.approx(product.mean() / 0.1, rel=1e-4)
    assert len(list(tmp_path.iterdir())) == 2


def test_products_are_the_same_where_shards_are_worked_on_elsewhere(day: Day, tmp_path: Path) -> None:
    workspace, engine = with_pickling_engine(day.workspace)
    apart = Day(workspace, CASCADE, DAY)
    given = predicting(day, CONVERSION)
    assert given is not None
    multiplied = multiplied_days(day, CONVERSION, {DAY: checkpoints_of(day, CONVERSION)}, given)
    here, there = (
        [read() for read in impression_shards(each, CONVERSION, multiplied, str(tmp_path))] for each in (day, apart)
    )
    assert engine.mapped == {f"simulated_ads/{CONVERSION.name}/evaluation, products of {DAY}": 2}
    for one, two in zip(here, there, strict=True):
        assert_frame_equal(one.rows, two.rows, check_exact=True)
        assert one.predictions.keys() == two.predictions.keys()
        assert all(np.array_equal(p, two.predictions[key]) for key, p in one.predictions.items())


def test_without_a_student_of_clicks_the_stages_logged_prediction_is_taken(day: Day, tmp_path: Path) -> None:
    alone = CASCADE.model_copy(update={"students": (CONVERSION,)})
    bare = Day(day.workspace, alone, DAY)
    checkpoints, given = checkpoints_of(bare, CONVERSION), predicting(bare, CONVERSION)
    assert given == ["pre_ranking_click_prediction"]
    multiplied = multiplied_days(bare, CONVERSION, {DAY: checkpoints}, given)
    shards = [read() for read in impression_shards(bare, CONVERSION, multiplied, str(tmp_path))]
    assert len(shards) == 2
    products = np.concatenate([shard.predictions["distilled", "consideration"] for shard in shards])
    own = by_hand(day, CONVERSION, "distilled", "consideration")
    assert np.sort(products) == pytest.approx(np.sort(0.25 * own))


def test_where_nobody_predicts_what_is_given_there_is_no_product(day: Day) -> None:
    stages = tuple(stage.model_copy(update={"predicts": ("conversion",)}) for stage in CASCADE.stages)
    silent: Cascade = CASCADE.model_copy(update={"students": (CONVERSION,), "stages": stages})
    assert predicting(Day(day.workspace, silent, DAY), CONVERSION) is None


def test_a_task_that_is_given_none_has_no_product(day: Day) -> None:
    assert product_of(day, CLICK, {DAY: {}}) is None
    assert tables_of_product(CASCADE, CLICK) == students_given(CASCADE, CLICK) == []
    assert tables_of_product(CASCADE, CONVERSION) == [(CASCADE.name, "impressions")]
    assert students_given(CASCADE, CONVERSION) == [CLICK]


def test_only_arms_that_all_students_have_on_all_judged_days_are_multiplied(day: Day, tmp_path: Path) -> None:
    lake, store = day.workspace.lake, day.checkpoints
    lake.commit(lake.stage_frame((CASCADE.name, "impressions"), NEXT, SHOWN), {})
    for student in (CLICK, CONVERSION):
        key = (CASCADE.name, student.name)
        lake.commit(lake.stage_frame((*key, "teacher_augmented"), NEXT, training_rows(requests=2)), {})
        for arm in ARMS:
            of_day = store.load((*key, arm), DAY)
            store.publish(store.save((*key, arm), NEXT, of_day.metadata, tensors=of_day.tensors))
        released = store.load((*key, "distilled"), DAY)
        store.release(key, {"day": str(DAY), "arm": "distilled", "checkpoint": released.version})
    second = Day(day.workspace, CASCADE.model_copy(update={"evaluation_days": 2, "has_truth": False}), NEXT)
    own = checkpoints_of(second, CONVERSION)
    assert {*own} == {*checkpoints_of(second, CLICK)} == {"baseline", "distilled", "released"}
    # The student has a released one on both days, that of clicks on the second alone.
    models, given = {DAY: own, NEXT: own}, predicting(second, CONVERSION)
    assert given is not None
    multiplied = multiplied_days(second, CONVERSION, models, given)
    assert [*multiplied] == [DAY, NEXT]
    shards = [read() for read in impression_shards(second, CONVERSION, multiplied, str(tmp_path))]
    assert len(shards) == 4
    assert [{arm for arm, _ in shard.predictions} for shard in shards] == [{"baseline", "distilled"}] * 4
