"""A report is read from a real lake: its day, and of the day before what changes are told from."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from tests.fixtures.evaluated import DAY, evaluation, groups
from tests.fixtures.graph import shipped
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.reports.contents import read_report
from ukdsl_assets.reports.html import render_report
from ukdsl_assets.settings import Settings

STUDENT = (
    shipped("simulated_ads").student("pre_ranking_click").model_copy(update={"heads": ("impression", "consideration")})
)
CASCADE = shipped("simulated_ads").model_copy(update={"students": (STUDENT,)})
KEY = (CASCADE.name, STUDENT.name)


def publish(settings: Settings, day: date, requests: int, calibration: float) -> None:
    """What a report reads of a day; the student is off by the calibration on ranked rows."""
    lake = Lake(settings.tables, settings.shards)
    log = pl.DataFrame({"request_id": range(requests), "deepest_stage": "ranking", "shown": True})
    labels = dict.fromkeys(("click", "conversion"), 1)
    level = pl.when(arm="distilled", domain="CD").then(calibration).otherwise("calibration")
    stages = {"stage": "retrieval", "task": "click", "domain": "CD", "reference": "teacher", "rows": 5}
    tables = {
        (CASCADE.name, "candidate_log"): log,
        (CASCADE.name, "impressions"): log.select("request_id").with_columns(
            **{n: pl.lit(v) for n, v in labels.items()}
        ),
        (CASCADE.name, "stage_calibration"): pl.DataFrame(
            stages | {"mean_prediction": 0.1, "mean_reference": 0.1, "calibration": 1.0}
        ),
        (*KEY, "evaluation"): evaluation((day,)).drop("day").with_columns(calibration=level),
        (*KEY, "calibration_by_group"): groups("device", ("0", "1")).drop("day"),
    }
    for table, frame in tables.items():
        lake.commit(lake.stage_frame(table, day, frame), {})


def test_the_day_before_is_the_newest_before_it_that_the_lake_has(tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path))
    before = DAY - timedelta(days=2)
    publish(settings, before, 4, 1.1)
    publish(settings, DAY, 5, 1.0)
    store = CheckpointStore(settings.checkpoints)
    store.refuse(KEY, {"day": str(before), "checkpoint": "a", "reasons": ["few"]})
    store.release(KEY, {"day": str(DAY), "checkpoint": "b"})
    report = read_report(settings, CASCADE, DAY)
    assert report.before == before
    assert (report.rows_before, report.rows) == (
        {"candidate_log": 4, "impressions": 4},
        {"candidate_log": 5, "impressions": 5},
    )
    then = report.students[0].before
    assert then is not None
    assert (then.day, then.outcome, len(then.evaluation)) == (before, "refused", 6)
    text = render_report(report)
    assert "Decision: Released; the day before: Refused." in text
    assert "ranked rows, by the teacher, moved from 1.100 to 1.000, by 7.1" in text
    assert "phone" in text
    first = read_report(settings, CASCADE, before)
    assert (first.before, first.rows, first.students[0].before) == (None, {}, None)
    assert "This is the first day in the lake" in render_report(first)
