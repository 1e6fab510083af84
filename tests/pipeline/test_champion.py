"""A day of champion against challenger on a lake: who is compared, on which rows, and what comes out."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.metrics.calibration import cross_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.pipeline.champion import compared, matches_of, trailing
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.students import as_student, facts
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
KEY = (CASCADE.name, STUDENT.name)
DAYS = [dt.date(2026, 1, day) for day in (1, 2, 3)]
REQUESTS = 40


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three days of rows, half withheld, and of both arms' checkpoints; nothing is released."""
    workspace = Workspace.open(Settings(lake=str(tmp_path_factory.mktemp("lake")), threads=1, shards=2))
    store = workspace.checkpoints
    fits = {arm: fit_student(Training.of(CASCADE, STUDENT, arm, training_rows(requests=40))) for arm in ARMS}
    for number, day in enumerate(DAYS):
        moment = pl.lit(dt.datetime.combine(day, dt.time(), dt.UTC)).cast(pl.Datetime("us", "UTC"))
        rows = training_rows(requests=REQUESTS, seed=number).with_columns(
            withheld=pl.col("request_id") % 2 == 0, requested_at=moment, teacher=pl.lit(STUDENT.teacher)
        )
        workspace.lake.commit(workspace.lake.stage_frame((*KEY, "teacher_augmented"), day, rows), {})
        for arm, fit in fits.items():
            # Each day's predict a little otherwise.
            tensors = {name: value * (1 + number / 10) for name, value in fit.student.tensors.items()}
            store.publish(store.save((*KEY, arm), day, facts(CASCADE, STUDENT, arm, fit), tensors=tensors))
    return workspace


def test_without_a_release_the_baseline_of_the_challengers_day_is_the_champion(workspace: Workspace) -> None:
    first, second = (matches_of(Day(workspace, CASCADE, day), STUDENT) for day in DAYS[:2])
    assert [match.when for match in first] == ["same_day"]
    assert [(match.when, match.challenger.day, match.champion.day) for match in second] == [
        ("same_day", DAYS[1], DAYS[1]),
        ("next_day", DAYS[0], DAYS[0]),
    ]
    assert {match.champion_arm for match in second} == {"baseline"}
    assert {match.champion.key[-1] for match in second} == {"baseline"}


def test_the_table_is_the_change_of_entropy_on_rows_that_neither_has_seen(workspace: Workspace) -> None:
    day = Day(workspace, CASCADE, DAYS[1])
    table = compared(day, STUDENT, matches_of(day, STUDENT))
    rows = workspace.lake.scan((*KEY, "teacher_augmented"), [DAYS[1]]).collect()
    rows = rows.sort("request_id", "candidate_id", "domain")
    for when, of, which in (
        ("same_day", DAYS[1], rows.filter("withheld")),
        ("next_day", DAYS[0], rows),
    ):
        for domain, head in (("IMP", "impression"), ("CD", "consideration")):
            chosen = which.filter(domain=domain)
            said = [
                predict_student(as_student(workspace.checkpoints.load((*KEY, arm), of)), chosen)[name]
                for arm, name in (("baseline", "impression"), ("distilled", head))
            ]
            before, after = (cross_entropy(each, chosen["target"].to_numpy(), chosen["weight"]) for each in said)
            (row,) = table.filter(when=when, domain=domain).iter_rows(named=True)
            assert row["ne_change"] == pytest.approx(after / before - 1, abs=1e-6)
            assert (row["rows"], row["requests"]) == (len(chosen), chosen["request_id"].n_unique())
            assert row["low"] < row["ne_change"] < row["high"]
    assert "SCORED" not in set(table["domain"])
    apart, engine = with_pickling_engine(workspace)
    other = Day(apart, CASCADE, DAYS[1])
    assert_frame_equal(compared(other, STUDENT, matches_of(other, STUDENT)), table, check_exact=True)
    assert engine.mapped == {f"{'/'.join(KEY)}/champion_comparison, day {DAYS[1]}": 2}


def test_rejected_rows_are_scored_with_the_considered_ones(workspace: Workspace, tmp_path: Path) -> None:
    rows = workspace.lake.scan((*KEY, "teacher_augmented"), [DAYS[0]]).drop("day").collect()
    unlike = pl.when((pl.col("domain") == "CD") & (pl.col("candidate_id") > 5)).then(pl.lit("REJECTED"))
    rows = rows.with_columns(domain=unlike.otherwise("domain"))
    other = Workspace.open(Settings(lake=str(tmp_path), threads=1))
    other.lake.commit(other.lake.stage_frame((*KEY, "teacher_augmented"), DAYS[0], rows), {})
    matches = matches_of(Day(workspace, CASCADE, DAYS[0]), STUDENT)
    whole, split = (
        compared(Day(each, CASCADE, DAYS[0]), STUDENT, matches).rows_by_key("domain", named=True)
        for each in (workspace, other)
    )
    assert split["SCORED"][0]["ne_change"] == pytest.approx(whole["CD"][0]["ne_change"], rel=1e-6)
    assert split["SCORED"][0]["rows"] == whole["CD"][0]["rows"] == 2 * split["CD"][0]["rows"]


def test_what_was_released_before_is_the_champion_on_a_rerun_too(workspace: Workspace) -> None:
    store = workspace.checkpoints
    next_day = STUDENT.model_copy(update={"release": Release(decided_by="next_day")})

    def champions(student: object = STUDENT) -> list[tuple[dt.date, str]]:
        matches = matches_of(Day(workspace, CASCADE, DAYS[2]), student)  # type: ignore[arg-type]
        return [(match.champion.day, match.champion_arm) for match in matches]

    def release(day: dt.date) -> Checkpoint:
        released = store.load((*KEY, "distilled"), day)
        store.release(KEY, {"day": str(day), "arm": "distilled", "checkpoint": released.version})
        return released

    release(DAYS[0])
    assert champions() == champions(next_day) == [(DAYS[0], "released")] * 2
    # As the second day's checkpoint is, on the third day by its requests, or on its own by its own.
    release(DAYS[1])
    assert champions() == [(DAYS[1], "released"), (DAYS[0], "released")]
    assert champions(next_day) == [(DAYS[0], "released")] * 2
    release(DAYS[2])
    assert champions() == [(DAYS[1], "released"), (DAYS[0], "released")]


def test_trailing_days_are_those_of_the_window(workspace: Workspace) -> None:
    for day in DAYS:
        table = compared(Day(workspace, CASCADE, day), STUDENT, matches_of(Day(workspace, CASCADE, day), STUDENT))
        workspace.lake.commit(workspace.lake.stage_frame((*KEY, "champion_comparison"), day, table), {})
    cascade = CASCADE.model_copy(update={"evaluation_days": 2})
    assert set(trailing(Day(workspace, cascade, DAYS[2]), STUDENT)["day"]) == set(DAYS[1:])
    assert set(trailing(Day(workspace, CASCADE, DAYS[2]), STUDENT)["day"]) == {DAYS[2]}
