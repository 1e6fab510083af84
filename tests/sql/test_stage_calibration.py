import itertools
from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import ADS, DAY, KEYS, MODELS, SHOP, run, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import prediction_column, truth_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.logs.contract import DayOfLogs

probability = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32))


def tables_of(folder: Path, logs: DayOfLogs, cascade: Cascade = ADS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The candidate log with its labels, and what the model makes of it."""
    files = written(folder, logs._asdict())
    impressions = run(folder, "impressions", files, cascade)
    labels = impressions.select(*KEYS, *(task.name for task in cascade.tasks))
    return logs.candidate_log.join(labels, on=KEYS, how="left"), run(folder, "stage_calibration", files, cascade)


def comparisons(cascade: Cascade, log: pl.DataFrame) -> dict[tuple[str, ...], tuple[str, str, pl.DataFrame]]:
    """(stage, task, domain, reference) -> prediction column, reference column, and the rows compared, as documented."""
    if not cascade.has_probes:
        log = log.with_columns(probed=False, probe_rate=None)
    found: dict[tuple[str, ...], tuple[str, str, pl.DataFrame]] = {}
    for position, stage in enumerate(cascade.stages):
        for task in cascade.predictions_of(stage.name):
            prediction = prediction_column(stage.name, task)
            scored = log.drop_nulls(prediction)
            found[stage.name, task, "IMP", "label"] = prediction, task, scored.drop_nulls(task)
            # A probe of the stage before has a prediction, and was not handed on to this one.
            domains = {"IMP": scored.filter("shown"), "SCORED": scored.filter(reached(cascade, stage.name))}
            later = [s.name for s in cascade.stages[position + 1 :] if task in cascade.predictions_of(s.name)]
            if later:
                teacher = prediction_column(later[0], task)
                before = cascade.stages[cascade.depth(later[0]) - 1].name
                probes = pl.col("probed") & (pl.col("deepest_stage") == before)
                domains["CD"] = scored.drop_nulls(teacher).filter(~probes)
                if before == stage.name and scored.select(probes.any()).item():
                    weight = pl.when(probes).then(1 / pl.col("probe_rate").cast(pl.Float64)).otherwise(1.0)
                    taught = scored.filter(reached(cascade, later[0]) | probes)
                    rows = taught.with_columns(weight=weight)
                    found[stage.name, task, "SCORED", "teacher"] = prediction, teacher, rows
                found[stage.name, task, "CD", "teacher"] = prediction, teacher, domains["CD"]
            for domain, rows in domains.items() if cascade.has_truth else ():
                found[stage.name, task, domain, "truth"] = prediction, truth_column(task), rows
    return found


def check(table: pl.DataFrame, cascade: Cascade, log: pl.DataFrame) -> None:
    """All comparisons are in the table once, in order, and equal numpy's."""
    expected = comparisons(cascade, log)
    assert [row[:4] for row in table.rows()] == sorted(expected)
    for row in table.iter_rows(named=True):
        prediction, reference, rows = expected[row["stage"], row["task"], row["domain"], row["reference"]]
        p, y = (rows[column].cast(pl.Float64).to_numpy() for column in (prediction, reference))
        w = np.ones(len(p))
        if (row["domain"], row["reference"]) == ("SCORED", "teacher"):
            w = rows["weight"].to_numpy()
        assert row["rows"] == rows.height
        figures = {
            "mean_prediction": np.average(p, weights=w) if len(p) else nan,
            "mean_reference": np.average(y, weights=w) if len(y) else nan,
            "calibration": calibration(p, y, w),
            "normalized_entropy": normalized_entropy(p, y, w),
        }
        for name, figure in figures.items():
            if isnan(figure):
                assert row[name] is None
            else:
                assert row[name] == pytest.approx(figure, rel=1e-6, abs=1e-12), (row, name)


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=["ads", "shop"])
def test_every_figure_equals_numpys(tmp_path: Path, cascade: Cascade) -> None:
    log, table = tables_of(tmp_path, make_logs(cascade, DAY, 120), cascade)
    check(table, cascade, log)
    assert table["normalized_entropy"].null_count() == 0


def test_rows_shown_from_an_early_stage_count_only_for_the_stages_that_scored_them(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 60)
    # As when a policy explores what pre-ranking has dropped.
    early = logs.candidate_log.with_columns(shown=pl.col("shown") | (pl.col("deepest_stage") == "retrieval"))
    early = early.with_columns(probed=pl.col("probed") & ~pl.col("shown"))
    log, table = tables_of(tmp_path, logs._replace(candidate_log=early))
    check(table, ADS, log)
    rows = table.filter(task="click", domain="IMP", reference="label")
    assert rows.filter(stage="ranking")["rows"].item() < rows.filter(stage="retrieval")["rows"].item()


def test_with_every_rejected_row_a_probe_all_that_a_stage_scored_is_those_rows_themselves(tmp_path: Path) -> None:
    logs = make_logs(ADS, DAY, 120)
    log = logs.candidate_log.with_columns(probed=pl.col("deepest_stage") != "ranking")
    log = log.with_columns(probe_rate=pl.when("probed").then(pl.lit(1.0, pl.Float32)))
    stages = [stage.name for stage in ADS.stages]
    drawn = np.random.default_rng(7)
    for before, stage in itertools.pairwise(stages):
        scored = reached(ADS, before)
        for task in ADS.predictions_of(stage):
            column = prediction_column(stage, task)
            values = pl.Series(drawn.random(len(log)), dtype=pl.Float32)
            log = log.with_columns(pl.when(scored).then(pl.col(column).fill_null(values)).alias(column))
    joined, table = tables_of(tmp_path, logs._replace(candidate_log=log))
    check(table, ADS, joined)
    for stage, teacher in itertools.pairwise(stages):
        # Probes of the stages before and after neither add rows to it nor take any away.
        rows = log.filter(reached(ADS, stage))
        for reference, column in (
            ("teacher", prediction_column(teacher, "click")),
            ("truth", truth_column("click")),
        ):
            row = table.row(by_predicate=(pl.col("stage") == stage) & _of("click", "SCORED", reference), named=True)
            assert row["rows"] == len(rows)
            assert row["mean_reference"] == pytest.approx(rows[column].cast(pl.Float64).mean(), rel=1e-9)
            assert row["mean_prediction"] == pytest.approx(rows[prediction_column(stage, "click")].mean(), rel=1e-5)


def _of(task: str, domain: str, reference: str) -> pl.Expr:
    return (pl.col("task") == task) & (pl.col("domain") == domain) & (pl.col("reference") == reference)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(probability, probability), min_size=24, max_size=24))
def test_figures_equal_numpys_for_extreme_probabilities(tmp_path: Path, pairs: Sequence[tuple[float, float]]) -> None:
    logs = make_logs(ADS, DAY, 2)
    predictions, truths = (pl.Series(each, dtype=pl.Float32) for each in zip(*pairs, strict=True))
    log = logs.candidate_log.with_columns(retrieval_click_prediction=predictions, audit_true_click=truths)
    joined, table = tables_of(tmp_path, logs._replace(candidate_log=log))
    check(table, ADS, joined)


def test_a_cascade_without_predictions_has_no_rows_but_all_columns(tmp_path: Path) -> None:
    kuairand = read_cascade(SHIPPED / "kuairand.yaml")
    _, empty = tables_of(tmp_path, make_logs(kuairand, DAY, 10), kuairand)
    _, table = tables_of(tmp_path, make_logs(ADS, DAY, 10))
    assert empty.is_empty()
    assert empty.schema == table.schema
    assert empty.columns == list(MODELS["stage_calibration"].columns)
