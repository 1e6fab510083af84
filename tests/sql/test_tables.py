from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.sources.logs import make_logs
from tests.sql.tables import ADS, DAY, STUDENT, run, written
from ukdsl_assets.cascade import Stage

KEYS = ["request_id", "candidate_id"]


def test_labels_count_events_up_to_and_at_the_windows_end_and_follow_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")  # where a day from 2026-03-07 is 23 hours long
    log = make_logs(ADS, DAY, 40).candidate_log
    shown = log.filter("shown").tail(5)
    tick, day, week = timedelta(microseconds=1), timedelta(days=1), timedelta(days=7)
    # Candidate -> (event, after the request), then the expected (click, conversion).
    cases = [
        ([("click", day), ("click", day)], (1, 0)),
        ([("click", day + tick)], (0, None)),
        ([("click", timedelta(0)), ("conversion", week)], (1, 1)),
        ([("click", tick), ("conversion", week + tick)], (1, 0)),
        ([("impression", tick), ("conversion", day)], (0, None)),
    ]
    events = pl.DataFrame(
        [
            (request, candidate, event, at + after, None)
            for (request, candidate, at), (happened, _) in zip(
                shown.select(*KEYS, "requested_at").rows(), cases, strict=True
            )
            for event, after in happened
        ],
        schema={
            **{key: pl.Int64 for key in KEYS},
            "event": pl.String,
            "occurred_at": pl.Datetime("us", "UTC"),
            "value": pl.Float32,
        },
        orient="row",
    )
    impressions = run(tmp_path, "impressions", written(tmp_path, {"candidate_log": log, "event_log": events}))

    assert impressions.height == log["shown"].sum()
    assert impressions.tail(5).select("click", "conversion").rows() == [expected for _, expected in cases]
    assert impressions.head(-5)["click"].sum() == 0
    assert impressions["conversion"].dtype == pl.Float32


def test_sampling_weights_estimate_the_unshown_rows_of_each_stage_without_bias(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 400, candidates=60)
    sampled = run(tmp_path, "considerations", written(tmp_path, logs._asdict()))

    unshown = logs.candidate_log.filter(~pl.col("shown"))
    assert sampled.join(unshown, on=KEYS, how="anti").is_empty()
    assert not sampled.select(KEYS).is_duplicated().any()
    for stage in ADS.stages:
        rows = (unshown["deepest_stage"] == stage.name).sum()
        rate = stage.consideration_rate
        weight = sampled.filter(pl.col("deepest_stage") == stage.name)["weight"]
        assert weight.unique().to_list() == pytest.approx([1 / rate])
        # Five standard deviations of a binomial sample, in weighted rows.
        assert abs(weight.sum() - rows) <= 5 * (rows * (1 - rate) / rate) ** 0.5 + 1e-3 * rows


def test_considerations_count_a_candidate_logged_twice_once(tmp_path: Path) -> None:
    log = make_logs(ADS, DAY, 20).candidate_log
    files = written(tmp_path, {"candidate_log": log})
    once = run(tmp_path, "considerations", files)
    twice = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": pl.concat([log, log])}))

    assert once.height > 0
    assert twice.equals(once)


def test_everything_is_kept_at_rate_one(tmp_path: Path) -> None:
    stages = tuple(Stage(name=stage.name, predicts=stage.predicts) for stage in ADS.stages)
    cascade = ADS.model_copy(update={"stages": stages})
    log = make_logs(cascade, DAY, 20).candidate_log
    kept = run(tmp_path, "considerations", written(tmp_path, {"candidate_log": log}), cascade)

    assert kept.select(KEYS).equals(log.filter(~pl.col("shown")).select(KEYS))


def test_a_shown_row_stands_in_both_domains_and_unshown_ones_only_with_the_teacher(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 60)
    files = written(tmp_path, logs._asdict())
    impressions = run(tmp_path, "impressions", files)
    considerations = run(tmp_path, "considerations", files)
    labels = run(tmp_path, "logged_teacher_labels", files, teacher=ADS.teacher("ranking_logged"))
    rows = run(tmp_path, "teacher_augmented", files, student=STUDENT)

    shown, taught = rows.filter(domain="IMP"), rows.filter(domain="CD")
    assert shown.select(*KEYS, "target").rows() == impressions.select(*KEYS, "click").rows()
    assert set(shown.select("weight", "teacher").rows()) == {(1.0, "label")}

    weights = pl.concat([
        impressions.select(*KEYS, "deepest_stage", "ranking_click_prediction", weight=pl.lit(1.0, pl.Float32)),
        considerations.select(*KEYS, "deepest_stage", "ranking_click_prediction", "weight"),
    ]).filter(deepest_stage="ranking").sort(KEYS)  # fmt: skip
    assert weights.height > impressions.height
    expected = weights.select(*KEYS, pl.col("ranking_click_prediction").alias("target"), "weight")
    assert taught.select(*KEYS, "target", "weight").equals(expected)
    assert labels.select(KEYS).equals(weights.select(KEYS))
    assert set(taught["teacher"]) == {STUDENT.teacher}


def test_rows_without_the_students_label_are_only_in_the_teachers_domain(tmp_path: Path) -> None:
    student = STUDENT.model_copy(update={"task": "conversion"})
    files = written(tmp_path, make_logs(ADS, DAY, 60)._asdict())
    impressions = run(tmp_path, "impressions", files)
    run(tmp_path, "considerations", files)
    run(tmp_path, "logged_teacher_labels", files, teacher=ADS.teacher("ranking_logged"))
    rows = run(tmp_path, "teacher_augmented", files, student=student).filter(domain="IMP")

    clicked = impressions.filter(click=1)
    assert 0 < clicked.height < impressions.height
    assert rows.select(*KEYS, "target").rows() == clicked.select(*KEYS, "conversion").rows()
