"""What is kept of a shard's predictions comes back from the file of that name, wherever temporary files are."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.learning.evaluation.predictions import PredictedRows, kept_on_disk


@pytest.mark.parametrize("folder", ["plain", "run[1]", "run*"])
def test_rows_and_predictions_come_back_as_they_were(tmp_path: Path, folder: str) -> None:
    for name in ("plain", "run1", folder):
        (tmp_path / name).mkdir(exist_ok=True)
    other = PredictedRows(pl.DataFrame({"request_id": [9]}), {("distilled", "impression"): np.zeros(1, np.float32)})
    if folder != "plain":
        kept_on_disk(other, tmp_path / "run1" / "0.parquet")
    scored = PredictedRows(
        pl.DataFrame({"request_id": [1, 2]}), {("distilled", "impression"): np.array([0.25, 0.5], np.float32)}
    )
    back = kept_on_disk(scored, tmp_path / folder / "0.parquet")()
    assert back.rows.equals(scored.rows)
    assert list(back.predictions) == [("distilled", "impression")]
    assert np.array_equal(back.predictions["distilled", "impression"], scored.predictions["distilled", "impression"])
