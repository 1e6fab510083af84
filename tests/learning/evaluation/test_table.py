"""The evaluation table and the gates that it feeds."""

import math

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.evaluation.gates import judge_student, not_judged, refusals
from ukdsl_assets.learning.evaluation.predictions import whole
from ukdsl_assets.learning.evaluation.table import evaluate, figure
from ukdsl_assets.learning.evaluation.totals import totals_of
from ukdsl_assets.learning.metrics.bootstrap import replicate_weights
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy

RNG = np.random.default_rng(0)
ROWS = pl.DataFrame(
    {
        "request_id": np.concatenate([np.arange(40) // 4, np.arange(60) // 6]),
        "domain": ["IMP"] * 40 + ["CD"] * 60,
        "target": np.concatenate([RNG.integers(0, 2, 40), RNG.random(60)]).astype(np.float32),
        "weight": np.concatenate([np.ones(40), RNG.random(60) * 3]).astype(np.float32),
        "truth": RNG.random(100).astype(np.float32),
    }
)
PREDICTIONS = {
    ("baseline", "impression"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
    ("distilled", "impression"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
    ("distilled", "consideration"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
}


def test_one_row_an_arm_head_domain_and_reference_with_the_metrics_of_its_rows() -> None:
    table = evaluate(ROWS, PREDICTIONS)
    assert len(table) == 3 * 4
    considered = ROWS["domain"] == "CD"
    p = PREDICTIONS["distilled", "consideration"][considered.to_numpy()]
    y, w = (ROWS.filter(considered)[name].to_numpy() for name in ("target", "weight"))
    where = {"arm": "distilled", "head": "consideration", "domain": "CD", "reference": "teacher"}
    assert figure(table, "rows", **where) == 60
    assert figure(table, "calibration", **where) == pytest.approx(calibration(p, y, w))
    assert figure(table, "ne", **where) == pytest.approx(normalized_entropy(p, y, w))
    base = figure(table, "ne", **(where | {"arm": "baseline", "head": "impression"}))
    assert figure(table, "ne_change", **where) == pytest.approx(figure(table, "ne", **where) / base - 1)


def test_the_baseline_does_not_differ_from_itself() -> None:
    assert evaluate(ROWS, PREDICTIONS).filter(arm="baseline")["ne_change"].to_list() == [0.0] * 4


def test_without_truth_no_row_claims_one() -> None:
    for rows in (ROWS.drop("truth"), ROWS.with_columns(truth=pl.lit(None, pl.Float32))):
        assert set(evaluate(rows, PREDICTIONS)["reference"]) == {"label", "teacher"}


def test_a_domain_without_rows_is_undefined_not_zero() -> None:
    table = evaluate(ROWS.filter(domain="IMP"), {key: p[:40] for key, p in PREDICTIONS.items()})
    assert math.isnan(figure(table, "calibration", arm="baseline", head="impression", domain="CD", reference="teacher"))


def test_a_figure_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="0 rows match"):
        figure(evaluate(ROWS, PREDICTIONS), "ne", arm="oracle")


def test_the_same_seed_gives_the_same_table_and_another_other_errors_only() -> None:
    first, again, other = (evaluate(ROWS, PREDICTIONS, seed) for seed in (1, 1, 2))
    errors = [name for name in first.columns if name.endswith("_error")]
    assert first.equals(again)
    assert first.drop(errors).equals(other.drop(errors))
    assert not first.equals(other)


def test_errors_are_those_of_each_replicate_computed_on_repeated_rows() -> None:
    """The bootstrap written out: every replicate repeats each request's rows as often as it drew the request."""
    chosen = (ROWS["domain"] == "CD").to_numpy()
    y, w = (ROWS[name].to_numpy()[chosen].astype(float) for name in ("target", "weight"))
    p, base = (
        PREDICTIONS[key][chosen].astype(float) for key in (("distilled", "consideration"), ("baseline", "impression"))
    )
    calibrations, changes = [], []
    for draw in replicate_weights(pl.Series(range(10)), seed=3):
        drawn = w * draw[np.arange(60) // 6]
        calibrations.append(calibration(p, y, drawn))
        changes.append(normalized_entropy(p, y, drawn) / normalized_entropy(base, y, drawn) - 1)
    where = {"arm": "distilled", "head": "consideration", "domain": "CD", "reference": "teacher"}
    table = evaluate(ROWS, PREDICTIONS, seed=3)
    assert figure(table, "calibration_error", **where) == pytest.approx(np.std(calibrations, ddof=1))
    assert figure(table, "ne_change_error", **where) == pytest.approx(np.std(changes, ddof=1))


def test_a_released_arm_is_compared_with_todays_baseline() -> None:
    released = {**PREDICTIONS, ("released", "impression"): PREDICTIONS["baseline", "impression"]}
    table = evaluate(ROWS, released).filter(arm="released")
    assert table["ne_change"].to_list() == table["ne_change_error"].to_list() == [0.0] * 4


def table_with(calibration: float, change: float, error: float = 0.0) -> pl.DataFrame:
    """An evaluation in which impressions are calibrated and considered rows as asked for; errors are all the same."""
    chosen = pl.when(domain="CD").then(calibration).otherwise(1.0)
    errors = {name: pl.lit(error) for name in ("calibration_error", "ne_change_error")}
    return evaluate(ROWS, PREDICTIONS).with_columns(calibration=chosen, ne_change=pl.lit(change), **errors)


def of_rows(shown: int, positives: int, considered: int = 60) -> pl.DataFrame:
    """The evaluation of so many withheld rows, so many of the shown ones positive, and all else as it should be."""
    rows = pl.DataFrame(
        {
            "request_id": np.concatenate([np.arange(shown), np.arange(considered)]),
            "domain": ["IMP"] * shown + ["CD"] * considered,
            "target": np.concatenate([np.arange(shown) < positives, np.full(considered, 0.5)]).astype(np.float32),
            "weight": np.ones(shown + considered, np.float32),
        }
    )
    heads = ("baseline", "impression"), ("distilled", "impression"), ("distilled", "consideration")
    table = evaluate(rows, dict.fromkeys(heads, np.full(len(rows), 0.5, np.float32)))
    return table.with_columns(calibration=1.0, calibration_error=0.0, ne_change=0.0, ne_change_error=0.0)


SURFACE = read_cascade(SHIPPED / "simulated_small_surface.yaml")
TAUGHT_BESIDE = SURFACE.student("click")
STUDENTS = {
    "labels of the day": (CASCADE, STUDENT),
    "delayed labels": (CASCADE, CASCADE.student("pre_ranking_conversion")),
    "another cascade's teacher beside labels": (SURFACE, TAUGHT_BESIDE),
    "another cascade's teacher": (SURFACE, TAUGHT_BESIDE.model_copy(update={"heads": ("impression",)})),
}
each_student = pytest.mark.parametrize(("cascade", "student"), STUDENTS.values(), ids=STUDENTS)


@each_student
@pytest.mark.parametrize(("shown", "positives"), [(40, 0), (40, 9), (29, 20), (4, 2), (0, 0)])
def test_a_student_is_not_released_on_few_labels_or_few_shown_rows(
    cascade: Cascade, student: Student, shown: int, positives: int
) -> None:
    results = judge_student(cascade, student, of_rows(shown, positives))
    told = {each.name: each.message for each in results}
    few = (
        f"not judged: {positives} positive labels of 10 needed, among {shown} withheld impressions of 30 needed; see "
        "whether events arrive"
    )
    assert told["calibrated_on_impression"].startswith(few)
    assert told["normalized_entropy_on_impression_kept"].startswith(few)
    if cascade.task(student.task).delayed:
        # They are yet to come; the teacher judges alone.
        assert refusals(results) == not_judged(results) == []
        assert told["normalized_entropy_on_impression_kept"].endswith("agreement with the teacher decides alone")
    else:
        assert refusals(results) == []
        assert not_judged(results) == ["normalized_entropy_on_impression_kept: " + told["calibrated_on_impression"]]
    assert {each.verdict for each in results if "impression" in each.name} == {"not judged"}


def test_delayed_labels_must_be_enough_where_no_teacher_judges() -> None:
    late = SURFACE.model_copy(
        update={"tasks": tuple(task.model_copy(update={"delayed": True}) for task in SURFACE.tasks)}
    )
    (reason,) = not_judged(judge_student(late, TAUGHT_BESIDE, of_rows(40, 9)))
    assert "not judged: 9 positive labels" in reason


@each_student
@pytest.mark.parametrize("considered", [0, 1, 29])
def test_a_student_is_not_released_on_few_considered_rows(cascade: Cascade, student: Student, considered: int) -> None:
    results = judge_student(cascade, student, of_rows(40, 20, considered))
    reasons = not_judged(results)
    assert refusals(results) == []
    said = f"not judged: {considered} withheld considered rows of 30 needed; judge by more requests"
    assert [reason.split(": ", 1)[0] for reason in reasons] == [
        "calibrated_on_consideration",
        "normalized_entropy_on_consideration_kept",
    ]
    assert all(said in reason for reason in reasons)


@each_student
def test_a_student_is_judged_from_the_least_number_of_labels_and_rows_on(cascade: Cascade, student: Student) -> None:
    assert refusals(judge_student(cascade, student, of_rows(30, 10, considered=30))) == []


def test_a_corrected_label_counts_once_towards_the_least_number() -> None:
    """Five conversions that stand for twenty are five."""
    shown = ROWS.filter(domain="IMP").with_columns(target=pl.Series([4.0] * 5 + [0.0] * 35, dtype=pl.Float32))
    table = evaluate(pl.concat([shown, ROWS.filter(domain="CD")]), PREDICTIONS)
    row = table.filter(arm="distilled", head="impression", domain="IMP", reference="label").row(0, named=True)
    assert (row["rows"], row["positives"], row["mean_reference"]) == (40, 5, pytest.approx(0.5))
    assert any(
        "not judged: 5 positive labels" in reason for reason in not_judged(judge_student(CASCADE, STUDENT, table))
    )
    assert set(table.filter(reference="teacher")["positives"]) == {None}


def test_a_table_that_was_made_before_positives_were_counted_is_judged_by_its_mean_label() -> None:
    old = of_rows(40, 9).drop("positives")
    assert any("not judged: 9 positive labels" in reason for reason in not_judged(judge_student(CASCADE, STUDENT, old)))
    assert refusals(judge_student(CASCADE, STUDENT, of_rows(40, 10).drop("positives"))) == []


def test_corrected_labels_count_as_what_they_stand_for_and_order_as_seen() -> None:
    shown = pl.col("domain") == "IMP"
    corrected = ROWS.with_columns(target=pl.when(shown).then(pl.col("target") * 3).otherwise("target").cast(pl.Float32))
    where = {"arm": "distilled", "head": "impression", "domain": "IMP", "reference": "label"}
    plain, three = evaluate(ROWS, PREDICTIONS), evaluate(corrected, PREDICTIONS)
    assert figure(three, "calibration", **where) == pytest.approx(figure(plain, "calibration", **where) / 3)
    for name in ("auc", "request_auc", "auc_error"):
        assert figure(three, name, **where) == figure(plain, name, **where)


def test_rows_without_a_known_truth_are_judged_without_it() -> None:
    some = ROWS.with_columns(truth=pl.when(pl.int_range(pl.len()) >= 10).then("truth"))
    table = evaluate(some, PREDICTIONS)
    counts = {(d, r): n for d, r, n in table.filter(arm="baseline").select("domain", "reference", "rows").rows()}
    assert counts == {("IMP", "label"): 40, ("CD", "teacher"): 60, ("IMP", "truth"): 30, ("CD", "truth"): 60}


def test_a_good_student_has_nothing_to_refuse() -> None:
    assert refusals(judge_student(CASCADE, STUDENT, table_with(1.0, -0.01))) == []


@pytest.mark.parametrize("seen", [0.5, 1.5, math.nan])
def test_a_miscalibrated_student_is_refused_with_the_figure_and_the_bound(seen: float) -> None:
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(seen, 0, error=0.01)))
    assert len(reasons) == 1
    assert f"calibration {seen:.3f} +- 0.010 against the teacher; expected 0.85 to 1.15 (gates." in reasons[0]


def test_a_student_that_is_off_on_labels_is_refused_only_beyond_two_standard_errors() -> None:
    def judged(error: float) -> list[str]:
        off = pl.when(domain="IMP").then(1.3).otherwise("calibration")
        return refusals(judge_student(CASCADE, STUDENT, table_with(1.0, 0.0, error).with_columns(calibration=off)))

    assert judged(error=0.08) == []
    assert "calibrated_on_impression: calibration 1.300 +- 0.070" in judged(error=0.07)[0]


def test_entropy_passes_only_where_chance_cannot_have_made_it_and_chance_may_leave_it_unjudged() -> None:
    bound = CASCADE.gates.normalized_entropy
    assert refusals(judge_student(CASCADE, STUDENT, table_with(1.0, bound - 0.0197, error=0.01))) == []
    for change, error in ((bound + 0.019, 0.01), (0.025, 0.003), (0.04, 0.015)):
        results = judge_student(CASCADE, STUDENT, table_with(1.0, change, error))
        assert len(refusals(results)) == 2
        assert f"{change:+.3%} +- {error:.3%} of the baseline's" in refusals(results)[0]
        assert not_judged(results) == []
    results = judge_student(CASCADE, STUDENT, table_with(1.0, 0.0, error=0.02))
    assert refusals(results) == []
    assert len(not_judged(results)) == 2
    assert "about 11 days of them in place of 1 would do" in not_judged(results)[0]
    results = judge_student(CASCADE, STUDENT, table_with(1.0, 0.019, error=0.003))
    assert (refusals(results), len(not_judged(results))) == ([], 2)


def test_gates_that_are_accepted_by_name_refuse_nothing() -> None:
    results = judge_student(CASCADE, STUDENT, table_with(1.0, 0.05))
    names = [reason.split(":")[0] for reason in refusals(results)]
    assert len(names) == 2
    assert refusals(results, names[:1]) == refusals(results)[1:]
    assert not_judged(judge_student(CASCADE, STUDENT, table_with(1.0, 0.0, error=0.02)), names) == []


def test_an_error_that_is_not_known_excuses_nothing() -> None:
    assert len(refusals(judge_student(CASCADE, STUDENT, table_with(1.0, 0.0, error=math.nan)))) == 3


@pytest.mark.parametrize("change", [0.05, math.nan])
def test_a_student_with_worse_entropy_is_refused_on_both_domains(change: float) -> None:
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(1.0, change)))
    assert [reason.split(":")[0] for reason in reasons] == [
        "normalized_entropy_on_impression_kept",
        "normalized_entropy_on_consideration_kept",
    ]


def test_a_bound_itself_is_within_it() -> None:
    lowest, highest = CASCADE.gates.student_calibration
    for bound in (lowest, highest):
        table = table_with(bound, CASCADE.gates.normalized_entropy).with_columns(calibration=pl.lit(bound))
        assert refusals(judge_student(CASCADE, STUDENT, table)) == []


def test_delayed_labels_that_disagree_only_tell() -> None:
    late = CASCADE.student("pre_ranking_conversion")
    table = of_rows(40, 20).with_columns(calibration=pl.when(domain="IMP").then(3.0).otherwise(1.0))
    for student, delayed in ((STUDENT, False), (late, True)):
        results = {each.name: each for each in judge_student(CASCADE, student, table)}
        verdict = results["calibrated_on_impression"]
        assert (verdict.passed, verdict.blocks) == (False, not delayed)
        assert ("delayed and cannot block" in verdict.message) == delayed
        assert verdict.seen == {"calibration": 3.0, "standard_error": 0.0}


@pytest.mark.parametrize(
    ("change", "error", "delayed", "verdict"),
    [
        (0.0, 0.03, True, "not judged"),
        (0.015, 0.005, True, "not judged"),
        (0.021, 0.005, True, "warns only"),
        (0.021, 0.005, False, "failed"),
        (0.05, 0.01, True, "failed"),
        (0.0, math.nan, True, "failed"),
    ],
)
def test_entropy_on_delayed_labels_blocks_only_with_its_whole_interval_beyond_the_bound(
    change: float, error: float, delayed: bool, verdict: str
) -> None:
    student = CASCADE.student("pre_ranking_conversion") if delayed else STUDENT
    imp = pl.col("domain") == "IMP"
    table = of_rows(40, 20).with_columns(
        ne_change=pl.when(imp).then(change).otherwise("ne_change"),
        ne_change_error=pl.when(imp).then(error).otherwise("ne_change_error"),
    )
    results = {each.name: each for each in judge_student(CASCADE, student, table)}
    assert results["normalized_entropy_on_impression_kept"].verdict == verdict
    blocks = verdict == "failed"
    assert (refusals([*results.values()]) != []) == blocks
    assert not_judged([*results.values()]) == []


def test_figures_do_not_change_with_the_unit_of_the_weights() -> None:
    lighter = ROWS.with_columns(weight=pl.col("weight") / 1024)
    table, light = evaluate(ROWS, PREDICTIONS), evaluate(lighter, PREDICTIONS)
    for name in ("calibration", "ne", "auc", "request_auc", "mean_reference", "calibration_error", "ne_change_error"):
        assert light[name].to_list() == pytest.approx(table[name].to_list(), nan_ok=True), name


def test_an_arm_that_predicts_some_shards_alone_is_refused() -> None:
    fewer = {key: p for key, p in PREDICTIONS.items() if key[0] == "baseline"}
    with pytest.raises(ValueError, match=r"\('distilled', 'impression'\)\] predict some shards alone"):
        totals_of([*whole(ROWS, PREDICTIONS), *whole(ROWS, fewer)], 0)


def test_an_interval_is_of_the_days_that_judged_and_in_tables_that_do_not_say_of_those_asked_for() -> None:
    week, table = CASCADE.model_copy(update={"evaluation_days": 7}), table_with(1.0, 0.0, error=0.02)
    for of, days in ((table, 7), (table.drop("days"), 7), (table.with_columns(days=pl.lit(2)), 2)):
        reason = not_judged(judge_student(week, STUDENT, of))[0]
        assert f"days of them in place of {days} would do" in reason
