"""What a day knows of delays: of closed days up to it, of requests that are not withheld, each label once."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE
from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.training.delayed_feedback import DELAY_DAYS
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import (
    KnownDelays,
    corrected,
    corrected_readers,
    known_delays,
    labels_message,
    refuse_without_labels,
)
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

DAY = date(2026, 3, 20)
CORRECTING = CASCADE.student("pre_ranking_conversion")
WAITING = CORRECTING.model_copy(update={"delayed_feedback": "wait"})
AS_SEEN = CORRECTING.model_copy(update={"delayed_feedback": "none"})
MIDNIGHT = datetime(2026, 3, 20, tzinfo=UTC)


def closed(first: int, delays: list[float | None]) -> pl.DataFrame:
    """Closed impressions of the requests from `first` on; null: no conversion."""
    keys = pl.int_range(first, first + len(delays), eager=True)
    return pl.DataFrame(
        {"request_id": keys, "candidate_id": keys, "conversion_delay": pl.Series(delays, dtype=pl.Float64)}
    )


def lake_of(folder: Path, days: dict[date, pl.DataFrame]) -> Day:
    workspace = Workspace.open(Settings(lake=str(folder)))
    for day, frame in days.items():
        table = (CASCADE.name, "closed_impressions")
        workspace.lake.commit(workspace.lake.stage_frame(table, day, frame), {})
    return Day(workspace, CASCADE, DAY)


def test_delays_are_of_closed_days_in_the_window_of_requests_that_are_trained_on_each_once(tmp_path: Path) -> None:
    first, late = DAY - timedelta(days=DELAY_DAYS - 1), timedelta(days=1)
    today = closed(0, [*map(float, range(100, 150)), None, None])
    days = {
        first - late: closed(1000, [1.0] * 20),
        first: closed(2000, [30.0, None, 20.0]),
        # A rerun found the same closed day again.
        DAY - late: today,
        DAY: today,
        DAY + late: closed(3000, [2.0] * 20),
    }
    known = known_delays(lake_of(tmp_path, days), CORRECTING)
    assert known is not None
    rows = pl.concat([closed(2000, [30.0, None, 20.0]), today]).drop_nulls()
    kept = rows.filter(~withheld(rows["request_id"], CASCADE.withheld_share))
    assert 30 < len(kept) < len(rows)
    assert known.seconds.tolist() == kept["conversion_delay"].sort().to_list()
    assert set(known.versions) == {str(first), str(DAY - late), str(DAY)}
    assert len(set(known.versions.values())) == 2
    assert known.message == f"corrected by {len(kept)} delays of 3 closed day(s)"


def test_before_a_window_has_closed_nothing_is_corrected_and_it_is_said(tmp_path: Path) -> None:
    known = known_delays(lake_of(tmp_path, {DAY + timedelta(days=1): closed(0, [1.0])}), CORRECTING)
    assert known is not None
    assert (len(known.seconds), known.versions) == (0, {})
    assert known.message.startswith("as seen, since no attribution window with a positive label has closed yet")


@pytest.mark.parametrize("student", [WAITING, AS_SEEN], ids=["wait", "as seen"])
def test_a_student_that_does_not_correct_knows_no_delays(tmp_path: Path, student: object) -> None:
    assert known_delays(lake_of(tmp_path, {DAY: closed(0, [1.0])}), student) is None  # type: ignore[arg-type]


def test_a_student_that_waits_is_refused_until_a_day_has_closed(tmp_path: Path) -> None:
    without = lake_of(tmp_path / "without", {DAY - timedelta(days=1): closed(0, [1.0]), DAY: closed(0, [])})
    with pytest.raises(LakeError, match=r"day 2026-03-20: no labels yet that pre_ranking_conversion may be trained on"):
        refuse_without_labels(without, WAITING)
    refuse_without_labels(without, CORRECTING)
    refuse_without_labels(lake_of(tmp_path / "with", {DAY: closed(0, [None])}), WAITING)


def test_what_became_of_labels_is_said_of_the_own_task_and_of_further_ones() -> None:
    delays = KnownDelays(np.array([1.0, 2.0]), {"2026-03-19": "v"})
    assert labels_message(CASCADE, CORRECTING, delays) == {
        "labels": "conversion: corrected by 2 delays of 1 closed day(s)"
    }
    assert labels_message(CASCADE, WAITING, None) == {
        "labels": "conversion: those of the newest day whose attribution windows have closed"
    }
    assert labels_message(CASCADE, CASCADE.student("pre_ranking_click"), None) == {}


def test_a_label_seen_counts_as_many_as_it_stands_for_and_without_delays_rows_are_as_they_were() -> None:
    rows = pl.DataFrame({"target": [1.0, 0.0]}, schema={"target": pl.Float32}).with_columns(
        requested_at=pl.lit(MIDNIGHT), known_until=pl.lit(MIDNIGHT + timedelta(hours=1))
    )
    # Of three labels, one had come after an hour; counted with one that is always seen: (1 + 1) / (1 + 3).
    delays = KnownDelays(np.array([60.0, 7200.0, 86400.0]), {})
    assert corrected(CASCADE, CORRECTING, delays, rows)["label_factor"].to_list() == [2.0, 2.0]
    assert corrected(CASCADE, CORRECTING, None, rows) is rows
    (read,) = corrected_readers(CASCADE, CORRECTING, delays, [partial(rows.clone)])
    assert read()["label_factor"].to_list() == [2.0, 2.0]
