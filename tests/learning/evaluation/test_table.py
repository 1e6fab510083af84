"""The evaluation table and the gates that it feeds."""

import math

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.learning.evaluation.gates import judge_student, refusals
from ukdsl_assets.learning.evaluation.table import evaluate, figure
from ukdsl_assets.learning.metrics.bootstrap import replicate_weights
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.training.gates import no_withheld_request, parameters_finite, same_predictions
from ukdsl_assets.learning.training.requests_read import RequestsRead

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


def rare(positives: int) -> pl.DataFrame:
    """The rows with so many positive labels."""
    number = pl.int_range(pl.len()).over("domain")
    return ROWS.with_columns(target=pl.when(domain="IMP").then(number < positives).otherwise("target").cast(pl.Float32))


LABEL_GATES = {"calibrated_on_impression", "normalized_entropy_on_impression_kept"}


def test_a_gate_on_labels_says_that_there_are_too_few_to_judge_by() -> None:
    results = judge_student(CASCADE, STUDENT, evaluate(rare(3), PREDICTIONS))
    said = {each.name: each for each in results if each.message.startswith("not judged: 3 positive labels among 40")}
    assert said.keys() == LABEL_GATES
    assert not any(each.blocks for each in said.values())


def test_without_a_single_positive_label_nothing_is_released_unless_they_are_yet_to_come() -> None:
    table = evaluate(rare(0), PREDICTIONS)
    results = {each.name: each for each in judge_student(CASCADE, STUDENT, table)}
    assert results["normalized_entropy_on_impression_kept"].blocks
    assert "0 positive labels among 40 withheld impressions" in results["normalized_entropy_on_impression_kept"].message
    assert "see whether events arrive" in results["normalized_entropy_on_impression_kept"].message
    late = CASCADE.student("pre_ranking_conversion")
    assert not any(each.blocks for each in judge_student(CASCADE, late, table) if each.name in LABEL_GATES)


@pytest.mark.parametrize(("positives", "released"), [(0, False), (9, False), (10, True), (20, True)])
def test_a_student_that_only_labels_can_judge_is_not_released_without_them(positives: int, released: bool) -> None:
    surface = read_cascade(SHIPPED / "simulated_small_surface.yaml")
    taught_beside, taught_directly = (
        surface.student("click"),
        surface.student("click").model_copy(update={"heads": ("impression",)}),
    )
    labels = pl.when(domain="IMP").then(pl.int_range(pl.len()) < positives).otherwise("target").cast(pl.Float32)
    same = dict.fromkeys(
        (("baseline", "impression"), ("distilled", "impression")), PREDICTIONS["baseline", "impression"]
    )
    # Calibrated, and no worse than the baseline, wherever there is something to measure.
    fine = pl.when(pl.col("calibration").is_finite()).then(1.0).otherwise("calibration")
    table = evaluate(ROWS.with_columns(target=labels), same).with_columns(calibration=fine)
    reasons = refusals(judge_student(surface, taught_beside, table))
    assert (reasons == []) == released
    if not released:
        (reason,) = reasons
        assert reason.startswith(
            f"normalized_entropy_on_impression_kept: not judged: {positives} positive labels among 40 withheld "
            "impressions, fewer than 10; agreement with another cascade's teacher only tells"
        )
    # What the teacher trains directly must agree with it, and is judged by that where labels say anything at all.
    assert (refusals(judge_student(surface, taught_directly, table)) == []) == (positives > 0)


def test_a_day_without_considered_rows_releases_nothing() -> None:
    table = evaluate(ROWS.filter(domain="IMP"), {key: every[:40] for key, every in PREDICTIONS.items()})
    surface = read_cascade(SHIPPED / "simulated_small_surface.yaml")
    for cascade, student in ((CASCADE, STUDENT), (surface, surface.student("click"))):
        results = judge_student(cascade, student, table)
        said = [each.name for each in results if each.blocks and "no withheld considered row" in each.message]
        assert said == ["calibrated_on_consideration", "normalized_entropy_on_consideration_kept"]


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


def test_entropy_that_may_be_chance_is_not_refused() -> None:
    bound = CASCADE.gates.normalized_entropy
    assert refusals(judge_student(CASCADE, STUDENT, table_with(1.0, bound + 0.019, error=0.01))) == []
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(1.0, bound + 0.021, error=0.01)))
    assert len(reasons) == 2
    assert f"{bound + 0.021:+.3%} +- 1.000% of the baseline's" in reasons[0]


def test_an_error_that_is_not_known_excuses_nothing() -> None:
    assert len(refusals(judge_student(CASCADE, STUDENT, table_with(1.0, 0.0, error=math.nan)))) == 3


@pytest.mark.parametrize("change", [0.05, math.nan])
def test_a_student_with_worse_entropy_is_refused_on_both_domains(change: float) -> None:
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(1.0, change)))
    assert [reason.split(":")[0] for reason in reasons] == [
        "normalized_entropy_on_impression_kept",
        "normalized_entropy_on_consideration_kept",
    ]


def test_parameters_that_are_not_finite_are_found_by_name() -> None:
    assert parameters_finite({"bias": np.zeros(2, np.float32)}).passed
    result = parameters_finite({"bias": np.array([1, np.nan, np.inf], np.float32)})
    assert result.blocks
    assert "{'bias': 2}" in result.message


def test_a_reloaded_prediction_must_be_the_same_bit_by_bit() -> None:
    p = {"impression": np.array([0.1, 0.2], np.float32)}
    assert same_predictions(p, {"impression": p["impression"].copy()}).passed
    assert same_predictions(p, {"impression": np.nextafter(p["impression"], np.float32(1))}).blocks
    assert same_predictions(p, {}).blocks


def test_a_withheld_request_in_training_is_found_and_shown() -> None:
    assert no_withheld_request([RequestsRead(3), RequestsRead(4)]).passed
    result = no_withheld_request([RequestsRead(3), RequestsRead(4, 1, (6,)), RequestsRead(2)])
    assert result.blocks
    assert "1 of 9 requests" in result.message
    assert "[6]" in result.message
