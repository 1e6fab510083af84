from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import ADS, DAY, KEYS, SHOP, STUDENT, rendered, run, run_all, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.metrics.weighted import shifted
from ukdsl_assets.sql.context import parameters_for
from ukdsl_assets.sql.run import run_model

CASES = [(ADS, student) for student in ADS.students] + [(SHOP, SHOP.students[0])]
each_student = pytest.mark.parametrize(("cascade", "student"), CASES, ids=[student.name for _, student in CASES])
# How a row of either domain is told.
ROW = [*KEYS, "target", "weight", "teacher", "teacher_version"]


@each_student
def test_impressions_stand_in_imp_with_their_label_where_they_have_one(
    tmp_path: Path, cascade: Cascade, student: Student
) -> None:
    tables = run_all(tmp_path, make_logs(cascade, DAY, 60), cascade, student)
    labelled = tables["impressions"].drop_nulls(student.task)
    expected = labelled.select(
        *KEYS,
        pl.col(student.task).alias("target"),
        pl.lit(1.0, pl.Float32).alias("weight"),
        pl.lit("label").alias("teacher"),
        pl.lit("v1").alias("teacher_version"),
    )
    assert expected.height > 0
    assert tables["teacher_augmented"].filter(domain="IMP").select(ROW).equals(expected)


@each_student
def test_all_that_the_teachers_stage_scored_stands_in_cd_with_its_prediction_and_weight(
    tmp_path: Path, cascade: Cascade, student: Student
) -> None:
    tables = run_all(tmp_path, make_logs(cascade, DAY, 60), cascade, student)
    shown = tables["impressions"].with_columns(weight=pl.lit(1.0, pl.Float32))
    considered = pl.concat([shown, tables["considerations"]], how="diagonal").sort(KEYS)
    prediction = prediction_column(cascade.teacher(student.teacher).stage, student.task)
    # What the student's own stage rejected is not among them, though a probe has the prediction.
    got_on = considered.drop_nulls(prediction).filter(pl.col("deepest_stage") != student.stage)
    if cascade.has_probes:
        before = cascade.stages[cascade.depth(cascade.teacher(student.teacher).stage) - 1].name
        got_on = got_on.filter(~(pl.col("probed").fill_null(False) & (pl.col("deepest_stage") == before)))
    expected = got_on.select(
        *KEYS,
        pl.col(prediction).alias("target"),
        "weight",
        pl.lit(student.teacher).alias("teacher"),
        pl.lit("v1").alias("teacher_version"),
    )
    taught = tables["teacher_augmented"].filter(domain="CD")
    assert taught.select(ROW).equals(expected)
    # Shown rows are among them, so they stand in both domains.
    assert shown.join(taught, on=KEYS, how="anti").is_empty()
    assert taught.height > shown.height


@pytest.mark.parametrize("student", ADS.students, ids=[student.name for student in ADS.students])
def test_probes_of_the_students_stage_stand_in_rejected_for_as_many_as_their_rate_says(
    tmp_path: Path, student: Student
) -> None:
    tables = run_all(tmp_path, make_logs(ADS, DAY, 60), ADS, student)
    prediction = prediction_column(ADS.teacher(student.teacher).stage, student.task)
    probes = tables["considerations"].filter(pl.col("probed"), pl.col("deepest_stage") == student.stage)
    expected = probes.select(
        *KEYS,
        pl.col(prediction).alias("target"),
        (1 / pl.col("probe_rate")).alias("weight"),
        pl.lit(student.teacher).alias("teacher"),
        pl.lit("v1").alias("teacher_version"),
    )
    rejected = tables["teacher_augmented"].filter(domain="REJECTED")
    assert expected.height > 0
    assert rejected.select(ROW).equals(expected)
    assert set(rejected["weight"]) == {4, 8}


def test_a_teacher_of_the_students_own_stage_labels_what_that_rejected_without_a_probe(tmp_path: Path) -> None:
    teacher = TrainedTeacher(name="here", kind="trained", stage="pre_ranking")
    cascade = ADS.model_copy(update={"teachers": (*ADS.teachers, teacher)})
    student = STUDENT.model_copy(update={"teacher": "here"})
    files = written(tmp_path, make_logs(cascade, DAY, 60)._asdict())
    impressions, considered = (run(tmp_path, name, files, cascade) for name in ("impressions", "considerations"))
    scored = pl.concat([impressions, considered], how="diagonal").filter(pl.col("deepest_stage") != "retrieval")
    files |= written(tmp_path, {"teacher_labels": scored.select(*KEYS, click_prediction=pl.lit(0.25, pl.Float32))})
    rows = run(tmp_path, "teacher_augmented", files, cascade, student=student)
    own = considered.filter(deepest_stage="pre_ranking")
    assert set(own["probed"]) == {True, False}
    assert rows.filter(domain="REJECTED").select(*KEYS, "weight").equals(own.select(*KEYS, "weight"))
    assert rows.filter(pl.col("domain") != "IMP").height == scored.height


def test_probes_of_another_stage_than_the_students_teach_it_nothing(tmp_path: Path) -> None:
    far = ADS.student("retrieval_click").model_copy(update={"teacher": "ranking_logged"})
    tables = run_all(tmp_path, make_logs(ADS, DAY, 60), ADS, far)
    assert tables["considerations"].filter(pl.col("probed"), pl.col("deepest_stage") == "pre_ranking").height > 0
    taught = tables["teacher_augmented"].filter(pl.col("domain") != "IMP")
    reached = tables["considerations"].vstack(tables["considerations"].clear()).filter(deepest_stage="ranking")
    assert set(taught["domain"]) == {"CD"}
    assert taught.join(tables["impressions"], on=KEYS, how="anti").select(KEYS).equals(reached.select(KEYS))


