"""Labels computed while training rows are read, by a loaded teacher instead of the log (paper, 4.1.2)."""

import polars as pl

from ukdsl_assets.declaration.columns import IMP, label_column
from ukdsl_assets.learning.teachers.trained import Fitted, predict
from ukdsl_assets.learning.training.rows import Reader


def labelled_on_the_fly(read: Reader, teacher: Fitted, task: str, threads: int) -> Reader:
    """A reader of the same rows whose targets in all domains but IMP are what the teacher predicts for them now.

    Where the log's labels are of the same checkpoint, the rows are the same: of trees bit by bit, of a network but for
    the rounding of its sums, which depends on how many rows go through it together.

    Args:
        read: of rows of `teacher_augmented` with the teacher's features.
        task: which of the teacher's predictions.
    """

    def labelled() -> pl.DataFrame:
        rows = read()
        considered = (rows["domain"] != IMP).to_numpy()
        target = rows["target"].to_numpy().copy()
        if considered.any():
            predictions = predict(teacher, rows.filter(considered), threads)
            target[considered] = predictions[label_column(task)].to_numpy()
        return rows.with_columns(target=pl.Series(target))

    return labelled
