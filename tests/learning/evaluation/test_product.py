"""A task that is given another: the product over all impressions, and considered rows by what is given."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ukdsl_assets.learning.evaluation.predictions import PredictedRows, whole
from ukdsl_assets.learning.evaluation.product import given_rows, product_predictions, product_rows, seen_labels
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy

BASE, HEAD = ("baseline", "impression"), ("distilled", "consideration")


def drawn(rows: int = 600, seed: int = 0) -> tuple[pl.DataFrame, dict[tuple[str, str], np.ndarray]]:
    """Considered rows on which clicks are rarer the likelier a click converts, and two arms' predictions."""
    rng = np.random.default_rng(seed)
    click = rng.uniform(0.001, 0.2, rows).astype(np.float32)
    taught = (0.3 - click).astype(np.float32)
    frame = pl.DataFrame(
        {
            "request_id": np.arange(rows) // 6,
            "domain": ["CD"] * rows,
            "target": taught,
            "weight": rng.uniform(1, 3, rows).astype(np.float32),
            "given_probability": click,
            "truth": taught / 2,
            "true_given": click[::-1],
        }
    )
    return frame, {BASE: rng.uniform(0.1, 0.4, rows).astype(np.float32), HEAD: (0.5 * taught).astype(np.float32)}


def one(table: pl.DataFrame, key: tuple[str, str], **where: str) -> dict:
    return table.row(by_predicate=_all(arm=key[0], head=key[1], **where), named=True)


def _all(**where: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == value for name, value in where.items())


def test_the_calibration_of_a_product_is_expected_over_seen_labels() -> None:
    clicked, converted = [1, 1, 0, 0, 1, 0], [1.0, 0.0, np.nan, np.nan, 0.0, np.nan]
    labels = seen_labels(np.array(converted, np.float32))
    assert labels.tolist() == [1, 0, 0, 0, 0, 0]
    rows = pl.DataFrame({"request_id": [1, 1, 1, 2, 2, 2], "target": labels})
    own, given = np.full(6, 0.25, np.float32), np.full(6, np.mean(clicked), np.float32)
    table = product_rows(whole(rows, product_predictions({BASE: own}, given)))
    row = one(table, BASE, reference="label")
    assert set(table["domain"]) == {"PRODUCT"}
    assert (row["rows"], row["positives"]) == (6, 1)
    # Of six impressions half are clicked and a quarter of those convert: 0.75 expected for the one that was seen.
    assert row["calibration"] == pytest.approx(0.75)
    p = np.float32(0.125)
    entropy = -(np.log(p) + 5 * np.log(1 - p)) / 6
    of_the_mean = -(np.log(1 / 6) / 6 + 5 / 6 * np.log(5 / 6))
    assert row["ne"] == pytest.approx(entropy / of_the_mean, rel=1e-6)


def test_a_label_that_stands_for_two_counts_as_two_and_is_one_positive() -> None:
    labels = seen_labels(np.array([1, 0, np.nan, 1], np.float32), np.array([2, 2, 2, 1], np.float32))
    assert labels.tolist() == [2, 0, 0, 1]
    rows = pl.DataFrame({"request_id": [1, 2, 3, 4], "target": labels})
    row = one(product_rows(whole(rows, {BASE: np.full(4, 0.75, np.float32)})), BASE, reference="label")
    assert row["calibration"] == pytest.approx(1)
    assert row["positives"] == 2


def test_every_head_is_multiplied_by_its_arms_prediction_of_what_is_given() -> None:
    half, tenth, fifth = (np.full(3, p, np.float32) for p in (0.5, 0.1, 0.2))
    own = {BASE: half, ("distilled", "impression"): half, HEAD: half, ("released", "impression"): half}
    found = product_predictions(own, {"baseline": tenth, "distilled": fifth})
    assert {key: p[0] for key, p in found.items()} == pytest.approx(
        {BASE: 0.05, ("distilled", "impression"): 0.1, HEAD: 0.1}
    )


def test_without_a_student_of_what_is_given_all_arms_take_the_logged_prediction() -> None:
    own = {BASE: np.full(2, 0.5, np.float32), HEAD: np.full(2, 0.25, np.float32)}
    found = product_predictions(own, np.array([0.2, 0.4], np.float32))
    assert found[BASE] == pytest.approx([0.1, 0.2])
    assert found[HEAD] == pytest.approx([0.05, 0.1])


def test_considered_rows_by_what_is_given_are_a_loop_over_rows() -> None:
    rows, predictions = drawn()
    table = given_rows(whole(rows, predictions))
    assert set(table["domain"]) == {"GIVEN"}
    for reference, target, given in (("teacher", "target", "given_probability"), ("truth", "truth", "true_given")):
        for key, p in predictions.items():
            expected = seen = 0.0
            for prediction, row in zip(p.tolist(), rows.iter_rows(named=True), strict=True):
                expected += row["weight"] * row[given] * prediction
                seen += row["weight"] * row[given] * row[target]
            found = one(table, key, reference=reference)
            assert found["calibration"] == pytest.approx(expected / seen, rel=1e-5)
            weight = (rows["weight"] * rows[given]).to_numpy()
            entropy = normalized_entropy(p, rows[target].to_numpy(), weight)
            assert found["ne"] == pytest.approx(entropy, rel=1e-5)
            assert found["rows"] == len(rows)


def test_rows_that_nobody_clicks_do_not_count() -> None:
    rows, predictions = drawn()
    never = pl.arange(len(rows), eager=True) % 2 == 0
    dead = rows.with_columns(given_probability=pl.when(never).then(0.0).otherwise("given_probability"))
    wrong = {key: np.where(never.to_numpy(), np.float32(0.9), p) for key, p in predictions.items()}
    table = given_rows(whole(dead.drop("true_given"), wrong))
    alive = (~never).to_numpy()
    for key, p in predictions.items():
        row, kept = one(table, key, reference="teacher"), rows.filter(~never)
        weight = (kept["weight"] * kept["given_probability"]).to_numpy()
        assert row["calibration"] == pytest.approx(calibration(p[alive], kept["target"], weight), rel=1e-5)
    plain = evaluate(dead, wrong)
    assert one(plain, HEAD, domain="CD", reference="teacher")["calibration"] > 2
    assert one(table, HEAD, reference="teacher")["calibration"] == pytest.approx(0.5, rel=1e-5)


def test_shards_are_judged_as_one_and_rows_without_a_probability_are_left_out() -> None:
    rows, predictions = drawn()
    unknown = rows.with_columns(given_probability=pl.when(pl.col("request_id") >= 40).then("given_probability"))
    shown = rows.with_columns(domain=pl.lit("IMP"))
    both = pl.concat([unknown, shown])
    twice = {key: np.concatenate([p, p]) for key, p in predictions.items()}
    table = given_rows(whole(both, twice))
    assert set(table.filter(reference="teacher")["rows"]) == {len(rows) - 240}
    halves = [both["request_id"] < 70, both["request_id"] >= 70]
    shards = [
        lambda chosen=chosen: PredictedRows(
            both.filter(chosen), {key: p[chosen.to_numpy()] for key, p in twice.items()}
        )
        for chosen in halves
    ]
    assert_frame_equal(given_rows(shards), table, rel_tol=1e-6)


def test_without_probabilities_there_are_no_such_rows() -> None:
    rows, predictions = drawn()
    table = given_rows(whole(rows.drop("given_probability", "true_given", "truth"), predictions))
    assert len(table) == 0
    assert table.columns == evaluate(rows, predictions).columns
