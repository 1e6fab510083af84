from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import ADS, DAY, KEYS, SHOP, run, written
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import prediction_column


@pytest.mark.parametrize(
    ("cascade", "teacher"), [(ADS, "pre_ranking_logged"), (ADS, "ranking_logged"), (SHOP, "sorter")]
)
def test_a_logged_teacher_labels_exactly_the_considered_rows_that_its_stage_scored(
    tmp_path: Path, cascade: Cascade, teacher: str
) -> None:
    files = written(tmp_path, make_logs(cascade, DAY, 60)._asdict())
    considered = pl.concat(
        [run(tmp_path, name, files, cascade) for name in ("impressions", "considerations")], how="diagonal"
    )
    declared = cascade.teacher(teacher)
    labels = run(tmp_path, "logged_teacher_labels", files, cascade, teacher=declared)

    tasks = cascade.predictions_of(declared.stage)
    logged = {f"{task}_prediction": prediction_column(declared.stage, task) for task in tasks}
    scored = considered.drop_nulls(list(logged.values())).sort(KEYS)
    assert 0 < scored.height < considered.height
    assert labels.equals(scored.select(*KEYS, **{label: pl.col(column) for label, column in logged.items()}))
