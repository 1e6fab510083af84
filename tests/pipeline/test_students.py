"""What an arm's training reads of a day's rows."""

import polars as pl

from ukdsl_assets.declaration.columns import RESERVED
from ukdsl_assets.pipeline.students import UNREAD, not_withheld


def test_a_training_reads_what_is_not_withheld_and_no_column_that_it_would_throw_away() -> None:
    rows = pl.LazyFrame({"request_id": [1, 2, 3], "ad": [7, 8, 9], "withheld": [False, True, False]})
    rows = rows.with_columns(explored=False, propensity=0.5, teacher=pl.lit("label"), teacher_version=pl.lit("a"))
    (read,) = not_withheld([rows])
    assert read().to_dict(as_series=False) == {"request_id": [1, 3], "ad": [7, 9]}


def test_no_feature_is_called_as_what_is_left_out() -> None:
    assert set(UNREAD) <= RESERVED
