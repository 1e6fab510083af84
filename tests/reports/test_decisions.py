"""What became of a student on each day, from the history that its releases leave."""

from datetime import date
from pathlib import Path

from tests.fixtures.graph import shipped
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.reports.decisions import DayDecision, counted, read_decisions

DAYS = [date(2026, 1, day) for day in (1, 2, 3, 4)]


def entry(day: date, **more: object) -> dict[str, object]:
    return {"day": str(day), "arm": "distilled", "checkpoint": f"v{day.day}", "decided_on": str(day), **more}


def test_each_day_has_its_newest_decision_in_the_order_of_days_and_students(tmp_path: Path) -> None:
    cascade = shipped("simulated_ads")
    first, second, *_ = (student.name for student in cascade.students)
    store = CheckpointStore(str(tmp_path))
    store.leave_unjudged((cascade.name, first), entry(DAYS[0], reasons=["gate: few"]))
    store.refuse((cascade.name, first), entry(DAYS[0], reasons=["gate: off"]))
    store.refuse((cascade.name, second), entry(DAYS[0], decided_on=str(DAYS[1]), reasons=["gate: worse"]))
    found = read_decisions(store, cascade, DAYS[:2])
    assert [each.day for each in found] == [day for day in DAYS[:2] for _ in cascade.students]
    told = {(each.student, each.day.day): (each.verdict, each.reasons, each.checkpoint_day) for each in found}
    assert told[first, 1] == ("Refused", ["gate: off"], "2026-01-01")
    assert told[first, 2] == ("No decision", [], None)
    # The requests of a day may decide about the student of the day before.
    assert told[second, 2] == ("Refused", ["gate: worse"], "2026-01-01")


def test_a_backfill_that_moves_nothing_is_neither_released_nor_refused(tmp_path: Path) -> None:
    cascade = shipped("simulated_ads")
    student = cascade.students[0].name
    store = CheckpointStore(str(tmp_path))
    checkpoint = store.save((cascade.name, student, "distilled"), DAYS[3], {"day": "4"}, text="model")
    store.publish(checkpoint)
    store.release((cascade.name, student), entry(DAYS[3], checkpoint=checkpoint.version, accepted=["gate: off"]))
    found = {each.day: each for each in read_decisions(store, cascade, DAYS) if each.student == student}
    assert [found[day].outcome for day in DAYS] == ["newer", "newer", "newer", "released"]
    assert found[DAYS[3]].accepted == ["gate: off"]
    assert found[DAYS[3]].as_record()["checkpoint"] == checkpoint.version


def test_outcomes_are_counted_with_what_was_released_first() -> None:
    of = [
        DayDecision(str(number), DAYS[0], outcome, [], [])
        for number, outcome in enumerate(["not_judged", "released", "refused", "not_judged", "newer"])
    ]
    assert counted(of) == "1 released, 1 refused, 2 not judged, 1 passed"
    assert counted([]) == "no student"