@each_student
def test_rows_carry_the_students_features_as_they_were_logged(
    tmp_path: Path, cascade: Cascade, student: Student
) -> None:
    logs = make_logs(cascade, DAY, 40)
    rows = run_all(tmp_path, logs, cascade, student)["teacher_augmented"]
    features = [feature.name for feature in cascade.features_of(student)]
    assert rows.columns[rows.columns.index("withheld") + 1 :] == features
    logged = rows.select(KEYS).join(logs.candidate_log, on=KEYS, how="left", maintain_order="left")
    copied = rows.select("requested_at", "explored", *features, *(["bid"] if cascade.has_bid else []))
    assert ("bid" in rows.columns) == cascade.has_bid
    assert copied.equals(logged.select(copied.columns).cast(copied.schema))


@each_student
def test_the_withheld_flag_is_the_python_twins(tmp_path: Path, cascade: Cascade, student: Student) -> None:
    rows = run_all(tmp_path, make_logs(cascade, DAY, 100), cascade, student)["teacher_augmented"]
    assert set(rows["withheld"]) == {True, False}
    assert rows["withheld"].equals(withheld(rows["request_id"], cascade.withheld_share))


def test_all_students_withhold_the_same_requests(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 100)
    first, *others = (
        run_all(tmp_path, logs, ADS, student)["teacher_augmented"].select("request_id", "withheld").unique()
        for student in ADS.students
    )
    assert first.height == 100
    assert all(other.sort("request_id").equals(first.sort("request_id")) for other in others)


def test_rows_without_the_students_label_are_only_in_the_teachers_domain(tmp_path: Path) -> None:
    student = STUDENT.model_copy(update={"task": "conversion"})
    tables = run_all(tmp_path, make_logs(ADS, DAY, 60), ADS, student)
    unclicked = tables["impressions"].filter(click=0)
    rows = unclicked.join(tables["teacher_augmented"], on=KEYS)
    assert unclicked.height == rows.height > 0
    assert set(rows["domain"]) == {"CD"}


@pytest.mark.parametrize("task", ["click", "conversion"])
def test_dependent_and_auxiliary_tasks_are_taught_on_rows_without_a_label_alone(tmp_path: Path, task: str) -> None:
    logs = make_logs(ADS, DAY, 60)
    plain = STUDENT.model_copy(update={"task": task})
    tasked = plain.model_copy(update={"heads": ("impression", "dependent", "auxiliary")})
    both, alone = (run_all(tmp_path, logs, ADS, student)["teacher_augmented"] for student in (plain, tasked))
    labelled = both.filter(domain="IMP")
    assert labelled.height > 0
    assert alone.equals(
        both.filter(domain="IMP")
        .vstack(both.filter(pl.col("domain") != "IMP").join(labelled, on=KEYS, how="anti"))
        .sort(*KEYS, "domain")
    )


def test_rows_that_a_teacher_did_not_label_are_not_in_its_domain(tmp_path: Path) -> None:
    files = written(tmp_path, make_logs(ADS, DAY, 40)._asdict())
    run(tmp_path, "impressions", files)
    considered = run(tmp_path, "considerations", files)
    ranked = considered.filter(deepest_stage="ranking")
    early = considered.filter(deepest_stage="retrieval")
    # A label of an early row and a null are not this teacher's to give.
    labels = pl.concat([ranked[:5], early[:5]]).select(
        *KEYS, click_prediction=pl.Series([0.5] * 3 + [None] * 2 + [0.5] * 5, dtype=pl.Float32)
    )
    files |= written(tmp_path, {"teacher_labels": labels})
    rows = run(tmp_path, "teacher_augmented", files, student=STUDENT)
    assert rows.filter(domain="CD").select(KEYS).rows() == ranked[:3].select(KEYS).rows()


def test_a_corrected_teacher_is_shifted_on_the_scale_of_logits_and_labels_are_left_alone(tmp_path: Path) -> None:
    corrected = STUDENT.model_copy(update={"correction": "exploration"})
    files = written(tmp_path, make_logs(ADS, DAY, 60)._asdict())
    for name in ("impressions", "considerations"):
        run(tmp_path, name, files)
    run(tmp_path, "logged_teacher_labels", files, teacher=ADS.teacher(STUDENT.teacher))
    plain = run(tmp_path, "teacher_augmented", files, student=STUDENT)
    bound = parameters_for(ADS, DAY, corrected, teacher_version="v1", teacher_shift=-0.7)
    model = rendered("teacher_augmented", student=corrected)
    output = str(tmp_path / "corrected.parquet")
    run_model(model, {table: files[table] for table in model.depends_on}, bound, output, 1)
    moved = pl.read_parquet(output)
    assert moved.drop("target").equals(plain.drop("target"))
    taught = (plain["domain"] != "IMP").to_numpy()
    before, after = (frame["target"].to_numpy() for frame in (plain, moved))
    assert (after[~taught] == before[~taught]).all()
    assert after[taught] == pytest.approx(shifted(before[taught], -0.7), rel=1e-6)
