"""The audit on exploration reads the window's explored rows shard by shard, and finds what one reading of all finds."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.rows import CASCADE, STUDENT, impressions
from ukdsl_assets.declaration.corrections import KnownRate
from ukdsl_assets.declaration.teachers import Teacher, TrainedTeacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.learning.metrics.weighted import shifted
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.exploration import audit_inputs, audited, explored_rows, may_correct, rate_shift
from ukdsl_assets.pipeline.tables import correction_message, teacher_shift
from ukdsl_assets.pipeline.teachers import impression_readers, train_teacher
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(3)]
TEACHERS = [
    CASCADE.teacher("ranking_logged"),
    TrainedTeacher(name="foundation", kind="trained", stage="ranking"),
]


def of_day(number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Shown rows, a half of them explored, and labels of them and of as many rows that were not shown."""
    rng = np.random.default_rng(number)
    shown = impressions(1500, seed=number).with_columns(
        request_id=pl.col("request_id") + 1000 * number,
        propensity=pl.Series(rng.uniform(0.1, 1, 1500), dtype=pl.Float32),
    )
    keys = shown.select("request_id", "candidate_id")
    both = pl.concat([keys, keys.with_columns(candidate_id=pl.col("candidate_id") + 10**6)])
    predictions = {f"{task}_prediction": rng.uniform(0.05, 0.5, len(both)) for task in ("click", "conversion")}
    labels = both.with_columns(**{name: pl.Series(each, dtype=pl.Float32) for name, each in predictions.items()})
    return shown, labels.sort("request_id", "candidate_id")


def as_one(teacher: Teacher) -> pl.DataFrame:
    """The table from all rows together."""
    days = [(day, *of_day(number)) for number, day in enumerate(DAYS)]
    rows = pl.concat(
        shown.join(labels, on=["request_id", "candidate_id"]).with_columns(day=pl.lit(day))
        for day, shown, labels in days
    )
    rows = rows.sort("day", "request_id", "candidate_id")
    held = withheld(rows["request_id"], CASCADE.withheld_share)
    shown = rows.filter(held)
    explored = shown if teacher.kind == "trained" else rows.filter(~held)
    return audit_on_exploration(
        CASCADE,
        teacher,
        explored.filter("explored"),
        DAYS[-1],
        shown.filter("explored"),
        shown.with_columns(propensity=pl.lit(1.0)),
    )


@pytest.mark.parametrize("teacher", TEACHERS, ids=lambda teacher: teacher.kind)
@pytest.mark.parametrize("shards", [(1, 1), (4, 4), (4, 3)], ids=["one shard", "four", "not equally many"])
def test_shards_and_days_make_the_table_of_all_rows(tmp_path: Path, teacher: Teacher, shards: tuple[int, int]) -> None:
    tables = ("impressions",), (teacher.name, "teacher_labels")
    for number, day in enumerate(DAYS):
        for table, count, frame in zip(tables, shards, of_day(number), strict=True):
            lake = Workspace.open(Settings(lake=str(tmp_path), shards=count)).lake
            lake.commit(lake.stage_frame((CASCADE.name, *table), day, frame), {})
    made = audited(Day(Workspace.open(Settings(lake=str(tmp_path))), CASCADE, DAYS[-1]), teacher)
    assert made["rows"].min() > 0  # type: ignore[operator]
    assert_frame_equal(made, as_one(teacher), check_exact=True)
    apart, engine = with_pickling_engine(Workspace.open(Settings(lake=str(tmp_path))))
    assert_frame_equal(audited(Day(apart, CASCADE, DAYS[-1]), teacher), made, check_exact=True)
    # Explored rows of three days, and withheld ones of as many as it takes.
    parts = 4 if shards == (4, 4) else 1
    assert engine.mapped[f"simulated_ads/{teacher.name}/teacher_audit, day {DAYS[-1]}"] in {4 * parts, 6 * parts}


