"""Labels that come late, through the whole graph: corrected, waited for, and picked up by a rerun."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.graph import failures, run_day
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, TASKS, declare, write
from ukdsl_assets.cli.show import show_run
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.reports.contents import read_report
from ukdsl_assets.reports.html import render_report
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
NEXT = DAY + timedelta(days=1)
HALF = pytest.approx(0.5, abs=0.01)
KEYS = ["request_id", "candidate_id"]
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


@dataclass(frozen=True)
class Ran:
    """Two days in a folder, what failed, and what the evaluation of a day and student says of its labels."""

    folder: Path
    lake: Lake
    failures: dict[str, str]
    labels: dict[tuple[date, str], str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Two days, each known only up to its own clock; on the second the first day's windows have closed."""
    folder = tmp_path_factory.mktemp("delayed")
    both = declare(folder, tasks=TASKS, students=STUDENTS)
    said: dict[str, str] = {}
    told: dict[tuple[date, str], str] = {}
    for day, students in ((DAY, both.students[:1]), (NEXT, both.students)):
        clock = at_five_after(day)
        for each in (DAY, day):
            known = logs_of(both, each)
            # What a log that is still being written holds at that time.
            write(folder, each, known._replace(event_log=known.event_log.filter(pl.col("occurred_at") < clock)))
        settings = Settings(lake=str(folder / "lake"), threads=2, as_of=clock)
        done = run_day(settings, both.model_copy(update={"students": students}), day, report=False)
        said |= failures(done)
        for student in students:
            for event in done.asset_materializations_for_node(f"shop__{student.name}__evaluation"):
                if event.asset_key.path[-1].endswith("_evaluation"):
                    told[day, student.name] = str(event.metadata["labels"].value)
    return Ran(folder, Lake(str(folder / "lake" / "tables")), said, told)


def test_both_ways_run(ran: Ran) -> None:
    assert ran.failures == {}


def test_closed_labels_are_final_and_fresh_ones_are_too_few(ran: Ran) -> None:
    lake = ran.lake
    closed = lake.scan(("shop", "closed_impressions"), [NEXT]).collect()
    fresh = lake.scan(("shop", "impressions"), [DAY]).collect()
    assert closed.select(KEYS).equals(fresh.select(KEYS))
    assert closed["order"].mean() == HALF
    assert 0 < fresh["order"].mean() < 0.4  # type: ignore[operator]
    assert closed["order_delay"].drop_nulls().is_between(3600, 23 * 3600).all()
    assert lake.scan(("shop", "closed_impressions"), [DAY]).collect().is_empty()


def test_who_waits_trains_on_closed_labels_and_the_days_own_teacher(ran: Ran) -> None:
    rows = ran.lake.scan(("shop", "wait", "teacher_augmented"), [NEXT]).collect()
    days = rows.select("domain", pl.col("requested_at").dt.date().alias("of")).unique().sort("domain").rows()
    assert days == [("CD", NEXT), ("IMP", DAY)]
    assert rows.filter(domain="IMP")["target"].mean() == HALF


def test_who_corrects_uses_the_delays_of_closed_days_alone(ran: Ran) -> None:
    folder, lake = ran.folder, ran.lake
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


def test_what_became_of_the_labels_is_told_wherever_the_student_is(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    as_seen = "order: as seen, since no attribution window with a positive label has closed yet"
    assert ran.labels[DAY, "correct"].startswith(as_seen)
    assert re.match(r"order: corrected by \d+ delays of 2 closed day\(s\)", ran.labels[NEXT, "correct"])
    assert ran.labels[NEXT, "wait"] == "order: those of the newest day whose attribution windows have closed"
    store = CheckpointStore(str(ran.folder / "lake" / "checkpoints"))
    cascade = declare(ran.folder, tasks=TASKS, students=STUDENTS[:1])
    settings = Settings(lake=str(ran.folder / "lake"))
    for day in (DAY, NEXT):
        labels = ran.labels[day, "correct"]
        assert store.facts(("shop", "correct", "distilled"), day)["labels"] == labels
        assert f"Labels of {labels}." in render_report(read_report(settings, cascade, day))
        show_run(settings, cascade, [day], None, details=True)
        assert f"Labels of {labels}." in " ".join(capsys.readouterr().out.split())


def test_a_rerun_picks_up_the_events_that_came_late(ran: Ran) -> None:
    folder, lake = ran.folder, ran.lake
    cascade = declare(folder, tasks=TASKS, students=STUDENTS[:1])
    before = lake.scan(("shop", "correct", "teacher_augmented"), [DAY]).filter(domain="IMP").collect()
    settings = Settings(lake=str(folder / "lake"), threads=2, as_of=at_five_after(NEXT))
    write(folder, DAY, logs_of(cascade, DAY))
    assert failures(run_day(settings, cascade, DAY, report=False)) == {}
    after = lake.scan(("shop", "correct", "teacher_augmented"), [DAY]).filter(domain="IMP").collect()
    assert before["target"].mean() < 0.4  # type: ignore[operator]
    assert after["target"].mean() == HALF


def test_who_waits_before_the_first_window_has_closed_is_told_from_when_on(tmp_path: Path) -> None:
    cascade = declare(tmp_path, tasks=TASKS, students=STUDENTS[1:])
    write(tmp_path, DAY, logs_of(cascade, DAY))
    settings = Settings(lake=str(tmp_path / "lake"), threads=2, as_of=at_five_after(DAY))
    said = failures(run_day(settings, cascade, DAY, report=False))
    assert said.keys() == {"shop__wait__baseline_checkpoint", "shop__wait__distilled_checkpoint"}
    assert all(f"the first windows close on {NEXT + timedelta(days=1)}" in each for each in said.values())
