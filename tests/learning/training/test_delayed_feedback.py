"""Labels that are yet to come: what those that have come stand for, and which days are final."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.learning.metrics.calibration import calibration
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training.delayed_feedback import (
    corrected_target,
    newest_closed_day,
    share_observed,
    with_label_factor,
)

WINDOW = timedelta(days=7)
SECONDS = st.lists(st.floats(0, WINDOW.total_seconds() - 1), max_size=30)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


@given(SECONDS, SECONDS)
def test_the_share_observed_is_the_share_of_delays_up_to_now_never_zero_and_never_falling(
    delays: list[float], elapsed: list[float]
) -> None:
    share = share_observed(np.array(delays), np.array(sorted(elapsed)), WINDOW)
    naive = [(1 + sum(d <= e for d in delays)) / (1 + len(delays)) for e in sorted(elapsed)]
    assert share.tolist() == pytest.approx(naive)
    assert (share > 0).all()
    assert (np.diff(share) >= 0).all()


def test_all_labels_are_seen_once_the_window_has_closed_and_nothing_is_corrected_without_delays() -> None:
    late = WINDOW.total_seconds()
    assert share_observed(np.array([1.0, late + 5]), np.array([late, late + 1]), WINDOW).tolist() == [1, 1]
    assert share_observed(np.empty(0), np.array([0.0, 10, late]), WINDOW).tolist() == [1, 1, 1]


def rows_of(elapsed: np.ndarray, seen: np.ndarray) -> pl.DataFrame:
    asked = pl.Series((-elapsed * 1e6).astype(np.int64)).cast(pl.Duration("us")) + pl.lit(MIDNIGHT)
    return pl.DataFrame({"target": seen.astype(np.float32)}).with_columns(requested_at=asked, known_until=MIDNIGHT)


def test_corrected_labels_are_unbiased_whatever_the_time_of_day() -> None:
    random, count, hour = np.random.default_rng(0), 200_000, 3600.0
    delays = random.exponential(20 * hour, 5_000)
    final = random.random(count) < 0.08
    elapsed = random.uniform(5 * hour, 29 * hour, count)
    seen = final & (random.exponential(20 * hour, count) <= elapsed)
    target = corrected_target(
        with_label_factor(rows_of(elapsed, seen), delays[delays < WINDOW.total_seconds()], WINDOW)
    )
    assert seen.mean() < 0.6 * final.mean()
    for part in (elapsed < 12 * hour, elapsed > 20 * hour):
        error = target[part].std() / np.sqrt(part.sum())
        assert target[part].mean() == pytest.approx(0.08, abs=4 * error)


def test_rows_that_a_teacher_labels_are_not_corrected() -> None:
    rows = rows_of(np.array([60.0, 60.0]), np.array([1, 1])).with_columns(
        known_until=pl.Series([MIDNIGHT, None], dtype=pl.Datetime("us", "UTC"))
    )
    assert with_label_factor(rows, np.array([30.0, 90, 90]), WINDOW)["label_factor"].to_list() == [2, 1]
    assert len(with_label_factor(rows.clear(), np.array([30.0]), WINDOW)) == 0


def test_a_student_of_corrected_labels_is_calibrated_where_one_of_labels_as_seen_is_not() -> None:
    rows, held = training_rows(800), training_rows(400, seed=1)
    random = np.random.default_rng(5)
    shown = pl.col("domain") == "IMP"
    share = pl.Series(random.choice([0.3, 0.8], len(rows)).astype(np.float32))
    seen = pl.Series(random.random(len(rows))) < share
    rows = rows.with_columns(target=pl.when(shown & ~seen).then(0).otherwise("target").cast(pl.Float32))
    corrected = rows.with_columns(label_factor=pl.when(shown).then(1 / share).otherwise(1).cast(pl.Float32))
    student = STUDENT.model_copy(update={"epochs": 4, "requests_per_batch": 32, "learning_rate": 0.01})
    of_shown = (held["domain"] == "IMP").to_numpy()
    label = held["target"].to_numpy()[of_shown]
    figures = []
    for each in (rows, corrected):
        fitted = fit_student(Training.of(CASCADE, student, "baseline", each)).student
        figures.append(calibration(predict_student(fitted, held)["impression"][of_shown], label))
    assert figures[0] < 0.7
    assert figures[1] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("known_until", "day", "window", "closed"),
    [
        (datetime(2026, 1, 9, 5, tzinfo=UTC), date(2026, 1, 8), timedelta(days=7), date(2026, 1, 1)),
        (datetime(2026, 1, 9, 0, tzinfo=UTC), date(2026, 1, 8), timedelta(days=7), date(2026, 1, 1)),
        (datetime(2026, 1, 8, 23, 59, tzinfo=UTC), date(2026, 1, 8), timedelta(days=7), date(2025, 12, 31)),
        (datetime(2026, 1, 9, 5, tzinfo=UTC), date(2026, 1, 8), timedelta(hours=5), date(2026, 1, 8)),
        (datetime(2026, 1, 9, 5, tzinfo=UTC), date(2026, 1, 8), timedelta(hours=6), date(2026, 1, 7)),
        # A clock of long after: no later day than the partition's own.
        (datetime(2026, 3, 1, tzinfo=UTC), date(2026, 1, 8), timedelta(days=7), date(2026, 1, 8)),
    ],
)
def test_a_day_is_closed_when_the_window_of_its_last_request_is(
    known_until: datetime, day: date, window: timedelta, closed: date
) -> None:
    assert newest_closed_day(known_until, day, window) == closed