def test_of_a_cascade_with_a_slot_only_what_was_shown_as_it_is_scored_counts(tmp_path: Path) -> None:
    features = (f.model_copy(update={"served_as": 3}) if f.name == "ad" else f for f in CASCADE.features)
    placed = CASCADE.model_copy(update={"features": tuple(features)})
    shown, labels = of_day(0)
    workspace, teacher = Workspace.open(Settings(lake=str(tmp_path))), TEACHERS[0]
    for table, frame in ((("impressions",), shown), ((teacher.name, "teacher_labels"), labels)):
        workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, *table), DAYS[0], frame), {})
    held = withheld(shown["request_id"], CASCADE.withheld_share)
    rows = shown.with_columns(day=pl.lit(DAYS[0]), held=held).join(labels, on=["request_id", "candidate_id"])
    rows = rows.sort("request_id", "candidate_id")
    kept = rows.filter("explored", ~pl.col("held"), ad=3)
    expected = audit_on_exploration(placed, teacher, kept, DAYS[0])
    assert 0 < len(kept) < 150
    made = audited(Day(workspace, placed, DAYS[0]), teacher)
    told = pl.col("period").is_in(["day", "trailing"])
    assert_frame_equal(made.filter(told).drop("elsewhere"), expected.drop("elsewhere"), check_exact=True)
    # What was shown otherwise is left out, and said to be.
    every = rows.filter("explored", ~pl.col("held"))
    assert made.filter(period="trailing", task="click")["elsewhere"].item() == len(every) - len(kept)
    withheld_rows = rows.filter("explored", "held")
    (judged,) = made.filter(period="judged", task="click").iter_rows(named=True)
    assert (judged["rows"] + judged["elsewhere"], judged["rows"]) == (
        len(withheld_rows),
        len(withheld_rows.filter(ad=3)),
    )
    (compared,) = made.filter(period="impressions", task="click").iter_rows(named=True)
    assert compared["rows"] == len(rows.filter("held", ad=3))


def test_no_row_corrects_and_judges_or_corrects_and_trains_a_teacher_that_is_trained_here(tmp_path: Path) -> None:
    """The three parts have no row in common, and those that judge no request; a day that kept no rows corrects none."""
    teacher = TrainedTeacher(name="trees", kind="trained", stage="ranking", trees=3, minimum_leaf_rows=5)
    student = STUDENT.model_copy(update={"teacher": "trees", "correction": "exploration"})
    cascade = CASCADE.model_copy(update={"teachers": (*CASCADE.teachers, teacher), "students": (student,)})
    workspace = Workspace.open(Settings(lake=str(tmp_path), shards=2))
    for number, date_of in enumerate(DAYS):
        for table, frame in zip((("impressions",), ("trees", "teacher_labels")), of_day(number), strict=True):
            workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, *table), date_of, frame), {})
        # The first day's teacher was trained before anybody declared the correction.
        declares = cascade if number else cascade.model_copy(update={"students": ()})
        made_of = train_teacher(Day(workspace, declares, date_of), teacher)
        assert all(result.passed for result in made_of.results)
        workspace.checkpoints.publish(made_of.checkpoint)
    day = Day(workspace, cascade, DAYS[-1])
    trained = pl.concat(read() for read in impression_readers(day, teacher, DAYS))
    shards = [
        shard
        for each in DAYS
        for shard in day.on(each).shard_readers(
            ("simulated_ads", "impressions"), ("simulated_ads", "trees", "teacher_labels")
        )
    ]
    explored = pl.concat(explored_rows(cascade, teacher, *(read() for read in shard)) for shard in shards)
    held = withheld(explored["request_id"], cascade.withheld_share)
    correcting = explored.filter(may_correct(day, teacher, explored, held, DAYS))
    judging = explored.filter(held)
    assert min(map(len, (trained, correcting, judging))) > 100
    keys = ["day", "request_id", "candidate_id"]
    assert trained.join(correcting, on=keys, how="semi").is_empty()
    for seen in (trained, correcting):
        assert seen.join(judging, on="request_id", how="semi").is_empty()
    assert correcting["day"].unique().sort().to_list() == DAYS[1:]
    # The other half of what explored trains.
    assert 0.3 < len(trained.filter("explored")) / len(trained.filter(~pl.col("explored"))) < 0.7
    # What it was trained on is what the readers give: so many rows have a label.
    assert made_of.figures["click_rows"] == trained["click"].count()
    made = audited(day, teacher)
    assert made.filter(period="trailing", task="click")["rows"].item() == correcting["click"].count()
    assert set(made.filter(period="corrected")["corrected_by"]) == {"exploration"}


