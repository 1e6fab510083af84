"""Labels that come late, through the whole graph: corrected, waited for, and picked up by a rerun."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance.graph import failures, run_day
from tests.acceptance.test_parquet_cascade import DAY, declare, write
from tests.sources.logs import make_logs
from ukdsl_assets.cascade import Cascade
from ukdsl_assets.lake.checkpoints import CheckpointStore
from ukdsl_assets.lake.tables import Lake
from ukdsl_assets.settings import Settings
from ukdsl_assets.sources.contract import DayOfLogs

NEXT = DAY + timedelta(days=1)
HALF = pytest.approx(0.5, abs=0.01)
KEYS = ["request_id", "candidate_id"]
TASKS = [
    {"name": "click", "event": "click", "attribution_window": "P1D"},
    {"name": "order", "event": "order", "attribution_window": "P1D", "given": "click", "delayed": True},
]
# Students of the order, each by what becomes of its labels.
STUDENTS = [
    {"name": each, "stage": "pre_ranking", "task": "order", "teacher": "ranker", "delayed_feedback": each}
    for each in ("correct", "wait")
]


def logs_of(cascade: Cascade, day: date) -> DayOfLogs:
    """Everything shown is clicked after a minute, every other click converts after 1 to 23 hours."""
    candidates = make_logs(cascade, day, requests=60).candidate_log
    shown = candidates.filter("shown").select(*KEYS, "requested_at").with_row_index()
    click = shown.select(
        *KEYS, pl.lit("click").alias("event"), (pl.col("requested_at") + timedelta(minutes=1)).alias("occurred_at")
    )
    hours = pl.duration(hours=1 + pl.col("index") % 23)
    order = shown.filter(pl.col("index") % 2 == 0).select(
        *KEYS, pl.lit("order").alias("event"), (pl.col("requested_at") + hours).alias("occurred_at")
    )
    events = pl.concat([click, order]).with_columns(value=pl.lit(None, pl.Float32))
    return DayOfLogs(candidates, events.sort(*KEYS, "occurred_at"))


def at_five_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(5), tzinfo=UTC)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lake, dict[str, str]]:
    """Two days, each known only up to its own clock; on the second the first day's windows have closed."""
    folder = tmp_path_factory.mktemp("delayed")
    both, said = declare(folder, tasks=TASKS, students=STUDENTS), {}
    for day, students in ((DAY, both.students[:1]), (NEXT, both.students)):
        clock = at_five_after(day)
        for each in (DAY, day):
            known = logs_of(both, each)
            # What a log that is still being written holds at that time.
            write(folder, each, known._replace(event_log=known.event_log.filter(pl.col("occurred_at") < clock)))
        settings = Settings(lake=str(folder / "lake"), threads=2, as_of=clock)
        said |= failures(run_day(settings, both.model_copy(update={"students": students}), day))
    return folder, Lake(str(folder / "lake" / "tables")), said


def test_both_ways_run(ran: tuple[Path, Lake, dict[str, str]]) -> None:
    assert ran[2] == {}


def test_closed_labels_are_final_and_fresh_ones_are_too_few(ran: tuple[Path, Lake, dict[str, str]]) -> None:
    lake = ran[1]
    closed = lake.scan(("shop", "closed_impressions"), [NEXT]).collect()
    fresh = lake.scan(("shop", "impressions"), [DAY]).collect()
    assert closed.select(KEYS).equals(fresh.select(KEYS))
    assert closed["order"].mean() == HALF
    assert 0 < fresh["order"].mean() < 0.4  # type: ignore[operator]
    assert closed["order_delay"].drop_nulls().is_between(3600, 23 * 3600).all()
    assert lake.scan(("shop", "closed_impressions"), [DAY]).collect().is_empty()


def test_who_waits_trains_on_closed_labels_and_the_days_own_teacher(ran: tuple[Path, Lake, dict[str, str]]) -> None:
    rows = ran[1].scan(("shop", "wait", "teacher_augmented"), [NEXT]).collect()
    days = rows.select("domain", pl.col("requested_at").dt.date().alias("of")).unique().sort("domain").rows()
    assert days == [("CD", NEXT), ("IMP", DAY)]
    assert rows.filter(domain="IMP")["target"].mean() == HALF


def test_who_corrects_uses_the_delays_of_closed_days_alone(ran: tuple[Path, Lake, dict[str, str]]) -> None:
    folder, lake, _ = ran
    rows = lake.scan(("shop", "correct", "teacher_augmented"), [NEXT]).collect()
    assert set(rows["requested_at"].dt.date()) == {NEXT}
    assert set(rows.filter(domain="IMP")["known_until"]) == {at_five_after(NEXT)}
    assert rows.filter(domain="CD")["known_until"].null_count() == len(rows.filter(domain="CD"))
    store = CheckpointStore(str(folder / "lake" / "checkpoints"))
    versions = store.load(("shop", "correct", "baseline"), NEXT).metadata["lineage"]["delays"]
    assert set(versions) == {str(DAY), str(NEXT)}
    # Half of what is shown converts: corrected labels say so, labels as seen do not.
    table = lake.scan(("shop", "correct", "evaluation"), [NEXT]).collect()
    label = table.filter(arm="baseline", domain="IMP", reference="label")["mean_reference"][0]
    assert rows.filter(pl.col("withheld"), domain="IMP")["target"].mean() < 0.4  # type: ignore[operator]
    assert label == pytest.approx(0.5, abs=0.2)


def test_a_rerun_picks_up_the_events_that_came_late(ran: tuple[Path, Lake, dict[str, str]]) -> None:
    folder, lake, _ = ran
    cascade = declare(folder, tasks=TASKS, students=STUDENTS[:1])
    before = lake.scan(("shop", "correct", "teacher_augmented"), [DAY]).filter(domain="IMP").collect()
    settings = Settings(lake=str(folder / "lake"), threads=2, as_of=at_five_after(NEXT))
    write(folder, DAY, logs_of(cascade, DAY))
    assert failures(run_day(settings, cascade, DAY)) == {}
    after = lake.scan(("shop", "correct", "teacher_augmented"), [DAY]).filter(domain="IMP").collect()
    assert before["target"].mean() < 0.4  # type: ignore[operator]
    assert after["target"].mean() == HALF


def test_who_waits_before_the_first_window_has_closed_is_told_from_when_on(tmp_path: Path) -> None:
    cascade = declare(tmp_path, tasks=TASKS, students=STUDENTS[1:])
    write(tmp_path, DAY, logs_of(cascade, DAY))
    settings = Settings(lake=str(tmp_path / "lake"), threads=2, as_of=at_five_after(DAY))
    said = failures(run_day(settings, cascade, DAY))
    assert said.keys() == {"shop__wait__baseline_checkpoint", "shop__wait__distilled_checkpoint"}
    assert all(f"the first windows close on {NEXT + timedelta(days=1)}" in each for each in said.values())
