"""Training on shards that are read one at a time, and going on after an interruption."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import DeepFmArchitecture
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.students.fit import Fit, fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training

pytestmark = pytest.mark.slow
DECLARED = STUDENT.model_copy(update={"epochs": 3, "requests_per_batch": 16, "learning_rate": 0.01})
KEY = ("cascade", "student", "distilled")


def shards(rows: pl.DataFrame, count: int) -> list[Callable[[], pl.DataFrame]]:
    return [lambda k=k: rows.filter(pl.col("request_id") % count == k) for k in range(count)]  # type: ignore[misc]


class KilledError(Exception):
    """As a kill would."""


def until(batch: int) -> Callable[[int, int, int, float], None]:
    def progress(done: int, total: int, rows: int, loss: float) -> None:
        if done == batch:
            raise KilledError

    return progress


def same(first: Fit, second: Fit) -> bool:
    tensors = second.student.tensors
    return all(value.tobytes() == tensors[name].tobytes() for name, value in first.student.tensors.items())


def test_shards_teach_what_the_whole_table_teaches() -> None:
    rows, held = training_rows(600), training_rows(seed=1).filter(domain="CD")
    declared = DECLARED.model_copy(update={"epochs": 10})
    whole = fit_student(Training.of(CASCADE, declared, "distilled", rows))
    parts = fit_student(Training.of(CASCADE, declared, "distilled", shards(rows, 4)))
    assert parts.figures["rows_cd"] == whole.figures["rows_cd"]
    assert parts.figures["steps"] == pytest.approx(whole.figures["steps"], rel=0.1)
    teacher = held["target"].to_numpy()
    of_whole, of_parts = (predict_student(fit.student, held)["consideration"] for fit in (whole, parts))
    assert abs(normalized_entropy(of_whole, teacher) - normalized_entropy(of_parts, teacher)) < 0.01
    assert calibration(of_parts, teacher) == pytest.approx(1, abs=0.05)


def test_only_one_shard_is_read_at_a_time_and_each_once_an_epoch_after_the_survey() -> None:
    rows = training_rows(120)
    read: list[int] = []
    readers = shards(rows, 3)

    def counting(part: int) -> Callable[[], pl.DataFrame]:
        def reader() -> pl.DataFrame:
            read.append(part)
            return readers[part]()

        return reader

    fit_student(Training.of(CASCADE, DECLARED, "distilled", [counting(part) for part in range(3)]))
    assert read[:3] == [0, 1, 2]
    epochs = [read[first : first + 3] for first in range(3, len(read), 3)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2]] * DECLARED.epochs
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_shards_give_the_same_bytes_again() -> None:
    rows = training_rows(100)
    assert same(*(fit_student(Training.of(CASCADE, DECLARED, "distilled", shards(rows, 3))) for _ in range(2)))


def test_an_empty_shard_changes_nothing_but_is_allowed() -> None:
    rows = training_rows(100)
    readers = [*shards(rows, 2), rows.clear]
    fit = fit_student(Training.of(CASCADE, DECLARED, "distilled", readers))
    assert fit.figures["rows_cd"] == len(rows.filter(domain="CD"))


@pytest.mark.parametrize("stopped_after", [1, 7, 13, 14, 20])
@pytest.mark.parametrize("arm", ["baseline", "distilled"])
def test_an_interrupted_training_ends_with_the_bytes_of_an_uninterrupted_one(
    tmp_path: Path, stopped_after: int, arm: str
) -> None:
    rows = training_rows(100)
    declared = DECLARED.model_copy(update={"architecture": DeepFmArchitecture(kind="deepfm", hidden=(8,))})

    def fit(progress: Callable[[int, int, int, float], None] | None = None) -> Fit:
        keeper = StateFile(str(tmp_path), KEY, "fingerprint", every_seconds=0)
        return fit_student(Training.of(CASCADE, declared, arm, shards(rows, 2), progress=progress, keeper=keeper))  # type: ignore[arg-type]

    with pytest.raises(KilledError):
        fit(until(stopped_after))
    batches: list[int] = []
    resumed = fit(lambda done, total, rows, loss: batches.append(done))
    # What was kept before the last batch: that batch alone is done again.
    assert batches[0] == stopped_after
    StateFile(str(tmp_path), KEY, "fingerprint").clear()
    whole = fit()
    assert same(resumed, whole)
    assert resumed.figures == whole.figures


def test_a_state_is_found_only_by_a_training_of_the_same_input_and_cleared(tmp_path: Path) -> None:
    mine = StateFile(str(tmp_path), KEY, "one", every_seconds=0)
    with pytest.raises(KilledError):
        fit_student(Training.of(CASCADE, DECLARED, "distilled", training_rows(50), progress=until(3), keeper=mine))
    assert mine.kept() is not None
    assert StateFile(str(tmp_path), KEY, "another").kept() is None
    mine.clear()
    assert mine.kept() is None


def test_a_state_is_kept_no_more_often_than_asked(tmp_path: Path) -> None:
    keeper = StateFile(str(tmp_path), KEY, "one", every_seconds=3600)
    fit_student(Training.of(CASCADE, DECLARED, "distilled", training_rows(50), keeper=keeper))
    assert keeper.kept() is None