def test_a_known_rate_is_the_mean_of_all_that_the_teacher_labels_after_its_shift(tmp_path: Path) -> None:
    rate = KnownRate(rate=0.1773, of="random exposure")
    student = STUDENT.model_copy(update={"teacher": "ranking_logged", "correction": rate})
    cascade = CASCADE.model_copy(update={"students": (student,)})
    shown, labels = of_day(0)
    unshown = shown.with_columns(
        pl.col("candidate_id") + 10**6,
        weight=pl.lit(2.5, pl.Float32),
        probed=pl.lit(False),
        probe_rate=pl.lit(None, pl.Float32),
    )
    shifts = []
    for shards in (1, 3):
        workspace = Workspace.open(Settings(lake=str(tmp_path / str(shards)), shards=shards))
        tables = {("impressions",): shown, ("considerations",): unshown, ("ranking_logged", "teacher_labels"): labels}
        for table, frame in tables.items():
            workspace.lake.commit(workspace.lake.stage_frame((CASCADE.name, *table), DAYS[0], frame), {})
        day = Day(workspace, cascade, DAYS[0])
        made = audited(day, cascade.teacher("ranking_logged"))
        workspace.lake.commit(
            workspace.lake.stage_frame((CASCADE.name, "ranking_logged", "teacher_audit"), DAYS[0], made), {}
        )
        shifts.append(teacher_shift(day, student))
        apart = Day(with_pickling_engine(workspace)[0], cascade, DAYS[0])
        assert rate_shift(apart, cascade.teacher("ranking_logged"), "click", rate) == shifts[-1]
        message = correction_message(day, student)["correction"]
        assert "the mean of all that it labels is made 0.1773 of random exposure" in message
    assert shifts[0] == shifts[1]
    keys, scored = ["request_id", "candidate_id"], reached(cascade, "ranking")
    weights = pl.concat(
        [
            shown.filter(scored).select(*keys, weight=pl.lit(1.0, pl.Float32)),
            unshown.filter(scored).select(*keys, "weight"),
        ]
    )
    rows = weights.join(labels, on=keys)
    moved = shifted(rows["click_prediction"].to_numpy(), shifts[0])  # type: ignore[arg-type]
    assert np.average(moved, weights=rows["weight"].to_numpy()) == pytest.approx(0.1773, abs=1e-6)
    unshown_rows = rows.filter(pl.col("weight") == 2.5)
    alone = rate_shift(day, cascade.teacher("ranking_logged"), "click", rate.model_copy(update={"over": "unshown"}))
    moved = shifted(unshown_rows["click_prediction"].to_numpy(), alone)
    assert moved.mean() == pytest.approx(0.1773, abs=1e-6)
    assert alone != shifts[0]
    assert audit_inputs(cascade, cascade.teacher("ranking_logged"))[-1] == (CASCADE.name, "considerations")


def test_probes_count_in_a_known_rate_where_all_its_students_stand_at_the_stage_that_rejected_them(
    tmp_path: Path,
) -> None:
    rate = KnownRate(rate=0.1773, of="random exposure", over="unshown")
    student = STUDENT.model_copy(update={"teacher": "ranking_logged", "correction": rate})
    early = student.model_copy(update={"name": "early", "stage": "retrieval"})
    shown, labels = of_day(0)
    probed = pl.int_range(pl.len()) % 7 == 0
    unshown = shown.with_columns(pl.col("candidate_id") + 10**6, weight=pl.lit(2.5, pl.Float32)).with_columns(
        probed=probed,
        deepest_stage=pl.when(probed).then(pl.lit("pre_ranking")).otherwise(pl.lit("ranking")),
        probe_rate=pl.when(probed).then(pl.lit(0.05, pl.Float32)),
    )
    lake = Workspace.open(Settings(lake=str(tmp_path))).lake
    tables = {("impressions",): shown, ("considerations",): unshown, ("ranking_logged", "teacher_labels"): labels}
    for table, frame in tables.items():
        lake.commit(lake.stage_frame((CASCADE.name, *table), DAYS[0], frame), {})
    rows = unshown.join(labels, on=["request_id", "candidate_id"])
    stood_for = pl.when("probed").then(1 / pl.col("probe_rate")).otherwise("weight")
    for students, counted, weight in (
        ((student,), rows, stood_for),
        ((student, early), rows.filter(~pl.col("probed")), pl.col("weight")),
        ((early,), rows.filter(~pl.col("probed")), pl.col("weight")),
    ):
        cascade = CASCADE.model_copy(update={"students": students})
        day = Day(Workspace.open(Settings(lake=str(tmp_path))), cascade, DAYS[0])
        shift = rate_shift(day, cascade.teacher("ranking_logged"), "click", rate)
        moved = shifted(counted["click_prediction"].to_numpy(), shift)
        weights = counted.select(weight).to_series().to_numpy()
        assert np.average(moved, weights=weights) == pytest.approx(0.1773, abs=1e-6)
