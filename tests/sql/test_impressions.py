from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import ADS, DAY, KEYS, KNOWN_UNTIL, SHOP, run, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.logs.contract import event_log_dtypes

TICK, HOUR, WEEK = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=7)
DAY_LONG = timedelta(days=1)
# What happened to a candidate, each (event, time after the request), and its (click, conversion).
ADS_CASES = [
    ([], (0, None)),
    ([("impression", TICK)], (0, None)),
    ([("click", -TICK)], (0, None)),
    ([("click", timedelta(0))], (1, 0)),
    ([("click", DAY_LONG - TICK)], (1, 0)),
    ([("click", DAY_LONG)], (1, 0)),
    ([("click", DAY_LONG + TICK)], (0, None)),
    ([("click", HOUR), ("click", HOUR), ("click", 2 * HOUR)], (1, 0)),
    ([("click", TICK), ("conversion", WEEK)], (1, 1)),
    ([("click", TICK), ("conversion", WEEK + TICK)], (1, 0)),
    ([("click", TICK), ("conversion", HOUR), ("conversion", HOUR)], (1, 1)),
    ([("conversion", HOUR)], (0, None)),
    ([("click", DAY_LONG + TICK), ("conversion", 2 * DAY_LONG)], (0, None)),
]
# (click, order, refund): an order counts after a click, a refund after both.
SHOP_CASES = [
    ([("click", HOUR)], (1, 0, None)),
    ([("click", HOUR), ("purchase", DAY_LONG)], (1, 1, 0)),
    ([("click", HOUR), ("purchase", DAY_LONG), ("refund", WEEK)], (1, 1, 1)),
    ([("click", HOUR), ("refund", WEEK)], (1, 0, None)),
    ([("purchase", DAY_LONG), ("refund", WEEK)], (0, None, None)),
]


@pytest.mark.parametrize(("cascade", "cases"), [(ADS, ADS_CASES), (SHOP, SHOP_CASES)], ids=["ads", "shop"])
def test_a_label_is_whether_the_event_came_within_its_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cascade: Cascade, cases: list
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")  # where a day from 2026-03-07 is 23 hours long
    log = make_logs(cascade, DAY, 40).candidate_log
    shown = log.filter("shown").tail(len(cases))
    rows = [
        (request, candidate, event, at + after, None)
        for (request, candidate, at), (happened, _) in zip(
            shown.select(*KEYS, "requested_at").rows(), cases, strict=True
        )
        for event, after in happened
    ]
    events = pl.DataFrame(rows, schema=event_log_dtypes(cascade), orient="row")
    impressions = run(tmp_path, "impressions", written(tmp_path, {"candidate_log": log, "event_log": events}), cascade)

    tasks = [task.name for task in cascade.tasks]
    labelled = impressions.tail(len(cases))
    assert labelled.select(tasks).rows() == [expected for _, expected in cases]
    # Without an event the first task did not happen and those after it have no label.
    assert impressions.head(-len(cases))[tasks[0]].unique().to_list() == [0]
    assert impressions.head(-len(cases))[tasks[1]].null_count() == impressions.height - len(cases)


def test_the_delay_of_a_delayed_task_is_that_of_its_first_event_and_null_without_its_label(tmp_path: Path) -> None:
    log = make_logs(ADS, DAY, 40).candidate_log
    shown = log.filter("shown").head(3)
    happened = [
        [("click", HOUR), ("conversion", 3 * HOUR), ("conversion", 2 * HOUR)],
        [("click", HOUR), ("conversion", WEEK + TICK)],
        [("conversion", HOUR)],
    ]
    keys = shown.select(*KEYS, "requested_at").rows()
    rows = [(r, c, e, at + a, None) for (r, c, at), each in zip(keys, happened, strict=True) for e, a in each]
    events = pl.DataFrame(rows, schema=event_log_dtypes(ADS), orient="row")
    impressions = run(tmp_path, "impressions", written(tmp_path, {"candidate_log": log, "event_log": events}))
    assert impressions["conversion_delay"].head(3).to_list() == [7200, None, None]
    assert impressions["conversion_delay"].null_count() == len(impressions) - 1
    assert set(impressions["known_until"]) == {KNOWN_UNTIL}
    assert not {"click_delay"} & set(impressions.columns)


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_every_shown_row_is_there_once_as_it_was_logged(tmp_path: Path, cascade: Cascade) -> None:
    logs = make_logs(cascade, DAY, 60)
    impressions = run(tmp_path, "impressions", written(tmp_path, logs._asdict()), cascade)

    shared = [name for name in impressions.columns if name in logs.candidate_log.columns]
    assert {feature.name for feature in cascade.features} < set(shared)
    expected = logs.candidate_log.filter("shown").select(shared)
    assert_frame_equal(impressions.select(shared), expected.cast(impressions.select(shared).schema))
    assert [impressions[task.name].dtype for task in cascade.tasks] == [pl.Float32] * len(cascade.tasks)
