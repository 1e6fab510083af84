from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.logs import make_logs
from tests.sql.tables import ADS, DAY, run, written

KEYS = ["request_id", "candidate_id"]


def normalized_entropy(prediction: np.ndarray, reference: np.ndarray) -> float | None:
    """The page of formulas in numpy; None where the base rate is 0 or 1."""
    p = np.clip(prediction.astype(np.float64), 1e-7, 1 - 1e-7)
    y = reference.astype(np.float64)
    base = y.mean() if len(y) else 0.0
    if not 0 < base < 1:
        return None
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    return float(loss / -(base * np.log(base) + (1 - base) * np.log(1 - base)))


def calibrate(folder: Path, log: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    files = written(folder, {"candidate_log": log, "event_log": events})
    return run(folder, "impressions", files), run(folder, "stage_calibration", files)


def figures(table: pl.DataFrame, *key: str) -> dict[str, float]:
    names = ("stage", "task", "domain", "reference")
    return table.filter(**dict(zip(names, key, strict=True))).row(0, named=True)


def check(seen: dict[str, float], prediction: pl.Series, reference: pl.Series) -> None:
    p, y = prediction.to_numpy(), reference.to_numpy()
    assert seen["rows"] == len(p)
    expected = normalized_entropy(p, y)
    assert seen["normalized_entropy"] == (None if expected is None else pytest.approx(expected, rel=1e-6))
    if len(p):
        assert seen["mean_prediction"] == pytest.approx(p.mean(dtype=np.float64), rel=1e-6, abs=1e-9)
        assert seen["mean_reference"] == pytest.approx(y.mean(dtype=np.float64), rel=1e-6, abs=1e-9)


probability = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(probability, probability), min_size=24, max_size=24))
def test_normalized_entropy_equals_numpys_with_soft_and_extreme_references(
    tmp_path: Path, pairs: Sequence[tuple[float, float]]
) -> None:
    logs = make_logs(ADS, DAY, 2)
    predictions, truths = (pl.Series(each, dtype=pl.Float32) for each in zip(*pairs, strict=True))
    log = logs.candidate_log.with_columns(retrieval_click_prediction=predictions, audit_true_click=truths)
    _, table = calibrate(tmp_path, log, logs.event_log)

    check(figures(table, "retrieval", "click", "SCORED", "truth"), predictions, truths)
    reached = log.filter(pl.col("pre_ranking_click_prediction").is_not_null())
    seen = figures(table, "retrieval", "click", "CD", "teacher")
    check(seen, reached["retrieval_click_prediction"], reached["pre_ranking_click_prediction"])


def test_impressions_are_compared_with_their_labels(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 60)
    impressions, table = calibrate(tmp_path, *logs)
    labelled = impressions.drop_nulls("conversion")

    assert 0 < labelled.height < impressions.height
    seen = figures(table, "ranking", "conversion", "IMP", "label")
    check(seen, labelled["ranking_conversion_prediction"], labelled["conversion"])
    check(
        figures(table, "retrieval", "click", "IMP", "label"),
        impressions["retrieval_click_prediction"],
        impressions["click"],
    )


def test_every_comparison_that_can_be_made_is_there_once(tmp_path: Path) -> None:
    _, table = calibrate(tmp_path, *make_logs(ADS, DAY, 20))

    early = {("IMP", "label"), ("IMP", "truth"), ("CD", "teacher"), ("CD", "truth"), ("SCORED", "truth")}
    last = {("IMP", "label"), ("IMP", "truth"), ("SCORED", "truth")}
    expected = {(s, "click", *pair) for s in ("retrieval", "pre_ranking") for pair in early}
    expected |= {("ranking", task, *pair) for task in ("click", "conversion") for pair in last}
    keys = table.select("stage", "task", "domain", "reference").rows()
    assert len(keys) == len(expected)
    assert set(keys) == expected


def test_a_cascade_without_predictions_has_no_rows_but_the_same_columns(tmp_path: Path) -> None:
    _, table = calibrate(tmp_path, *make_logs(ADS, DAY, 10))
    stages = tuple(stage.model_copy(update={"predicts": ()}) for stage in ADS.stages)
    silent = ADS.model_copy(update={"stages": stages})
    files = written(tmp_path, make_logs(silent, DAY, 10)._asdict())
    run(tmp_path, "impressions", files, silent)
    empty = run(tmp_path, "stage_calibration", files, silent)

    assert empty.is_empty()
    assert empty.schema == table.schema
